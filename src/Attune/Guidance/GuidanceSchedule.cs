using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>A pass of a step beside the one for the prompt.</summary>
/// <param name="Kind">Which conditioning it takes: <see cref="PassKinds.Negative"/>, <see cref="PassKinds.Empty"/>, or for
/// <see cref="PassKinds.Perturbed"/> the prompt's.</param>
/// <param name="Steering">How it is steered.</param>
/// <param name="Rule">The rule whose perturbed pass it is; null for the others.</param>
public sealed record GuidancePass(PassKinds Kind, Steering Steering, GuidanceRule? Rule = null);

/// <summary>
/// What one step needs: how the pass for the prompt is steered, which other passes there are, and how predictions are combined.
/// </summary>
/// <param name="Steering">The steering of the pass for the prompt.</param>
/// <param name="ReadsNegativeText">Whether that pass needs the negative prompt's text beside its own.</param>
/// <param name="Passes">The other passes.</param>
/// <param name="Predictions">The rules on predictions, in the order in which they apply.</param>
public sealed record StepGuidance(
    Steering Steering, bool ReadsNegativeText, IReadOnlyList<GuidancePass> Passes, IReadOnlyList<IPredictionRule> Predictions)
{
    /// <summary>The rules that act inside the pass for the prompt.</summary>
    public IReadOnlyList<GuidanceRule> Inside { get; init; } = [];

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
/// The rules of a run, checked for conflicts when it is built. Corrections in attention are summed in one order, by name and parameters,
/// whatever order the rules are written in, so that the result is the same to the bit.
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
        _rules = [
            .. rules.OrderBy(rule => rule.Form.Name, StringComparer.Ordinal)
                .ThenBy(rule => rule.ToString(), StringComparer.Ordinal)];
        foreach (var rule in _rules)
        {
            rule.Validate();
            if (!rule.HasLayers && !rule.Layers.Equals(LayerSelector.All))
                throw new ArgumentException($"{rule.Form.Name} acts on predictions and has no layers, but layers={rule.Layers} is given.");
        }
        AtMostOne(
            _rules.Where(rule => rule is IAttentionBase && !IsPerturbing(rule)),
            "both replace the attention output of the pass for the prompt");
        AtMostOne(_rules.Where(rule => rule is ISkipConnection), "both change the skip connections");
        AtMostOne(
            _rules.Where(rule => rule is IPredictionRule { Stage: PredictionStage.Contrast }), "both contrast prompt and negative prompt");
        AtMostOne(_rules.Where(rule => rule is IPredictionRule { Stage: PredictionStage.Normalisation }), "both normalise the prediction");
    }

    /// <summary>No guidance: the plain model.</summary>
    public static GuidanceSchedule None { get; } = new();

    /// <summary>The rules, in canonical order.</summary>
    public IReadOnlyList<GuidanceRule> Rules => _rules;

    /// <summary>Whether any rule that is not neutral needs a negative prompt.</summary>
    public bool NeedsNegativePrompt =>
        _rules.Any(rule => !rule.IsNeutral && (rule.ReadsNegativeText || rule.Needs.HasFlag(PassKinds.Negative)));

    /// <summary>Whether any rule that is not neutral reads the negative prompt in attention.</summary>
    public bool ReadsNegativeText => _rules.Any(rule => !rule.IsNeutral && rule.ReadsNegativeText);

    /// <summary>Whether any rule that is not neutral needs a pass for the empty prompt.</summary>
    public bool NeedsEmptyPrompt => _rules.Any(rule => !rule.IsNeutral && rule.Needs.HasFlag(PassKinds.Empty));

    /// <summary>
    /// What step <paramref name="step"/> of <paramref name="steps"/>, counted from 0, needs, if no rule asks for the noise level.
    /// </summary>
    public StepGuidance At(int step, int steps) => At(new StepPoint(step, steps, double.NaN, double.NaN));

    /// <summary>What a step needs.</summary>
    /// <param name="point">Where the run stands.</param>
    /// <param name="probe">What watches the attention layers of the pass for the prompt, or null.</param>
    public StepGuidance At(StepPoint point, IAttentionProbe? probe = null)
    {
        var active = Array.FindAll(_rules, rule => !rule.IsNeutral && rule.ActsIn(point));
        if (active.Length == 0 && probe == null)
            return new StepGuidance(Steering.Plain, false, [], []);
        var skips = active.OfType<ISkipConnection>().SingleOrDefault();
        var inside = Array.FindAll(active, rule => rule is IAttentionBase or IAttentionCorrection && !IsPerturbing(rule));
        var effects = inside.Select(EffectOf).ToArray();
        var plain = skips == null ? Steering.Plain : new Steering(PlainAttention.Instance, Skips: skips);
        var steering = effects.Length == 0 && probe == null ? plain
            : new Steering(new GuidedAttention(effects) { Probe = probe }, active.Any(rule => rule.ForksLatents), Skips: skips)
            {
                PromptPooled = active.Any(rule => rule.UsesPromptPooled),
            };

        var passes = new List<GuidancePass>();
        foreach (var kind in new[] { PassKinds.Negative, PassKinds.Empty })
        {
            if (active.Any(rule => rule.Needs.HasFlag(kind)))
                passes.Add(new GuidancePass(kind, plain));
        }
        foreach (var rule in active.Where(IsPerturbing))
        {
            IAttention attention = rule is IAttentionBase ? new GuidedAttention(EffectOf(rule)) : PlainAttention.Instance;
            passes.Add(new GuidancePass(PassKinds.Perturbed, new Steering(attention, Blocks: rule as IBlockPolicy, Skips: skips), rule));
        }
        return new StepGuidance(
            steering, active.Any(rule => rule.ReadsNegativeText), passes,
            [.. active.OfType<IPredictionRule>().OrderBy(rule => rule.Stage)])
        {
            Inside = inside,
        };
    }

    /// <summary>Fails when a rule that acts on some layers finds none of them in a model, as a misspelt name would.</summary>
    /// <param name="sites">The model's attention layers.</param>
    /// <param name="blocks">The model's blocks that can be left out.</param>
    /// <param name="hasSkips">Whether the model has skip connections (<see cref="ISkipConnection"/>).</param>
    /// <exception cref="ArgumentException">A rule's layers select nothing, or the model has none of the kind; the message names the rule,
    /// and layers of the model.</exception>
    public void CheckLayers(IEnumerable<AttentionSite> sites, IEnumerable<string> blocks, bool hasSkips = false)
    {
        foreach (var rule in _rules)
        {
            if (rule is ISkipConnection && !hasSkips)
                throw new ArgumentException(
                    $"{rule.Form.Name} does not act on this model, which has no skip connections: it is made for UNets.");
            bool found = rule is IBlockPolicy ? blocks.Any(rule.Layers.Contains)
                : rule is ISkipConnection || !rule.HasLayers
                    || sites.Any(site => rule.ActsAt(site.Kind) && rule.Layers.Contains(site));
            if (found)
                continue;
            var names = rule is IBlockPolicy ? blocks : sites.Where(site => rule.ActsAt(site.Kind)).Select(site => site.Path);
            string[] known = [.. names.Take(4)];
            throw new ArgumentException(known.Length == 0
                ? $"{rule.Form.Name} does not act on this model, which has no layer of the kind it needs."
                : $"{rule.Form.Name}: {(IsDefault(rule) ? "the default layers " : "layers=")}{rule.Layers} "
                    + $"{(IsDefault(rule) ? "select" : "selects")} nothing of this model, whose layers are named "
                    + $"{string.Join(", ", known)}, ..."
                    + (IsDefault(rule) ? $"; give layers=, as {rule.Form.Name}:layers={known[^1]}" : "."));
        }
    }

    /// <summary>Whether a rule's layers are those of its kind, which nobody wrote.</summary>
    private static bool IsDefault(GuidanceRule rule) =>
        RuleCatalog.Rules.FirstOrDefault(plain => plain.GetType() == rule.GetType()) is { } plain && plain.Layers.Equals(rule.Layers);

    private static bool IsPerturbing(GuidanceRule rule) => rule.Needs.HasFlag(PassKinds.Perturbed);

    private static AttentionEffect EffectOf(GuidanceRule rule) => new(
        site =>
            rule.ActsAt(site.Kind) && rule.Layers.Contains(site), rule as IAttentionBase, rule as IAttentionCorrection,
            rule.ReadsNegativeText);

    private static void AtMostOne(IEnumerable<GuidanceRule> rules, string reason)
    {
        if (rules.Take(2).ToArray() is [var first, var second])
            throw new ArgumentException($"{first.Form.Name} and {second.Form.Name} cannot be used together: {reason}.");
    }
}
