using Attune.Attention;
using Attune.Autoencoders;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>The latents of an <see cref="AutoencoderKl"/>. Noise is drawn channels first, as the reference has latents.</summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
/// <param name="patch">How many latents, in each direction, are one token of the denoiser.</param>
internal class KlLatents(AutoencoderKl vae, Device device, int patch) : LatentSpace
{
    public override Device Device => device;

    public override int Channels => vae.LatentChannels;

    public override int SizeMultiple => patch * vae.PixelsPerLatent;

    public override LatentGrid GridOf(PixelSize size, int frames = 1) => new(frames, size.Height / SizeMultiple, size.Width / SizeMultiple);

    public override Shape ShapeOf(LatentGrid grid, int count) => [count, patch * grid.Height, patch * grid.Width, Channels];

    public override Tensor Draw(TorchRandom random, LatentGrid grid, int count)
    {
        using var scope = new TensorScope();
        return scope.Keep(Normal(random, [count, Channels, patch * grid.Height, patch * grid.Width]).Permute(0, 2, 3, 1));
    }

    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) => Draw(random, grid, count);

    public override Tensor Encode(Tensor pixels, TorchRandom random, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        var posterior = vae.Encode(pixels, cancellation);
        var mean = posterior.Mean.Shape;
        var drawn = Normal(random, [mean[0], mean[3], mean[1], mean[2]]).Permute(0, 2, 3, 1);
        return scope.Keep(vae.Normalize(posterior.Sample(drawn)));
    }

    /// <summary>[mask, latents of the picture without what is made anew], as UNets with 9 channels read them.</summary>
    public override Tensor BesideMasked(Tensor latents, Tensor mask)
    {
        using var scope = new TensorScope();
        var s = latents.Shape;
        var whites = LatentPatches.Nearest(mask, s[1], s[2]);
        return scope.Keep(TensorOperations.Concatenate(3, whites.Expand(0, s[0]), latents));
    }

    public override Tensor Denormalize(Tensor latents) => vae.Denormalize(latents);

    public override Tensor Decode(Tensor latents, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        return scope.Keep(vae.Decode(vae.Denormalize(latents), cancellation));
    }

    public override long DecodingBytes(PixelSize size, int count) => vae.DecodingBytes(size.Height, size.Width, count);

    internal override bool LimitMemory(long bytes) => vae.LimitMemory(bytes);

    public override void Dispose() => vae.Dispose();

    /// <summary>A tensor of noise, drawn in the order of its elements.</summary>
    protected Tensor Normal(TorchRandom random, Shape shape)
    {
        var noise = Tensor.Empty(Device, shape);
        random.Normal(noise);
        return noise;
    }
}
