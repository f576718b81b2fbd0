using System.Text.Json;

namespace Attune.Evaluation.Experiments;

/// <summary>
/// An object of a JSON file that is read strictly: every key is asked for by name, and a key that nobody asked for is an error when
/// <see cref="Done"/> is called. Errors name the file, the path of the key and its value.
/// </summary>
internal sealed class StrictJson
{
    private readonly JsonElement _element;
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);

    private StrictJson(string file, string path, JsonElement element) => (File, Path, _element) = (file, path, element);

    /// <summary>What errors call the file.</summary>
    public string File { get; }

    /// <summary>Where the object is in its file, as <c>methods[2]</c>; empty for the top.</summary>
    public string Path { get; }

    /// <summary>The value at the top of a text.</summary>
    /// <exception cref="FormatException">The text is not JSON, or an object has a key twice.</exception>
    public static JsonElement Parse(string file, string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { AllowDuplicateProperties = false });
            return document.RootElement.Clone();
        }
        catch (JsonException exception)
        {
            throw new FormatException($"'{file}' is no valid JSON: {exception.Message}", exception);
        }
    }

    /// <summary>An element that must be an object.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static StrictJson Object(string file, string path, JsonElement element) =>
        element.ValueKind == JsonValueKind.Object ? new StrictJson(file, path, element) : throw Wrong(file, path, element, "an object");

    /// <summary>The error that a key's value is not what was expected.</summary>
    public static FormatException Wrong(string file, string path, JsonElement value, string expected) =>
        new($"'{file}': {(path.Length == 0 ? "the file" : path)} is {Shorten(value.GetRawText())}, expected {expected}.");

    /// <summary>The same for a key of this object.</summary>
    public FormatException Wrong(string key, string expected) => _element.TryGetProperty(key, out var value)
        ? Wrong(File, At(key), value, expected)
        : new FormatException($"'{File}': {At(key)} is missing, expected {expected}.");

    /// <summary>The path of a key.</summary>
    public string At(string key) => Path.Length == 0 ? key : $"{Path}.{key}";

    /// <summary>The value of a key, or null where the key is absent or null.</summary>
    public JsonElement? Find(string key)
    {
        _read.Add(key);
        return _element.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>A text that is there.</summary>
    public string String(string key) => OptionalString(key) ?? throw Wrong(key, "a text");

    /// <summary>A text, or null where the key is absent.</summary>
    public string? OptionalString(string key) =>
        Find(key) is not { } value ? null : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(key, "a text");

    /// <summary>A truth value.</summary>
    public bool Bool(string key, bool missing) => Find(key) is not { } value ? missing
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(key, "true or false");

    /// <summary>An integer within a range, or null where the key is absent.</summary>
    public long? OptionalInteger(string key, long low, long high) => Find(key) is not { } value ? null : Integer(At(key), value, low, high);

    /// <summary>A finite number, or null where the key is absent.</summary>
    public double? OptionalNumber(string key) => Find(key) is not { } value ? null : Number(At(key), value);

    /// <summary>The entries of a list, with their paths; none where the key is absent.</summary>
    public IEnumerable<(string Path, JsonElement Value)> List(string key)
    {
        if (Find(key) is not { } value)
            return [];
        return value.ValueKind == JsonValueKind.Array ? Entries(At(key), value) : throw Wrong(key, "a list");
    }

    /// <summary>The entries of a list, with their paths.</summary>
    public static IEnumerable<(string Path, JsonElement Value)> Entries(string path, JsonElement list) =>
        list.EnumerateArray().Select((entry, index) => (FormattableString.Invariant($"{path}[{index}]"), entry));

    /// <summary>Finite numbers, each once; none where the key is absent.</summary>
    public IReadOnlyList<double> Numbers(string key)
    {
        var numbers = new List<double>();
        foreach (var (path, value) in List(key))
        {
            double number = Number(path, value);
            if (numbers.Contains(number))
                throw Wrong(File, path, value, "each number once");
            numbers.Add(number);
        }
        return numbers;
    }

    /// <summary>An object of texts; empty where the key is absent.</summary>
    public IReadOnlyDictionary<string, string> Texts(string key)
    {
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal);
        if (Find(key) is not { } value)
            return texts;
        if (value.ValueKind != JsonValueKind.Object)
            throw Wrong(key, "an object of texts");
        foreach (var property in value.EnumerateObject())
            texts.Add(
                property.Name,
                property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString()!
                    : throw Wrong(File, $"{At(key)}.{property.Name}", property.Value, "a text"));
        return texts;
    }

    /// <summary>Fails when the object has a key that was not read.</summary>
    /// <exception cref="FormatException">It has one; the message names those that are known.</exception>
    public void Done()
    {
        foreach (var property in _element.EnumerateObject().Where(property => !_read.Contains(property.Name)))
            throw new FormatException(
                $"'{File}': {At(property.Name)} (value {Shorten(property.Value.GetRawText())}) is no known key; known here are "
                    + $"{string.Join(", ", _read)}.");
    }

    private long Integer(string path, JsonElement value, long low, long high) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) && number >= low && number <= high ? number
            : throw Wrong(File, path, value, high == long.MaxValue ? $"an integer of {low} or more" : $"an integer from {low} to {high}");

    private double Number(string path, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && double.IsFinite(number) ? number
            : throw Wrong(File, path, value, "a number");

    private static string Shorten(string text) => text.Length <= 80 ? text : text[..77] + "...";
}
