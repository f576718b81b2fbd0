using System.Globalization;
using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// A way to steer generation. In attention space a rule is a base (<see cref="IAttentionBase"/>) or a correction
/// (<see cref="IAttentionCorrection"/>); in prediction space it combines whole passes (<see cref="IPredictionRule"/>). A rule that takes
/// something away in a pass of its own (<see cref="PassKinds.Perturbed"/>) acts there as a base or a block filter
/// (<see cref="IBlockFilter"/>) and combines the passes as a prediction rule. A rule is immutable data; what it remembers during a run
/// lives in the run (<see cref="PredictionFacts.State"/>).
/// </summary>
public abstract record GuidanceRule
{
    /// <summary>In which steps the rule acts; all by default.</summary>
    [GuidanceParameter("steps")]
    public StepRange Steps { get; init; } = StepRange.All;

    /// <summary>At which attention layers, or on which blocks, the rule acts; all by default.</summary>
    [GuidanceParameter("layers")]
    public LayerSelector Layers { get; init; } = LayerSelector.All;

    /// <summary>Whether the rule reads the negative prompt in attention.</summary>
    public virtual bool ReadsNegativeText => false;

    /// <summary>The passes that the rule needs beside the one for the prompt.</summary>
    public virtual PassKinds Needs => PassKinds.None;

    /// <summary>Whether the parameters make the rule do nothing, so that it need not be evaluated.</summary>
    public virtual bool IsNeutral => false;

    /// <summary>The rule with the parameters under which it gives exactly the plain result, or null when it has none.</summary>
    public virtual GuidanceRule? AsNeutral() => null;

    /// <summary>Whether the rule wants the latents forked in single-stream blocks (<see cref="TokenKind.NegativeLatent"/>).</summary>
    public virtual bool ForksLatents => false;

    /// <summary>Whether the rule acts at attention layers of this kind: where there is text, unless a rule says otherwise.</summary>
    public virtual bool ActsAt(AttentionKind kind) => kind is AttentionKind.Cross or AttentionKind.Joint;

    /// <summary>Whether the rule acts in a step.</summary>
    public virtual bool ActsIn(StepPoint point) => Steps.Contains(point);

    /// <summary>A copy with other values of some parameters.</summary>
    internal GuidanceRule With(IReadOnlyDictionary<RuleParameter, object> values)
    {
        var copy = this with { };
        foreach (var (parameter, value) in values)
            parameter.Property.SetValue(copy, value);
        return copy;
    }

    /// <summary>Checks that every parameter lies in its range. A rule whose parameters depend on each other checks that too.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is out of its range; the message names it.</exception>
    public virtual void Validate()
    {
        foreach (var parameter in RuleParameter.Of(GetType()))
            parameter.Validate(this);
    }
}

/// <summary>The passes of a step beside the one for the prompt.</summary>
[Flags]
public enum PassKinds
{
    /// <summary>No other pass.</summary>
    None = 0,

    /// <summary>A plain pass for the negative prompt.</summary>
    Negative = 1,

    /// <summary>A plain pass for the empty prompt.</summary>
    Empty = 2,

    /// <summary>A pass for the prompt in which the rule takes something away; no correction acts in it.</summary>
    Perturbed = 4,
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
    /// <param name="guided">The prediction so far: at first the one for the prompt. Must not be written to.</param>
    /// <param name="facts">The single passes.</param>
    /// <returns>A tensor of the current scope, or <paramref name="guided"/> itself.</returns>
    Tensor Apply(Tensor guided, PredictionFacts facts);
}

/// <summary>Names a rule for command lines, presets and documentation.</summary>
/// <param name="names">Lower case, as in <c>nag:scale=4</c>; the first is used for output, all are understood.</param>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class GuidanceNameAttribute(params string[] names) : Attribute
{
    /// <summary>The names, the preferred one first.</summary>
    public IReadOnlyList<string> Names { get; } = names;
}

/// <summary>Names a parameter of a rule; the first name is used for output, all are understood.</summary>
/// <param name="names">Lower case. Names under which other tools know the parameter may follow, where the number means the same.</param>
[AttributeUsage(AttributeTargets.Property, Inherited = true)]
public sealed class GuidanceParameterAttribute(params string[] names) : Attribute
{
    /// <summary>The names, the preferred one first.</summary>
    public IReadOnlyList<string> Names { get; } = names;

    /// <summary>
    /// The numbers that the parameter may be, as <c>[0, 1]</c> or <c>[0, inf)</c> (<see cref="ParameterRange"/>); null is any finite
    /// number.
    /// </summary>
    public string? Range { get; init; }
}

/// <summary>
/// A parameter as another tool states it, with another meaning: value x there is <see cref="Factor"/> x + <see cref="Offset"/> here.
/// Understood in texts, never written.
/// </summary>
/// <param name="name">The other tool's name.</param>
/// <param name="parameter">The rule's parameter that it sets.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true, Inherited = false)]
public sealed class GuidanceAliasAttribute(string name, string parameter) : Attribute
{
    /// <summary>The other tool's name.</summary>
    public string Name { get; } = name;

    /// <summary>The rule's parameter that it sets.</summary>
    public string Parameter { get; } = parameter;

    /// <summary>What the other tool's number is multiplied with.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>What is then added.</summary>
    public double Offset { get; init; }

    /// <summary>The text form of the parameter, in which {0} is the number.</summary>
    public string Form { get; init; } = "{0}";

    /// <summary>The value as the rule states it.</summary>
    /// <exception cref="FormatException">The text is no number.</exception>
    public string Convert(string text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
        ? string.Format(CultureInfo.InvariantCulture, Form, Math.Round(Factor * value + Offset, 6))
        : throw new FormatException($"{Name} is '{text}', expected a number.");
}
