using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Krea2;

/// <summary>
/// A block over one sequence (Krea2TransformerBlock), attention and then feed-forward. It is modulated by vectors that all blocks share and
/// a table of its own.
/// </summary>
internal sealed class Krea2Block : IStreamBlock<Tensor>
{
    /// <summary>Scale, shift and gate of the attention, then of the feed-forward network.</summary>
    private static readonly ModulationForm Form = new(6, [new BranchVectors(1, 0, 2), new BranchVectors(4, 3, 5)]);

    private readonly ModulationTable _table;
    private readonly RmsNorm _norm1;
    private readonly RmsNorm _norm2;
    private readonly Krea2Attention _attention;
    private readonly GatedFeedForward _feedForward;

    public Krea2Block(WeightCursor at, Krea2Config config)
    {
        _table = new ModulationTable(at, config.Width, Form);
        (_norm1, _norm2) = (config.Norm(at.At("norm1"), config.Width), config.Norm(at.At("norm2"), config.Width));
        _attention = new Krea2Attention(at.At("attn"), config, config.Width, config.NumAttentionHeads, config.NumKeyValueHeads);
        _feedForward = FeedForward(at.At("ff"), config.Width, config.IntermediateSize);
        Path = at.Path;
        Sites = [_attention.Site];
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <summary>The gated feed-forward network of a block.</summary>
    public static GatedFeedForward FeedForward(WeightCursor at, int width, int hidden) => new(
        new Linear(at.At("gate"), width, hidden, bias: false), new Linear(at.At("up"), width, hidden, bias: false),
        new Linear(at.At("down"), hidden, width, bias: false), Activation.Silu);

    /// <param name="x">The rows.</param>
    /// <param name="time">[batch, 6, width]: the vectors that all blocks share.</param>
    /// <inheritdoc/>
    public void Apply(TokenStream x, Tensor time)
    {
        using var scope = new TensorScope();
        var m = _table.Over(time);
        x.AddGated(m.Attention, _attention.Apply(x, x.Norm(_norm1, m.Attention)));
        x.AddGated(m.FeedForward, _feedForward.Apply(x.Norm(_norm2, m.FeedForward)));
    }
}
