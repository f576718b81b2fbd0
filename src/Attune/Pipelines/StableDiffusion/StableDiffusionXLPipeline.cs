using Attune.Models;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Pipelines.StableDiffusion;

/// <summary>
/// SDXL (Podell et al., arXiv 2307.01952): the hidden states of two CLIP text encoders side by side, a pooled embedding of the second, and
/// numbers about the picture's size. Its refiner has the second encoder alone.
/// </summary>
public sealed class StableDiffusionXLPipeline : UnetPipeline
{
    private readonly ClipPromptEncoder? _encoder;
    private readonly ClipPromptEncoder _encoder2;
    private readonly bool _zerosForEmpty;
    private readonly bool _aesthetic;

    private StableDiffusionXLPipeline(Components owned, ModelSource source)
        : base(owned, source)
    {
        ClipPromptEncoder Load(string encoder, string tokenizer) =>
            owned.Add(new ClipPromptEncoder(Tokenizer.Load(source.Tokenizer(tokenizer)), ClipTextModel.Load(source.Component(encoder))));
        _encoder = source.Has("text_encoder") ? Load("text_encoder", "tokenizer") : null;
        _encoder2 = Load("text_encoder_2", "tokenizer_2");
        _zerosForEmpty = source.Index.Bool("force_zeros_for_empty_prompt", true);
        _aesthetic = source.Index.Bool("requires_aesthetics_score", false);
        int channels = (_encoder?.Model.Channels ?? 0) + _encoder2.Model.Channels;
        if (channels != Unet.CrossAttentionDim)
            throw new CheckpointException(
                $"'{source.Path}': the text encoders have {channels} channels together, expected {Unet.CrossAttentionDim}, the UNet's "
                    + $"cross_attention_dim.");
        int pooled = _encoder2.Model.ProjectionChannels
            ?? throw new CheckpointException($"'{source.Path}': text_encoder_2 has no projection; expected a CLIPTextModelWithProjection.");
        int numbers = _aesthetic ? 5 : 6;
        if (!Unet.HasTextTime || pooled + numbers * Unet.AdditionTimeEmbedDim != Unet.ProjectionClassEmbeddingsInputDim)
        {
            throw new CheckpointException(
                $"'{source.Path}': the UNet's projection_class_embeddings_input_dim is {Unet.ProjectionClassEmbeddingsInputDim}, expected "
                    + $"{pooled + numbers * Unet.AdditionTimeEmbedDim}: a pooled embedding of {pooled} channels and {numbers} numbers of "
                        + $"{Unet.AdditionTimeEmbedDim}.");
        }
    }

    /// <summary>sdxl-lcm embeds a guidance scale; the other few-step forms cannot be told from sdxl.</summary>
    private protected override string ClassFamily => Unet.TimeCondProjDim != null ? "sdxl-lcm" : "sdxl";

    private protected override RequestOptions Takes => base.Takes | RequestOptions.SizeConditioning;

    private protected override float DefaultStrength => 0.3f;

    private protected override float DefaultGuidanceScale => 5;

    internal static StableDiffusionXLPipeline Open(ModelSource source) =>
        Components.Build(owned => new StableDiffusionXLPipeline(owned, source));

    /// <summary>The numbers about the picture's size that the UNet gets for a request (<c>time_ids</c>).</summary>
    internal float[] TimeIdsOf(GenerationRequest request) => TimeIds(Resolve(request), negative: false);

    private protected override float[] TimeIds(GenerationRequest request, bool negative)
    {
        var sizes = request.SizeConditioning ?? new SizeConditioning();
        var made = new PixelSize(request.Height!.Value, request.Width!.Value);
        return _aesthetic ? sizes.AestheticIds(made, negative) : sizes.TimeIds(made);
    }

    private protected override Conditioning Encode(GenerationRequest request, string? prompt, bool negative, CancellationToken cancellation)
    {
        int? length = negative ? request.NegativeMaxSequenceLength ?? request.MaxSequenceLength : request.MaxSequenceLength;
        if (prompt == null && _zerosForEmpty && !request.Guidance.Rules.Any(rule => rule.ReadsNegativeText && !rule.IsNeutral))
            return new Conditioning(
                Tensor.Zeros([1, length ?? _encoder2.Model.MaxLength, Unet.CrossAttentionDim]),
                Tensor.Zeros([1, _encoder2.Model.ProjectionChannels!.Value]));

        // The last layer is left out always; what a request skips comes on top.
        int skip = 1 + (negative ? 0 : request.ClipSkip ?? 0);
        var rows2 = _encoder2.Tokenize(prompt ?? "", length, request.LongPrompts, request.Warning);
        if (_encoder == null)
        {
            var (alone, embeds) = _encoder2.Encode(rows2, skip, normalised: false, pooled: true, cancellation);
            return new Conditioning(alone, embeds);
        }

        // The tokenizers cut the text differently where it holds the pad token of one of them.
        var rows = _encoder.Tokenize(prompt ?? "", length, request.LongPrompts);
        _encoder.Pad(rows, rows2.Count);
        _encoder2.Pad(rows2, rows.Count);
        using var scope = new TensorScope();
        var first = _encoder.Encode(rows, skip, normalised: false, pooled: false, cancellation).Text;
        var (second, pooled) = _encoder2.Encode(rows2, skip, normalised: false, pooled: true, cancellation);
        return new Conditioning(scope.Keep(TensorOperations.Concatenate(2, first, second)), scope.Keep(pooled!));
    }

    private protected override void DisposeComponents()
    {
        base.DisposeComponents();
        _encoder?.Dispose();
        _encoder2.Dispose();
    }
}
