using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.Krea2;

/// <summary>Krea 2, the base model and its Turbo (Krea AI, 2026).</summary>
public sealed class Krea2Family : Family
{
    /// <summary>The shift of distilled models, whatever the picture's size.</summary>
    private const double DistilledShift = 1.15;

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["Krea2Pipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["krea2"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(Krea2Transformer.Load(component));
        var vae = owned.Add(AutoencoderKlCausal.Load(source.Component("vae")));
        int patch = source.Index.Size("patch_size", 2);
        if (patch != 2 || transformer.Config.InChannels != patch * patch * vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels is {transformer.Config.InChannels} with a patch_size of {patch} in "
                    + $"model_index.json; expected {4 * vae.LatentChannels}, the channels of a patch of 2 x 2 latents.");
        }
        bool turbo = source.Index.Bool("is_distilled", false);
        string[] options = [ModelOption.Sigmas, ModelOption.Cache];
        var facts = new FamilyFacts(
            "Krea2Pipeline", turbo ? "krea2-turbo" : "krea2", DefaultSize: 1024, turbo ? 8 : 28, options.ToHashSet());
        var prompts = new Krea2Prompts(owned, source, transformer.Config);
        return new Model(facts, prompts, transformer, new CausalImageLatents(vae, source.Device), scheduler)
        {
            Plan = (asked, chosen, grid) => asked.OnEqualSteps(chosen, turbo ? DistilledShift : chosen.ShiftFor(grid.Count)),
        };
    });
}
