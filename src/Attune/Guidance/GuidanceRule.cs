using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// A way to steer generation. In attention space a rule is a base (<see cref="IAttentionBase"/>) or a correction (<see cref="IAttentionCorrection"/>);
/// in prediction space it combines whole passes (<see cref="IPredictionRule"/>). A rule is immutable data; what it remembers during a run lives in the run.
/// </summary>
public abstract record GuidanceRule
{
    /// <summary>In which steps the rule acts; all by default.</summary>
    public StepRange Steps { get; init; } = StepRange.All;

    /// <summary>At which attention layers the rule acts; all by default.</summary>
    public LayerSelector Layers { get; init; } = LayerSelector.All;

    /// <summary>Whether the rule reads the negative prompt in attention.</summary>
    public virtual bool ReadsNegativeText => false;

    /// <summary>Whether the rule needs the prediction for the negative prompt alone.</summary>
    public virtual bool NeedsNegativePass => false;

    /// <summary>Whether the parameters make the rule do nothing, so that it need not be evaluated.</summary>
    public virtual bool IsNeutral => false;

    /// <summary>Whether the rule wants the latents forked in single-stream blocks (<see cref="TokenKind.NegativeLatent"/>).</summary>
    public virtual bool ForksLatents => false;

    /// <summary>Checks the parameters.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is out of its range; the message names it.</exception>
    public virtual void Validate()
    {
    }

    /// <summary>Throws when a parameter is not finite or lies outside of a range.</summary>
    protected void Require(string parameter, double value, double minimum, double maximum = double.PositiveInfinity)
    {
        if (!(value >= minimum && value <= maximum) || !double.IsFinite(value))
            throw new ArgumentOutOfRangeException(parameter, FormattableString.Invariant($"{RuleCatalog.NameOf(GetType())}: {parameter} is {value}, expected {(double.IsPositiveInfinity(maximum) ? $"at least {minimum}" : $"{minimum} to {maximum}")}."));
    }
}

/// <summary>Where a prediction rule stands: one contrast, then any number of terms, then one normalisation.</summary>
public enum PredictionStage
{
    /// <summary>Combines the predictions for prompt and negative prompt.</summary>
    Contrast,

    /// <summary>Adds a difference of predictions.</summary>
    Term,

    /// <summary>Changes the scale of the sum.</summary>
    Normalisation,
}

/// <summary>A rule on whole predictions.</summary>
public interface IPredictionRule
{
    /// <summary>Where the rule stands among others.</summary>
    PredictionStage Stage { get; }

    /// <summary>The guided prediction after this rule.</summary>
    /// <param name="guided">The prediction so far: at first the one for the prompt.</param>
    /// <param name="facts">The single passes.</param>
    /// <returns>A tensor of the current scope, or <paramref name="guided"/> itself.</returns>
    Tensor Apply(Tensor guided, PredictionFacts facts);
}

/// <summary>What prediction rules read of a step.</summary>
/// <param name="Latents">The latents that the step began with.</param>
/// <param name="Positive">The prediction for the prompt, with attention-space rules.</param>
/// <param name="Negative">The plain prediction for the negative prompt, when a rule needs it.</param>
public sealed record PredictionFacts(Tensor Latents, Tensor Positive, Tensor? Negative);

/// <summary>Names a rule for command lines, presets and documentation.</summary>
/// <param name="name">Lower case, as in <c>nag:scale=4</c>.</param>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class GuidanceNameAttribute(string name) : Attribute
{
    /// <summary>The short name.</summary>
    public string Name { get; } = name;
}

/// <summary>Names a parameter of a rule; the first name is used for output, all are understood.</summary>
[AttributeUsage(AttributeTargets.Property, Inherited = true)]
public sealed class GuidanceParameterAttribute(params string[] names) : Attribute
{
    /// <summary>The names, the preferred one first.</summary>
    public IReadOnlyList<string> Names { get; } = names;
}
