using Attune.Attention;
using Attune.Autoencoders;
using Attune.Latents;
using Attune.Prompts;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.Unet;

/// <summary>
/// What Stable Diffusion and SDXL have in common: a UNet that predicts in an autoencoder's latents, any scheduler, from noise or from an
/// image.
/// </summary>
public abstract class UnetFamily : Family
{
    private static readonly string[] Options =
    [
        ModelOption.Image, ModelOption.Mask, ModelOption.Timesteps, ModelOption.Sigmas, ModelOption.Eta, ModelOption.ClipSkip,
        ModelOption.LongPrompts, ModelOption.PromptWeights, ModelOption.Cache,
    ];

    private protected UnetFamily()
    {
    }

    /// <summary>Models with EDM's scaling (Playground v2.5) have the same form; the scheduler of their folder tells.</summary>
    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.Diffusion, NoiseKind.Edm];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        string className = source.Index.ClassName!;
        bool consistency = className.StartsWith("LatentConsistencyModel", StringComparison.Ordinal);
        var component = source.Component("unet");
        var scheduler = OpenScheduler(source);
        var unet = owned.Add(Unet2DConditionModel.Load(component));
        var vae = owned.Add(AutoencoderKl.Load(source.Component("vae")));
        var config = unet.Config;
        bool readsMask = config.InChannels == 2 * vae.LatentChannels + 1;
        if ((config.InChannels != vae.LatentChannels && !readsMask) || config.OutChannels != vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels {config.InChannels} and out_channels {config.OutChannels}, expected "
                    + $"{vae.LatentChannels}, the channels of the latents, or {2 * vae.LatentChannels + 1} that go in, with a mask and "
                    + "a picture beside them; models that read another picture (InstructPix2Pix) are not supported.");
        }
        var prompts = Prompts(owned, source, config);
        var options = Options.Concat(OwnOptions);
        if (unet.EmbedsGuidanceScale)
            options = options.Append(ModelOption.GuidanceScale);
        var facts = new FamilyFacts(
            className, PresetOf(config, scheduler),
            (config.SampleSize ?? 64) * vae.PixelsPerLatent, consistency ? 4 : 50, options.ToHashSet())
        {
            DefaultStrength = DefaultStrength,
            DefaultMaskStrength = DefaultMaskStrength,
            ReadsMask = readsMask,
            DefaultGuidanceScale = unet.EmbedsGuidanceScale ? GuidanceScaleOf(consistency) : null,
        };
        var latents = new KlLatents(vae, source.Device, patch: 1);
        return consistency
            ? new Model(facts, prompts, unet, latents, scheduler) { Plan = PlanConsistency }
            : new Model(facts, prompts, unet, latents, scheduler);
    });

    /// <summary>Options beside those of all UNets.</summary>
    private protected virtual IReadOnlyList<string> OwnOptions => [];

    /// <summary>The strength of image to image when the request does not say.</summary>
    private protected abstract float DefaultStrength { get; }

    /// <summary>The same with a mask.</summary>
    private protected abstract float DefaultMaskStrength { get; }

    /// <summary>The embedded guidance scale, for models that have one, when the request does not say.</summary>
    private protected abstract float GuidanceScaleOf(bool consistency);

    /// <summary>The family of published parameters.</summary>
    private protected abstract string PresetOf(UnetConfig config, Scheduler scheduler);

    /// <summary>
    /// Whether the checkpoint's scheduler is that of Turbo: trailing timesteps, without the betas with which models of many steps were
    /// trained anew for them.
    /// </summary>
    private protected static bool IsTurbo(Scheduler scheduler, string className) =>
        scheduler.ClassName == className && scheduler.Config.String("timestep_spacing", "") == "trailing"
            && scheduler.Config.String("prediction_type", "epsilon") == "epsilon"
            && !scheduler.Config.Bool("rescale_betas_zero_snr", false);

    /// <summary>The prompt encoder, checked against the UNet.</summary>
    private protected abstract PromptEncoder Prompts(Components owned, ModelSource source, UnetConfig unet);

    /// <summary>Latent consistency models do not cut the list of timesteps for image to image: they choose from its low end.</summary>
    private static SchedulerRequest PlanConsistency(SchedulerRequest asked, Scheduler scheduler, LatentGrid grid) =>
        asked with { Strength = null, ScheduleStrength = asked.Strength };
}

/// <summary>Stable Diffusion 1.x and 2.x, and latent consistency models of the same form: one CLIP text encoder.</summary>
public sealed class StableDiffusionFamily : UnetFamily
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["sd15", "sd21"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } =
    [
        "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline", "LatentConsistencyModelPipeline",
        "LatentConsistencyModelImg2ImgPipeline",
    ];

    private protected override float DefaultStrength => 0.8f;

    private protected override float DefaultMaskStrength => 1;

    private protected override float GuidanceScaleOf(bool consistency) => consistency ? 8.5f : 7.5f;

    /// <summary>
    /// sd15-lcm embeds a guidance scale, sd21 reads text of 1024 channels, SD-Turbo has its scheduler; anything else is sd15.
    /// </summary>
    private protected override string PresetOf(UnetConfig config, Scheduler scheduler) =>
        config.TimeCondProjDim != null ? "sd15-lcm"
            : config.CrossAttentionDim != 1024 ? "sd15"
            : IsTurbo(scheduler, nameof(EulerDiscreteScheduler)) ? "sd21-turbo" : "sd21";

    private protected override PromptEncoder Prompts(Components owned, ModelSource source, UnetConfig unet)
    {
        var prompts = new StableDiffusionPrompts(owned, source);
        if (prompts.Channels != unet.CrossAttentionDim)
        {
            throw new CheckpointException(
                $"'{source.Component("text_encoder").Config.Path}': hidden_size is {prompts.Channels}, expected {unet.CrossAttentionDim}, "
                    + "the UNet's cross_attention_dim.");
        }
        if (unet.HasTextTime)
        {
            throw new CheckpointException(
                $"'{source.Path}': the UNet has addition_embed_type 'text_time', which {source.Index.ClassName} has no sizes for; expected "
                    + "a StableDiffusionXLPipeline.");
        }
        return prompts;
    }
}

/// <summary>SDXL (Podell et al., arXiv 2307.01952) and its refiner.</summary>
public sealed class StableDiffusionXLFamily : UnetFamily
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["sdxl"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } =
        ["StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"];

    private protected override IReadOnlyList<string> OwnOptions => [ModelOption.OriginalSize];

    private protected override float DefaultStrength => 0.3f;

    /// <summary>All steps but the first, of up to 10,000.</summary>
    private protected override float DefaultMaskStrength => 0.9999f;

    private protected override float GuidanceScaleOf(bool consistency) => 5;

    /// <summary>
    /// sdxl-lcm embeds a guidance scale, SDXL-Turbo has its scheduler, and Playground v2.5 that of EDM; the other few-step forms cannot be
    /// told from sdxl.
    /// </summary>
    private protected override string PresetOf(UnetConfig config, Scheduler scheduler) =>
        config.TimeCondProjDim != null ? "sdxl-lcm"
            : scheduler.Noise == NoiseKind.Edm ? "playground-v2.5"
            : IsTurbo(scheduler, nameof(EulerAncestralDiscreteScheduler)) ? "sdxl-turbo" : "sdxl";

    private protected override PromptEncoder Prompts(Components owned, ModelSource source, UnetConfig unet)
    {
        var prompts = new StableDiffusionXLPrompts(owned, source);
        if (prompts.Channels != unet.CrossAttentionDim)
        {
            throw new CheckpointException(
                $"'{source.Path}': the text encoders have {prompts.Channels} channels together, expected {unet.CrossAttentionDim}, the "
                    + "UNet's cross_attention_dim.");
        }
        int expected = prompts.PooledChannels + prompts.Numbers * unet.AdditionTimeEmbedDim;
        if (!unet.HasTextTime || expected != unet.ProjectionClassEmbeddingsInputDim)
        {
            throw new CheckpointException(
                $"'{source.Path}': the UNet's projection_class_embeddings_input_dim is {unet.ProjectionClassEmbeddingsInputDim}, expected "
                    + $"{expected}: a pooled embedding of {prompts.PooledChannels} channels and {prompts.Numbers} numbers of "
                    + $"{unet.AdditionTimeEmbedDim}.");
        }
        return prompts;
    }
}
