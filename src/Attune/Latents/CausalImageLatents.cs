using Attune.Attention;
using Attune.Autoencoders;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>The latents of single frames of an <see cref="AutoencoderKlCausal"/>, packed two by two to a token.</summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
internal class CausalImageLatents(AutoencoderKlCausal vae, Device device) : LatentSpace
{
    public override Device Device => device;

    public override int Channels => vae.LatentChannels;

    public override int SizeMultiple => 2 * vae.PixelsPerLatent;

    public override LatentGrid GridOf(PixelSize size, int frames = 1) => new(frames, size.Height / SizeMultiple, size.Width / SizeMultiple);

    public override Shape ShapeOf(LatentGrid grid, int count) => [count, 2 * grid.Height, 2 * grid.Width, Channels];

    public override Tensor Draw(TorchRandom random, LatentGrid grid, int count)
    {
        using var scope = new TensorScope();
        return scope.Keep(Normal(random, [count, Channels, 2 * grid.Height, 2 * grid.Width]).Permute(0, 2, 3, 1));
    }

    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) => Normal(random, [count, grid.Count, 4 * Channels]);

    public override Tensor Pack(Tensor latents) => LatentPatches.Pack(latents);

    public override Tensor Unpack(Tensor latents, LatentGrid grid) => LatentPatches.Unpack(latents, grid);

    public override Tensor PackMask(Tensor mask, LatentGrid grid) => LatentPatches.PackMask(mask, ShapeOf(grid, 1));

    public override Tensor Encode(Tensor pixels, TorchRandom random, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        var s = pixels.Shape;
        var (mean, logVariance) = vae.Encode(pixels.Reshape(s[0], 1, s[1], s[2], s[3]), cancellation: cancellation);
        var m = mean.Shape;
        var noise = Normal(random, [m[0], m[4], m[2], m[3]]).Permute(0, 2, 3, 1).Reshape(m);
        var deviation = logVariance.Affine(0.5f);
        deviation.Activate(Activation.Exp, into: deviation);
        var drawn = mean.Add(deviation.Multiply(noise, into: deviation));
        return scope.Keep(vae.Normalize(drawn).Reshape(m[0], m[2], m[3], m[4]));
    }

    public override Tensor Denormalize(Tensor latents) => vae.Denormalize(latents);

    public override Tensor Decode(Tensor latents, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        var s = latents.Shape;
        var frames = vae.Decode(vae.Denormalize(latents).Reshape(s[0], 1, s[1], s[2], s[3]), cancellation: cancellation);
        return scope.Keep(frames.Reshape(frames.Shape[0], frames.Shape[2], frames.Shape[3], frames.Shape[4]));
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
