using System.Buffers;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Attune.Prompts;

/// <summary>A part of a prompt whose words have one weight.</summary>
/// <param name="Text">The words.</param>
/// <param name="Weight">The weight.</param>
internal readonly record struct WeightedText(string Text, double Weight)
{
    /// <summary>Whether a new piece of a long prompt begins here, in AUTOMATIC1111's syntax.</summary>
    public bool IsBreak => Text == WeightedTexts.Break && Weight == WeightedTexts.BreakWeight;
}

/// <summary>
/// Prompts with weights, cut into parts as AUTOMATIC1111's <c>parse_prompt_attention</c> and ComfyUI's <c>token_weights</c> do it.
/// </summary>
internal static partial class WeightedTexts
{
    /// <summary>The word that ends a piece, and the weight that marks it.</summary>
    internal const string Break = "BREAK";
    internal const double BreakWeight = -1;

    /// <summary>What may mean something in AUTOMATIC1111's syntax.</summary>
    private static readonly SearchValues<char> Signs = SearchValues.Create(@"\()[]:");

    private const double Round = 1.1;
    private const double Square = 1 / 1.1;

    /// <summary>No prompt that was meant has more brackets around a word.</summary>
    private const int Deepest = 200;

    /// <summary>The parts of a prompt.</summary>
    /// <param name="text">The prompt.</param>
    /// <param name="weighting">Whose syntax; none is one part.</param>
    /// <exception cref="ArgumentException">There are more brackets around a word than anyone means.</exception>
    public static IReadOnlyList<WeightedText> Parse(string text, PromptWeighting weighting) => weighting switch
    {
        PromptWeighting.None => [new(text, 1)],
        PromptWeighting.A1111 or PromptWeighting.A1111NoNorm => A1111(text),
        _ => ComfyUi(text),
    };

    /// <summary>
    /// Brackets that are never closed count to the end, such that are never opened are text. A backslash makes a bracket or a backslash
    /// text, and vanishes elsewhere. BREAK, with the spaces around it, is a part of its own. Neighbours of one weight are joined; nothing
    /// gives one empty part.
    /// </summary>
    private static List<WeightedText> A1111(string text)
    {
        var parts = new List<WeightedText>();
        var rounds = new Stack<int>();
        var squares = new Stack<int>();
        void Multiply(int start, double factor)
        {
            for (int i = start; i < parts.Count; i++)
                parts[i] = parts[i] with { Weight = parts[i].Weight * factor };
        }

        void Add(string plain)
        {
            string[] between = BreakWord().Split(plain);
            for (int i = 0; i < between.Length; i++)
            {
                if (i > 0)
                    parts.Add(new WeightedText(Break, BreakWeight));
                parts.Add(new WeightedText(between[i], 1));
            }
        }

        for (int at = 0; at < text.Length;)
        {
            char c = text[at];
            var number = c == ':' ? WeightAtEnd().Match(text, at) : Match.Empty;
            double weight = 0;
            bool ends = number.Success && TryRead(number.Groups[1].Value, out weight);
            if (c == '\\')
            {
                bool escapes = at + 1 < text.Length && text[at + 1] is '(' or ')' or '[' or ']' or '\\';
                parts.Add(new WeightedText(escapes ? text.Substring(at + 1, 1) : "", 1));
                at += escapes ? 2 : 1;
                continue;
            }
            if (c == '(')
                rounds.Push(parts.Count);
            else if (c == '[')
                squares.Push(parts.Count);
            else if (ends && rounds.TryPop(out int weighed))
                Multiply(weighed, weight);
            else if (ends)
                Add(number.Value);
            else if (c == ')' && rounds.TryPop(out int round))
                Multiply(round, Round);
            else if (c == ']' && squares.TryPop(out int square))
                Multiply(square, Square);
            else if (c is ':' or ')' or ']')
                Add(text.Substring(at, 1));
            else
            {
                int end = text.AsSpan(at).IndexOfAny(Signs);
                string run = end < 0 ? text[at..] : text.Substring(at, end);
                Add(run);
                at += run.Length;
                continue;
            }
            at += ends ? number.Length : 1;
        }
        while (rounds.TryPop(out int open))
            Multiply(open, Round);
        while (squares.TryPop(out int open))
            Multiply(open, Square);
        if (parts.Count == 0)
            return [new WeightedText("", 1)];
        return Join(parts);
    }

    private static List<WeightedText> Join(List<WeightedText> parts)
    {
        var joined = new List<WeightedText> { parts[0] };
        var text = new System.Text.StringBuilder(parts[0].Text);
        foreach (var part in parts.Skip(1))
        {
            if (part.Weight != joined[^1].Weight)
            {
                joined[^1] = joined[^1] with { Text = text.ToString() };
                joined.Add(part);
                text.Clear();
            }
            text.Append(part.Text);
        }
        joined[^1] = joined[^1] with { Text = text.ToString() };
        return joined;
    }

    /// <summary>
    /// The outermost groups are cut out and parsed again. Brackets that do not pair are text, and so is a backslash that stands before no
    /// round bracket. Nothing gives no part.
    /// </summary>
    private static List<WeightedText> ComfyUi(string text)
    {
        // What is escaped is no bracket until the parts are known.
        const string Closing = "\0\u0001", Opening = "\0\u0002";
        string hidden = text.Replace(@"\)", Closing, StringComparison.Ordinal).Replace(@"\(", Opening, StringComparison.Ordinal);
        var parts = new List<WeightedText>();
        AddGroups(hidden, 1, 0, parts);
        return parts.ConvertAll(
            part => part with
            {
                Text = part.Text.Replace(Closing, ")", StringComparison.Ordinal).Replace(Opening, "(", StringComparison.Ordinal),
            });
    }

    private static void AddGroups(string text, double weight, int depth, List<WeightedText> parts)
    {
        if (depth > Deepest)
            throw new ArgumentException($"The prompt has more than {Deepest} brackets around a word.");
        foreach (string group in Groups(text))
        {
            if (group is not ['(', .., ')'])
            {
                parts.Add(new WeightedText(group, weight));
                continue;
            }
            string inner = group[1..^1];
            double own = weight * Round;
            int colon = inner.LastIndexOf(':');
            if (colon > 0 && TryRead(inner[(colon + 1)..].Trim(), out double number))
                (own, inner) = (number, inner[..colon]);
            AddGroups(inner, own, depth + 1, parts);
        }
    }

    /// <summary>The outermost groups in brackets, and what is between them.</summary>
    private static IEnumerable<string> Groups(string text)
    {
        int start = 0, depth = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '(')
            {
                if (depth++ == 0 && i > start)
                {
                    yield return text[start..i];
                    start = i;
                }
            }
            else if (text[i] == ')' && --depth == 0)
            {
                yield return text[start..(i + 1)];
                start = i + 1;
            }
        }
        if (start < text.Length)
            yield return text[start..];
    }

    /// <summary>A finite number as Python reads it, with underscores between digits.</summary>
    private static bool TryRead(string text, out double number) =>
        double.TryParse(Underscore().Replace(text, ""), NumberStyles.Float, CultureInfo.InvariantCulture, out number)
            && double.IsFinite(number);

    [GeneratedRegex(@"\G:\s*([+-]?[.0-9]+)\s*\)")]
    private static partial Regex WeightAtEnd();

    [GeneratedRegex(@"\s*\bBREAK\b\s*")]
    private static partial Regex BreakWord();

    [GeneratedRegex("(?<=[0-9])_(?=[0-9])")]
    private static partial Regex Underscore();
}
