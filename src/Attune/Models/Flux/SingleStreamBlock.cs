using Attune.Attention;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>A block over one sequence, in which attention and feed-forward run side by side (FluxSingleTransformerBlock).</summary>
internal sealed class SingleStreamBlock(WeightCursor at, FluxConfig config) : IStreamBlock<TimeEmbeddings>
{
    private readonly ModulationLayer _norm = new(at.At("norm.linear"), config.Width, ModulationForm.ShiftScaleGate(branches: 1));
    private readonly ParallelBranches _branches = new(at, config.Width, config.AttentionHeadDim, FluxConfig.Epsilon);

    /// <inheritdoc/>
    public string Path { get; } = at.Path;

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites => [_branches.Site];

    /// <inheritdoc/>
    public bool ModulatesTwins => true;

    /// <inheritdoc/>
    public void Apply(TokenStream x, TimeEmbeddings time)
    {
        using var scope = new TensorScope();
        _branches.AddTo(x, time.Through(_norm).Attention);
    }
}
