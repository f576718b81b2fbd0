using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.QwenImage;

/// <summary>
/// Qwen-Image, its later versions with the same classes, and its Lightning forms; Qwen-Image-Edit, which edits a picture, and its later
/// versions (2509, 2511), which edit several (Alibaba, 2025).
/// </summary>
public sealed class QwenImageFamily : Family
{
    private const string Edit = "QwenImageEditPipeline";
    private const string EditPlus = "QwenImageEditPlusPipeline";

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } =
        ["QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline", Edit, EditPlus];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["qwen-image"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        string name = source.Index.ClassName!;
        bool edits = name is Edit or EditPlus;
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
        return new Model(
            FactsOf(name),
            edits ? new QwenImageEditPrompts(owned, source, transformer.Config, name == EditPlus)
                : new QwenImagePrompts(owned, source, transformer.Config),
            transformer,
            edits ? new QwenImageEditLatents(vae, source.Device, apart: name == EditPlus) : new CausalImageLatents(vae, source.Device),
            scheduler)
        {
            Plan = (asked, scheduler, grid) => asked.OnEqualSteps(scheduler, scheduler.ShiftFor(grid.Count)),
        };
    });

    private static FamilyFacts FactsOf(string name)
    {
        string[] pictures = name switch
        {
            Edit => [ModelOption.References, ModelOption.ReferenceSize, ModelOption.PicturesInALine],
            EditPlus => [ModelOption.References, ModelOption.ReferenceSize, ModelOption.SightSize, ModelOption.PicturesInALine],
            _ => [ModelOption.Image, ModelOption.Mask],
        };
        string[] options = [ModelOption.Sigmas, ModelOption.Cache, .. pictures];
        return new FamilyFacts(name, "qwen-image", DefaultSize: 1024, name == EditPlus ? 40 : 50, options.ToHashSet())
        {
            DefaultStrength = 0.6f,
            FewestReferences = name is Edit or EditPlus ? 1 : 0,
            MostReferences = name == Edit ? 1 : int.MaxValue,
        };
    }
}
