using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.ZImage;

/// <summary>
/// A block over one sequence (ZImageTransformerBlock), attention and then feed-forward, each between two norms. Those of the text alone are
/// not modulated; the others have scales and gates, but no shifts.
/// </summary>
internal sealed class ZImageBlock : IStreamBlock<TimeEmbeddings?>
{
    /// <summary>Scale and gate of the attention, then of the feed-forward network; tanh bounds the gates.</summary>
    private static readonly ModulationForm Form = new(4, [new BranchVectors(-1, 0, 1), new BranchVectors(-1, 2, 3)]) { BoundsGates = true };

    private readonly ModulationLayer? _modulation;
    private readonly RmsNorm _attentionNorm1;
    private readonly RmsNorm _attentionNorm2;
    private readonly RmsNorm _ffnNorm1;
    private readonly RmsNorm _ffnNorm2;
    private readonly HeadProjection _q;
    private readonly HeadProjection _k;
    private readonly Linear _v;
    private readonly Linear _out;
    private readonly Linear _gate;
    private readonly Linear _up;
    private readonly Linear _down;

    public ZImageBlock(WeightCursor at, ZImageConfig config, bool modulated)
    {
        RmsNorm Norm(string name) => new(at.At(name), config.Dim, config.Epsilon);
        _modulation = modulated ? new(at.At("adaLN_modulation.0"), config.Dim, Form, inputs: config.TimeChannels) : null;
        (_attentionNorm1, _attentionNorm2) = (Norm("attention_norm1"), Norm("attention_norm2"));
        (_ffnNorm1, _ffnNorm2) = (Norm("ffn_norm1"), Norm("ffn_norm2"));
        _q = config.Heads(at.At("attention.to_q"), at.At("attention.norm_q"));
        _k = config.Heads(at.At("attention.to_k"), at.At("attention.norm_k"));
        _v = new Linear(at.At("attention.to_v"), config.Dim, config.Dim, bias: false);
        _out = new Linear(at.At("attention.to_out.0"), config.Dim, config.Dim, bias: false);
        _gate = new Linear(at.At("feed_forward.w1"), config.Dim, config.Hidden, bias: false);
        _up = new Linear(at.At("feed_forward.w3"), config.Dim, config.Hidden, bias: false);
        _down = new Linear(at.At("feed_forward.w2"), config.Hidden, config.Dim, bias: false);
        Path = at.Path;
        Sites = [new(at.Path + ".attention", AttentionKind.Joint)];
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, TimeEmbeddings? time)
    {
        using var scope = new TensorScope();
        var m = _modulation == null ? null : time!.Through(_modulation);
        x.Add(m?.Attention, Normed(_attentionNorm2, x.Output(Sites[0], () =>
        {
            var rows = x.Norm(_attentionNorm1, m?.Attention);
            return _out.Apply(x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows)));
        })));
        x.Add(m?.FeedForward, Normed(_ffnNorm2, FeedForward(x.Norm(_ffnNorm1, m?.FeedForward))));
    }

    private StreamRows FeedForward(StreamRows rows)
    {
        using var scope = new TensorScope();
        var inner = _gate.Apply(rows.Tensor, Activation.Silu);
        inner.Multiply(_up.Apply(rows.Tensor), into: inner);
        return rows.With(scope.Keep(_down.Apply(inner)));
    }

    private static StreamRows Normed(RmsNorm norm, StreamRows rows) => rows.With(norm.Apply(rows.Tensor, into: rows.Tensor));
}
