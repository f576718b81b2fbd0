using System.Text;
using Attune.Autoencoders;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Autoencoders;

/// <summary>
/// The memory of decoding a video of real size: the decoder of Wan 2.1 on a device that allocates as others do and computes nothing, so
/// that a test can go through 81 frames. What kernels take while they run, some megabytes a thread, is not in it.
/// </summary>
[NoLeaks]
public class VideoMemoryTests
{
    private const long Kernels = 64 << 20;

    private static long Peak(AutoencoderKlCausal vae, Device device, int frames, int height, int width)
    {
        using var scope = new TensorScope();
        var latents = Tensor.Empty(device, [1, 1 + (frames - 1) / 4, height / 8, width / 8, 16]);
        long before = TensorMemory.LiveBytes;
        TensorMemory.ResetPeak();
        int received = 0;
        vae.DecodeFrames(latents, video => received += video.Shape[1]);
        Assert.Equal(frames, received);
        return TensorMemory.PeakBytes - before;
    }

    [Fact]
    public void Decoding_81_frames_of_480_by_832_takes_less_than_4_gib_and_no_more_than_41()
    {
        var device = new IdleDevice();
        string ones = string.Join(", ", Enumerable.Repeat("1", 16));
        var config = ModelConfig.Parse(
            "the autoencoder of Wan 2.1", Encoding.UTF8.GetBytes($$"""{ "latents_mean": [{{ones}}], "latents_std": [{{ones}}] }"""));
        using var vae = AutoencoderKlCausal.Load(new ComponentSource(config, device, () => new EmptyWeights()));
        Peak(vae, device, 9, 16, 16);       // kernels of frames are gathered once
        long few, many;
        try
        {
            TensorMemory.PoisonNewTensors = false;      // nothing is read, and filling it would take a minute
            (few, many) = (Peak(vae, device, 41, 480, 832), Peak(vae, device, 81, 480, 832));
        }
        finally
        {
            TensorMemory.PoisonNewTensors = true;
        }
        Assert.InRange(many + Kernels, 3L << 30, (4L << 30) - 1);
        Assert.InRange((double)many / few, 0.95, 1.05);
        double estimate = 480.0 * 832 * (vae.DecodingBytesPerPixel + vae.KeptBytesPerPixel);
        Assert.InRange(estimate / many, 0.95, 1.05);
    }
}
