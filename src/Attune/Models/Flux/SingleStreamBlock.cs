using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>A block over one sequence, in which attention and feed-forward run side by side (FluxSingleTransformerBlock).</summary>
internal sealed class SingleStreamBlock(WeightCursor at, FluxConfig config) : IStreamBlock<TimeEmbeddings>
{
    private readonly ModulationLayer _norm = new(at.At("norm.linear"), config.Width, ModulationForm.ShiftScaleGate(branches: 1));
    private readonly HeadProjection _q = config.Heads(at.At("attn.to_q"), at.At("attn.norm_q"));
    private readonly HeadProjection _k = config.Heads(at.At("attn.to_k"), at.At("attn.norm_k"));
    private readonly Linear _v = new(at.At("attn.to_v"), config.Width, config.Width);
    private readonly Linear _projMlp = new(at.At("proj_mlp"), config.Width, 4 * config.Width);
    private readonly Linear _projOut = new(at.At("proj_out"), 5 * config.Width, config.Width);

    /// <inheritdoc/>
    public string Path { get; } = at.Path;

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; } = [new(at.Path + ".attn", AttentionKind.Joint)];

    /// <inheritdoc/>
    public bool ModulatesTwins => true;

    /// <inheritdoc/>
    public void Apply(TokenStream x, TimeEmbeddings time)
    {
        using var scope = new TensorScope();
        var m = time.Through(_norm);
        var rows = x.Norm(m.Attention);
        var attended = x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows));
        x.AddGated(m.Attention, Out(attended, rows.Live));
    }

    /// <summary>One projection of what attention gave and of the hidden channels of the feed-forward network, side by side.</summary>
    private StreamRows Out(StreamRows attended, StreamRows rows)
    {
        using var scope = new TensorScope();
        var (attention, width) = (attended.Tensor, config.Width);
        var both = attention.Like([attention.Shape[0], attention.Shape[1], 5 * width]);
        attention.CopyTo(both.Slice(2, 0, width));
        _projMlp.Apply(rows.Tensor, Activation.GeluTanh, into: both.Slice(2, width, 4 * width));
        return attended.With(scope.Keep(_projOut.Apply(both)));
    }
}
