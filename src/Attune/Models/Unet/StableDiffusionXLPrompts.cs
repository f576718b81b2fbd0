using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.Unet;

/// <summary>
/// Prompts of SDXL (Podell et al., arXiv 2307.01952): the hidden states of two CLIP text encoders side by side, a pooled embedding of the
/// second, and numbers about the picture's size. Its refiner has the second encoder alone.
/// </summary>
internal sealed class StableDiffusionXLPrompts : PromptEncoder
{
    private readonly ClipStage? _encoder;
    private readonly ClipStage _encoder2;
    private readonly Device _device;
    private readonly bool _zerosForEmpty;
    private readonly bool _aesthetic;

    public StableDiffusionXLPrompts(Components owned, ModelSource source)
    {
        ClipStage Load(string encoder, string tokenizer) => owned.Add(
            new ClipStage(Tokenizer.Load(source, tokenizer), ClipTextModel.Load(source.Component(encoder))));
        _device = source.Device;
        _encoder = source.Has("text_encoder") ? Load("text_encoder", "tokenizer") : null;
        _encoder2 = Load("text_encoder_2", "tokenizer_2");
        _zerosForEmpty = source.Index.Bool("force_zeros_for_empty_prompt", true);
        _aesthetic = source.Index.Bool("requires_aesthetics_score", false);
        PooledChannels = _encoder2.Model.ProjectionChannels
            ?? throw new CheckpointException($"'{source.Path}': text_encoder_2 has no projection; expected a CLIPTextModelWithProjection.");
    }

    public int Channels => (_encoder?.Model.Channels ?? 0) + _encoder2.Model.Channels;

    public int PooledChannels { get; }

    /// <summary>How many numbers about the picture's size there are.</summary>
    public int Numbers => _aesthetic ? 5 : 6;

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        var settings = input.Settings;
        int? length = settings.LengthFor(input.Role);
        using var scope = new TensorScope();
        float[] numbers = _aesthetic
            ? settings.SizeConditioning.AestheticIds(
                input.Size, negative: input.Role != PromptRole.Prompt, asDiffusers: settings.NegativeAsDiffusers)
            : settings.SizeConditioning.TimeIds(input.Size);
        var ids = Tensor.From(_device, numbers, [1, numbers.Length]);
        if (input.Text == null && _zerosForEmpty && input.Role == PromptRole.NegativePass)
        {
            return new UnetConditioning(
                Tensor.Zeros(_device, [1, length ?? _encoder2.Model.MaxLength, Channels]), Tensor.Zeros(_device, [1, PooledChannels]), ids);
        }

        // The last layer is left out always; what a request skips comes on top.
        int skip = 1 + settings.ClipSkipFor(input.Role);
        var rows2 = _encoder2.Tokenize(input.Text ?? "", length, settings, input.Warn);
        if (_encoder == null)
        {
            var (alone, own, embeds) = _encoder2.Encode(rows2, skip, normalised: false, pooled: true, cancellation);
            return new UnetConditioning(alone, embeds, ids, own);
        }

        // The tokenizers cut the text differently where it holds the pad token of one of them.
        var rows = _encoder.Tokenize(input.Text ?? "", length, settings);
        _encoder.Pad(rows, rows2.Ids.Count);
        _encoder2.Pad(rows2, rows.Ids.Count);
        var (first, values, _) = _encoder.Encode(rows, skip, normalised: false, pooled: false, cancellation);
        var (second, values2, pooled) = _encoder2.Encode(rows2, skip, normalised: false, pooled: true, cancellation);
        return new UnetConditioning(
            TensorOperations.Concatenate(2, first, second), pooled, ids,
            values == null && values2 == null ? null : TensorOperations.Concatenate(2, values ?? first, values2 ?? second));
    }

    public override void Dispose()
    {
        _encoder?.Dispose();
        _encoder2.Dispose();
    }
}
