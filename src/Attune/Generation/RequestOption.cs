using System.Globalization;
using System.Numerics;
using System.Text.Json;
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

    /// <summary>The path of a file. What is written of it is <c>true</c>: that there was one, not where.</summary>
    File,
}

/// <summary>
/// One value of a request in its text form, as command lines, metadata of pictures, JSON and documentation have it.
/// <see cref="OptionCatalog"/> lists them.
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

    /// <summary>What a model must take for the option to be allowed (<see cref="Models.ModelOption"/>); null for all models.</summary>
    public string? ModelOption { get; internal init; }

    /// <summary>Whether it only sets values that have options of their own, so that it is read but never written.</summary>
    public bool IsShorthand { get; internal init; }

    /// <summary>Whether it may be given several times: each time adds to the request.</summary>
    public bool IsRepeatable { get; internal init; }

    /// <summary>The text form of a request's value; null where the request leaves it open.</summary>
    public string? Get(GenerationRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return _get(request);
    }

    /// <summary>A request with another value.</summary>
    /// <param name="request">The request.</param>
    /// <param name="text">The value's text form.</param>
    /// <param name="label">What messages call the option, as <c>--steps</c>; null is its name.</param>
    /// <exception cref="FormatException">The text is malformed, or the value out of range or unknown; the message names the option and what
    /// was expected.</exception>
    /// <exception cref="IOException">The option is a file, which cannot be read.</exception>
    public GenerationRequest Set(GenerationRequest request, string text, string? label = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(text);
        label ??= Name;
        try
        {
            return _set(request, text, label);
        }
        catch (Exception exception)
            when (exception is FormatException or ArgumentException && !exception.Message.StartsWith(label, StringComparison.Ordinal))
        {
            string message = exception is ArgumentException { ParamName: { } parameter }
                ? exception.Message.Replace($" (Parameter '{parameter}')", "", StringComparison.Ordinal) : exception.Message;
            throw new FormatException($"{label} is '{text}': {message}", exception);
        }
    }

    /// <summary>A request with another value, which is that of a JSON object's member.</summary>
    /// <param name="request">The request.</param>
    /// <param name="value">A number, true or false, or a text, whichever <see cref="Kind"/> says.</param>
    /// <param name="label">What messages call the option; null is <see cref="Key"/>.</param>
    /// <inheritdoc cref="Set(GenerationRequest, string, string?)" path="/exception"/>
    public GenerationRequest Set(GenerationRequest request, JsonElement value, string? label = null)
    {
        label ??= Key;
        return (Kind, value.ValueKind) switch
        {
            (OptionKind.Integer or OptionKind.Number, JsonValueKind.Number) => Set(request, value.GetRawText(), label),
            (OptionKind.Flag, JsonValueKind.True) => Set(request, "true", label),
            (OptionKind.Flag, JsonValueKind.False) => Set(request, "false", label),
            (OptionKind.Text or OptionKind.File, JsonValueKind.String) => Set(request, value.GetString()!, label),
            _ => throw new FormatException($"{label} is {value.GetRawText()}, expected {InWords(Kind, Range)}."),
        };
    }

    /// <summary>Whether the request sets a value.</summary>
    internal bool IsGiven(GenerationRequest request) => _get(request) != null;

    /// <summary>Throws when a number lies outside of the range, or is not finite.</summary>
    internal void CheckRange(GenerationRequest request)
    {
        if (Kind is not (OptionKind.Integer or OptionKind.Number) || _get(request) is not { } text)
            return;
        if (!IsWithin(Range, double.Parse(text, CultureInfo.InvariantCulture)))
            throw new ArgumentException($"{Property} is {text}, expected {Range?.ToString() ?? "a finite number"}.");
    }

    internal static RequestOption Text(
        string name, string property, Func<GenerationRequest, string?> get, Func<GenerationRequest, string, GenerationRequest> set,
        string description) => new(name, property, OptionKind.Text, get, (request, text, _) => set(request, text), description);

    /// <summary>An option whose text has a form of its own; its reader gets what messages call the option.</summary>
    internal static RequestOption Parsed(
        string name, string property, Func<GenerationRequest, string?> get, Func<GenerationRequest, string, string, GenerationRequest> set,
        string description) => new(name, property, OptionKind.Text, get, set, description);

    internal static RequestOption File(
        string name, string property, Func<GenerationRequest, bool> get, Func<GenerationRequest, string, GenerationRequest> set,
        string description) =>
        new(name, property, OptionKind.File, request => get(request) ? "true" : null, (request, text, _) => set(request, text),
            description);

    /// <param name="name">The name.</param>
    /// <param name="property">The property.</param>
    /// <param name="get">Reads it.</param>
    /// <param name="set">Gives a request with another value.</param>
    /// <param name="range">The numbers that it may be, as <see cref="ParameterRange"/> reads them; null for all.</param>
    /// <param name="description">What it does, with its default.</param>
    internal static RequestOption Integer<T>(
        string name, string property, Func<GenerationRequest, T?> get, Func<GenerationRequest, T, GenerationRequest> set,
        string? range, string description)
        where T : struct, IBinaryInteger<T> =>
        Numeric(name, property, OptionKind.Integer, NumberStyles.AllowLeadingSign, get, set, range, description);

    /// <summary>A seed of 64 bits. Negative ones are those of two's complement: -1 is 2^64 - 1.</summary>
    internal static RequestOption Seed(
        string name, string property, Func<GenerationRequest, ulong> get, Func<GenerationRequest, ulong, GenerationRequest> set,
        string description) =>
        new(name, property, OptionKind.Integer, request => get(request).ToString(CultureInfo.InvariantCulture), (request, text, label) =>
            ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) ? set(request, value)
                : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long signed)
                    ? set(request, unchecked((ulong)signed))
                    : throw new FormatException($"{label} is '{text}', expected an integer of 64 bits, 0 to {ulong.MaxValue}."),
            description);

    /// <inheritdoc cref="Integer{T}"/>
    internal static RequestOption Number(
        string name, string property, Func<GenerationRequest, float?> get, Func<GenerationRequest, float, GenerationRequest> set,
        string? range, string description) =>
        Numeric(name, property, OptionKind.Number, NumberStyles.Float, get, set, range, description);

    internal static RequestOption Flag(
        string name, string property, Func<GenerationRequest, bool> get, Func<GenerationRequest, bool, GenerationRequest> set,
        string description) =>
        new(name, property, OptionKind.Flag, request => get(request) ? "true" : null, (request, text, label) =>
            bool.TryParse(text, out bool value) ? set(request, value)
                : throw new FormatException($"{label} is '{text}', expected true or false."), description);

    private static RequestOption Numeric<T>(
        string name, string property, OptionKind kind, NumberStyles styles, Func<GenerationRequest, T?> get,
        Func<GenerationRequest, T, GenerationRequest> set, string? range, string description)
        where T : struct, INumber<T>
    {
        ParameterRange? limits = range == null ? null : ParameterRange.Parse(range);
        return new RequestOption(
            name, property, kind, request => get(request)?.ToString(null, CultureInfo.InvariantCulture), (request, text, label) =>
                T.TryParse(text, styles, CultureInfo.InvariantCulture, out var value) && IsWithin(limits, double.CreateChecked(value))
                    ? set(request, value)
                    : throw new FormatException($"{label} is '{text}', expected {InWords(kind, limits)}."), description)
        {
            Range = limits,
        };
    }

    private static bool IsWithin(ParameterRange? range, double value) => range?.Contains(value) ?? double.IsFinite(value);

    /// <summary>As errors say it: <c>an integer, 1 to 1000</c>.</summary>
    private static string InWords(OptionKind kind, ParameterRange? range) => (kind switch
    {
        OptionKind.Integer => "an integer",
        OptionKind.Number => "a number",
        OptionKind.Flag => "true or false",
        OptionKind.File => "the path of a file",
        _ => "a text",
    }) + (range is { } limits ? $", {limits}" : "");
}
