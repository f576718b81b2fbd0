using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.Krea2;

/// <summary>
/// Prompts of Krea 2: a chat with Qwen3-VL, whose hidden states of several layers are taken, without those of the template's beginning. The
/// reference fills the middle up with pads, between the prompt and what stands behind it, which count for nobody and not in positions:
/// they are never made.
/// </summary>
internal sealed class Krea2Prompts : PromptEncoder
{
    /// <summary>The longest prompt in diffusers, with the tokens behind it and without those that are left out.</summary>
    private const int DefaultSequence = 512;

    /// <summary>The tokens of the template before the prompt, which the pipeline leaves out, whatever the tokenizer makes of it.</summary>
    private const int LeftOut = 34;

    /// <summary>The tokens of the template behind the prompt, as the pipeline counts them.</summary>
    private const int Behind = 5;

    private const string Before = "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
        + "spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n";

    private const string After = "<|im_end|>\n<|im_start|>assistant\n";
    private static readonly int[] DefaultLayers = [2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35];

    private readonly Tokenizer _tokenizer;
    private readonly DecoderTextModel _encoder;
    private readonly int[] _layers;
    private readonly int[] _beginning;

    public Krea2Prompts(Components owned, ModelSource source, Krea2Config config)
    {
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder")));
        _beginning = PromptTokens.Upto(_tokenizer, Before, int.MaxValue, null);
        _layers = source.Index.Ints("text_encoder_select_layers", DefaultLayers);
        if (_layers.Length != config.NumTextLayers || _layers.Any(layer => layer < 0 || layer > _encoder.Layers)
            || _encoder.Channels != config.TextHiddenDim)
        {
            throw new CheckpointException(
                $"'{source.Index.Path}': text_encoder_select_layers [{string.Join(", ", _layers)}] of a text encoder with "
                    + $"{_encoder.Layers} layers of {_encoder.Channels} channels; expected {config.NumTextLayers} layers of "
                    + $"{config.TextHiddenDim}, the transformer's num_text_layers and text_hidden_dim.");
        }
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int length = input.Settings.LengthFor(input.Role) ?? DefaultSequence;
        if (length <= Behind)
            throw new ArgumentException($"A prompt of {length} tokens has no room for the {Behind} that stand behind it.");
        int[] ids =
        [
            .. PromptTokens.Upto(_tokenizer, Before + input.Text, LeftOut + length - Behind, input.Warn),
            .. PromptTokens.Upto(_tokenizer, After, int.MaxValue, null),
        ];
        using var scope = new TensorScope();
        var states = _encoder.EncodeHiddenStates([ids], _layers, cancellation: cancellation, beginning: _beginning);
        int rows = ids.Length - LeftOut;
        var taken = states.Select(state => state.Slice(1, LeftOut, rows).Reshape(1, rows, 1, _encoder.Channels));
        return new Krea2Conditioning(TensorOperations.Concatenate(2, [.. taken]));
    }

    public override void Dispose() => _encoder.Dispose();
}
