using Attune.Prompts;
using Attune.TextEncoders.Decoder;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.ErnieImage;

/// <summary>
/// Prompts of ERNIE-Image: Ministral 3's hidden states before its last layer, of the text alone. Nothing stands around it but what the
/// tokenizer adds.
/// </summary>
internal sealed class ErnieImagePrompts : PromptEncoder
{
    private readonly Tokenizer _tokenizer;
    private readonly DecoderTextModel _encoder;

    public ErnieImagePrompts(Components owned, ModelSource source, ErnieImageConfig config)
    {
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder")));
        source.RequireTextChannels(_encoder.Channels, config.TextInDim, "text_in_dim");
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int length = input.Settings.LengthFor(input.Role) ?? _tokenizer.ModelMaxLength;
        int[] ids = PromptTokens.Unpadded(_tokenizer, input.Text ?? "", length, input.Warn);

        // Where the tokenizer adds nothing, an empty text is the token at which texts start.
        if (ids.Length == 0)
            ids = [_tokenizer.StartId ?? 0];
        return new ErnieImageConditioning(_encoder.EncodeHiddenStates([ids], [-2], cancellation: cancellation)[0]);
    }

    public override void Dispose() => _encoder.Dispose();
}
