using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.QwenImage;

/// <summary>A block in which text and latents have weights of their own and meet in attention (QwenImageTransformerBlock).</summary>
internal sealed class QwenImageBlock(WeightCursor at, QwenImageConfig config) : IStreamBlock<TimeEmbeddings>
{
    private readonly Dual<ModulationLayer> _mod = new(Vectors(at.At("txt_mod.1"), config), Vectors(at.At("img_mod.1"), config));
    private readonly Dual<HeadProjection> _q = new(
        config.Heads(at.At("attn.add_q_proj"), at.At("attn.norm_added_q")), config.Heads(at.At("attn.to_q"), at.At("attn.norm_q")));
    private readonly Dual<HeadProjection> _k = new(
        config.Heads(at.At("attn.add_k_proj"), at.At("attn.norm_added_k")), config.Heads(at.At("attn.to_k"), at.At("attn.norm_k")));
    private readonly Dual<Linear> _v = new(Square(at.At("attn.add_v_proj"), config), Square(at.At("attn.to_v"), config));
    private readonly Dual<Linear> _out = new(Square(at.At("attn.to_add_out"), config), Square(at.At("attn.to_out.0"), config));
    private readonly Dual<FeedForward> _mlp = new(Network(at.At("txt_mlp"), config), Network(at.At("img_mlp"), config));

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
        var m = time.Through(_mod);
        var rows = x.Norm(m.Attention);
        var attended = x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows));
        x.AddGated(m.Attention, _out.Apply(attended));
        x.AddGated(m.FeedForward, _mlp.Apply(x.Norm(m.FeedForward)));
    }

    private static ModulationLayer Vectors(WeightCursor at, QwenImageConfig config) =>
        new(at, config.Width, ModulationForm.ShiftScaleGate(branches: 2));

    private static Linear Square(WeightCursor at, QwenImageConfig config) => new(at, config.Width, config.Width);

    private static FeedForward Network(WeightCursor at, QwenImageConfig config) =>
        new(at, config.Width, 4 * config.Width, Activation.GeluTanh);
}
