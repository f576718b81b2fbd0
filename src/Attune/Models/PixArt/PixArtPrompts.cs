using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.T5;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.PixArt;

/// <summary>
/// Prompts of PixArt: T5's rows of the text in lower case. Pads, which the reference masks in the encoder and in cross-attention, are never
/// made.
/// </summary>
internal sealed class PixArtPrompts : PromptEncoder
{
    private readonly Device _device;
    private readonly Tokenizer _tokenizer;
    private readonly T5EncoderModel _encoder;
    private readonly int _longest;
    private readonly bool _tellsSize;

    /// <summary>Opens tokenizer and text encoder.</summary>
    /// <param name="owned">Receives what must be disposed.</param>
    /// <param name="source">The model.</param>
    /// <param name="config">The transformer's configuration.</param>
    /// <param name="longest">Tokens of the longest prompt when a request does not say.</param>
    public PixArtPrompts(Components owned, ModelSource source, PixArtConfig config, int longest)
    {
        (_device, _longest, _tellsSize) = (source.Device, longest, config.UseAdditionalConditions);
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(T5EncoderModel.Load(source.Component("text_encoder")));
        source.RequireTextChannels(_encoder.Channels, config.CaptionChannels, "caption_channels");
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int length = input.Settings.LengthFor(input.Role) ?? _longest;
        int[] ids = PromptTokens.Unpadded(_tokenizer, PromptCase.LowerStripped(input.Text ?? ""), length, input.Warn);
        using var scope = new TensorScope();
        var text = _encoder.Encode([ids], cancellation: cancellation);
        if (!_tellsSize)
            return new PixArtConditioning(text);
        var (height, width) = input.Pixels;
        return new PixArtConditioning(
            text, Tensor.From(_device, [height, width], [1, 2]), Tensor.From(_device, [(float)((double)height / width)], [1, 1]));
    }

    public override void Dispose() => _encoder.Dispose();
}
