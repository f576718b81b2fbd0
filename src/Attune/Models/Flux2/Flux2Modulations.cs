using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>The vectors of a pass: blocks of one kind share them, and they do not depend on the prompt.</summary>
/// <param name="Double">Those of the double-stream blocks, for text and for images.</param>
/// <param name="Single">Those of the single-stream blocks.</param>
internal sealed record Flux2Modulations(Modulation Double, Modulation Single);

/// <summary>Makes <see cref="Flux2Modulations"/> of timestep and guidance scale.</summary>
internal sealed class Flux2Time(WeightCursor root, Flux2Config config)
{
    private readonly EmbeddingMlp _timestep =
        new(root.At("time_guidance_embed.timestep_embedder"), config.TimestepGuidanceChannels, config.Width, bias: false);

    private readonly EmbeddingMlp? _guidance = config.GuidanceEmbeds
        ? new(root.At("time_guidance_embed.guidance_embedder"), config.TimestepGuidanceChannels, config.Width, bias: false) : null;

    private readonly Dual<ModulationLayer> _double = new(
        Layer(root.At("double_stream_modulation_txt.linear"), config, branches: 2),
        Layer(root.At("double_stream_modulation_img.linear"), config, branches: 2));

    private readonly ModulationLayer _single = Layer(root.At("single_stream_modulation.linear"), config, branches: 1);
    private readonly ModulationLayer _out = new(root.At("norm_out.linear"), config.Width, ModulationForm.ScaleShift, bias: false);

    /// <summary>The embedding, activated as all modulations begin; a tensor of the current scope.</summary>
    public TimeEmbeddings Embed(DenoiserInput input)
    {
        // Timesteps are divided and multiplied by 1000 on their way, as in the reference: float32 rounds them twice.
        float[] timesteps = [.. input.ItemTimesteps.Select(timestep => timestep / 1000 * 1000)];
        var embedding = _timestep.Apply(Sinusoid.Of(input.Latents.Device, timesteps, config.TimestepGuidanceChannels));
        if (_guidance != null)
        {
            float[] scale = [input.GuidanceScale!.Value * 1000];
            embedding = embedding.Add(_guidance.Apply(Sinusoid.Of(input.Latents.Device, scale, config.TimestepGuidanceChannels)));
        }
        return new TimeEmbeddings(embedding.Activate(Activation.Silu));
    }

    /// <summary>The vectors of all blocks; tensors of the current scope.</summary>
    public Flux2Modulations Blocks(TimeEmbeddings time) => new(
        time.Through(_double).Make(TokenKind.Text, TokenKind.Latent), time.Through(_single).Make(TokenKind.Latent));

    /// <summary>Those of the last norm.</summary>
    public Branch Out(TimeEmbeddings time) => time.Through(_out).Attention;

    private static ModulationLayer Layer(WeightCursor at, Flux2Config config, int branches) =>
        new(at, config.Width, ModulationForm.ShiftScaleGate(branches), bias: false);
}
