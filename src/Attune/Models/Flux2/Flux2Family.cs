using Attune.Attention;
using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>FLUX.2 dev and klein (Black Forest Labs, 2025 and 2026).</summary>
public sealed class Flux2Family : Family
{
    private const string Dev = "Flux2Pipeline";
    private const string Klein = "Flux2KleinPipeline";
    private const string KleinInpaint = "Flux2KleinInpaintPipeline";

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = [Dev, Klein, KleinInpaint];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["flux2"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        bool klein = source.Index.ClassName != Dev;
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(Flux2Transformer.Load(component));
        var vae = owned.Add(AutoencoderKlFlux2.Load(source.Component("vae")));
        if (transformer.Config.InChannels != vae.PatchChannels || transformer.Config.OutChannels != vae.PatchChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels {transformer.Config.InChannels} and out_channels "
                    + $"{transformer.Config.OutChannels}, expected {vae.PatchChannels}, the channels of a patch of latents.");
        }
        var prompts = new Flux2Prompts(owned, source, transformer.Config, klein ? Flux2Chat.Klein : Flux2Chat.Dev);
        var latents = new KlFlux2Latents(vae, source.Device, new ReferenceSize(LargestArea: 1024 * 1024, SmallestSide: 16));
        return new Model(FactsOf(source, transformer.Config), prompts, transformer, latents, scheduler)
        {
            Plan = Plan,
        };
    });

    private static FamilyFacts FactsOf(ModelSource source, Flux2Config config)
    {
        string name = source.Index.ClassName!;
        bool klein = name != Dev;
        bool distilled = klein && source.Index.Bool("is_distilled", false);
        string preset = !klein ? "flux2-dev" : distilled ? "flux2-klein" : "flux2-klein-base";
        string[] options =
        [
            ModelOption.Sigmas, ModelOption.Cache, ModelOption.References, ModelOption.Image, ModelOption.Mask,
            .. config.GuidanceEmbeds ? [ModelOption.GuidanceScale] : Array.Empty<string>(),
        ];
        return new FamilyFacts(name, preset, DefaultSize: 1024, distilled ? 4 : 50, options.ToHashSet())
        {
            DefaultGuidanceScale = config.GuidanceEmbeds ? 4 : null,
            DefaultStrength = 0.8f,
            LooksAtMasked = true,
            SmallestReference = 64,
        };
    }

    /// <summary>The noise levels are n equal steps from 1 to 1 / n, shifted by the picture's size and the number of steps.</summary>
    private static SchedulerRequest Plan(SchedulerRequest asked, Scheduler scheduler, LatentGrid grid)
    {
        int steps = asked.Steps ?? asked.Sigmas!.Count;
        return asked.OnEqualSteps(scheduler, ShiftFor(grid.Count, steps));
    }

    /// <summary>
    /// The fit of compute_empirical_mu in the pipelines of diffusers: two lines over the tokens, for 10 and for 200 steps, between which
    /// the number of steps decides; above 4300 tokens the second alone.
    /// </summary>
    internal static double ShiftFor(int tokens, int steps)
    {
        double at200 = 0.00016927 * tokens + 0.45666666;
        if (tokens > 4300)
            return at200;
        double at10 = 8.73809524e-05 * tokens + 1.89833333;
        double slope = (at200 - at10) / 190;
        return slope * steps + at200 - 200 * slope;
    }
}
