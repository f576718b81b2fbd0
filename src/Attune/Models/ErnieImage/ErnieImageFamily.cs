using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.ErnieImage;

/// <summary>ERNIE-Image and ERNIE-Image-Turbo (Baidu, 2026).</summary>
public sealed class ErnieImageFamily : Family
{
    /// <summary>
    /// What is added to the variances of latents where they are decoded: the value of the training, as the pipeline of diffusers has it,
    /// whatever the autoencoder's batch_norm_eps says.
    /// </summary>
    private const float DecodingEpsilon = 1e-5f;

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["ErnieImagePipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["ernie-image"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(ErnieImageTransformer.Load(component));
        var vae = owned.Add(AutoencoderKlFlux2.Load(source.Component("vae")));
        if (transformer.Config.InChannels != vae.PatchChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels is {transformer.Config.InChannels}, expected {vae.PatchChannels}, the channels "
                    + "of a patch of latents.");
        }

        // Nothing in the files tells the Turbo from the base model: requests name its preset.
        string[] options = [ModelOption.Sigmas, ModelOption.Cache];
        var facts = new FamilyFacts("ErnieImagePipeline", "ernie-image", DefaultSize: 1024, DefaultSteps: 50, options.ToHashSet());
        var latents = new KlFlux2Latents(vae, source.Device) { Packs = false, DecodingEpsilon = DecodingEpsilon };
        return new Model(facts, new ErnieImagePrompts(owned, source, transformer.Config), transformer, latents, scheduler)
        {
            Plan = (asked, scheduler, grid) => asked.OnEqualSteps(scheduler, scheduler.ShiftFor(grid.Count)),
        };
    });
}
