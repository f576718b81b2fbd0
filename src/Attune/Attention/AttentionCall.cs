using Attune.Tensors;

namespace Attune.Attention;

/// <summary>The situation of an attention layer.</summary>
public enum AttentionKind
{
    /// <summary>Latents attend to latents.</summary>
    Self,

    /// <summary>Latents attend to text.</summary>
    Cross,

    /// <summary>Text and latents, packed into one sequence, attend to each other.</summary>
    Joint,

    /// <summary>Latents attend to the embedding of an image prompt. Never guided.</summary>
    ImagePrompt,

    /// <summary>
    /// Latents attend to latents by linear attention, which has no weights of single keys that a rule could change. Never guided.
    /// </summary>
    Linear,
}

/// <summary>Which attention layer of a model is meant.</summary>
/// <param name="Path">The checkpoint's name of the module: <c>transformer_blocks.3.attn</c>.</param>
/// <param name="Kind">Its situation.</param>
public readonly record struct AttentionSite(string Path, AttentionKind Kind);

/// <summary>
/// One call of an attention layer: queries, keys and values as the model's linear layers made them, viewed as [batch, tokens, heads,
/// channels], after QK-norm and before the rotary embedding. The result has the shape of the queries and goes to the output projection.
/// </summary>
/// <param name="Query">[batch, query tokens, heads, channels].</param>
/// <param name="Key">[batch or 1, key tokens, key heads, channels]; key heads divide heads.</param>
/// <param name="Value">[batch or 1, key tokens, key heads, channels].</param>
/// <param name="Scale">What the products of queries and keys are multiplied with.</param>
/// <param name="Queries">What the query tokens are.</param>
/// <param name="Keys">What the key tokens are.</param>
/// <param name="Site">Which layer calls.</param>
/// <param name="QueryRotary">The rotary embedding of the queries, or null.</param>
/// <param name="KeyRotary">The rotary embedding of the keys, or null.</param>
/// <param name="Mask">Which keys count, by position in the packed keys.</param>
public sealed record AttentionCall(
    Tensor Query, Tensor Key, Tensor Value, float Scale, TokenLayout Queries, TokenLayout Keys, AttentionSite Site,
    RotaryEmbedding? QueryRotary = null, RotaryEmbedding? KeyRotary = null, AttentionMask? Mask = null)
{
    /// <summary>
    /// The rotary embeddings of all queries and of all keys as the negative text sees them, where the positions of latents depend on the
    /// text beside them; null where they do not, so that latents are turned once for both texts.
    /// </summary>
    public (RotaryEmbedding Query, RotaryEmbedding Key)? BesideNegative { get; init; }

    /// <summary>
    /// Whether of <see cref="BesideNegative"/> the latents stand where they are beside the prompt, and references alone do not: then the
    /// latents' attention to each other serves both texts.
    /// </summary>
    public bool LatentsStay { get; init; }
}

/// <summary>How a model's attention layers attend. Models call it and do not know what it does.</summary>
public interface IAttention
{
    /// <summary>Attends for one layer.</summary>
    /// <returns>[batch, query tokens, heads, channels]; owned by the current <see cref="TensorScope"/>.</returns>
    Tensor Attend(AttentionCall call);

    /// <summary>
    /// Whether the layer's latents are guided by the negative text. A model leaves the negative text out of the layers after the last one
    /// that is.
    /// </summary>
    bool ReadsNegativeText(AttentionSite site) => false;

    /// <summary>What stands for layers that are not computed, or null.</summary>
    IAttentionOutputs? Outputs => null;
}

/// <summary>Changes what a UNet's decoder concatenates (FreeU).</summary>
public interface ISkipConnection
{
    /// <summary>Called before every concatenation of an up block.</summary>
    /// <param name="path">The checkpoint's name of the block: <c>up_blocks.0</c>.</param>
    /// <param name="hidden">The backbone's features, [batch, height, width, channels].</param>
    /// <param name="skip">The features from the encoder, [batch, height, width, channels].</param>
    /// <returns>What is concatenated instead: the arguments themselves, or tensors of the current scope. Arguments must not be written
    /// to.</returns>
    (Tensor Hidden, Tensor Skip) Adjust(string path, Tensor hidden, Tensor skip);
}

/// <summary>What a forward pass of a denoiser takes besides its inputs.</summary>
/// <param name="Attention">How its attention layers attend.</param>
/// <param name="ForkLatents">
/// Whether single-stream blocks keep a second copy of the latents, modulated with the negative pooled embedding
/// (<see cref="TokenKind.NegativeLatent"/>), where a model has such a modulation; otherwise the latents are shared.
/// </param>
/// <param name="Blocks">Which blocks run; null for all.</param>
/// <param name="Skips">What happens to a UNet's skip connections; null for nothing.</param>
public sealed record Steering(IAttention Attention, bool ForkLatents = false, IBlockPolicy? Blocks = null, ISkipConnection? Skips = null)
{
    /// <summary>
    /// Whether the negative text is modulated with the prompt's pooled embedding rather than its own, where a model has such a modulation.
    /// </summary>
    public bool PromptPooled { get; init; }

    /// <summary>The plain model.</summary>
    public static Steering Plain { get; } = new(PlainAttention.Instance);
}
