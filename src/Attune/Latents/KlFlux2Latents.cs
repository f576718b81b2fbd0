using Attune.Attention;
using Attune.Autoencoders;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>
/// The latents of an <see cref="AutoencoderKlFlux2"/>: patches, normalised by the statistics in its file, one to a token. Noise is drawn
/// channels first, over patches.
/// </summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
/// <param name="references">What the model takes for a reference; null where it takes none.</param>
internal sealed class KlFlux2Latents(AutoencoderKlFlux2 vae, Device device, ReferenceSize? references = null) : LatentSpace
{
    /// <summary>A patch is two latents, in each direction.</summary>
    private const int Patch = 2;

    /// <summary>Whether the denoiser's form is rows, [count, tokens, channels], or a picture as the autoencoder's is.</summary>
    public bool Packs { get; init; } = true;

    /// <summary>What is added to the variances where latents are decoded; null for what the autoencoder's configuration says.</summary>
    public float? DecodingEpsilon { get; init; }

    public override Device Device => device;

    public override int Channels => vae.PatchChannels;

    public override int SizeMultiple => Patch * vae.PixelsPerLatent;

    public override LatentGrid GridOf(PixelSize size, int frames = 1) => new(frames, size.Height / SizeMultiple, size.Width / SizeMultiple);

    public override Shape ShapeOf(LatentGrid grid, int count) => [count, grid.Height, grid.Width, Channels];

    public override Tensor Draw(TorchRandom random, LatentGrid grid, int count)
    {
        using var scope = new TensorScope();
        return scope.Keep(Normal(random, [count, Channels, grid.Height, grid.Width]).Permute(0, 2, 3, 1));
    }

    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) =>
        Packs ? Normal(random, [count, grid.Count, Channels]) : Draw(random, grid, count);

    public override Tensor Pack(Tensor latents)
    {
        if (!Packs)
            return latents;
        using var scope = new TensorScope();
        return scope.Keep(latents.Reshape(latents.Shape[0], latents.Shape[1] * latents.Shape[2], Channels));
    }

    public override Tensor Unpack(Tensor latents, LatentGrid grid) =>
        Packs ? latents.Reshape(latents.Shape[0], grid.Height, grid.Width, Channels) : latents;

    /// <summary>Nothing is drawn.</summary>
    public override bool DrawsToEncode => false;

    /// <summary>The mean of the encoder's distribution is taken.</summary>
    public override Tensor Encode(Tensor pixels, TorchRandom random, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        return scope.Keep(vae.Normalize(vae.Encode(pixels, cancellation).Mean));
    }

    /// <summary>
    /// One number for a token, soft at borders: that of a bilinear interpolation, the average of the four pixels in the middle of a patch.
    /// </summary>
    public override Tensor PackMask(Tensor mask, LatentGrid grid)
    {
        using var scope = new TensorScope();
        int side = SizeMultiple;
        var patches = mask.Reshape(1, grid.Height, side, grid.Width, side);
        Tensor At(int row, int column) => patches.Slice(2, side / 2 - 1 + row, 1).Slice(4, side / 2 - 1 + column, 1).Clone();
        var sum = At(0, 0).Add(At(0, 1)).Add(At(1, 0).Add(At(1, 1))).Affine(0.25f);
        return scope.Keep(Packs ? sum.Reshape(1, grid.Count, 1) : sum.Reshape(1, grid.Height, grid.Width, 1));
    }

    /// <summary>
    /// References keep their size, up to the largest area, and are cut in the middle to whole tokens. The mean of the encoder's
    /// distribution is taken.
    /// </summary>
    public override ReferenceLatents EncodeReference(Image image, int? size, CancellationToken cancellation = default)
    {
        var fitted = Fitted(image.WithoutAlpha(), references ?? throw new NotSupportedException("The model takes no references."));
        using var scope = new TensorScope();
        var latents = vae.Normalize(vae.Encode(fitted.ToTensor(device).Affine(2, -1), cancellation).Mean);
        return new ReferenceLatents(scope.Keep(Pack(latents)), GridOf(new PixelSize(fitted.Height, fitted.Width)));
    }

    public override Tensor Denormalize(Tensor latents) => vae.Denormalize(latents, DecodingEpsilon);

    public override Tensor Decode(Tensor latents, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        return scope.Keep(vae.Decode(Denormalize(latents), cancellation));
    }

    public override long DecodingBytes(PixelSize size, int count) => vae.DecodingBytes(size.Height, size.Width, count);

    internal override bool LimitMemory(long bytes) => vae.LimitMemory(bytes);

    public override void Dispose() => vae.Dispose();

    private Image Fitted(Image image, ReferenceSize limits)
    {
        if (Math.Min(image.Width, image.Height) < limits.SmallestSide)
        {
            throw new ArgumentException(
                $"A reference image has {image.Width} x {image.Height} pixels; the model takes no side below {limits.SmallestSide}.",
                nameof(image));
        }
        var (width, height) = (image.Width, image.Height);
        if ((long)width * height > limits.LargestArea)
        {
            double scale = Math.Sqrt(limits.LargestArea / ((double)width * height));
            (width, height) = ((int)(width * scale), (int)(height * scale));
            image = image.Resize(width, height);
        }
        var (columns, rows) = (width / SizeMultiple * SizeMultiple, height / SizeMultiple * SizeMultiple);
        return image.Crop((width - columns) / 2, (height - rows) / 2, columns, rows);
    }

    private Tensor Normal(TorchRandom random, Shape shape)
    {
        var noise = Tensor.Empty(device, shape);
        random.Normal(noise);
        return noise;
    }
}
