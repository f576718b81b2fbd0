using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Dynamic thresholding (Saharia et al., Imagen, arXiv 2205.11487, section 2.3): the clean sample that the guided prediction means is
/// clamped to a quantile s of its absolute values and divided by it, for each sample: clamp(x0, -s, s) / s with s = clamp(quantile(|x0|,
/// ratio), 1, max). Made for pixels in [-1, 1]; latents have other ranges.
/// </summary>
public sealed record DynamicThresholding : GuidanceRule, IPredictionRule
{
    private static readonly RuleForm TextForm = new RuleForm<DynamicThresholding>("dynamic-thresholding")
        .Number("ratio", rule => rule.Ratio, (rule, x) => rule with { Ratio = x }, "[0, 1]")
        .Number("max", rule => rule.Max, (rule, x) => rule with { Max = x }, "[1, inf)");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The quantile, 0 to 1, interpolated linearly. Default 0.995.</summary>
    public float Ratio { get; init; } = 0.995f;

    /// <summary>The largest threshold, 1 or more; 1 is static thresholding. Default 1, as in diffusers.</summary>
    public float Max { get; init; } = 1;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Normalisation;

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        var clean = facts.ToCleanSample(guided).Clone();
        for (int item = 0; item < clean.Shape[0]; item++)
        {
            var sample = clean.Slice(0, item, 1);
            float threshold = Math.Clamp(Quantile(sample.ToArray()), 1, Max);
            sample.Clamp(-threshold, threshold, into: sample);
            sample.Divide(Tensor.Full(clean.Device, [1], threshold), into: sample);
        }
        return scope.Keep(facts.FromCleanSample(clean));
    }

    private float Quantile(float[] values)
    {
        float[] sorted = Array.ConvertAll(values, Math.Abs);
        Array.Sort(sorted);

        // In float32 like the reference, whose rank is rounded too.
        float rank = Ratio * (sorted.Length - 1);
        int below = Math.Min((int)rank, sorted.Length - 1);
        float above = sorted[Math.Min(below + 1, sorted.Length - 1)];
        return sorted[below] + (rank - below) * (above - sorted[below]);
    }
}
