using Attune.Prompts;
using Attune.TextEncoders.Decoder;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.ZImage;

/// <summary>
/// Prompts of Z-Image: a chat with Qwen3, whose hidden states before its last layer are taken. Pads, which the reference cuts out again,
/// are never made.
/// </summary>
internal sealed class ZImagePrompts : PromptEncoder
{
    /// <summary>The longest prompt in diffusers, the chat around it included.</summary>
    private const int DefaultSequence = 512;

    private readonly Tokenizer _tokenizer;
    private readonly DecoderTextModel _encoder;

    public ZImagePrompts(Components owned, ModelSource source, ZImageConfig config)
    {
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder")));
        source.RequireTextChannels(_encoder.Channels, config.CapFeatDim, "cap_feat_dim");
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        string chat = $"<|im_start|>user\n{input.Text}<|im_end|>\n<|im_start|>assistant\n";
        int[] ids = PromptTokens.Upto(_tokenizer, chat, input.Settings.LengthFor(input.Role) ?? DefaultSequence, input.Warn);
        return new ZImageConditioning(_encoder.EncodeHiddenStates([ids], [-2], cancellation: cancellation)[0]);
    }

    public override void Dispose() => _encoder.Dispose();
}
