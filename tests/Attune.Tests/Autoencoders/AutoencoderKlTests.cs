using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using Attune.Autoencoders;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Autoencoders;

[NoLeaks]
public class AutoencoderKlTests
{
    [Fact]
    public void Decodes_as_the_reference()
    {
        var golden = ComponentCase.Read("autoencoders/kl-4-old-names-decode");
        using var vae = AutoencoderKl.Load(golden.Checkpoint, Host);
        using var latents = golden.Image("latents");
        using var image = vae.Decode(latents);
        golden.CheckImage("image", image);
        golden.RequireAllChecked();
    }

    [Fact]
    public void Encodes_as_the_reference()
    {
        var golden = ComponentCase.Read("autoencoders/kl-4-old-names-encode");
        using var vae = AutoencoderKl.Load(golden.Checkpoint, Host);
        using var image = golden.Image("image");
        using var posterior = vae.Encode(image);
        golden.CheckImage("mean", posterior.Mean);
        golden.CheckImage("logvar", posterior.LogVariance);
        golden.RequireAllChecked();
    }

    [Fact]
    public void Attention_weights_may_be_those_of_1_by_1_convolutions()
    {
        var golden = ComponentCase.Read("autoencoders/kl-4-old-names-decode");
        string folder = Directory.CreateTempSubdirectory("attune-vae-").FullName;
        try
        {
            foreach (string file in Directory.GetFiles(golden.Checkpoint))
                File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            GiveAttentionWeightsFourAxes(Path.Combine(folder, "diffusion_pytorch_model.safetensors"));
            using var vae = AutoencoderKl.Load(folder, Host);
            using var latents = golden.Image("latents");
            using var image = vae.Decode(latents);
            golden.CheckImage("image", image);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Reads_what_latents_are_scaled_with()
    {
        string root = Path.Combine(ComponentCase.Root, "checkpoints");
        using var flux = AutoencoderKl.Load(Path.Combine(root, "flux-schnell", "vae"), Host);
        Assert.Equal((0.3611f, 0.1159f, 16, 8), (flux.ScalingFactor, flux.ShiftFactor, flux.LatentChannels, flux.PixelsPerLatent));
        // This old configuration does not state the factor.
        using var old = AutoencoderKl.Load(Path.Combine(root, "sd15", "vae"), Host);
        Assert.Equal((0.18215f, null), (old.ScalingFactor, old.ShiftFactor));
        Assert.Null(old.LatentsMean);

        using var latents = Tensor.Full(Host, [1, 1, 1, 16], 2);
        using var normalised = flux.Normalize(latents);
        Assert.Equal((2 - 0.1159f) * 0.3611f, normalised.Span[0], 1e-6f);
        using var back = flux.Denormalize(normalised);
        Assert.Equal(2, back.Span[0], 1e-6f);
    }

    [Fact]
    public void Statistics_per_channel_scale_latents()
    {
        string source = Path.Combine(ComponentCase.Root, "checkpoints", "sd15", "vae");
        string folder = Directory.CreateTempSubdirectory("attune-vae-").FullName;
        try
        {
            File.Copy(
                Path.Combine(source, "diffusion_pytorch_model.safetensors"), Path.Combine(folder, "diffusion_pytorch_model.safetensors"));
            var config = JsonNode.Parse(File.ReadAllText(Path.Combine(source, "config.json")))!.AsObject();
            config["scaling_factor"] = 0.5;
            config["latents_mean"] = new JsonArray(1, 2, 3, 4);
            File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
            Assert.Contains("latents_std", Assert.Throws<CheckpointException>(() => AutoencoderKl.Load(folder, Host)).Message);
            config["latents_std"] = new JsonArray(2, 4, 5, 8);
            File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
            using var vae = AutoencoderKl.Load(folder, Host);
            using var latents = Tensor.From(Host, [5, 10, 23, 36], [1, 1, 1, 4]);
            using var normalised = vae.Normalize(latents);
            Assert.Equal([1f, 1, 2, 2], normalised.ToArray());
            using var back = vae.Denormalize(normalised);
            Assert.Equal([5f, 10, 23, 36], back.ToArray());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Samples_around_the_mean()
    {
        // log variances 2 ln 3 and -100, which is clamped to -30
        using var moments = Tensor.From(Host, [1, 2, 2 * MathF.Log(3), -100], [1, 1, 1, 4]);
        using var posterior = new DiagonalGaussian(moments);
        using var noise = Tensor.From(Host, [2, 1], [1, 1, 1, 2]);
        using var sample = posterior.Sample(noise);
        Assert.Equal(7, sample.Span[0], 1e-5f);
        Assert.Equal(2 + MathF.Exp(-15), sample.Span[1], 1e-7f);
        Assert.Throws<ArgumentException>(() => posterior.Sample(moments));
    }

    [Fact]
    public void Cancels_and_refuses_other_shapes()
    {
        using var vae = AutoencoderKl.Load(Path.Combine(ComponentCase.Root, "checkpoints", "sd15", "vae"), Host);
        using var latents = Tensor.Zeros(Host, [1, 2, 2, 4]);
        using var image = Tensor.Zeros(Host, [1, 16, 16, 3]);
        Assert.Throws<OperationCanceledException>(() => vae.Decode(latents, new CancellationToken(canceled: true)));
        Assert.Throws<OperationCanceledException>(() => vae.Encode(image, new CancellationToken(canceled: true)));
        Assert.Throws<ArgumentException>(() => vae.Decode(image));
        Assert.Throws<ArgumentException>(() => vae.Encode(latents));
    }

    private static void GiveAttentionWeightsFourAxes(string file)
    {
        byte[] bytes = File.ReadAllBytes(file);
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        var header = JsonNode.Parse(bytes.AsSpan(8, length))!.AsObject();
        int changed = 0;
        foreach (var (name, entry) in header)
        {
            if (name.Contains(".attentions.0.", StringComparison.Ordinal) && entry!["shape"]!.AsArray() is { Count: 2 } shape)
            {
                shape.Add(1);
                shape.Add(1);
                changed++;
            }
        }
        Assert.Equal(8, changed);
        byte[] text = Encoding.UTF8.GetBytes(header.ToJsonString());
        byte[] start = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(start, text.Length);
        File.WriteAllBytes(file, [.. start, .. text, .. bytes.AsSpan(8 + length)]);
    }
}
