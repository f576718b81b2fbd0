using System.Globalization;
using Attune.Guidance;

namespace Attune.Generation;

/// <summary>What the text form of an option is.</summary>
public enum OptionKind
{
    /// <summary>Any text.</summary>
    Text,

    /// <summary>An integer.</summary>
    Integer,

    /// <summary>A number.</summary>
    Number,

    /// <summary>true or false; given without a value it is true.</summary>
    Flag,
}

/// <summary>
/// A value of a request, as all texts know it: command lines, metadata of pictures, JSON, documentation. <see cref="OptionCatalog"/> lists
/// them.
/// </summary>
public sealed record RequestOption
{
    private readonly Func<GenerationRequest, string?> _get;
    private readonly Func<GenerationRequest, string, string, GenerationRequest> _set;

    private RequestOption(
        string name, string property, OptionKind kind, Func<GenerationRequest, string?> get,
        Func<GenerationRequest, string, string, GenerationRequest> set, string description) =>
        (Name, Property, Kind, _get, _set, Description) = (name, property, kind, get, set, description);

    /// <summary>The name, in lower case with hyphens: <c>guidance-scale</c>.</summary>
    public string Name { get; }

    /// <summary>The property of <see cref="GenerationRequest"/> that holds the value.</summary>
    public string Property { get; internal init; }

    /// <summary>What the text form is.</summary>
    public OptionKind Kind { get; }

    /// <summary>What the option does, with its default.</summary>
    public string Description { get; }

    /// <summary>Short names, without hyphens before them.</summary>
    public IReadOnlyList<string> Aliases { get; internal init; } = [];

    /// <summary>The name in JSON: <see cref="Name"/> with underscores, unless another is usual.</summary>
    public string Key { get => field ?? Name.Replace('-', '_'); internal init; }

    /// <summary>The numbers that it may be; null for what is no number, and for any number.</summary>
    public ParameterRange? Range { get; internal init; }

    /// <summary>What a model must take for the option to be allowed (<see cref="Models.ModelOption"/>); null where all do.</summary>
    public string? ModelOption { get; internal init; }

    /// <summary>Whether it is another way to give values that have options of their own, so that it is read but never written.</summary>
    public bool IsShorthand { get; internal init; }

    /// <summary>The text form of a request's value; null where the request says nothing.</summary>
    public string? Get(GenerationRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return _get(request);
    }

    /// <summary>A request with another value.</summary>
    /// <param name="request">The request.</param>
    /// <param name="text">The value's text form.</param>
    /// <param name="label">What messages call the option, as <c>--steps</c>; null is its name.</param>
    /// <exception cref="FormatException">The text is malformed; the message names the option and what was expected.</exception>
    /// <exception cref="ArgumentException">The value is out of range, or names what there is not.</exception>
    public GenerationRequest Set(GenerationRequest request, string text, string? label = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(text);
        return _set(request, text, label ?? Name);
    }

    /// <summary>Whether the request says something.</summary>
    internal bool IsGiven(GenerationRequest request) => _get(request) != null;

    /// <summary>Throws when a number lies outside of the range, or is not finite.</summary>
    internal void CheckRange(GenerationRequest request)
    {
        if (Kind is not (OptionKind.Integer or OptionKind.Number) || _get(request) is not { } text)
            return;
        double value = double.Parse(text, CultureInfo.InvariantCulture);
        if (!(Range?.Contains(value) ?? double.IsFinite(value)))
            throw new ArgumentException($"{Property} is {text}, expected {Range?.ToString() ?? "a finite number"}.");
    }

    internal static RequestOption Text(
        string name, string property, Func<GenerationRequest, string?> get, Func<GenerationRequest, string, GenerationRequest> set,
        string description) => new(name, property, OptionKind.Text, get, (request, text, _) => set(request, text), description);

    /// <summary>An option whose text has a form of its own; its reader is told what messages call it.</summary>
    internal static RequestOption Parsed(
        string name, string property, Func<GenerationRequest, string?> get, Func<GenerationRequest, string, string, GenerationRequest> set,
        string description) => new(name, property, OptionKind.Text, get, set, description);

    internal static RequestOption Integer(
        string name, string property, Func<GenerationRequest, long?> get, Func<GenerationRequest, long, GenerationRequest> set,
        string range, string description) =>
        new(name, property, OptionKind.Integer, request => get(request)?.ToString(CultureInfo.InvariantCulture), (request, text, label) =>
            long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) ? set(request, value)
                : throw new FormatException($"{label} is '{text}', expected an integer."), description)
        {
            Range = ParameterRange.Parse(range),
        };

    internal static RequestOption Number(
        string name, string property, Func<GenerationRequest, float?> get, Func<GenerationRequest, float, GenerationRequest> set,
        string range, string description) =>
        new(name, property, OptionKind.Number, request => get(request)?.ToString(CultureInfo.InvariantCulture), (request, text, label) =>
            float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) ? set(request, value)
                : throw new FormatException($"{label} is '{text}', expected a number."), description)
        {
            Range = ParameterRange.Parse(range),
        };

    internal static RequestOption Flag(
        string name, string property, Func<GenerationRequest, bool> get, Func<GenerationRequest, bool, GenerationRequest> set,
        string description) =>
        new(name, property, OptionKind.Flag, request => get(request) ? "true" : null, (request, text, label) =>
            bool.TryParse(text, out bool value) ? set(request, value)
                : throw new FormatException($"{label} is '{text}', expected true or false."), description);
}
