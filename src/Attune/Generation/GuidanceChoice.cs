using Attune.Guidance;

namespace Attune.Generation;

/// <summary>
/// The guidance that a request asks for: what suits the model (<see cref="Default"/>), rules as objects, or a text whose missing parameters
/// are as published for the model that the request meets.
/// </summary>
public sealed class GuidanceChoice : IEquatable<GuidanceChoice>
{
    private const string DefaultText = "default";
    private readonly string? _text;
    private readonly GuidanceSchedule? _rules;

    private GuidanceChoice(string? text, GuidanceSchedule? rules) => (_text, _rules) = (text, rules);

    /// <summary>
    /// What is published for the model. Models of many steps: classifier-free guidance at their scale, with NAG beside it for a negative
    /// prompt where that is published; models that embed a guidance scale (FLUX.1-dev) or were distilled to few steps: nothing, and NAG
    /// for a negative prompt. A scheduler for consistency models (LCM, TCD) makes a model one of few steps.
    /// </summary>
    public static GuidanceChoice Default { get; } = new(DefaultText, null);

    /// <summary>No guidance: the plain model.</summary>
    public static GuidanceChoice None { get; } = new(null, GuidanceSchedule.None);

    /// <summary>Rules as they are.</summary>
    /// <exception cref="ArgumentException">Two rules exclude each other; the message names both.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is out of range.</exception>
    public static GuidanceChoice Of(params IEnumerable<GuidanceRule> rules) => new(null, new GuidanceSchedule(rules));

    /// <summary>Rules as text (<see cref="RuleCatalog.Parse"/>); what it leaves out is as published for the model.</summary>
    /// <param name="text">As <c>nag:scale=4+cfg</c>; <c>none</c> is no rule, <c>default</c> is <see cref="Default"/>.</param>
    /// <exception cref="FormatException">The text is malformed, or names an unknown rule or parameter.</exception>
    /// <exception cref="ArgumentException">Two rules exclude each other, or a parameter is out of range.</exception>
    public static GuidanceChoice Parse(string text)
    {
        if (text != null && text.Trim().Equals(DefaultText, StringComparison.OrdinalIgnoreCase))
            return Default;
        _ = new GuidanceSchedule(RuleCatalog.Parse(text!));     // a mistake is found here, not when the request runs
        return new GuidanceChoice(text!, null);
    }

    /// <summary>Rules as they are.</summary>
    public static implicit operator GuidanceChoice(GuidanceSchedule rules) => FromGuidanceSchedule(rules);

    /// <summary>Rules as they are.</summary>
    public static GuidanceChoice FromGuidanceSchedule(GuidanceSchedule rules)
    {
        ArgumentNullException.ThrowIfNull(rules);
        return new GuidanceChoice(null, rules);
    }

    /// <summary>The rules for a model.</summary>
    /// <param name="preset">What is published for it, or null.</param>
    /// <param name="negative">Whether there is a negative prompt; it decides what <see cref="Default"/> is.</param>
    /// <param name="fewSteps">Whether the model is sampled in few steps although its preset does not say so.</param>
    public GuidanceSchedule For(ModelPreset? preset, bool negative = false, bool fewSteps = false)
    {
        if (_rules != null)
            return _rules;
        string text = _text != DefaultText ? _text!
            : preset is { FewStep: false } && !fewSteps ? (negative ? preset.NegativeGuidance : preset.Guidance)
            : negative ? "nag" : "none";
        return new GuidanceSchedule(RuleCatalog.Parse(text, preset));
    }

    /// <summary>Whether the text forms are the same.</summary>
    public bool Equals(GuidanceChoice? other) => other != null && ToString() == other.ToString();

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as GuidanceChoice);

    /// <inheritdoc/>
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    /// <summary>The text form; that of rules as objects gives all parameters, so that no preset changes it when it is read.</summary>
    public override string ToString() =>
        _text ?? (_rules!.Rules.Count == 0 ? "none" : string.Join('+', _rules.Rules.Select(RuleCatalog.FormatWhole)));
}
