using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>What a norm is taken of.</summary>
public enum NormSpan
{
    /// <summary>The channels of each token.</summary>
    Token,

    /// <summary>All of a picture.</summary>
    Picture,
}

/// <summary>What happens to a norm.</summary>
public enum NormTarget
{
    /// <summary>It becomes what is given.</summary>
    Equal,

    /// <summary>It becomes what is given where it is larger.</summary>
    Limit,
}

/// <summary>
/// Norm keeping: the guided prediction g gets the norm of the prompt's prediction c, g |c| / |g|, for each token as the Qwen-Image pipeline
/// does it; or it is held below k |c| for each picture, g min(1, k |c| / |g|), as Z-Image's pipeline does it (<c>cfg_normalization</c>).
/// </summary>
public sealed record NormKeeping : GuidanceRule, IPredictionRule
{
    private static readonly RuleForm TextForm = new RuleForm<NormKeeping>("norm-keeping")
        .Choice("over", rule => rule.Over, (rule, x) => rule with { Over = x })
        .Choice("target", rule => rule.Target, (rule, x) => rule with { Target = x })
        .Number("factor", rule => rule.Factor, (rule, x) => rule with { Factor = x }, "(0, inf)");

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>What norms are taken of. Default: each token.</summary>
    public NormSpan Over { get; init; } = NormSpan.Token;

    /// <summary>Whether the norm is set or only limited. Default: set.</summary>
    public NormTarget Target { get; init; } = NormTarget.Equal;

    /// <summary>k: what the norm of the prompt's prediction is multiplied by, above 0. Default 1.</summary>
    public float Factor { get; init; } = 1;

    /// <inheritdoc/>
    public PredictionStage Stage => PredictionStage.Normalisation;

    /// <inheritdoc/>
    public Tensor Apply(Tensor guided, PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(guided);
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        var (g, c) = Over == NormSpan.Token ? (guided, facts.Positive) : (guided.PerSample(), facts.Positive.PerSample());
        var kept = c.RowNorms();
        if (Factor != 1)
            kept = kept.Affine(Factor);
        var length = g.RowNorms();
        var scale = Target == NormTarget.Limit ? kept.LimitRatio(length) : kept.Ratio(length, 1);
        return scope.Keep(g.Multiply(scale).Reshape(guided.Shape));
    }
}
