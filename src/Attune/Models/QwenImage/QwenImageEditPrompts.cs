using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.QwenImage;

/// <summary>
/// Prompts of Qwen-Image-Edit: a chat with Qwen2.5-VL, which sees the references, and whose last hidden states are taken, without those of
/// the template's beginning. The negative prompt sees the same pictures.
/// </summary>
internal sealed class QwenImageEditPrompts : PromptEncoder
{
    /// <summary>The tokens before the pictures that the pipeline leaves out, whatever the tokenizer makes of the template.</summary>
    private const int LeftOut = 64;

    /// <summary>The side of the square whose area the text encoder of Plus sees references at.</summary>
    private const int DefaultSight = 384;

    private const string Before = "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
        + "background), then explain how the user's text instruction should alter or modify the image. Generate a new image that meets the "
        + "user's requirements while maintaining consistency with the original input where appropriate.<|im_end|>\n<|im_start|>user\n";

    private const string Picture = "<|vision_start|>" + QwenPictures.Slot + "<|vision_end|>";
    private const string After = "<|im_end|>\n<|im_start|>assistant\n";
    private readonly Device _device;
    private readonly bool _plus;
    private readonly Tokenizer _tokenizer;
    private readonly QwenPictures _pictures;
    private readonly DecoderTextModel _encoder;

    /// <param name="owned">Owns what is opened.</param>
    /// <param name="source">The model.</param>
    /// <param name="config">The transformer's configuration.</param>
    /// <param name="plus">Whether pictures are counted in the text, and seen at a size of their own.</param>
    public QwenImageEditPrompts(Components owned, ModelSource source, QwenImageConfig config, bool plus)
    {
        (_device, _plus) = (source.Device, plus);
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _pictures = QwenPictures.Read(source.Has("processor") ? source.Tokenizer("processor") : source.Tokenizer("tokenizer"));
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder"), seesPictures: true));
        source.RequireTextChannels(_encoder.Channels, config.JointAttentionDim, "joint_attention_dim");
        if (!_encoder.SeesPictures)
        {
            throw new CheckpointException(
                $"'{source.Path}': the text encoder has no vision tower (visual.*), which sees the pictures that are edited.");
        }
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        string text = input.Text ?? "";
        if (text.Contains(QwenPictures.Slot, StringComparison.Ordinal))
            throw new ArgumentException($"A prompt holds '{QwenPictures.Slot}', which stands for a part of a picture; leave it out.");
        var seen = input.Seen(_pictures, _plus ? input.Settings.SightSize ?? DefaultSight : null);
        string pictures = !_plus ? Picture
            : string.Concat(Enumerable.Range(1, seen.Count).Select(i => FormattableString.Invariant($"Picture {i}: ") + Picture));
        int[] ids = PromptTokens.Upto(
            _tokenizer, Before + seen.Expand(pictures + text + After), MostTokens(input, seen.Slots), input.Warn);
        using var scope = new TensorScope();
        var states = _encoder.EncodeWithPictures(
            ids, seen.Prepare(_device), [-1], inALine: input.Settings.PicturesInALine, cancellation: cancellation)[0];
        return new QwenImageConditioning(states.Slice(1, LeftOut, ids.Length - LeftOut).Clone());
    }

    public override void Dispose() => _encoder.Dispose();

    /// <summary>The reference knows no longest prompt; where a request states one, pictures must fit into it.</summary>
    private static int MostTokens(PromptInput input, int slots)
    {
        if (input.Settings.LengthFor(input.Role) is not { } length)
            return int.MaxValue;
        return length > slots + LeftOut ? LeftOut + length : throw new ArgumentException(
            $"MaxSequenceLength is {length}; the pictures alone take {slots} tokens, expected more than {slots + LeftOut}.");
    }
}
