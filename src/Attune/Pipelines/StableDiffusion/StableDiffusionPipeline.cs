using Attune.Models;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Pipelines.StableDiffusion;

/// <summary>Stable Diffusion 1.x and 2.x, and latent consistency models of the same form: one CLIP text encoder.</summary>
public sealed class StableDiffusionPipeline : UnetPipeline
{
    private readonly ClipPromptEncoder _encoder;

    private StableDiffusionPipeline(Components owned, ModelSource source)
        : base(owned, source)
    {
        var textEncoder = source.Component("text_encoder");
        _encoder = owned.Add(new ClipPromptEncoder(Tokenizer.Load(source.Tokenizer("tokenizer")), ClipTextModel.Load(textEncoder)));
        if (_encoder.Model.Channels != Unet.CrossAttentionDim)
            throw new CheckpointException(
                $"'{textEncoder.Config.Path}': hidden_size is {_encoder.Model.Channels}, expected {Unet.CrossAttentionDim}, the UNet's "
                    + $"cross_attention_dim.");
        if (Unet.HasTextTime)
            throw new CheckpointException(
                $"'{source.Path}': the UNet has addition_embed_type 'text_time', which {ClassName} has no sizes for; expected a "
                    + $"StableDiffusionXLPipeline.");
    }

    /// <summary>sd15-lcm embeds a guidance scale, sd21 reads text of 1024 channels, anything else is sd15.</summary>
    private protected override string ClassFamily =>
        Unet.TimeCondProjDim != null ? "sd15-lcm" : Unet.CrossAttentionDim == 1024 ? "sd21" : "sd15";

    private protected override float DefaultStrength => 0.8f;

    private protected override float DefaultGuidanceScale =>
        ClassName.StartsWith("LatentConsistencyModel", StringComparison.Ordinal) ? 8.5f : 7.5f;

    internal static StableDiffusionPipeline Open(ModelSource source) =>
        Components.Build(owned => new StableDiffusionPipeline(owned, source));

    private protected override Conditioning Encode(GenerationRequest request, string? prompt, bool negative, CancellationToken cancellation)
    {
        int? length = negative ? request.NegativeMaxSequenceLength ?? request.MaxSequenceLength : request.MaxSequenceLength;
        var rows = _encoder.Tokenize(prompt ?? "", length, request.LongPrompts, request.Warning);
        return new Conditioning(
            _encoder.Encode(rows, negative ? 0 : request.ClipSkip ?? 0, normalised: true, pooled: false, cancellation).Text);
    }

    private protected override void DisposeComponents()
    {
        base.DisposeComponents();
        _encoder.Dispose();
    }
}
