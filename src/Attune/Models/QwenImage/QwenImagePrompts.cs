using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.QwenImage;

/// <summary>
/// Prompts of Qwen-Image: a chat with Qwen2.5-VL, whose last hidden states are taken, without those of the template's beginning. Pads,
/// which
/// count for nobody, are never made.
/// </summary>
internal sealed class QwenImagePrompts : PromptEncoder
{
    /// <summary>The longest prompt in diffusers, without the tokens that are left out.</summary>
    private const int DefaultSequence = 512;

    /// <summary>The tokens of the template before the prompt, which the pipeline leaves out, whatever the tokenizer makes of it.</summary>
    private const int LeftOut = 34;

    private const string Before = "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
        + "spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n";

    private const string After = "<|im_end|>\n<|im_start|>assistant\n";
    private readonly Tokenizer _tokenizer;
    private readonly DecoderTextModel _encoder;
    private readonly int[] _beginning;

    public QwenImagePrompts(Components owned, ModelSource source, QwenImageConfig config)
    {
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder")));
        _beginning = PromptTokens.Upto(_tokenizer, Before, int.MaxValue, null);
        source.RequireTextChannels(_encoder.Channels, config.JointAttentionDim, "joint_attention_dim");
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int length = input.Settings.LengthFor(input.Role) ?? DefaultSequence;
        int[] ids = PromptTokens.Upto(_tokenizer, Before + input.Text + After, LeftOut + length, input.Warn);
        using var scope = new TensorScope();
        var states = _encoder.EncodeHiddenStates([ids], [-1], cancellation: cancellation, beginning: _beginning)[0];
        return new QwenImageConditioning(states.Slice(1, LeftOut, ids.Length - LeftOut).Clone());
    }

    public override void Dispose() => _encoder.Dispose();
}
