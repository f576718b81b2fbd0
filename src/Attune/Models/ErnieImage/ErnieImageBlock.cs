using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.ErnieImage;

/// <summary>
/// A block over one sequence (ErnieImageSharedAdaLNBlock), attention and then feed-forward. All blocks are modulated by the same vectors.
/// </summary>
internal sealed class ErnieImageBlock : IStreamBlock<Modulation>
{
    private readonly RmsNorm _attentionNorm;
    private readonly RmsNorm _feedForwardNorm;
    private readonly HeadProjection _q;
    private readonly HeadProjection _k;
    private readonly Linear _v;
    private readonly Linear _out;
    private readonly GatedFeedForward _feedForward;

    public ErnieImageBlock(WeightCursor at, ErnieImageConfig config)
    {
        int width = config.HiddenSize;
        var attention = at.At("self_attention");
        _attentionNorm = new RmsNorm(at.At("adaLN_sa_ln"), width, config.Epsilon);
        _feedForwardNorm = new RmsNorm(at.At("adaLN_mlp_ln"), width, config.Epsilon);
        _q = config.Heads(attention.At("to_q"), attention.At("norm_q"));
        _k = config.Heads(attention.At("to_k"), attention.At("norm_k"));
        _v = new Linear(attention.At("to_v"), width, width, bias: false);
        _out = new Linear(attention.At("to_out.0"), width, width, bias: false);
        Linear Into(string name) => new(at.At(name), width, config.FfnHiddenSize, bias: false);
        _feedForward = new GatedFeedForward(
            Into("mlp.gate_proj"), Into("mlp.up_proj"), new Linear(at.At("mlp.linear_fc2"), config.FfnHiddenSize, width, bias: false),
            Activation.Gelu);
        Path = at.Path;
        Sites = [new(attention.Path, AttentionKind.Joint)];
    }

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
            var rows = x.Norm(_attentionNorm, time.Attention);
            return _out.Apply(x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows)));
        }));
        x.AddGated(time.FeedForward, _feedForward.Apply(x.Norm(_feedForwardNorm, time.FeedForward)));
    }
}
