using Attune.Attention;
using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>
/// FLUX.1 (Black Forest Labs, 2024): schnell and dev; Kontext, which edits a picture that it looks at; Depth and Canny, which read a
/// control picture beside the latents; Fill, which reads what a mask leaves of a picture.
/// </summary>
public sealed class FluxFamily : Family
{
    private const string Text = "FluxPipeline";
    private const string Kontext = "FluxKontextPipeline";
    private const string Control = "FluxControlPipeline";
    private const string Fill = "FluxFillPipeline";

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } =
        [Text, "FluxImg2ImgPipeline", "FluxInpaintPipeline", Kontext, Control, Fill];

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
        string form = FormOf(source.Index.ClassName!, component, transformer.Config, autoencoder);
        var facts = FactsOf(form, transformer.EmbedsGuidanceScale, vae.Config.Size("sample_size", 1024));
        var latents = form == Kontext ? new FluxKontextLatents(autoencoder, source.Device)
            : new PackedKlLatents(autoencoder, source.Device);
        return new Model(facts, prompts, transformer, latents, scheduler) { Plan = Plan };
    });

    /// <summary>
    /// What stands beside the latents tells Control and Fill, whatever the folder says: a file, or a LoRA file that adds a control picture,
    /// has no class. That Kontext looks at pictures, the class alone says.
    /// </summary>
    private static string FormOf(string className, ComponentSource component, FluxConfig config, AutoencoderKl vae)
    {
        int latents = 4 * vae.LatentChannels;
        int mask = 4 * vae.PixelsPerLatent * vae.PixelsPerLatent;
        string? form = config.OutChannels != latents ? null
            : config.InChannels == latents ? (className is Control or Fill ? null : className)
            : config.InChannels == 2 * latents ? Control
            : config.InChannels == 2 * latents + mask ? Fill : null;
        if (form == null || (form != className && className is Kontext or Control or Fill))
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': the denoiser of {className} has {config.InChannels} input channels and {config.OutChannels} "
                    + $"output channels, expected {latents} output channels, those of the packed latents, and as many input channels; "
                    + $"{2 * latents} with a control picture beside them ({Control}), {2 * latents + mask} with a picture and a mask "
                    + $"({Fill}).");
        }
        return form;
    }

    private static FamilyFacts FactsOf(string form, bool guided, int size)
    {
        string[] pictures = form switch
        {
            Kontext => [ModelOption.References, ModelOption.ReferenceSize],
            Control => [ModelOption.Control],
            _ => [ModelOption.Image, ModelOption.Mask],
        };
        string[] options =
            [ModelOption.Sigmas, ModelOption.Cache, .. guided ? [ModelOption.GuidanceScale] : Array.Empty<string>(), .. pictures];
        float scale = form switch { Kontext => 2.5f, Control => 10, Fill => 30, _ => 3.5f };
        return new FamilyFacts(
            form, guided ? "flux-dev" : "flux-schnell", size, form == Fill ? 50 : guided ? 28 : 4, options.ToHashSet())
        {
            DefaultGuidanceScale = guided ? scale : null,
            DefaultStrength = 0.6f,
            DefaultMaskStrength = form == Fill ? 1 : null,
            ReadsMask = form == Fill,
            NeedsControl = form == Control,
            MostReferences = 1,
        };
    }

    /// <summary>The noise levels are n equal steps from 1 to 1 / n, shifted by the size of the picture.</summary>
    private static SchedulerRequest Plan(SchedulerRequest asked, Scheduler scheduler, LatentGrid grid) =>
        asked.OnEqualSteps(scheduler, scheduler.ShiftFor(grid.Count));
}
