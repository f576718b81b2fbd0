using Attune.Attention;

namespace Attune.Guidance;

/// <summary>Some of a model's attention layers, by the beginnings of their module names: <c>transformer_blocks.3</c>, <c>mid_block</c>.</summary>
public sealed record LayerSelector
{
    private readonly string[] _prefixes;

    private LayerSelector(string[] prefixes) => _prefixes = prefixes;

    /// <summary>Every layer.</summary>
    public static LayerSelector All { get; } = new([]);

    /// <summary>Layers whose path is, or lies below, one of the given.</summary>
    /// <exception cref="ArgumentException">A path is empty.</exception>
    public static LayerSelector Of(params IEnumerable<string> paths)
    {
        string[] prefixes = [.. paths];
        if (prefixes.Length == 0 || prefixes.Any(string.IsNullOrWhiteSpace))
            throw new ArgumentException("A selection of layers names at least one module path, as transformer_blocks.3.", nameof(paths));
        return new LayerSelector(prefixes);
    }

    /// <summary>Whether a layer is selected.</summary>
    public bool Contains(AttentionSite site) => _prefixes.Length == 0 || _prefixes.Any(prefix =>
        site.Path.StartsWith(prefix, StringComparison.Ordinal) && (site.Path.Length == prefix.Length || site.Path[prefix.Length] == '.'));

    /// <summary>Reads paths joined by <c>|</c>, or <c>all</c>.</summary>
    /// <exception cref="FormatException">A path is empty.</exception>
    public static LayerSelector Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "all")
            return All;
        string[] paths = text.Split('|', StringSplitOptions.TrimEntries);
        return paths.All(path => path.Length > 0) ? Of(paths) : throw new FormatException($"'{text}' is no selection of layers; expected module paths joined by |, or all.");
    }

    /// <inheritdoc/>
    public bool Equals(LayerSelector? other) => other != null && _prefixes.AsSpan().SequenceEqual(other._prefixes);

    /// <inheritdoc/>
    public override int GetHashCode() => _prefixes.Aggregate(0, HashCode.Combine);

    /// <inheritdoc/>
    public override string ToString() => _prefixes.Length == 0 ? "all" : string.Join('|', _prefixes);
}
