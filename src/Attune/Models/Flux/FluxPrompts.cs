using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.TextEncoders.T5;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>Prompts of FLUX.1: CLIP gives the pooled embedding, T5 the text tokens.</summary>
internal sealed class FluxPrompts(Components owned, ModelSource source) : PromptEncoder
{
    /// <summary>The length of T5's prompts in diffusers, where the tokenizer states no shorter one.</summary>
    private const int LongestDefaultSequence = 512;
    private readonly Tokenizer _tokenizer = Tokenizer.Load(source, "tokenizer");
    private readonly Tokenizer _tokenizer2 = Tokenizer.Load(source, "tokenizer_2");
    private readonly ClipTextModel _textEncoder = owned.Add(ClipTextModel.Load(source.Component("text_encoder")));
    private readonly T5EncoderModel _textEncoder2 = owned.Add(T5EncoderModel.Load(source.Component("text_encoder_2")));

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        string prompt = input.Text ?? "";
        int length = input.Settings.LengthFor(input.Role) ?? Math.Min(LongestDefaultSequence, _tokenizer2.ModelMaxLength);

        // CLIP gives no more than a summary: only what T5 does not read is lost.
        int[] clip = PromptTokens.Of(_tokenizer, prompt, _textEncoder.MaxLength, null);
        int[] t5 = PromptTokens.Of(_tokenizer2, prompt, length, input.Warn);
        using var scope = new TensorScope();
        var pooled = _textEncoder.Encode([clip], cancellation: cancellation).PooledOutput!;
        return new FluxConditioning(_textEncoder2.Encode([t5], cancellation: cancellation), pooled);
    }

    public override void Dispose()
    {
        _textEncoder.Dispose();
        _textEncoder2.Dispose();
    }
}
