using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.StableDiffusion3;

/// <summary>Stable Diffusion 3 and 3.5 (Stability AI, 2024).</summary>
public sealed class StableDiffusion3Family : Family
{
    private const string Medium = "sd3.5-medium";

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = 
        ["StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["sd3"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(StableDiffusion3Transformer.Load(component));
        var vae = owned.Add(AutoencoderKl.Load(source.Component("vae")));
        var config = transformer.Config;
        if (config.InChannels != vae.LatentChannels || config.OutChannels != vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels {config.InChannels} and out_channels {config.OutChannels}, expected "
                    + $"{vae.LatentChannels}, the channels of the latents.");
        }
        var prompts = new StableDiffusion3Prompts(owned, source, config);
        string[] options = [ModelOption.Sigmas, ModelOption.ClipSkip, ModelOption.Cache, ModelOption.Image, ModelOption.Mask];
        string preset = PresetOf(config);
        var facts = new FamilyFacts(
            source.Index.ClassName!, preset, config.SampleSize * vae.PixelsPerLatent, preset == Medium ? 40 : 28, options.ToHashSet())
        {
            DefaultStrength = 0.6f,
        };
        return new Model(facts, prompts, transformer, new KlLatents(vae, source.Device, config.PatchSize), scheduler)
        {
            Plan = (asked, scheduler, grid) => asked with { Mu = scheduler.ShiftFor(grid.Count) },
        };
    });

    /// <summary>
    /// Of 3.5, medium has a second attention and large has none; 3 has no norms of queries and keys. A form that was distilled to few steps
    /// cannot be told.
    /// </summary>
    private static string PresetOf(StableDiffusion3Config config) =>
        config.DualAttentionLayers.Count > 0 ? Medium : config.QkNorm ? "sd3.5-large" : "sd3-medium";
}
