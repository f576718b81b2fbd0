using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.ZImage;

/// <summary>Z-Image and Z-Image-Turbo (Tongyi, 2025).</summary>
public sealed class ZImageFamily : Family
{
    /// <summary>Turbo's folder states a shift of 3, the base model's one of 6; nothing else in them differs.</summary>
    private const double LargestTurboShift = 4;

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["z-image"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(ZImageTransformer.Load(component));
        var vae = owned.Add(AutoencoderKl.Load(source.Component("vae")));
        if (transformer.Config.InChannels != vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels is {transformer.Config.InChannels}, expected {vae.LatentChannels}, the channels "
                    + "of the latents.");
        }
        bool turbo = source.Scheduler.Double("shift", 1) <= LargestTurboShift;
        string[] options = [ModelOption.Sigmas, ModelOption.Cache, ModelOption.Image, ModelOption.Mask];
        var facts = new FamilyFacts(
            source.Index.ClassName!, turbo ? "z-image-turbo" : "z-image", DefaultSize: 1024, turbo ? 8 : 50, options.ToHashSet())
        {
            DefaultStrength = 0.6f, DefaultMaskStrength = 1,
        };
        var latents = new KlLatents(vae, source.Device, transformer.Config.PatchSize);
        return new Model(facts, new ZImagePrompts(owned, source, transformer.Config), transformer, latents, scheduler)
        {
            Plan = (asked, scheduler, grid) => asked.OnEqualSteps(scheduler, scheduler.ShiftFor(grid.Count)),
        };
    });
}
