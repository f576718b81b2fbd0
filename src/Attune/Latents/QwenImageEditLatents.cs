using Attune.Autoencoders;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>
/// The latents of Qwen-Image-Edit, whose references are pictures to edit. References keep their ratio and are brought to the area of a
/// square, their sides multiples of 32; the mean of the encoder's distribution is taken.
/// </summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
/// <param name="apart">Whether the text encoder sees pictures at a size of its own (Plus), made from the original.</param>
internal sealed class QwenImageEditLatents(AutoencoderKlCausal vae, Device device, bool apart) : CausalImageLatents(vae, device)
{
    /// <summary>The side of the square whose area references are brought to.</summary>
    private const int Side = 1024;

    private readonly AutoencoderKlCausal _vae = vae;

    /// <inheritdoc/>
    public override PixelSize? SizeLike(Image reference, int? size)
    {
        var (height, width) = ReferenceArea.Of(reference, size ?? Side);
        return new PixelSize(height / SizeMultiple * SizeMultiple, width / SizeMultiple * SizeMultiple);
    }

    /// <inheritdoc/>
    public override Image FitReference(Image image, int? size) => apart ? image.WithoutAlpha() : Fitted(image, size);

    /// <inheritdoc/>
    public override ReferenceLatents EncodeReference(Image image, int? size, CancellationToken cancellation = default)
    {
        var fitted = apart ? Fitted(image, size) : image;
        using var scope = new TensorScope();
        var pixels = fitted.ToTensor(Device).Affine(2, -1);
        var s = pixels.Shape;
        var mean = _vae.Encode(pixels.Reshape(1, 1, s[1], s[2], 3), cancellation: cancellation).Mean;
        var m = mean.Shape;
        var latents = _vae.Normalize(mean).Reshape(1, m[2], m[3], m[4]);
        return new ReferenceLatents(scope.Keep(Pack(latents)), GridOf(new PixelSize(fitted.Height, fitted.Width)));
    }

    private static Image Fitted(Image image, int? size)
    {
        var (height, width) = ReferenceArea.Of(image, size ?? Side);
        return image.WithoutAlpha().Resize(width, height);
    }
}
