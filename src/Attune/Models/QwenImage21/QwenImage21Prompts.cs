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

    /// <summary>The latents of a reference for which one of its tokens stands.</summary>
    private const int LatentsPerSlot = 4;

    /// <summary>The pixels of a patch of the vision tower, in each direction.</summary>
    private const int PatchSide = 16;

    private readonly Device _device;
    private readonly Tokenizer _tokenizer;
    private readonly DecoderTextModel _encoder;
    private readonly int _leftOut;
    private readonly int[] _beginning;
    private readonly int _slot;

    public QwenImage21Prompts(Components owned, ModelSource source, QwenImage21Config config)
    {
        _device = source.Device;
        _tokenizer = Tokenizer.Load(source, "processor");
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder"), seesPictures: true));
        _slot = _tokenizer.IdOf(Slot) ?? -1;
        _leftOut = Ids(System, int.MaxValue, null).Length;
        _beginning = Ids(System + Before, int.MaxValue, null);
        source.RequireTextChannels(_encoder.Channels, config.ContextInDim, "context_in_dim");
    }

    /// <summary>Whether pictures can be seen: files of the text side alone hold no vision tower.</summary>
    public bool SeesPictures => _encoder.SeesPictures;

    /// <inheritdoc/>
    public override int RowsOf(PromptInput input)
    {
        int slots = Enumerable.Range(0, input.ReferenceCount).Sum(i => SlotsOf(input, i));
        return Ids(Chat(input), int.MaxValue, null).Length - _leftOut + (LatentsPerSlot - 1) * slots;
    }

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
        if (input.ReferenceCount == 0)
        {
            var plain = _encoder.EncodeHiddenStates([ids], [-1], finalNorm: false, beginning: _beginning, cancellation: cancellation)[0];
            return new QwenImage21Conditioning(plain.Slice(1, _leftOut, rows).Clone(), null, Math.Max(rows, length ?? 0));
        }
        VisionPicture[] pictures = [.. Enumerable.Range(0, input.ReferenceCount).Select(i =>
            VisionPicture.Of(input.ReferencePixels(i, _device).Affine(2, -1), PatchSide))];
        var states = _encoder.EncodeWithPictures(ids, pictures, [-1], finalNorm: false, cancellation: cancellation)[0];
        bool[] slots = [.. ids.Skip(_leftOut).Select(id => id == _slot)];
        var text = states.Slice(1, _leftOut, rows)
            .Multiply(Tensor.From(states.Device, [.. slots.Select(slot => slot ? 0f : 1f)], [1, rows, 1]));
        return new QwenImage21Conditioning(text, slots, Math.Max(rows, length ?? 0));
    }

    public override void Dispose() => _encoder.Dispose();

    /// <summary>The tokens of a picture, each for 32 x 32 pixels.</summary>
    private static int SlotsOf(PromptInput input, int index)
    {
        var (height, width) = input.ReferenceSize(index);
        return height / (2 * PatchSide) * (width / (2 * PatchSide));
    }

    /// <summary>The model has no token for an empty text.</summary>
    private static string Chat(PromptInput input)
    {
        string text = string.IsNullOrEmpty(input.Text) ? " " : input.Text;
        if (text.Contains(Slot, StringComparison.Ordinal))
            throw new ArgumentException($"A prompt holds '{Slot}', which stands for a part of a picture; leave it out.");
        var pictures = Enumerable.Range(0, input.ReferenceCount).Select(i => FormattableString.Invariant($"<image{i + 1}>")
            + $"<|vision_start|>{string.Concat(Enumerable.Repeat(Slot, SlotsOf(input, i)))}<|vision_end|>");
        return System + Before + string.Join(' ', pictures) + text + After;
    }

    private int[] Ids(string chat, int length, Action<string>? warning) => PromptTokens.Upto(_tokenizer, chat, length, warning);
}
