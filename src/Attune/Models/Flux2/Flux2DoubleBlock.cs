using Attune.Attention;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>A block in which text and latents have weights of their own and meet in attention (Flux2TransformerBlock).</summary>
internal sealed class Flux2DoubleBlock(WeightCursor at, Flux2Config config) : IStreamBlock<Flux2Modulations>
{
    private readonly JointAttention _attn = new(at.At("attn"), config.Width, config.AttentionHeadDim, config.Epsilon, bias: false);
    private readonly Dual<Flux2FeedForward> _ff = new(new(at.At("ff_context"), config), new(at.At("ff"), config));

    /// <inheritdoc/>
    public string Path { get; } = at.Path;

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites => [_attn.Site];

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, Flux2Modulations time)
    {
        using var scope = new TensorScope();
        var m = time.Double;
        _attn.AddTo(x, m.Attention);
        x.AddGated(m.FeedForward, _ff.Apply(x.Norm(m.FeedForward)));
    }
}
