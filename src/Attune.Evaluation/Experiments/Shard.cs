using System.Globalization;
using System.Text.RegularExpressions;

namespace Attune.Evaluation.Experiments;

/// <summary>A part of an experiment that one process does.</summary>
public readonly partial record struct Shard
{
    private Shard(int index, int count) => (Index, Count) = (index, count);

    /// <summary>The whole experiment.</summary>
    public static Shard Whole { get; } = new(1, 1);

    /// <summary>Which part, from 1.</summary>
    public int Index { get; }

    /// <summary>How many parts there are.</summary>
    public int Count { get; }

    /// <summary>The name of the file of its records: <c>records.jsonl</c>, or <c>records-03-of-16.jsonl</c>.</summary>
    public string FileName
    {
        get
        {
            if (Count == 1)
                return "records.jsonl";
            int digits = Math.Max(2, Count.ToString(CultureInfo.InvariantCulture).Length);
            string Number(int value) => value.ToString(CultureInfo.InvariantCulture).PadLeft(digits, '0');
            return $"records-{Number(Index)}-of-{Number(Count)}.jsonl";
        }
    }

    /// <summary>Reads <c>3/16</c>.</summary>
    /// <exception cref="FormatException">The text is not of this form, or the part is not one of them.</exception>
    public static Shard Parse(string text)
    {
        var match = Form().Match(text ?? "");
        if (match.Success)
        {
            var shard = new Shard(
                int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture),
                int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
            if (shard.Index >= 1 && shard.Index <= shard.Count)
                return shard;
        }
        throw new FormatException($"'{text}' is no shard, expected I/N with I from 1 to N, as 3/16.");
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Index}/{Count}");

    [GeneratedRegex("^([0-9]{1,5})/([0-9]{1,5})$")]
    private static partial Regex Form();
}
