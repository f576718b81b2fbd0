using Attune.Attention;
using Attune.Autoencoders;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>The latents of an <see cref="AutoencoderKlQwenImage21"/>, one to a token.</summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
internal sealed class QwenImage21Latents(AutoencoderKlQwenImage21 vae, Device device) : LatentSpace
{
    /// <summary>The side of the square whose area references are brought to.</summary>
    private const int DefaultReference = 1024;

    public override Device Device => device;

    public override int Channels => vae.LatentChannels;

    /// <summary>Two latents in each direction: one row of the text encoder stands for four of them.</summary>
    public override int SizeMultiple => 2 * vae.PixelsPerLatent;

    public override LatentGrid GridOf(PixelSize size, int frames = 1) =>
        new(frames, size.Height / vae.PixelsPerLatent, size.Width / vae.PixelsPerLatent);

    public override Shape ShapeOf(LatentGrid grid, int count) => [count, grid.Height, grid.Width, Channels];

    public override Tensor Draw(TorchRandom random, LatentGrid grid, int count)
    {
        using var scope = new TensorScope();
        return scope.Keep(Normal(random, [count, Channels, grid.Height, grid.Width]).Permute(0, 2, 3, 1));
    }

    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) => Normal(random, [count, grid.Count, Channels]);

    public override Tensor Pack(Tensor latents) =>
        latents.Reshape(latents.Shape[0], latents.Shape[1] * latents.Shape[2], Channels);

    public override Tensor Unpack(Tensor latents, LatentGrid grid) =>
        latents.Reshape(latents.Shape[0], grid.Height, grid.Width, Channels);

    public override Tensor Encode(Tensor pixels, TorchRandom random, CancellationToken cancellation = default) =>
        throw new NotSupportedException("Qwen-Image-2.1 begins with noise.");

    public override bool ReferencesHaveAlpha => true;

    /// <summary>
    /// References keep their ratio and are brought to the area of a square, their sides multiples of 32, halves to the even one.
    /// </summary>
    public override Image FitReference(Image image, int? size)
    {
        var fitted = ReferenceArea.Of(image, size ?? DefaultReference);
        return image.Resize(fitted.Width, fitted.Height);
    }

    public override PixelSize? SizeLike(Image reference, int? size) => ReferenceArea.Of(reference, size ?? DefaultReference);

    /// <summary>
    /// The mean of the encoder's distribution is taken, of all four channels; an autoencoder of three sees pictures on white, as the text
    /// encoder does.
    /// </summary>
    public override ReferenceLatents EncodeReference(Image image, int? size, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        var pixels = vae.ImageChannels == 4 ? TensorOperations.Concatenate(3, image.ToTensor(device), image.AlphaTensor(device))
            : image.OverWhite().ToTensor(device);
        var latents = vae.Normalize(vae.Encode(pixels.Affine(2, -1), cancellation: cancellation).Mean);
        return new ReferenceLatents(scope.Keep(Pack(latents).Clone()), GridOf(new PixelSize(image.Height, image.Width)));
    }

    public override Tensor Denormalize(Tensor latents) => vae.Denormalize(latents);

    /// <summary>Pictures [count, height, width, 3 or 4]: with alpha where the autoencoder has it.</summary>
    public override Tensor Decode(Tensor latents, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        return scope.Keep(vae.Decode(vae.Denormalize(latents), cancellation: cancellation));
    }

    public override long DecodingBytes(PixelSize size, int count) => (long)size.Width * size.Height * count * vae.DecodingBytesPerPixel;

    public override void Dispose() => vae.Dispose();

    private Tensor Normal(TorchRandom random, Shape shape)
    {
        var noise = Tensor.Empty(device, shape);
        random.Normal(noise);
        return noise;
    }
}
