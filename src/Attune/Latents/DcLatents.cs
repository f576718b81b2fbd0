using Attune.Attention;
using Attune.Autoencoders;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>The latents of an <see cref="AutoencoderDC"/>. Noise is drawn channels first, as the reference has latents.</summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
/// <param name="patch">How many latents, in each direction, are one token of the denoiser.</param>
/// <param name="deviation">The standard deviation of latents in the denoiser's form: 1, or what a consistency model was trained
/// with.</param>
internal sealed class DcLatents(AutoencoderDC vae, Device device, int patch, float deviation = 1) : LatentSpace
{
    public override Device Device => device;

    public override int Channels => vae.LatentChannels;

    public override int SizeMultiple => patch * vae.PixelsPerLatent;

    public override LatentGrid GridOf(PixelSize size, int frames = 1) => new(frames, size.Height / SizeMultiple, size.Width / SizeMultiple);

    public override Shape ShapeOf(LatentGrid grid, int count) => [count, patch * grid.Height, patch * grid.Width, Channels];

    public override Tensor Draw(TorchRandom random, LatentGrid grid, int count)
    {
        using var scope = new TensorScope();
        var noise = Tensor.Empty(device, [count, Channels, patch * grid.Height, patch * grid.Width]);
        random.Normal(noise);
        return scope.Keep(noise.Permute(0, 2, 3, 1));
    }

    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) => Draw(random, grid, count);

    public override Tensor Pack(Tensor latents) => deviation == 1 ? latents : latents.Affine(deviation);

    public override Tensor Unpack(Tensor latents, LatentGrid grid) => deviation == 1 ? latents : latents.Affine(1 / deviation);

    /// <summary>Latents are no distribution: nothing is drawn.</summary>
    public override Tensor Encode(Tensor pixels, TorchRandom random, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        return scope.Keep(vae.Normalize(vae.Encode(pixels, cancellation: cancellation)));
    }

    public override Tensor Denormalize(Tensor latents) => vae.Denormalize(latents);

    public override Tensor Decode(Tensor latents, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        return scope.Keep(vae.Decode(vae.Denormalize(latents), cancellation: cancellation));
    }

    public override long DecodingBytes(PixelSize size, int count) => (long)size.Width * size.Height * count * vae.DecodingBytesPerPixel;

    public override void Dispose() => vae.Dispose();
}
