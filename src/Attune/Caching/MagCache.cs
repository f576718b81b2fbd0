using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Caching;

/// <summary>
/// MagCache (Ma et al., arXiv 2506.09045; diffusers' MagCacheConfig): what the blocks add changes from step to step by ratios of
/// magnitudes that hardly depend on the prompt. As long as the ratios since the last computed step are near 1, nothing is computed.
/// </summary>
/// <param name="threshold">0 or more: how far the ratios' deviations from 1 may add up.</param>
/// <param name="skips">0 or more: how many steps in a row may be left out.</param>
/// <param name="retention">0 to 1: the part of the run at its beginning in which all steps are computed.</param>
/// <param name="ratios">
/// The ratio of each step to the one before, the first of them 1; as many as steps, or others, of which the nearest are taken.
/// </param>
/// <param name="calibrates">Whether every step is computed, and its ratio measured.</param>
internal sealed class MagCache(double threshold, int skips, double retention, IReadOnlyList<float> ratios, bool calibrates) : StackCache
{
    private double _ratio = 1;
    private double _error;
    private int _skipped;
    private double? _magnitude;

    /// <inheritdoc/>
    public override double? Magnitude => calibrates ? _magnitude ?? 1 : null;

    /// <summary>The ratios of a run of so many steps: for each step the nearest one, halves to even.</summary>
    public static float[] Resample(IReadOnlyList<float> ratios, int steps)
    {
        double stride = steps > 1 ? (ratios.Count - 1.0) / (steps - 1) : 0;
        return ratios.Count == steps ? [.. ratios]
            : [.. Enumerable.Range(0, steps).Select(i => ratios[(int)Math.Round(stride * i, MidpointRounding.ToEven)])];
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        base.Reset();
        Restart();
        _magnitude = null;
    }

    private protected override bool Computes(StepPoint at, bool isKnown)
    {
        Measure = null;
        if (calibrates || at.Index < (int)(retention * at.Count + 0.5))
            return true;
        _ratio *= Resample(ratios, at.Count)[at.Index];
        _error += Math.Abs(1 - _ratio);
        _skipped++;
        Measure = _error;
        if (isKnown && _error <= threshold && _skipped <= skips)
            return false;
        Restart();
        return true;
    }

    /// <summary>The mean over the rows of the ratio of their lengths.</summary>
    private protected override void Learn(Tensor? before, Tensor residual)
    {
        if (!calibrates || before == null)
            return;
        using var scope = new TensorScope();
        float[] now = residual.RowNorms().ToArray();
        float[] then = before.RowNorms().ToArray();
        _magnitude = now.Zip(then, (a, b) => a / (b + 1e-8)).Average();
    }

    private void Restart() => (_ratio, _error, _skipped) = (1, 0, 0);
}
