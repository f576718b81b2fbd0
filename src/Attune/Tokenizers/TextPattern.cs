using System.Globalization;
using System.Text.RegularExpressions;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>A literal or a regular expression that is found in texts by code point, as the tokenizers library does.</summary>
internal sealed class TextPattern
{
    /// <summary>Expressions come from files, and some take exponential time.</summary>
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    /// <summary>
    /// .NET matches UTF-16 units, where characters beyond U+FFFF are no letters. They are matched as a character of the same general
    /// category (in the order of <see cref="UnicodeCategory"/>) that no expression names.
    /// </summary>
    internal const string StandIns =
        "\uA640\uA641\u01C5\uA67F\uA000\uA66F\uA983\u0489\uA620\uA6E6\uA830\u3000\u2028\u2029\u0080\u2064\uE001\uE000" +
        "\uFE4D\u2E3A\u2E28\u2E29\u2E02\u2E03\uA8CE\u2A00\uA838\uA700\uA828\u0378";

    private readonly string? _literal;
    private readonly Regex? _regex;
    private readonly string _file;

    private TextPattern(string file, string? literal, Regex? regex) => (_file, _literal, _regex) = (file, literal, regex);

    /// <summary>A pattern in a tokenizer.json: {"String": text} or {"Regex": expression}.</summary>
    public static TextPattern Read(JsonPart part) =>
        part.Find("String") is { } text ? Literal(text.String()) : Regex(part.File, part["Regex"].String());

    public static TextPattern Literal(string text) => new("", text, null);

    /// <summary>Compiles an expression; the file is named in messages.</summary>
    /// <exception cref="CheckpointException">The expression is malformed, or uses what .NET writes differently.</exception>
    public static TextPattern Regex(string file, string expression)
    {
        foreach (string foreign in new[] { "&&", "-[", "[[:", "\\h", "\\R", "\\X" })
        {
            if (expression.Contains(foreign, StringComparison.Ordinal))
                throw new CheckpointException($"'{file}': the regular expression '{expression}' uses '{foreign}', which is not supported.");
        }
        try
        {
            return new TextPattern(file, null, new Regex(expression, RegexOptions.CultureInvariant, Timeout));
        }
        catch (ArgumentException exception)
        {
            throw new CheckpointException(
                $"'{file}': the regular expression '{expression}' is malformed or not supported: {exception.Message}", exception);
        }
    }

    /// <summary>Where the pattern matches, from left to right. Empty matches are left out.</summary>
    /// <exception cref="CheckpointException">The expression takes too long on this text.</exception>
    public List<(int Start, int End)> Find(string text)
    {
        var matches = new List<(int, int)>();
        if (_regex == null)
        {
            if (_literal!.Length == 0)
                return matches;
            for (int at = 0; (at = text.IndexOf(_literal, at, StringComparison.Ordinal)) >= 0; at += _literal.Length)
                matches.Add((at, at + _literal.Length));
            return matches;
        }
        string units = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0 ? text : OneUnitEach(text);
        int[]? starts = ReferenceEquals(units, text) ? null : Starts(text, units.Length);
        try
        {
            foreach (var match in _regex.EnumerateMatches(units))
            {
                if (match.Length > 0)
                    matches.Add(
                        starts == null ? (match.Index, match.Index + match.Length)
                            : (starts[match.Index], starts[match.Index + match.Length]));
            }
        }
        catch (RegexMatchTimeoutException exception)
        {
            throw new CheckpointException(
                $"'{_file}': the regular expression '{_regex}' takes too long on a text of {text.Length} characters.", exception);
        }
        return matches;
    }

    /// <summary>The text with all matches replaced.</summary>
    public string Replace(string text, string replacement)
    {
        var matches = Find(text);
        if (matches.Count == 0)
            return text;
        var result = new System.Text.StringBuilder(text.Length);
        int done = 0;
        foreach (var (start, end) in matches)
        {
            result.Append(text, done, start - done).Append(replacement);
            done = end;
        }
        return result.Append(text, done, text.Length - done).ToString();
    }

    private static string OneUnitEach(string text)
    {
        var units = new System.Text.StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            units.Append(rune.IsBmp ? (char)rune.Value : StandIns[(int)System.Text.Rune.GetUnicodeCategory(rune)]);
        return units.ToString();
    }

    /// <summary>Where each code point begins, and the end.</summary>
    private static int[] Starts(string text, int count)
    {
        var starts = new int[count + 1];
        int at = 0;
        int index = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            starts[index++] = at;
            at += rune.Utf16SequenceLength;
        }
        starts[index] = at;
        return starts;
    }
}
