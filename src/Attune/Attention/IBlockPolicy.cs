using Attune.Tensors;

namespace Attune.Attention;

/// <summary>
/// Says which blocks of a model run in a pass: skip-layer guidance and AutoGuidance leave blocks out, step caches put what blocks added in
/// an earlier step in their place. A policy that remembers something belongs to one kind of pass of one run.
/// </summary>
public interface IBlockPolicy
{
    /// <summary>Asked before each block that is reached.</summary>
    /// <param name="at">Which block.</param>
    /// <param name="latents">
    /// [batch, latent rows, width], or a UNet's [batch, pixels, channels]: the latents as the block would get them. Only for reading, and
    /// during the call alone.
    /// </param>
    BlockDecision Before(BlockPoint at, Tensor latents);

    /// <summary>Receives each block that has run, but none that was left out.</summary>
    /// <param name="at">Which block.</param>
    /// <param name="latents">The latents as the block left them. For reading only, and only during the call.</param>
    void After(BlockPoint at, Tensor latents)
    {
    }
}

/// <summary>A block of a model, among those that a pass runs.</summary>
/// <param name="Path">
/// The checkpoint's name: <c>transformer_blocks.3</c>, <c>mid_block.attentions.0.transformer_blocks.0</c>.
/// </param>
/// <param name="Index">Its place in the order in which a pass runs the blocks, counted from 0.</param>
/// <param name="Count">The number of blocks.</param>
public readonly record struct BlockPoint(string Path, int Index, int Count);

/// <summary>What happens at a block.</summary>
public readonly record struct BlockDecision
{
    /// <summary>The block runs.</summary>
    public static BlockDecision Run => default;

    /// <summary>The block is left out: it hands on what it was given.</summary>
    public static BlockDecision Skip { get; } = new() { IsSkipped = true };

    /// <summary>Whether the block is left out.</summary>
    public bool IsSkipped { get; private init; }

    /// <summary>What is added to the latents in the place of this block and all that follow; null where the pass goes on.</summary>
    public Tensor? Residual { get; private init; }

    /// <summary>
    /// This block and all that follow are left out, and <paramref name="residual"/>, shaped as the latents, is added to them. Models whose
    /// blocks are not one stack over the same rows (UNets) refuse it.
    /// </summary>
    public static BlockDecision Finish(Tensor residual) => new() { Residual = residual };
}
