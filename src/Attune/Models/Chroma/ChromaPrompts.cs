using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.T5;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.Chroma;

/// <summary>Prompts of Chroma: T5's rows, which do not see pads; the words and one pad count in the transformer.</summary>
internal sealed class ChromaPrompts : PromptEncoder
{
    /// <summary>The length of prompts in diffusers.</summary>
    private const int DefaultSequence = 512;

    private readonly Tokenizer _tokenizer;
    private readonly T5EncoderModel _encoder;

    public ChromaPrompts(Components owned, ModelSource source, ChromaConfig config)
    {
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(T5EncoderModel.Load(source.Component("text_encoder")));
        source.RequireTextChannels(_encoder.Channels, config.JointAttentionDim, "joint_attention_dim");
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int length = input.Settings.LengthFor(input.Role) ?? DefaultSequence;
        var tokens = PromptTokens.Padded(_tokenizer, input.Text ?? "", length, input.Warn);
        using var scope = new TensorScope();
        int counted = Math.Min(tokens.Mask.Sum() + 1, length);
        var text = _encoder.Encode([tokens.Ids], [tokens.Mask], cancellation);
        return new ChromaConditioning(text, counted, input.Settings.AdditiveTextMask);
    }

    public override void Dispose() => _encoder.Dispose();
}
