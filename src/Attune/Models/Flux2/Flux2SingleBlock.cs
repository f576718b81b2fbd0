using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>
/// A block over one sequence, in which attention and feed-forward run side by side (Flux2SingleTransformerBlock). One matrix makes queries,
/// keys, values, gates and hidden channels; rows that nobody reads later take only what they need of it.
/// </summary>
internal sealed class Flux2SingleBlock : IStreamBlock<Flux2Modulations>
{
    private readonly Flux2Config _config;
    private readonly HeadProjection _q;
    private readonly HeadProjection _k;
    private readonly LinearPart _v;
    private readonly LinearPart _gate;
    private readonly LinearPart _up;
    private readonly Linear _out;

    public Flux2SingleBlock(WeightCursor at, Flux2Config config)
    {
        var (width, hidden) = (config.Width, config.Hidden);
        var fused = new Linear(at.At("attn.to_qkv_mlp_proj"), width, 3 * width + 2 * hidden, bias: false);
        _config = config;
        _q = config.Heads(new LinearPart(fused, 0, width), at.At("attn.norm_q"));
        _k = config.Heads(new LinearPart(fused, width, width), at.At("attn.norm_k"));
        _v = new LinearPart(fused, 2 * width, width);
        _gate = new LinearPart(fused, 3 * width, hidden, Activation.Silu);
        _up = new LinearPart(fused, 3 * width + hidden, hidden);
        _out = new Linear(at.At("attn.to_out"), width + hidden, width, bias: false);
        Path = at.Path;
        Sites = [new(at.Path + ".attn", AttentionKind.Joint)];
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, Flux2Modulations time)
    {
        using var scope = new TensorScope();
        var m = time.Single;
        var rows = x.Norm(m.Attention);
        var attended = x.Output(Sites[0], () => x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows)));
        x.AddGated(m.Attention, Out(attended, rows.Live));
    }

    /// <summary>One projection of what attention gave and of the hidden channels, side by side.</summary>
    private StreamRows Out(StreamRows attended, StreamRows rows)
    {
        using var scope = new TensorScope();
        var (attention, width, hidden) = (attended.Tensor, _config.Width, _config.Hidden);
        var both = attention.Like(attention.Shape.With(2, width + hidden));
        attention.CopyTo(both.Slice(2, 0, width));
        var inner = both.Slice(2, width, hidden);
        _gate.Apply(rows.Tensor, inner);
        inner.Multiply(_up.Apply(rows.Tensor), into: inner);
        return attended.With(scope.Keep(_out.Apply(both)));
    }
}
