using Attune.Attention;
using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>FLUX.1 (schnell, dev; Black Forest Labs, 2024).</summary>
public sealed class FluxFamily : Family
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["FluxPipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["flux"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var vae = source.Component("vae");
        var scheduler = OpenScheduler(source);
        var prompts = new FluxPrompts(owned, source);
        var component = source.Component("transformer");
        var transformer = owned.Add(FluxTransformer.Load(component));
        var autoencoder = owned.Add(AutoencoderKl.Load(vae));
        int channels = 4 * autoencoder.LatentChannels;
        if (transformer.Config.InChannels != channels || transformer.Config.OutChannels != channels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': the denoiser has {transformer.Config.InChannels} input channels and "
                    + $"{transformer.Config.OutChannels} output channels, expected {channels}, those of the packed latents; "
                    + "models and LoRA files that read a control picture or a mask beside them are not supported.");
        }
        bool guided = transformer.EmbedsGuidanceScale;
        string[] options = [ModelOption.Sigmas, ModelOption.Cache, .. guided ? [ModelOption.GuidanceScale] : Array.Empty<string>()];
        var facts = new FamilyFacts(
            "FluxPipeline", guided ? "flux-dev" : "flux-schnell", vae.Config.Size("sample_size", 1024), guided ? 28 : 4,
            options.ToHashSet())
        {
            DefaultGuidanceScale = guided ? 3.5f : null,
        };
        var latents = new PackedKlLatents(autoencoder, source.Device);
        return new Model(facts, prompts, transformer, latents, scheduler) { Plan = Plan };
    });

    /// <summary>The noise levels are n equal steps from 1 to 1 / n, shifted by the size of the picture.</summary>
    private static SchedulerRequest Plan(SchedulerRequest asked, Scheduler scheduler, LatentGrid grid) =>
        asked.OnEqualSteps(scheduler, scheduler.ShiftFor(grid.Count));
}
