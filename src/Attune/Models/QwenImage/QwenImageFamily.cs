using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.QwenImage;

/// <summary>Qwen-Image, its later versions with the same classes, and its Lightning forms (Alibaba, 2025).</summary>
public sealed class QwenImageFamily : Family
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["QwenImagePipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["qwen-image"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(QwenImageTransformer.Load(component));
        var vae = owned.Add(AutoencoderKlCausal.Load(source.Component("vae")));
        int patch = transformer.Config.PatchSize * transformer.Config.PatchSize;
        if (transformer.Config.InChannels != 4 * vae.LatentChannels || patch * transformer.Config.OutChannels != 4 * vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels {transformer.Config.InChannels}, out_channels {transformer.Config.OutChannels} "
                    + $"and patch_size {transformer.Config.PatchSize}; expected {4 * vae.LatentChannels} channels of a patch of 2 x 2 "
                    + "latents.");
        }
        string[] options = [ModelOption.Sigmas, ModelOption.Cache];
        var facts = new FamilyFacts("QwenImagePipeline", "qwen-image", DefaultSize: 1024, DefaultSteps: 50, options.ToHashSet());
        var prompts = new QwenImagePrompts(owned, source, transformer.Config);
        return new Model(facts, prompts, transformer, new CausalImageLatents(vae, source.Device), scheduler)
        {
            Plan = (asked, scheduler, grid) => asked.OnEqualSteps(scheduler, scheduler.ShiftFor(grid.Count)),
        };
    });
}
