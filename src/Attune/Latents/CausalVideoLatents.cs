using Attune.Attention;
using Attune.Autoencoders;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>
/// The latents of videos of an <see cref="AutoencoderKlCausal"/>, [count, frames, height, width, channels] in both forms.
/// </summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
/// <param name="patch">How many latents, in each direction of a frame, are one token of the denoiser.</param>
internal sealed class CausalVideoLatents(AutoencoderKlCausal vae, Device device, int patch) : LatentSpace
{
    public override Device Device => device;

    public override int Channels => vae.LatentChannels;

    public override int SizeMultiple => patch * vae.PixelsPerLatent;

    public override int FrameMultiple => vae.FramesPerLatent;

    public override bool HasFrames => true;

    public override LatentGrid GridOf(PixelSize size, int frames = 1) =>
        new(1 + (frames - 1) / FrameMultiple, size.Height / SizeMultiple, size.Width / SizeMultiple);

    public override Shape ShapeOf(LatentGrid grid, int count) => [count, grid.Frames, patch * grid.Height, patch * grid.Width, Channels];

    public override Tensor Draw(TorchRandom random, LatentGrid grid, int count)
    {
        using var scope = new TensorScope();
        var noise = Tensor.Empty(device, [count, Channels, grid.Frames, patch * grid.Height, patch * grid.Width]);
        random.Normal(noise);
        return scope.Keep(noise.Permute(0, 2, 3, 4, 1));
    }

    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) => Draw(random, grid, count);

    /// <summary>Encodes videos, [count, frames, height, width, 3], or pictures, which are videos of one frame.</summary>
    public override Tensor Encode(Tensor pixels, TorchRandom random, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        var s = pixels.Shape;
        var video = s.Rank == 5 ? pixels : pixels.Reshape(s[0], 1, s[1], s[2], s[3]);
        var (mean, logVariance) = vae.Encode(video, cancellation: cancellation);
        var m = mean.Shape;
        var noise = Tensor.Empty(device, [m[0], m[4], m[1], m[2], m[3]]);
        random.Normal(noise);
        var deviation = logVariance.Affine(0.5f);
        deviation.Activate(Activation.Exp, into: deviation);
        var drawn = mean.Add(deviation.Multiply(noise.Permute(0, 2, 3, 4, 1), into: deviation));
        return scope.Keep(vae.Normalize(drawn));
    }

    /// <summary>
    /// A mask of the frames that are given, one channel for each frame of a latent, and the latents of a video that is gray behind its
    /// first frame.
    /// </summary>
    public override Tensor EncodeBeside(Tensor pixels, LatentGrid grid, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        var s = pixels.Shape;
        var (mean, _) = vae.EncodeFrames(
            1 + (grid.Frames - 1) * FrameMultiple,
            (first, count) => first == 0 ? pixels.Reshape(s[0], 1, s[1], s[2], 3)
                : Tensor.Zeros(pixels.Device, [s[0], count, s[1], s[2], 3]),
            cancellation: cancellation);
        var latents = vae.Normalize(mean);
        var mask = Tensor.Zeros(latents.Device, latents.Shape.With(4, FrameMultiple));
        mask.Slice(1, 0, 1).Fill(1);
        return scope.Keep(TensorOperations.Concatenate(4, mask, latents));
    }

    /// <summary>The mean of the encoder's distribution is taken.</summary>
    public override Tensor EncodeFirstFrame(Tensor pixels, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        var s = pixels.Shape;
        return scope.Keep(vae.Normalize(vae.Encode(pixels.Reshape(s[0], 1, s[1], s[2], 3), cancellation: cancellation).Mean));
    }

    public override Tensor Denormalize(Tensor latents) => vae.Denormalize(latents);

    public override Tensor Decode(Tensor latents, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        return scope.Keep(vae.Decode(vae.Denormalize(latents), cancellation: cancellation));
    }

    public override void DecodeFrames(Tensor latents, Action<Tensor> receive, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        vae.DecodeFrames(vae.Denormalize(latents), receive, cancellation: cancellation);
    }

    public override long DecodingBytes(PixelSize size, int count) =>
        (long)size.Width * size.Height * count * (vae.DecodingBytesPerPixel + vae.KeptBytesPerPixel);

    public override void Dispose() => vae.Dispose();
}
