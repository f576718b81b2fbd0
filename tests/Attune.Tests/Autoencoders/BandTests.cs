using System.Text;
using Attune.Autoencoders;
using Attune.Layers;
using Attune.Tensors;
using Attune.Tensors.Cpu;
using Attune.Weights;

namespace Attune.Tests.Autoencoders;

/// <summary>Autoencoders that go through large maps in bands of rows: the same bits, in less memory.</summary>
[NoLeaks]
public class BandTests
{
    /// <summary>Rows of a band are the fewest that there can be.</summary>
    private const long Smallest = 64;

    private const string StableDiffusion = """
        { "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4, "norm_num_groups": 32,
          "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
          "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"] }
        """;

    private static Tensor Random(int seed, Shape shape, Device? device = null)
    {
        var values = Tensor.Empty(device ?? Host, shape);
        new TorchRandom((ulong)seed).Normal(values);
        return values;
    }

    /// <summary>
    /// With bands of 4 rows, and of more, which leaves a rest for the last; one picture and two, of odd sizes; all maps in memory, small
    /// ones, and none.
    /// </summary>
    [Theory]
    [InlineData("sd15", 1, 5, 7, Smallest)]
    [InlineData("sd15", 2, 9, 4, 20_000)]
    [InlineData("flux-schnell", 1, 6, 11, 30_000)]
    [InlineData("flux-schnell", 2, 3, 5, Smallest)]
    public void Bands_give_the_bits_of_the_whole(string checkpoint, int count, int height, int width, long bytes)
    {
        using var scope = new TensorScope();
        using var vae = AutoencoderKl.Load(Path.Combine(ComponentCase.Root, "checkpoints", checkpoint, "vae"), Host);
        var latents = Random(1, [count, height, width, vae.LatentChannels]);
        var image = Random(2, [count, 8 * height, 8 * width, 3]);
        float[] decoded = vae.Decode(latents).ToArray();
        float[] encoded = vae.Encode(image).Mean.ToArray();
        foreach (long maps in new[] { long.MaxValue, 40_000, 0 })
        {
            vae.Limits = new BandLimits(bytes, maps);
            Assert.Equal(decoded, vae.Decode(latents).ToArray());
            Assert.Equal(encoded, vae.Encode(image).Mean.ToArray());
        }
    }

    /// <summary>Each algorithm has tiles of its own; the one that is chosen is that of the whole.</summary>
    [Theory]
    [InlineData(ConvolutionAlgorithm.Direct)]
    [InlineData(ConvolutionAlgorithm.Winograd2)]
    [InlineData(ConvolutionAlgorithm.Winograd4)]
    public void Bands_give_the_bits_of_the_whole_by_each_algorithm(ConvolutionAlgorithm algorithm)
    {
        using var scope = new TensorScope();
        var device = new CpuDevice(new ConvolutionOptions { Algorithm = algorithm });
        using var vae = AutoencoderKlFlux2.Load(Path.Combine(ComponentCase.Root, "checkpoints", "flux2-klein", "vae"), device);
        var latents = Random(3, [1, 5, 6, vae.LatentChannels], device);
        float[] decoded = vae.Decode(latents).ToArray();
        vae.Limits = new BandLimits(Smallest);
        Assert.Equal(decoded, vae.Decode(latents).ToArray());
    }

    [Fact]
    public void Decoding_in_bands_can_be_cancelled()
    {
        using var vae = AutoencoderKl.Load(Path.Combine(ComponentCase.Root, "checkpoints", "sd15", "vae"), Host);
        vae.Limits = new BandLimits(Smallest);
        using var latents = Random(4, [1, 4, 4, vae.LatentChannels]);
        using var image = Random(5, [1, 32, 32, 3]);
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => vae.Decode(latents, source.Token));
        Assert.Throws<OperationCanceledException>(() => vae.Encode(image, source.Token));
    }

    /// <summary>
    /// The decoder and the encoder of Stable Diffusion at sizes that a test could not compute, on a device that takes memory and does
    /// nothing with it; kernels take less than 64 MiB beside it. In one piece the first takes 2.5 GiB at 1024 x 1024 pixels.
    /// </summary>
    [Theory]
    [InlineData(1024, 1024, 1, 1.35, 1.1)]
    [InlineData(1024, 1024, 2, 1.55, 1.2)]
    [InlineData(2048, 1024, 1, 2.7, 2.2)]
    public void Large_pictures_take_no_more_than_is_said(int height, int width, int count, double decoding, double encoding)
    {
        var device = new IdleDevice();
        var config = ModelConfig.Parse("the autoencoder of Stable Diffusion", Encoding.UTF8.GetBytes(StableDiffusion));
        using var vae = AutoencoderKl.Load(new ComponentSource(config, device, () => new EmptyWeights()));
        using var latents = Tensor.Empty(device, [count, height / 8, width / 8, 4]);
        try
        {
            TensorMemory.PoisonNewTensors = false;      // nothing is read, and filling it would take long
            long taken = Peak(() => vae.Decode(latents).Dispose());
            Assert.InRange(taken / 1073741824.0, 0.5 * decoding, decoding);
            Assert.InRange((double)vae.DecodingBytes(height, width, count) / taken, 0.95, 1.1);
            using var image = Tensor.Empty(device, [count, height, width, 3]);
            Assert.InRange(Peak(() => vae.Encode(image).Dispose()) / 1073741824.0, 0.5 * encoding, encoding);
        }
        finally
        {
            TensorMemory.PoisonNewTensors = true;
        }
    }

    /// <summary>
    /// Bounded by 400 MiB at 1024 x 1024 pixels: here a sixteenth of everything, so that a sixteenth of the files is written.
    /// </summary>
    [Fact]
    public void Maps_beyond_a_bound_wait_in_files()
    {
        var whole = BandLimits.Of(400 << 20);
        var device = new IdleDevice();
        var config = ModelConfig.Parse("the autoencoder of Stable Diffusion", Encoding.UTF8.GetBytes(StableDiffusion));
        using var vae = AutoencoderKl.Load(new ComponentSource(config, device, () => new EmptyWeights()));
        vae.Limits = new BandLimits(whole.Band / 16, whole.Maps / 16);
        using var latents = Tensor.Zeros(device, [1, 32, 32, 4]);
        using var image = Tensor.Zeros(device, [1, 256, 256, 3]);
        long decoding = Peak(() => vae.Decode(latents).Dispose());
        Assert.InRange(decoding, 16 << 20, 400 / 16 << 20);
        Assert.InRange((double)vae.DecodingBytes(256, 256, 1) / decoding, 0.8, 1.2);
        Assert.InRange(Peak(() => vae.Encode(image).Dispose()), 16 << 20, 400 / 16 << 20);
    }

    private static long Peak(Action work)
    {
        long before = TensorMemory.LiveBytes;
        TensorMemory.ResetPeak();
        work();
        return TensorMemory.PeakBytes - before;
    }
}
