using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.PixArt;

/// <summary>PixArt-alpha (2023) and PixArt-Sigma (2024), at any size: pictures have the size that is asked for.</summary>
public sealed class PixArtFamily : Family
{
    private const string Sigma = "PixArtSigmaPipeline";

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["PixArtAlphaPipeline", Sigma];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["pixart-alpha", "pixart-sigma"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.Diffusion];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        string className = source.Index.ClassName!;
        bool sigma = className == Sigma;
        var component = source.Component("transformer");
        var scheduler = OpenScheduler(source);
        var transformer = owned.Add(PixArtTransformer.Load(component));
        var vae = owned.Add(AutoencoderKl.Load(source.Component("vae")));
        var config = transformer.Config;
        if (config.InChannels != vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels is {config.InChannels}, expected {vae.LatentChannels}, the channels of the "
                    + "latents.");
        }
        if (sigma && config.UseAdditionalConditions)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': use_additional_conditions is true or sample_size 128 without it, but {Sigma} tells the model "
                    + "no sizes; expected use_additional_conditions false.");
        }
        var prompts = new PixArtPrompts(owned, source, config, longest: sigma ? 300 : 120);
        string[] options = [ModelOption.Timesteps, ModelOption.Sigmas, ModelOption.Eta, ModelOption.Cache];
        var facts = new FamilyFacts(
            className, sigma ? "pixart-sigma" : "pixart-alpha", config.SampleSize * vae.PixelsPerLatent, DefaultSteps: 20,
            options.ToHashSet());
        return new Model(facts, prompts, transformer, new KlLatents(vae, source.Device, config.PatchSize), scheduler);
    });
}
