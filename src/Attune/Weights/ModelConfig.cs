using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Attune.Weights;

/// <summary>
/// A component's JSON configuration. Keys that no one asks for are ignored; a missing or null key gives the default of the reference
/// implementation, which the reader states.
/// </summary>
public sealed partial class ModelConfig
{
    private static readonly JsonDocumentOptions Lenient = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip };
    private readonly JsonElement _root;

    private ModelConfig(string path, JsonElement root) => (Path, _root) = (path, root);

    /// <summary>The file, for messages.</summary>
    public string Path { get; }

    /// <summary>Where to note the keys that are asked for; null for nowhere.</summary>
    internal ISet<string>? Asked { get; set; }

    /// <summary>The value of <c>_class_name</c> (diffusers) or the first of <c>architectures</c> (transformers), if any.</summary>
    public string? ClassName => Find("_class_name") is { ValueKind: JsonValueKind.String } name ? name.GetString()
        : Find("architectures") is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() > 0 ? list[0].GetString() : null;

    /// <summary>Reads a JSON file.</summary>
    /// <exception cref="CheckpointException">The file is missing, no JSON, or not an object.</exception>
    public static ModelConfig Read(string path)
    {
        try
        {
            return Parse(path, File.ReadAllBytes(path));
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CheckpointException($"'{path}' does not exist.", exception);
        }
    }

    /// <summary>Parses JSON text; <paramref name="path"/> is named in messages.</summary>
    /// <exception cref="CheckpointException">The text is no JSON object.</exception>
    public static ModelConfig Parse(string path, ReadOnlyMemory<byte> utf8)
    {
        try
        {
            using var document = ParseLenient(utf8.Span.StartsWith(Encoding.UTF8.Preamble) ? utf8[3..] : utf8);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new CheckpointException($"'{path}' holds {document.RootElement.ValueKind}, expected a JSON object.");
            CheckStrings(document.RootElement);
            return new ModelConfig(path, document.RootElement.Clone());
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new CheckpointException($"'{path}' is not valid JSON: {exception.Message}", exception);
        }
    }

    /// <summary>The configuration with another string for a key.</summary>
    internal ModelConfig With(string key, string value) => With(key, json => json.WriteString(key, value));

    /// <summary>The configuration with another value of one key.</summary>
    internal ModelConfig With(string key, int value) => With(key, json => json.WriteNumber(key, value));

    private ModelConfig With(string key, Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            write(json);
            foreach (var property in _root.EnumerateObject().Where(property => property.Name != key))
                property.WriteTo(json);
            json.WriteEndObject();
        }
        return Parse(Path, stream.ToArray());
    }

    /// <summary>Whether a key exists and is not null.</summary>
    public bool Has(string key) => Find(key) != null;

    /// <summary>All keys, in the order of the file.</summary>
    public IEnumerable<string> Keys() => _root.EnumerateObject().Select(property => property.Name);

    /// <summary>A raw value, or null when it is missing or null.</summary>
    public JsonElement? Find(string key)
    {
        Asked?.Add(key);
        return _root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>An integer.</summary>
    /// <exception cref="CheckpointException">The value is no integer.</exception>
    public int Int(string key, int missing) => Find(key) is { } value ? AsInt(key, value) : missing;

    /// <summary>An integer or null.</summary>
    public int? OptionalInt(string key) => Find(key) is { } value ? AsInt(key, value) : null;

    /// <summary>A number.</summary>
    /// <exception cref="CheckpointException">The value is no number.</exception>
    public double Double(string key, double missing) => OptionalDouble(key) ?? missing;

    /// <summary>A number or null.</summary>
    public double? OptionalDouble(string key) =>
        Find(key) is not { } value
            ? null
            : value.ValueKind == JsonValueKind.Number ? value.GetDouble()
            : throw Wrong(key, value, "a number");

    /// <summary>A single-precision number.</summary>
    public float Float(string key, double missing) => (float)Double(key, missing);

    /// <summary>A truth value.</summary>
    public bool Bool(string key, bool missing) => Find(key) is not { } value ? missing
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(key, value, "true or false");

    /// <summary>A string.</summary>
    public string String(string key, string missing) => Find(key) is not { } value ? missing
        : value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Wrong(key, value, "a string");

    /// <summary>A list of integers.</summary>
    public int[] Ints(string key, params int[] missing) => Find(key) is not { } value ? missing
        : value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray().Select(v => AsInt(key, v))]
            : throw Wrong(key, value, "a list of integers");

    /// <summary>A list of strings.</summary>
    public string[] Strings(string key, params string[] missing) => Find(key) is not { } value ? missing
        : value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(v => v.ValueKind == JsonValueKind.String)
            ? [.. value.EnumerateArray().Select(v => v.GetString()!)] : throw Wrong(key, value, "a list of strings");

    /// <summary>An object, or null when it is missing or null. Errors about its keys name them alone.</summary>
    public ModelConfig? Object(string key) => Find(key) is not { } value ? null
        : value.ValueKind == JsonValueKind.Object ? new ModelConfig(Path, value) : throw Wrong(key, value, "an object");

    /// <summary>
    /// Python writes infinities and NaN as bare words, which JSON does not have: they become numbers beyond the range, and null.
    /// </summary>
    private static JsonDocument ParseLenient(ReadOnlyMemory<byte> utf8)
    {
        try
        {
            return JsonDocument.Parse(utf8, Lenient);
        }
        catch (JsonException) when (utf8.Span.IndexOf("Infinity"u8) >= 0 || utf8.Span.IndexOf("NaN"u8) >= 0)
        {
            string text = Encoding.UTF8.GetString(utf8.Span);
            string plain = PythonNumbers()
                .Replace(text, match => match.Value switch { "Infinity" => "1e999", "NaN" => "null", _ => match.Value });
            return JsonDocument.Parse(plain, Lenient);
        }
    }

    /// <summary>Strings, which are left alone, or one of the bare words.</summary>
    [GeneratedRegex("\"(?:[^\"\\\\]|\\\\.)*\"|Infinity|NaN", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex PythonNumbers();

    /// <summary>Decodes every string once, so that one with half a surrogate pair fails here and not where it is used.</summary>
    internal static void CheckStrings(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                element.GetString();
                break;
            case JsonValueKind.Array:
                foreach (var item in element.EnumerateArray())
                    CheckStrings(item);
                break;
            case JsonValueKind.Object:
                foreach (var property in element.EnumerateObject())
                {
                    _ = property.Name;
                    CheckStrings(property.Value);
                }
                break;
            default:
                break;
        }
    }

    private int AsInt(string key, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number : throw Wrong(key, value, "an integer");

    private CheckpointException Wrong(string key, JsonElement value, string expected) =>
        new($"'{Path}': {key} is {value.GetRawText()}, expected {expected}.");
}
