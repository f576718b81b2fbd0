using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>A block in which text and latents have weights of their own and meet in attention (Flux2TransformerBlock).</summary>
internal sealed class Flux2DoubleBlock(WeightCursor at, Flux2Config config) : IStreamBlock<Flux2Modulations>
{
    private readonly Dual<HeadProjection> _q = new(
        config.Heads(Square(at.At("attn.add_q_proj"), config), at.At("attn.norm_added_q")),
        config.Heads(Square(at.At("attn.to_q"), config), at.At("attn.norm_q")));

    private readonly Dual<HeadProjection> _k = new(
        config.Heads(Square(at.At("attn.add_k_proj"), config), at.At("attn.norm_added_k")),
        config.Heads(Square(at.At("attn.to_k"), config), at.At("attn.norm_k")));

    private readonly Dual<Linear> _v = new(Square(at.At("attn.add_v_proj"), config), Square(at.At("attn.to_v"), config));
    private readonly Dual<Linear> _out = new(Square(at.At("attn.to_add_out"), config), Square(at.At("attn.to_out.0"), config));
    private readonly Dual<Flux2FeedForward> _ff = new(new(at.At("ff_context"), config), new(at.At("ff"), config));

    /// <inheritdoc/>
    public string Path { get; } = at.Path;

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; } = [new(at.Path + ".attn", AttentionKind.Joint)];

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, Flux2Modulations time)
    {
        using var scope = new TensorScope();
        var m = time.Double;
        var rows = x.Norm(m.Attention);
        var attended = x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows));
        x.AddGated(m.Attention, _out.Apply(attended));
        x.AddGated(m.FeedForward, _ff.Apply(x.Norm(m.FeedForward)));
    }

    private static Linear Square(WeightCursor at, Flux2Config config) => new(at, config.Width, config.Width, bias: false);
}
