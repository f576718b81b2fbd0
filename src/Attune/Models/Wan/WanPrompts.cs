using System.Text.RegularExpressions;
using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.T5;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.Wan;

/// <summary>
/// Prompts of Wan: UMT5's rows of the text. The reference masks pads in the encoder, then has rows of zeros in their place, up to one
/// length, and lets the cross-attention read them: they are no pads any more. Wan 2.1's image to video also reads what CLIP sees of the
/// picture.
/// </summary>
internal sealed partial class WanPrompts : PromptEncoder
{
    /// <summary>The longest prompt in diffusers.</summary>
    private const int DefaultSequence = 512;

    private readonly Tokenizer _tokenizer;
    private readonly T5EncoderModel _encoder;
    private readonly WanPictureEncoder? _pictures;

    public WanPrompts(Components owned, ModelSource source, WanConfig config)
    {
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(T5EncoderModel.Load(source.Component("text_encoder")));
        source.RequireTextChannels(_encoder.Channels, config.TextDim, "text_dim");
        if (config.ImageDim is { } channels)
            _pictures = owned.Add(WanPictureEncoder.Load(source, channels));
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int length = input.Settings.LengthFor(input.Role) ?? DefaultSequence;
        string prompt = Whitespace().Replace(input.Text ?? "", " ").Trim();
        int[] ids = PromptTokens.Unpadded(_tokenizer, prompt, length, input.Warn);
        using var scope = new TensorScope();
        var text = _encoder.Encode([ids], cancellation: cancellation);
        var rows = Tensor.Zeros(text.Device, [1, length, text.Shape[2]]);
        text.CopyTo(rows.Slice(1, 0, text.Shape[1]));
        return new WanConditioning(rows);
    }

    public override Tensor? See(PictureInput picture, CancellationToken cancellation = default) => _pictures?.Apply(picture);

    public override void Dispose()
    {
        _encoder.Dispose();
        _pictures?.Dispose();
    }

    [GeneratedRegex(@"\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Whitespace();
}
