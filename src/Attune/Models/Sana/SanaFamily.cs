using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.Sana;

/// <summary>Sana and Sana 1.5 (NVIDIA, 2024 and 2025), at any size: pictures have the size that is asked for.</summary>
public sealed class SanaFamily : Family
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["SanaPipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["sana"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var scheduler = OpenScheduler(source);
        var (transformer, vae) = OpenParts(owned, source, guidanceEmbeds: false);
        string[] options = [ModelOption.Sigmas, ModelOption.Cache, ModelOption.Instruction];
        var facts = new FamilyFacts(
            "SanaPipeline", "sana", transformer.Config.SampleSize * vae.PixelsPerLatent, DefaultSteps: 20, options.ToHashSet());
        var latents = new DcLatents(vae, source.Device, transformer.Config.PatchSize);
        return new Model(facts, new SanaPrompts(owned, source, transformer.Config), transformer, latents, scheduler);
    });

    /// <summary>The network and the autoencoder, which must fit each other.</summary>
    internal static (SanaTransformer Transformer, AutoencoderDC Vae) OpenParts(Components owned, ModelSource source, bool guidanceEmbeds)
    {
        var component = source.Component("transformer");
        var transformer = owned.Add(SanaTransformer.Load(component));
        var vae = owned.Add(AutoencoderDC.Load(source.Component("vae")));
        var config = transformer.Config;
        if (config.InChannels != vae.LatentChannels || config.OutChannels != vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels {config.InChannels} and out_channels {config.OutChannels}, expected "
                    + $"{vae.LatentChannels}, the channels of the latents.");
        }
        if (config.GuidanceEmbeds != guidanceEmbeds)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': guidance_embeds is {(config.GuidanceEmbeds ? "true" : "false")}, expected "
                    + $"{(guidanceEmbeds ? "true" : "false")} in a {source.Index.ClassName}.");
        }
        return (transformer, vae);
    }
}

/// <summary>Sana-Sprint (NVIDIA, 2025): one to four steps, with an embedded guidance scale.</summary>
public sealed class SanaSprintFamily : Family
{
    /// <summary>The angle of the second of two steps, for which the model's paper optimised it.</summary>
    private const double SecondAngle = 1.3;

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["SanaSprintPipeline"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["sana"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.Consistency];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        var scheduler = OpenScheduler(source);
        float sigmaData = (float)scheduler.Config.Positive("sigma_data", 0.5);
        var (transformer, vae) = SanaFamily.OpenParts(owned, source, guidanceEmbeds: true);
        string[] options = [ModelOption.Cache, ModelOption.Instruction, ModelOption.GuidanceScale];
        var facts = new FamilyFacts(
            "SanaSprintPipeline", "sana-sprint", transformer.Config.SampleSize * vae.PixelsPerLatent, DefaultSteps: 2, options.ToHashSet())
        {
            DefaultGuidanceScale = 4.5f,
        };
        var latents = new DcLatents(vae, source.Device, transformer.Config.PatchSize, sigmaData);
        var prompts = new SanaPrompts(owned, source, transformer.Config);
        return new Model(facts, prompts, new SanaSprint(transformer, sigmaData), latents, scheduler)
        {
            Plan = (asked, _, _) => asked.Steps == 2 ? asked with { IntermediateTimestep = SecondAngle } : asked,
        };
    });
}
