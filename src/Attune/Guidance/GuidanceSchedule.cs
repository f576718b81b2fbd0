using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>What one step needs: how the pass for the prompt attends, whether there is a second pass, and how predictions are combined.</summary>
/// <param name="Steering">The steering of the pass for the prompt.</param>
/// <param name="ReadsNegativeText">Whether that pass needs the negative prompt's text beside its own.</param>
/// <param name="NeedsNegativePass">Whether the negative prompt needs a plain pass of its own.</param>
/// <param name="Predictions">The rules on predictions, in the order in which they apply.</param>
public sealed record StepGuidance(Steering Steering, bool ReadsNegativeText, bool NeedsNegativePass, IReadOnlyList<IPredictionRule> Predictions)
{
    /// <summary>The guided prediction.</summary>
    public Tensor Combine(PredictionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(facts);
        var guided = facts.Positive;
        foreach (var rule in Predictions)
            guided = rule.Apply(guided, facts);
        return guided;
    }
}

/// <summary>
/// The rules of a run, checked for conflicts when it is built. Corrections in attention are summed in one order, by name and parameters, whatever order the rules are written in,
/// so that the result is the same to the bit.
/// </summary>
public sealed class GuidanceSchedule
{
    private readonly GuidanceRule[] _rules;

    /// <summary>Builds a schedule.</summary>
    /// <exception cref="ArgumentException">Two rules exclude each other; the message names both.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is out of range.</exception>
    public GuidanceSchedule(params IEnumerable<GuidanceRule> rules)
    {
        ArgumentNullException.ThrowIfNull(rules);
        _rules = [.. rules.OrderBy(rule => RuleCatalog.NameOf(rule.GetType()), StringComparer.Ordinal).ThenBy(rule => rule.ToString(), StringComparer.Ordinal)];
        foreach (var rule in _rules)
            rule.Validate();
        AtMostOne(_rules.Where(rule => rule is IAttentionBase), "both replace the attention output");
        AtMostOne(_rules.Where(rule => rule is IPredictionRule { Stage: PredictionStage.Contrast }), "both contrast prompt and negative prompt");
        AtMostOne(_rules.Where(rule => rule is IPredictionRule { Stage: PredictionStage.Normalisation }), "both normalise the prediction");
    }

    /// <summary>No guidance: the plain model.</summary>
    public static GuidanceSchedule None { get; } = new();

    /// <summary>The rules, in canonical order.</summary>
    public IReadOnlyList<GuidanceRule> Rules => _rules;

    /// <summary>Whether any rule that is not neutral needs a negative prompt.</summary>
    public bool NeedsNegativePrompt => _rules.Any(rule => !rule.IsNeutral && (rule.ReadsNegativeText || rule.NeedsNegativePass));

    /// <summary>What step <paramref name="step"/> of <paramref name="steps"/>, counted from 0, needs.</summary>
    public StepGuidance At(int step, int steps)
    {
        var active = Array.FindAll(_rules, rule => !rule.IsNeutral && rule.Steps.Contains(step, steps));
        var effects = active
            .Where(rule => rule is IAttentionBase or IAttentionCorrection)
            .Select(rule => new AttentionEffect(rule.Layers.Contains, rule as IAttentionBase, rule as IAttentionCorrection, rule.ReadsNegativeText))
            .ToArray();
        var steering = effects.Length == 0 ? Steering.Plain : new Steering(new GuidedAttention(effects), active.Any(rule => rule.ForksLatents));
        return new StepGuidance(
            steering,
            active.Any(rule => rule.ReadsNegativeText),
            active.Any(rule => rule.NeedsNegativePass),
            [.. active.OfType<IPredictionRule>().OrderBy(rule => rule.Stage)]);
    }

    private static void AtMostOne(IEnumerable<GuidanceRule> rules, string reason)
    {
        if (rules.Take(2).ToArray() is [var first, var second])
            throw new ArgumentException($"{RuleCatalog.NameOf(first.GetType())} and {RuleCatalog.NameOf(second.GetType())} cannot be used together: {reason}.");
    }
}
