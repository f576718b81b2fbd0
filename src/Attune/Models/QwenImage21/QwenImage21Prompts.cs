using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.QwenImage21;

/// <summary>
/// Prompts of Qwen-Image-2.1: a chat with Qwen3-VL, whose last hidden states are taken before the final norm, without those of the system's
/// turn.
/// </summary>
internal sealed class QwenImage21Prompts : PromptEncoder
{
    private const string System = "<|im_start|>system\nComprehend and analyze the provided prompt.<|im_end|>\n";
    private const string Before = "<|im_start|>user\n";
    private const string After = "<|im_end|>\n<|im_start|>assistant\n";

    /// <summary>The token that stands for a part of a picture.</summary>
    private const string Slot = "<|image_pad|>";

    private readonly Tokenizer _tokenizer;
    private readonly DecoderTextModel _encoder;
    private readonly int _leftOut;
    private readonly int[] _beginning;

    public QwenImage21Prompts(Components owned, ModelSource source, QwenImage21Config config)
    {
        _tokenizer = Tokenizer.Load(source, "processor");
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder")));
        _leftOut = Ids(System, int.MaxValue, null).Length;
        _beginning = Ids(System + Before, int.MaxValue, null);
        if (_encoder.Channels != config.ContextInDim)
        {
            throw new CheckpointException(
                $"'{source.Path}': the text encoder has {_encoder.Channels} channels, expected {config.ContextInDim}, the transformer's "
                    + "context_in_dim.");
        }
    }

    /// <inheritdoc/>
    public override int RowsOf(PromptInput input) => Ids(Chat(input), int.MaxValue, null).Length - _leftOut;

    /// <summary>
    /// The reference knows no longest prompt. Where a request states a length, texts are cut to it, and shorter ones stand as if pads
    /// filled them up: nobody reads pads, but the picture stands behind them.
    /// </summary>
    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int? length = input.Settings.LengthFor(input.Role);
        int[] ids = Ids(Chat(input), length is { } most ? _leftOut + most : int.MaxValue, input.Warn);
        int rows = ids.Length - _leftOut;
        using var scope = new TensorScope();
        var states = _encoder.EncodeHiddenStates([ids], [-1], finalNorm: false, cancellation: cancellation, beginning: _beginning)[0];
        return new QwenImage21Conditioning(states.Slice(1, _leftOut, rows).Clone(), null, Math.Max(rows, length ?? 0));
    }

    public override void Dispose() => _encoder.Dispose();

    /// <summary>The model has no token for an empty text.</summary>
    private static string Chat(PromptInput input)
    {
        string text = string.IsNullOrEmpty(input.Text) ? " " : input.Text;
        if (text.Contains(Slot, StringComparison.Ordinal))
            throw new ArgumentException($"A prompt holds '{Slot}', which stands for a part of a picture; leave it out.");
        return System + Before + text + After;
    }

    private int[] Ids(string chat, int length, Action<string>? warning) => PromptTokens.Upto(_tokenizer, chat, length, warning);
}
