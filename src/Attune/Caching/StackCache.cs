using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Caching;

/// <summary>
/// Runs all blocks or none: where none run, what all of them added to the latents in the last pass that was computed is added again. Text
/// rows stay what they were before the first block.
/// </summary>
internal abstract class StackCache : StepCache, IBlockPolicy
{
    private readonly TensorBag _tensors = new();
    private StepPoint _at;
    private Tensor? _before;            // the latents before the first block
    private Tensor? _residual;          // what all blocks added, in the last pass that was computed

    /// <inheritdoc/>
    public override IBlockPolicy Blocks => this;

    /// <inheritdoc/>
    public override void Begin(StepPoint at) => _at = at;

    /// <inheritdoc/>
    public BlockDecision Before(BlockPoint at, Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (at.Index > 0)
            return BlockDecision.Run;
        Computed = Computes(_at, isKnown: _residual != null);
        if (!Computed)
            return BlockDecision.Finish(_residual!);
        _tensors.Set(ref _before, latents.Clone());
        return BlockDecision.Run;
    }

    /// <inheritdoc/>
    public void After(BlockPoint at, Tensor latents)
    {
        if (at.Index != at.Count - 1)
            return;

        // Only a pass that was finished is remembered.
        latents.Subtract(_before!, into: _before);
        Learn(_residual, _before!);
        (_residual, _before) = (_before, _residual);
        _tensors.Set(ref _before, null);
    }

    /// <inheritdoc/>
    public override int KeptOf(IReadOnlyList<AttentionSite> sites) => 2;

    /// <inheritdoc/>
    public override void Reset()
    {
        _tensors.Set(ref _before, null);
        _tensors.Set(ref _residual, null);
    }

    /// <inheritdoc/>
    public override void Dispose() => _tensors.Dispose();

    /// <summary>Whether the blocks run.</summary>
    /// <param name="at">The step.</param>
    /// <param name="isKnown">Whether there is something to add in their place; without it they run.</param>
    private protected abstract bool Computes(StepPoint at, bool isKnown);

    /// <summary>Receives what all blocks added, [batch, rows, width].</summary>
    /// <param name="before">The same of the last pass that was computed; null for none.</param>
    /// <param name="residual">Of this one.</param>
    private protected virtual void Learn(Tensor? before, Tensor residual)
    {
    }
}
