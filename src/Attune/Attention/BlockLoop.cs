using Attune.Tensors;

namespace Attune.Attention;

/// <summary>A block of a transformer over a <see cref="TokenStream"/>.</summary>
/// <typeparam name="TTime">What modulates it.</typeparam>
internal interface IStreamBlock<in TTime>
{
    /// <summary>The checkpoint's name.</summary>
    string Path { get; }

    /// <summary>Its attention layers, in the order in which it calls them.</summary>
    IReadOnlyList<AttentionSite> Sites { get; }

    /// <summary>
    /// Whether it is the kind of block before which latents may be forked: the twins are modulated by the negative prompt's embedding.
    /// </summary>
    bool ModulatesTwins { get; }

    /// <summary>Updates the rows of the stream in place. Temporaries end with the block.</summary>
    void Apply(TokenStream x, TTime time);
}

/// <summary>
/// Runs the blocks of a transformer in order: checks for cancellation, asks the block policy, forks latents, and ends rows that nobody
/// reads any more: the negative text after its last reader, and in the last block all but the latents.
/// </summary>
internal sealed class BlockLoop<TTime>(IReadOnlyList<IStreamBlock<TTime>> blocks)
{
    /// <summary>The attention layers, in the order in which a pass calls them.</summary>
    public IEnumerable<AttentionSite> Sites => blocks.SelectMany(block => block.Sites);

    /// <summary>The names of the blocks, in the order in which a pass runs them.</summary>
    public IEnumerable<string> Paths => blocks.Select(block => block.Path);

    /// <summary>Whether any layer reads the negative text. Where none does, a model leaves it out of the stream.</summary>
    public bool ReadsNegativeText(IAttention attention) => LastReader(attention) >= 0;

    /// <summary>Runs the blocks. Afterwards the stream holds the latents, and other rows that nobody reads.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; checked before every block.</exception>
    public void Run(TokenStream x, TTime time, Steering steering, CancellationToken cancellation)
    {
        int lastReader = x.HasNegativeText ? LastReader(steering.Attention) : -1;
        bool forks = steering.ForkLatents;
        for (int i = 0; i < blocks.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            var block = blocks[i];
            if (forks && block.ModulatesTwins && i <= lastReader)
            {
                x.Fork();
                forks = false;
            }
            x.Begin(i == blocks.Count - 1 ? [TokenKind.NegativeText, TokenKind.Text, TokenKind.NegativeLatent]
                : i >= lastReader ? [TokenKind.NegativeText, TokenKind.NegativeLatent]
                : []);
            var at = new BlockPoint(block.Path, i, blocks.Count);
            var decision = Decide(x, at, steering.Blocks);
            if (decision.Residual is { } residual)
            {
                Add(x, residual);
                return;
            }
            if (!decision.IsSkipped)
                block.Apply(x, time);
            x.EndRows();
            if (!decision.IsSkipped)
                Report(x, at, steering.Blocks);
        }
    }

    private static BlockDecision Decide(TokenStream x, BlockPoint at, IBlockPolicy? policy)
    {
        using var scope = new TensorScope();
        return policy?.Before(at, x.RowsOf(TokenKind.Latent)) ?? BlockDecision.Run;
    }

    private static void Report(TokenStream x, BlockPoint at, IBlockPolicy? policy)
    {
        using var scope = new TensorScope();
        policy?.After(at, x.RowsOf(TokenKind.Latent));
    }

    private static void Add(TokenStream x, Tensor residual)
    {
        using var scope = new TensorScope();
        var latents = x.RowsOf(TokenKind.Latent);
        latents.Add(residual, into: latents);
    }

    private int LastReader(IAttention attention)
    {
        int last = blocks.Count - 1;
        while (last >= 0 && !blocks[last].Sites.Any(attention.ReadsNegativeText))
            last--;
        return last;
    }
}
