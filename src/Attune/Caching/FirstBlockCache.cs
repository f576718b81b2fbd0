using Attune.Attention;
using Attune.Tensors;

namespace Attune.Caching;

/// <summary>
/// First-block cache (FirstBlockCache of diffusers; "FBCache" of ParaAttention): when the first block changes the latents almost as it did
/// in the last pass that was computed, what the other blocks then added is added again, and they are left out.
/// <see cref="StepCache.Measure"/> is mean |r - r'| / mean |r'|, or null where there is no r'.
/// </summary>
/// <param name="threshold">
/// 0 or more: all blocks run where mean |r - r'| / mean |r'| is above it, r being what the first block adds to the latents, and r' the same
/// in the last pass that was computed; means run over the whole batch. 0 leaves out nothing but repetitions.
/// </param>
internal sealed class FirstBlockCache(double threshold) : StepCache, IBlockPolicy
{
    private readonly TensorBag _tensors = new();
    private Tensor? _before;            // the latents before the first block, then what it added: this pass's r
    private Tensor? _first;             // the latents after it
    private Tensor? _known;             // r'
    private Tensor? _residual;          // what the other blocks added in the pass of r'

    /// <inheritdoc/>
    public override IBlockPolicy Blocks => this;

    /// <inheritdoc/>
    public BlockDecision Before(BlockPoint at, Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (at.Index == 0)
        {
            (Measure, Computed) = (null, true);
            _tensors.Set(ref _before, latents.Clone());
        }
        else if (at.Index == 1)
        {
            latents.Subtract(_before!, into: _before);
            Measure = _known == null ? null : Distance(_before!, _known);
            Computed = !(Measure <= threshold);
            if (!Computed)
                return BlockDecision.Finish(_residual!);
            _tensors.Set(ref _first, latents.Clone());
        }
        return BlockDecision.Run;
    }

    /// <inheritdoc/>
    public void After(BlockPoint at, Tensor latents)
    {
        if (at.Index == 0 || at.Index != at.Count - 1)
            return;

        // Only a pass that was finished is remembered.
        latents.Subtract(_first!, into: _first);
        (_known, _before) = (_before, _known);
        (_residual, _first) = (_first, _residual);
        _tensors.Set(ref _before, null);
        _tensors.Set(ref _first, null);
    }

    /// <inheritdoc/>
    public override int KeptOf(IReadOnlyList<AttentionSite> sites) => 3;

    /// <inheritdoc/>
    public override void Reset()
    {
        _tensors.Set(ref _before, null);
        _tensors.Set(ref _first, null);
        _tensors.Set(ref _known, null);
        _tensors.Set(ref _residual, null);
    }

    /// <inheritdoc/>
    public override void Dispose() => _tensors.Dispose();

    private static double Distance(Tensor change, Tensor known)
    {
        using var scope = new TensorScope();
        return SumOfMagnitudes(change.Subtract(known)) / SumOfMagnitudes(known);
    }

    private static double SumOfMagnitudes(Tensor x) => x.Reshape(1, -1).RowNorms(1).ToArray()[0];
}
