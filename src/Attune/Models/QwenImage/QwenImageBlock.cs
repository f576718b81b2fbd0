using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.QwenImage;

/// <summary>A block in which text and latents have weights of their own and meet in attention (QwenImageTransformerBlock).</summary>
internal sealed class QwenImageBlock(WeightCursor at, QwenImageConfig config) : IStreamBlock<TimeEmbeddings>
{
    private readonly Dual<ModulationLayer> _mod = new(Vectors(at.At("txt_mod.1"), config), Vectors(at.At("img_mod.1"), config));
    private readonly JointAttention _attn = new(at.At("attn"), config.Width, config.AttentionHeadDim, QwenImageConfig.Epsilon);
    private readonly Dual<FeedForward> _mlp = new(Network(at.At("txt_mlp"), config), Network(at.At("img_mlp"), config));

    /// <inheritdoc/>
    public string Path { get; } = at.Path;

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites => [_attn.Site];

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, TimeEmbeddings time)
    {
        using var scope = new TensorScope();
        var m = time.Through(_mod);
        _attn.AddTo(x, m.Attention);
        x.AddGated(m.FeedForward, _mlp.Apply(x.Norm(m.FeedForward)));
    }

    private static ModulationLayer Vectors(WeightCursor at, QwenImageConfig config) =>
        new(at, config.Width, ModulationForm.ShiftScaleGate(branches: 2));

    private static FeedForward Network(WeightCursor at, QwenImageConfig config) =>
        new(at, config.Width, 4 * config.Width, Activation.GeluTanh);
}
