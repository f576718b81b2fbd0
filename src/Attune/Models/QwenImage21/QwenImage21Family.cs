using Attune.Attention;
using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.QwenImage21;

/// <summary>Qwen-Image-2.1 and its Turbo (Alibaba, 2026).</summary>
public sealed class QwenImage21Family : Family
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["QwenImage21Pipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["qwen-image-2.1"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(QwenImage21Transformer.Load(component));
        var vae = owned.Add(AutoencoderKlQwenImage21.Load(source.Component("vae")));
        if (transformer.Config.InChannels != vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels is {transformer.Config.InChannels}, expected {vae.LatentChannels}, the channels "
                    + "of the latents.");
        }
        double[] levels = [.. source.Index.Floats("sample_sigmas").Select(level => (double)(decimal)level)];
        bool turbo = levels.Length > 0;
        var prompts = new QwenImage21Prompts(owned, source, transformer.Config);
        string[] options =
        [
            ModelOption.Sigmas, ModelOption.Cache,
            .. prompts.SeesPictures ? [ModelOption.References, ModelOption.ReferenceSize] : Array.Empty<string>(),
        ];
        var facts = new FamilyFacts(
            "QwenImage21Pipeline", turbo ? "qwen-image-2.1-turbo" : "qwen-image-2.1", DefaultSize: 1024, turbo ? levels.Length : 40,
            options.ToHashSet());
        return new Model(facts, prompts, transformer, new QwenImage21Latents(vae, source.Device), scheduler)
        {
            Plan = (asked, chosen, grid) => Plan(turbo ? OnLevels(asked, chosen, levels) : asked, chosen, grid),
        };
    });

    private static SchedulerRequest Plan(SchedulerRequest asked, Scheduler scheduler, LatentGrid grid) =>
        asked.OnEqualSteps(scheduler, scheduler.ShiftFor(grid.Count));

    /// <summary>The noise levels at which a model was distilled, unless the request has its own.</summary>
    private static SchedulerRequest OnLevels(SchedulerRequest asked, Scheduler scheduler, double[] levels)
    {
        if (asked.Steps is not { } steps || !scheduler.AcceptsSigmas)
            return asked;
        return steps == levels.Length ? asked with { Steps = null, Sigmas = levels } : throw new ArgumentException(
            $"Steps is {steps}, but the model was distilled at {levels.Length} noise levels, which its model_index.json states; leave the "
                + "steps out, or give sigmas.");
    }
}
