using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Chroma;

/// <summary>A block in which text and latents have weights of their own and meet in attention (ChromaTransformerBlock).</summary>
internal sealed class ChromaDoubleBlock(WeightCursor at, ChromaConfig config, int index) : IStreamBlock<ChromaTime>
{
    private readonly JointAttention _attn = new(at.At("attn"), config.Width, config.AttentionHeadDim, ChromaConfig.Epsilon);
    private readonly Dual<FeedForward> _ff = new(Network(at.At("ff_context"), config), Network(at.At("ff"), config));

    /// <inheritdoc/>
    public string Path { get; } = at.Path;

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites => [_attn.Site];

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, ChromaTime time)
    {
        using var scope = new TensorScope();
        var m = time.Double(index);
        _attn.AddTo(x, m.Attention);
        x.AddGated(m.FeedForward, _ff.Apply(x.Norm(m.FeedForward)));
    }

    private static FeedForward Network(WeightCursor at, ChromaConfig config) =>
        new(at, config.Width, 4 * config.Width, Activation.GeluTanh);
}

/// <summary>A block over one sequence (ChromaSingleTransformerBlock).</summary>
internal sealed class ChromaSingleBlock(WeightCursor at, ChromaConfig config, int index) : IStreamBlock<ChromaTime>
{
    private readonly ParallelBranches _branches = new(at, config.Width, config.AttentionHeadDim, ChromaConfig.Epsilon);

    /// <inheritdoc/>
    public string Path { get; } = at.Path;

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites => [_branches.Site];

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, ChromaTime time) => _branches.AddTo(x, time.Single(index).Attention);
}
