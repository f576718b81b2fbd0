using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.Sana;

/// <summary>
/// Prompts of Sana: the last hidden states of Gemma 2. The prompt itself, in lower case, stands behind an instruction that the model was
/// trained with, of whose rows no more than the first and the last is read. Pads, which the reference masks, are never made.
/// </summary>
internal sealed class SanaPrompts : PromptEncoder
{
    /// <summary>The longest prompt in diffusers.</summary>
    private const int DefaultSequence = 300;

    /// <summary>The model's own instruction ("complex human instruction").</summary>
    private static readonly string DefaultInstruction = string.Join('\n', [
        "Given a user prompt, generate an 'Enhanced prompt' that provides detailed visual descriptions suitable for image generation. "
            + "Evaluate the level of detail in the user prompt:",
        "- If the prompt is simple, focus on adding specifics about colors, shapes, sizes, textures, and spatial relationships to create "
            + "vivid and concrete scenes.",
        "- If the prompt is already detailed, refine and enhance the existing details slightly without overcomplicating.",
        "Here are examples of how to transform or refine prompts:",
        "- User Prompt: A cat sleeping -> Enhanced: A small, fluffy white cat curled up in a round shape, sleeping peacefully on a warm "
            + "sunny windowsill, surrounded by pots of blooming red flowers.",
        "- User Prompt: A busy city street -> Enhanced: A bustling city street scene at dusk, featuring glowing street lamps, a diverse "
            + "crowd of people in colorful clothing, and a double-decker bus passing by towering glass skyscrapers.",
        "Please generate only the enhanced description for the prompt below and avoid including any additional commentary or evaluations:",
        "User Prompt: ",
    ]);

    private readonly Tokenizer _tokenizer;
    private readonly DecoderTextModel _encoder;

    public SanaPrompts(Components owned, ModelSource source, SanaConfig config)
    {
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder")));
        source.RequireTextChannels(_encoder.Channels, config.CaptionChannels, "caption_channels");
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int length = input.Settings.LengthFor(input.Role) ?? DefaultSequence;
        string prompt = PromptCase.LowerStripped(input.Text ?? "");
        string instruction = input.Role == PromptRole.Prompt ? input.Settings.Instruction ?? DefaultInstruction : "";
        int[] beginning = instruction.Length == 0 ? [] : _tokenizer.Encode(instruction).Ids;
        int before = beginning.Length;

        // Two of the instruction's tokens count as the prompt's: the first, and the last.
        int longest = before == 0 ? length : before + length - 2;
        int[] ids = PromptTokens.Unpadded(_tokenizer, instruction + prompt, longest, input.Warn);
        using var scope = new TensorScope();
        var states = _encoder.EncodeHiddenStates([ids], [-1], cancellation: cancellation, beginning: beginning)[0];
        int first = longest - length + 1;           // of the rows behind the first one that are read
        if (first <= 1 || ids.Length <= 1)
            return new SanaConditioning(states.Clone());
        int count = Math.Max(0, ids.Length - first);
        return count == 0 ? new SanaConditioning(states.Slice(1, 0, 1).Clone()) : new SanaConditioning(
            TensorOperations.Concatenate(1, states.Slice(1, 0, 1), states.Slice(1, ids.Length - count, count)));
    }

    public override void Dispose() => _encoder.Dispose();
}
