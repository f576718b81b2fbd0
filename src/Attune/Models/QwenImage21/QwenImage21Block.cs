using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.QwenImage21;

/// <summary>
/// A block (QwenImage21TransformerBlock), attention and then feed-forward. All blocks are modulated by the same vectors, scales and gates
/// without shifts.
/// </summary>
internal sealed class QwenImage21Block : IStreamBlock<Modulation>
{
    private readonly int _index;
    private readonly HeadProjection _q;
    private readonly HeadProjection _k;
    private readonly Linear _v;
    private readonly Linear _out;
    private readonly GatedFeedForward _feedForward;

    /// <summary>Reads a block.</summary>
    /// <param name="at">Where it is.</param>
    /// <param name="config">Of the transformer.</param>
    /// <param name="index">Its number, from 0.</param>
    public QwenImage21Block(WeightCursor at, QwenImage21Config config, int index)
    {
        int width = config.Width;
        var (attention, mlp) = (at.At("attn"), at.At("img_mlp"));
        _index = index;
        _q = config.Heads(attention.At("to_q"), attention.At("norm_q"));
        _k = config.Heads(attention.At("to_k"), attention.At("norm_k"));
        _v = new Linear(attention.At("to_v"), width, width, bias: false);
        _out = new Linear(attention.At("to_out.0"), width, width, bias: false);
        _feedForward = new GatedFeedForward(
            new Linear(mlp.At("gate_layer"), width, config.Hidden, bias: false),
            new Linear(mlp.At("proj"), width, config.Hidden, bias: false),
            new Linear(mlp.At("out"), config.Hidden, width, bias: false), Activation.Silu);
        Path = at.Path;
        Sites = [new(attention.Path, AttentionKind.Joint)];
    }

    /// <summary>Scale and gate of the attention, then of the feed-forward network; tanh bounds the gates.</summary>
    public static ModulationForm Form { get; } =
        new(4, [new BranchVectors(-1, 0, 1), new BranchVectors(-1, 2, 3)]) { BoundsGates = true };

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, Modulation time)
    {
        using var scope = new TensorScope();
        x.AddGated(time.Attention, x.Output(Sites[0], () =>
        {
            var rows = x.Norm(time.Attention);
            var (k, v) = (x.WithPrefix(_k, rows, 2 * _index), x.WithPrefix(_v, rows, 2 * _index + 1));
            return _out.Apply(x.Attend(Sites[0], _q.Apply(rows.Queries), k, v));
        }));
        x.AddGated(time.FeedForward, _feedForward.Apply(x.Norm(time.FeedForward)));
    }

    /// <summary>Its keys, before the rotary embedding, and values alone; tensors of the current scope.</summary>
    public (Tensor Key, Tensor Value) KeysOf(TokenStream x, Modulation time)
    {
        var rows = x.Norm(time.Attention);
        return (_k.Apply(rows).Tensor, _v.Apply(rows).Tensor);
    }
}
