using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Adaptive Projected Guidance (Sadat et al., arXiv 2410.02416): the difference D = c - u of the predictions for prompt and negative prompt
/// is averaged over the steps (D + momentum times the sum before), cut to a norm, and split along c; the parallel part, which saturates,
/// counts eta times: u + scale (D_orthogonal + eta D_parallel). Norms and projections are taken for each sample.
/// </summary>
public sealed record AdaptiveProjectedGuidance : ContrastRule
{
    private static readonly RuleForm TextForm = new RuleForm<AdaptiveProjectedGuidance>("apg")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 1)
        .Number("eta", rule => rule.Eta, (rule, x) => rule with { Eta = x }, "[0, inf)", neutral: 1)
        .Number("norm", rule => rule.Norm, (rule, x) => rule with { Norm = x }, "[0, inf)", neutral: 0,
            also: ["adaptive_projected_guidance_rescale"])
        .Number("momentum", rule => rule.Momentum, (rule, x) => rule with { Momentum = x }, "[-1, 1]", neutral: 0,
            also: ["adaptive_projected_guidance_momentum"]);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale w: 0 or more. Default 7.5.</summary>
    public float Scale { get; init; } = 7.5f;

    /// <summary>The share of the part along c that is kept; 1 keeps all, 0 (the paper, SDXL) none. Default 0.</summary>
    public float Eta { get; init; }

    /// <summary>The largest norm of the difference; 0 is no bound. Default 15.</summary>
    public float Norm { get; init; } = 15;

    /// <summary>
    /// The weight of the sum of earlier differences, -1 to 1; negative pushes away from them. Default -0.5 (the paper, SDXL); 0 remembers
    /// nothing.
    /// </summary>
    public float Momentum { get; init; } = -0.5f;

    /// <inheritdoc/>
    protected override Tensor Combine(Tensor positive, Tensor negative, PredictionFacts facts)
    {
        using var scope = new TensorScope();
        var plain = positive.Subtract(negative);
        var difference = plain;
        if (Momentum != 0)
            difference = facts.State(this, () => new Sum()).Add(difference, Momentum);
        var rows = difference.PerSample();
        var update = Norm > 0 ? rows.Multiply(TensorOperations.LimitRatio(Norm, rows.RowNorms())) : rows.Clone();
        var c = positive.PerSample();
        update.AddRows(update.RowShares(c).Affine(Eta - 1), c);

        // c + (scale update - D), not u + scale update: where nothing changes the difference, c stays as it is.
        return scope.Keep(positive.Add(TensorOperations.Combine(Scale, update.Reshape(plain.Shape), -1, plain)));
    }

    /// <summary>The running sum of differences.</summary>
    private sealed class Sum : IDisposable
    {
        private Tensor? _sum;

        public Tensor Add(Tensor difference, float momentum)
        {
            var next = TensorScope.Detach(_sum == null ? difference.Clone() : TensorOperations.Combine(1, difference, momentum, _sum));
            _sum?.Dispose();
            return _sum = next;
        }

        public void Dispose() => _sum?.Dispose();
    }
}
