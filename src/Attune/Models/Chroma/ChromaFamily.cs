using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.Chroma;

/// <summary>Chroma (2025), FLUX.1 schnell without guidance distillation and with modulations from one network.</summary>
public sealed class ChromaFamily : Family
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["ChromaPipeline", "ChromaImg2ImgPipeline", "ChromaInpaintPipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["chroma"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(ChromaTransformer.Load(component));
        var vae = owned.Add(AutoencoderKl.Load(source.Component("vae")));
        var config = transformer.Config;
        if (config.InChannels != 4 * vae.LatentChannels || config.OutChannels != 4 * vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels {config.InChannels} and out_channels {config.OutChannels}, expected "
                    + $"{4 * vae.LatentChannels}, the channels of the packed latents.");
        }
        string[] options = [ModelOption.Sigmas, ModelOption.Cache, ModelOption.AdditiveTextMask, ModelOption.Image, ModelOption.Mask];
        var facts = new FamilyFacts(source.Index.ClassName!, "chroma", DefaultSize: 1024, DefaultSteps: 35, options.ToHashSet())
        {
            DefaultStrength = 0.9f, DefaultMaskStrength = 0.6f,
        };
        var prompts = new ChromaPrompts(owned, source, config);
        return new Model(facts, prompts, transformer, new PackedKlLatents(vae, source.Device), scheduler)
        {
            Plan = (asked, scheduler, grid) => asked.OnEqualSteps(scheduler, scheduler.ShiftFor(grid.Count)),
        };
    });
}
