using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>A block in which text and latents have weights of their own and meet in attention (FluxTransformerBlock).</summary>
internal sealed class DoubleStreamBlock(WeightCursor at, FluxConfig config) : IStreamBlock<TimeEmbeddings>
{
    private readonly Dual<ModulationLayer> _norm1 = new(Norm(at.At("norm1_context.linear"), config), Norm(at.At("norm1.linear"), config));
    private readonly Dual<HeadProjection> _q = new(
        config.Heads(at.At("attn.add_q_proj"), at.At("attn.norm_added_q")), config.Heads(at.At("attn.to_q"), at.At("attn.norm_q")));
    private readonly Dual<HeadProjection> _k = new(
        config.Heads(at.At("attn.add_k_proj"), at.At("attn.norm_added_k")), config.Heads(at.At("attn.to_k"), at.At("attn.norm_k")));
    private readonly Dual<Linear> _v = new(Linear(at.At("attn.add_v_proj"), config), Linear(at.At("attn.to_v"), config));
    private readonly Dual<Linear> _out = new(Linear(at.At("attn.to_add_out"), config), Linear(at.At("attn.to_out.0"), config));
    private readonly Dual<FeedForward> _ff = new(FeedForward(at.At("ff_context"), config), FeedForward(at.At("ff"), config));

    /// <inheritdoc/>
    public string Path { get; } = at.Path;

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; } = [new(at.Path + ".attn", AttentionKind.Joint)];

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, TimeEmbeddings time)
    {
        using var scope = new TensorScope();
        var m = time.Through(_norm1);
        var rows = x.Norm(m.Attention);
        var attended = x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows));
        x.AddGated(m.Attention, _out.Apply(attended));
        x.AddGated(m.FeedForward, _ff.Apply(x.Norm(m.FeedForward)));
    }

    private static ModulationLayer Norm(WeightCursor at, FluxConfig config) =>
        new(at, config.Width, ModulationForm.ShiftScaleGate(branches: 2));

    private static Linear Linear(WeightCursor at, FluxConfig config) => new(at, config.Width, config.Width);

    private static FeedForward FeedForward(WeightCursor at, FluxConfig config) =>
        new(at, config.Width, 4 * config.Width, Activation.GeluTanh);
}
