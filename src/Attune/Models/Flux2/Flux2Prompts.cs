using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>
/// Prompts of FLUX.2: a chat with a language model, of which hidden states of three layers stand side by side in each token. Texts are
/// padded; pads are left out in the language model and are rows like any others in the transformer.
/// </summary>
internal sealed class Flux2Prompts : PromptEncoder
{
    /// <summary>The length of prompts in diffusers.</summary>
    private const int DefaultSequence = 512;

    private readonly Tokenizer _tokenizer;
    private readonly DecoderTextModel _encoder;
    private readonly Flux2Chat _chat;

    public Flux2Prompts(Components owned, ModelSource source, Flux2Config config, Flux2Chat chat)
    {
        _tokenizer = Tokenizer.Load(source, "tokenizer");
        _encoder = owned.Add(DecoderTextModel.Load(source.Component("text_encoder")));
        _chat = chat;
        if (_encoder.Layers < chat.Layers.Max() || _encoder.Channels * chat.Layers.Count != config.JointAttentionDim)
        {
            throw new CheckpointException(
                $"'{source.Path}': the text encoder has {_encoder.Layers} layers of {_encoder.Channels} channels; layers "
                    + $"{string.Join(", ", chat.Layers)} side by side are expected to have {config.JointAttentionDim}, the transformer's "
                    + "joint_attention_dim.");
        }
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        int length = input.Settings.LengthFor(input.Role) ?? DefaultSequence;
        var tokens = PromptTokens.Masked(_tokenizer, _chat.Render(input.Text ?? ""), length, _chat.Padding, input.Warn);
        using var scope = new TensorScope();
        var states = _encoder.EncodeHiddenStates([tokens.Ids], _chat.Layers, [tokens.Mask], finalNorm: false, cancellation: cancellation);
        return new Flux2Conditioning(TensorOperations.Concatenate(2, [.. states]));
    }

    public override void Dispose() => _encoder.Dispose();
}

/// <summary>How a version of FLUX.2 asks its language model.</summary>
/// <param name="Before">What stands before the prompt.</param>
/// <param name="After">What stands behind it.</param>
/// <param name="Layers">The layers whose hidden states are taken.</param>
/// <param name="Padding">The side of the pads.</param>
/// <param name="LeftOut">What is cut out of the prompt; empty for nothing.</param>
internal sealed record Flux2Chat(string Before, string After, IReadOnlyList<int> Layers, TokenSide Padding, string LeftOut = "")
{
    /// <summary>klein: Qwen3, with an empty thought.</summary>
    public static Flux2Chat Klein { get; } = new(
        "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", [9, 18, 27], TokenSide.Right);

    /// <summary>dev: Mistral Small 3, with a system message.</summary>
    public static Flux2Chat Dev { get; } = new(
        "<s>[SYSTEM_PROMPT]You are an AI that reasons about image descriptions. You give structured responses focusing on object "
            + "relationships, object\nattribution and actions without speculation.[/SYSTEM_PROMPT][INST]",
        "[/INST]", [10, 20, 30], TokenSide.Left, "[IMG]");

    /// <summary>The text that is tokenized.</summary>
    public string Render(string prompt) =>
        Before + (LeftOut.Length == 0 ? prompt : prompt.Replace(LeftOut, "", StringComparison.Ordinal)) + After;
}
