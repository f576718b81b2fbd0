using System.Globalization;
using System.Text.RegularExpressions;
using Attune.Attention;

namespace Attune.Guidance;

/// <summary>
/// Some of a model's layers: by the beginnings of their module names (<c>transformer_blocks.3</c>, <c>mid_block</c>), by short names and
/// numbers, and by the kind of attention.
/// </summary>
public sealed partial record LayerSelector
{
    /// <summary>The stacks of blocks that a short name stands for.</summary>
    private static readonly Dictionary<string, string[]> Stacks = new(StringComparer.Ordinal)
    {
        [""] = ["transformer_blocks", "blocks", "layers"],
        ["double"] = ["transformer_blocks"],
        ["single"] = ["single_transformer_blocks"],
        ["down"] = ["down_blocks"],
        ["mid"] = ["mid_block"],
        ["up"] = ["up_blocks"],
    };

    private readonly string[] _parts;
    private readonly string[] _prefixes;
    private readonly AttentionKind[] _kinds;

    private LayerSelector(string[] parts)
    {
        _parts = parts;
        _kinds = [.. parts.Where(part => KindOf(part) != null).Select(part => KindOf(part)!.Value)];
        _prefixes = [.. parts.Where(part => KindOf(part) == null).SelectMany(Prefixes)];
    }

    /// <summary>Every layer.</summary>
    public static LayerSelector All { get; } = new([]);

    /// <summary>
    /// Layers whose path is, or lies below, one of the given. A part is a module's path; a short name (<c>double</c>, <c>single</c>,
    /// <c>down</c>, <c>mid</c>, <c>up</c>), alone or with a number or a range (<c>down.1</c>, <c>single.10-20</c>); a number or range
    /// alone, which counts transformer blocks (double-stream ones where there are two stacks); or a kind of
    /// attention (<c>self</c>, <c>cross</c>, <c>joint</c>), to which the others are then restricted.
    /// </summary>
    /// <exception cref="ArgumentException">A part is empty, or a range ends before it begins.</exception>
    public static LayerSelector Of(params IEnumerable<string> parts)
    {
        string[] given = [.. parts];
        if (given.Length == 0 || given.Any(string.IsNullOrWhiteSpace))
            throw new ArgumentException("A selection of layers names at least one module path, as transformer_blocks.3.", nameof(parts));
        return new LayerSelector(given);
    }

    /// <summary>Whether an attention layer is selected.</summary>
    public bool Contains(AttentionSite site) => (_kinds.Length == 0 || _kinds.Contains(site.Kind)) && Contains(site.Path);

    /// <summary>Whether a block is selected by its path; kinds of attention do not count.</summary>
    public bool Contains(string path) => _prefixes.Length == 0 || _prefixes.Any(prefix =>
        path.StartsWith(prefix, StringComparison.Ordinal) && (path.Length == prefix.Length || path[prefix.Length] == '.'));

    /// <summary>Reads parts joined by <c>|</c>, or <c>all</c>.</summary>
    /// <exception cref="FormatException">A part is empty or a range ends before it begins.</exception>
    public static LayerSelector Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "all")
            return All;
        try
        {
            return Of(text.Split('|', StringSplitOptions.TrimEntries));
        }
        catch (ArgumentException exception)
        {
            throw new FormatException(
                $"'{text}' is no selection of layers; expected module paths, short names (down.1, mid, single.10-20), numbers or kinds "
                    + $"(self, cross, joint) joined by |, or all.",
                exception);
        }
    }

    /// <inheritdoc/>
    public bool Equals(LayerSelector? other) => other != null && _parts.AsSpan().SequenceEqual(other._parts);

    /// <inheritdoc/>
    public override int GetHashCode() => _parts.Aggregate(0, HashCode.Combine);

    /// <inheritdoc/>
    public override string ToString() => _parts.Length == 0 ? "all" : string.Join('|', _parts);

    private static AttentionKind? KindOf(string part) => part switch
    {
        "self" => AttentionKind.Self,
        "cross" => AttentionKind.Cross,
        "joint" => AttentionKind.Joint,
        _ => null,
    };

    private static IEnumerable<string> Prefixes(string part)
    {
        var match = ShortForm().Match(part);
        if (!match.Success || !Stacks.TryGetValue(match.Groups["stack"].Value, out string[]? stacks))
            return [part];
        if (!match.Groups["first"].Success)
            return stacks;
        int first = int.Parse(match.Groups["first"].ValueSpan, CultureInfo.InvariantCulture);
        int last = match.Groups["last"].Success ? int.Parse(match.Groups["last"].ValueSpan, CultureInfo.InvariantCulture) : first;
        if (last < first)
            throw new ArgumentException($"The range of layers '{part}' ends before it begins.", nameof(part));
        return stacks.SelectMany(
            stack => Enumerable.Range(first, last - first + 1).Select(i => FormattableString.Invariant($"{stack}.{i}")));
    }

    [GeneratedRegex(
        @"^(?:(?<stack>[a-z]+)(?:\.(?<first>[0-9]{1,4})(?:-(?<last>[0-9]{1,4}))?)?"
            + @"|(?<stack>)(?<first>[0-9]{1,4})(?:-(?<last>[0-9]{1,4}))?)$",
        RegexOptions.CultureInvariant)]
    private static partial Regex ShortForm();
}
