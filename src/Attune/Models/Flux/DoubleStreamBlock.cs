using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>A block in which text and latents have weights of their own and meet in attention (FluxTransformerBlock).</summary>
internal sealed class DoubleStreamBlock(WeightCursor at, FluxConfig config) : IStreamBlock<TimeEmbeddings>
{
    private readonly Dual<ModulationLayer> _norm1 = new(Norm(at.At("norm1_context.linear"), config), Norm(at.At("norm1.linear"), config));
    private readonly JointAttention _attn = new(at.At("attn"), config.Width, config.AttentionHeadDim, FluxConfig.Epsilon);
    private readonly Dual<FeedForward> _ff = new(FeedForward(at.At("ff_context"), config), FeedForward(at.At("ff"), config));

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
        var m = time.Through(_norm1);
        _attn.AddTo(x, m.Attention);
        x.AddGated(m.FeedForward, _ff.Apply(x.Norm(m.FeedForward)));
    }

    private static ModulationLayer Norm(WeightCursor at, FluxConfig config) =>
        new(at, config.Width, ModulationForm.ShiftScaleGate(branches: 2));

    private static FeedForward FeedForward(WeightCursor at, FluxConfig config) =>
        new(at, config.Width, 4 * config.Width, Activation.GeluTanh);
}
