using System.Globalization;

namespace Attune.Caching;

/// <summary>
/// The parameters of a cache as text, KEY=VALUE,...; the key of the first one may be left out. A kind of cache reads all that it has; what
/// is left then is unknown.
/// </summary>
internal sealed class CacheParameters
{
    private readonly string _name;
    private readonly List<(string? Key, string Value)> _given = [];
    private readonly List<string> _known = [];
    private readonly List<string> _written = [];

    /// <param name="name">The kind of cache.</param>
    /// <param name="text">What stands behind its name; null for nothing.</param>
    /// <exception cref="FormatException">A part is no KEY=VALUE, or a key stands there twice.</exception>
    public CacheParameters(string name, string? text)
    {
        _name = name;
        foreach (string part in text?.Split(',', StringSplitOptions.TrimEntries) ?? [])
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string? key = equals < 0 ? null : part[..equals];
            if (part.Length == 0 || (key == null ? _given.Count > 0 : _given.Any(other => other.Key == key)))
                throw new FormatException($"expected KEY=VALUE, each once, and not '{part}'.");
            _given.Add((key, part[(equals + 1)..]));
        }
    }

    /// <summary>A number.</summary>
    public double Number(string key, double missing, double low = 0, double high = double.MaxValue) => Read(
        key, missing, high == double.MaxValue ? FormattableString.Invariant($"a number, {low} or more")
            : FormattableString.Invariant($"a number, {low} to {high}"),
        text => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= low && value <= high
            ? value : null,
        value => value.ToString("R", CultureInfo.InvariantCulture));

    /// <summary>An integer; <see cref="int.MaxValue"/> is written as never.</summary>
    public int Integer(string key, int missing, int low, int high = int.MaxValue) => Read(
        key, missing, $"an integer, {low} or more", text => IntegerOf(text, low, high), Written);

    /// <summary>An integer or none.</summary>
    public int? OptionalInteger(string key, int low)
    {
        int value = Read(key, 0, $"none or an integer, {low} or more", text => text == "none" ? 0 : IntegerOf(text, low, int.MaxValue),
            value => value == 0 ? "none" : Written(value));
        return value == 0 ? null : value;
    }

    /// <summary>One of some words.</summary>
    public T Word<T>(string key, T missing, params (string Text, T Value)[] words)
        where T : struct => Read(
        key, missing, string.Join(" or ", words.Select(word => word.Text)),
        text => Array.FindIndex(words, word => word.Text == text) is >= 0 and var at ? words[at].Value : null,
        value => words.First(word => word.Value.Equals(value)).Text);

    /// <summary>Whether a parameter is a word.</summary>
    public bool IsWord(string key, string word) => Find(key) == word;

    /// <summary>Numbers joined by '/', or the name of some; they must be given.</summary>
    public IReadOnlyList<float> Numbers(string key, IReadOnlyDictionary<string, float[]> named, string otherwise)
    {
        _known.Add(key);
        string? text = Find(key);
        string expected = $"{key} must be numbers joined by '/', {string.Join(", ", named.Keys)}, or {otherwise}";
        if (text == null)
            throw new FormatException($"{expected}; there are none that suit every model.");
        _written.Add($"{key}={text}");
        if (text == otherwise)
            return [1];
        if (named.TryGetValue(text, out float[]? known))
            return known;
        float[] values = [
            .. text.Split('/').Select(
                part => float.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && float.IsFinite(value)
                    ? value : throw new FormatException($"{expected}, not '{text}'."))];
        return values;
    }

    /// <summary>The name and all parameters with their values.</summary>
    /// <exception cref="FormatException">A parameter was given that nobody read.</exception>
    public string Written() =>
        _given.FirstOrDefault(given => given.Key != null && !_known.Contains(given.Key)).Key is { } unknown
            ? throw new FormatException($"{_name} has no parameter '{unknown}'; it has {string.Join(", ", _known)}.")
            : $"{_name}:{string.Join(',', _written)}";

    private T Read<T>(string key, T missing, string expected, Func<string, T?> parse, Func<T, string> write)
        where T : struct
    {
        _known.Add(key);
        T value = Find(key) is not { } text ? missing
            : parse(text) ?? throw new FormatException($"{key} is '{text}', expected {expected}.");
        _written.Add($"{key}={write(value)}");
        return value;
    }

    /// <summary>What was given for a parameter; the value without a key is that of the first parameter that is read.</summary>
    private string? Find(string key) =>
        _given.Where(given => given.Key == key || (given.Key == null && _known[0] == key)).Select(given => given.Value).FirstOrDefault();

    private static int? IntegerOf(string text, int low, int high) =>
        text == "never" ? int.MaxValue
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= low && value <= high ? value
        : null;

    private static string Written(int value) => value == int.MaxValue ? "never" : value.ToString(CultureInfo.InvariantCulture);
}
