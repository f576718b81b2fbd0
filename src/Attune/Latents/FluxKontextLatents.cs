using Attune.Autoencoders;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>
/// The latents of FLUX.1 Kontext, whose reference is a picture to edit (Black Forest Labs, 2025). A reference is brought to the one of 17
/// sizes, all of about a million pixels, whose ratio is nearest to its own; the mean of the encoder's distribution is taken.
/// </summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
internal sealed class FluxKontextLatents(AutoencoderKl vae, Device device) : PackedKlLatents(vae, device)
{
    private readonly AutoencoderKl _vae = vae;

    /// <summary>The side of the square whose area pictures have.</summary>
    private const int Side = 1024;

    /// <summary>The widths with which the model was trained, each with its height.</summary>
    private static readonly (int Width, int Height)[] Trained =
    [
        (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184), (944, 1104), (1024, 1024), (1104, 944),
        (1184, 880), (1248, 832), (1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672),
    ];

    /// <summary>The size of an area, in pixels, that has a ratio, width over height: whole tokens.</summary>
    public static PixelSize SizeOf(double ratio, double area, int multiple)
    {
        int Whole(double pixels) => (int)Math.Round(Math.Sqrt(pixels)) / multiple * multiple;
        return new PixelSize(Height: Whole(area / ratio), Width: Whole(area * ratio));
    }

    /// <inheritdoc/>
    public override PixelSize? SizeLike(Image reference, int? size) => SizeOf(RatioOf(reference), (double)Side * Side, SizeMultiple);

    /// <inheritdoc/>
    public override Image FitReference(Image image, int? size)
    {
        double ratio = RatioOf(image);
        var fitted = size switch
        {
            null => Trained.MinBy(trained => (Math.Abs(ratio - (double)trained.Width / trained.Height), trained.Width))
                is var nearest ? new PixelSize(nearest.Height, nearest.Width) : default,
            0 => new PixelSize(Whole(image.Height), Whole(image.Width)),
            { } side => SizeOf(ratio, (double)side * side, SizeMultiple),
        };
        if (fitted.Width < SizeMultiple || fitted.Height < SizeMultiple)
        {
            throw new ArgumentException(
                $"A reference image of {image.Width} x {image.Height} pixels would have a side below {SizeMultiple} pixels, which makes no "
                    + "token.",
                nameof(image));
        }
        return image.WithoutAlpha().Resize(fitted.Width, fitted.Height);
    }

    /// <inheritdoc/>
    public override ReferenceLatents EncodeReference(Image image, int? size, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        var latents = _vae.Normalize(_vae.Encode(image.ToTensor(Device).Affine(2, -1), cancellation).Mean);
        return new ReferenceLatents(scope.Keep(Pack(latents).Clone()), GridOf(new PixelSize(image.Height, image.Width)));
    }

    /// <summary>That of whole tokens, as the reference takes it.</summary>
    private double RatioOf(Image image) =>
        Math.Min(image.Width, image.Height) < SizeMultiple ? (double)image.Width / image.Height
            : (double)Whole(image.Width) / Whole(image.Height);

    private int Whole(int pixels) => pixels / SizeMultiple * SizeMultiple;
}
