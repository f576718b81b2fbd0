using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Attune.Weights;

/// <summary>
/// A value of a JSON file that knows where it stands: the reader of all JSON, be it a model's index or configuration, a list of shards, a
/// tokenizer or an experiment. Errors name the file, the place, the value and what was expected. A file may begin with a byte order mark.
/// </summary>
public sealed partial class JsonPart
{
    private static readonly JsonDocumentOptions Lenient = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip };
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly Func<string, Exception?, Exception> _error;

    /// <summary>The keys that were asked for, where others are an error; else null.</summary>
    private readonly HashSet<string>? _asked;

    private JsonPart(string file, string place, JsonElement element, Func<string, Exception?, Exception> error, bool strict)
    {
        (File, Place, Element, _error) = (file, place, element, error);
        _asked = strict ? new HashSet<string>(StringComparer.Ordinal) : null;
    }

    /// <summary>What errors call the file.</summary>
    public string File { get; }

    /// <summary>Where the value stands, as <c>methods[2].name</c>; empty for the top.</summary>
    public string Place { get; }

    /// <summary>The value.</summary>
    public JsonElement Element { get; }

    /// <summary>Whether it is a text.</summary>
    public bool IsString => Element.ValueKind == JsonValueKind.String;

    /// <summary>The value of "type".</summary>
    internal string Type => this["type"].String();

    /// <summary>A member that must be there.</summary>
    public JsonPart this[string key] => Find(key) ?? throw Error($"{Name} lacks '{key}'.");

    /// <summary>Reads a file as Python writes and people edit them: with trailing commas, comments, NaN and Infinity.</summary>
    /// <exception cref="CheckpointException">The file is missing, or no JSON. Values of it fail so, too.</exception>
    public static JsonPart Read(string file)
    {
        try
        {
            return Parse(file, System.IO.File.ReadAllBytes(file));
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CheckpointException($"'{file}' does not exist.", exception);
        }
    }

    /// <summary>The same for the text of a file.</summary>
    /// <exception cref="CheckpointException">The text is no JSON. Values of it fail so, too.</exception>
    public static JsonPart Parse(string file, ReadOnlySpan<byte> utf8) =>
        Parse(file, utf8, ParseLenient, (message, cause) => new CheckpointException(message, cause), strict: false);

    /// <summary>
    /// A text that its reader knows all of: a key that is there twice is an error, and <see cref="RequireAllAsked"/> finds keys that
    /// nobody asked for.
    /// </summary>
    /// <exception cref="FormatException">The text is no JSON. Values of it fail so, too.</exception>
    public static JsonPart ParseStrict(string file, string text) => Parse(
        file, Encoding.UTF8.GetBytes(text ?? throw new ArgumentNullException(nameof(text))), utf8 => JsonElement.Parse(utf8, Strict),
        (message, cause) => new FormatException(message, cause), strict: true);

    /// <summary>A member, or null when it is missing or null.</summary>
    public JsonPart? Find(string key)
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Wrong("an object");
        _asked?.Add(key);
        return Element.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? Part(At(key), value) : null;
    }

    /// <summary>A member that must be there.</summary>
    /// <param name="key">Its key.</param>
    /// <param name="expected">What is said to be expected when it is missing or null.</param>
    public JsonPart Needed(string key, string expected) => Find(key) ?? throw Wrong(key, expected);

    /// <summary>Whether a member is there, be it null.</summary>
    internal bool Has(string key) => Element.ValueKind == JsonValueKind.Object && Element.TryGetProperty(key, out _);

    /// <summary>This value, which must be an object.</summary>
    public JsonPart Object() => Element.ValueKind == JsonValueKind.Object ? this : throw Wrong("an object");

    /// <summary>The entries of a list.</summary>
    public IEnumerable<JsonPart> Items()
    {
        if (Element.ValueKind != JsonValueKind.Array)
            throw Wrong("a list");
        return Element.EnumerateArray().Select((item, index) => Part(FormattableString.Invariant($"{Place}[{index}]"), item));
    }

    /// <summary>The members of an object.</summary>
    public IEnumerable<(string Key, JsonPart Value)> Members() =>
        Object().Element.EnumerateObject().Select(property => (property.Name, Part(At(property.Name), property.Value)));

    /// <summary>The vocabulary of a BPE model: tokens and their ids.</summary>
    internal Dictionary<string, int> Ids()
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Wrong("an object of tokens and ids");
        var ids = new Dictionary<string, int>(Element.GetPropertyCount(), StringComparer.Ordinal);
        foreach (var property in Element.EnumerateObject())
        {
            string token = property.Name;
            if (property.Value.ValueKind != JsonValueKind.Number || !property.Value.TryGetInt32(out int id) || id < 0)
                throw Error($"the id of token '{token}' is {Shorten(property.Value)}, expected an integer from 0.");
            ids[token] = id;
        }
        return ids;
    }

    /// <summary>A text.</summary>
    public string String() => TryString(Element) ?? throw Wrong("a text");

    /// <summary>A truth value.</summary>
    public bool Bool() =>
        Element.ValueKind is JsonValueKind.True or JsonValueKind.False ? Element.GetBoolean() : throw Wrong("true or false");

    /// <summary>An integer.</summary>
    internal int Int() =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetInt32(out int value) ? value : throw Wrong("an integer");

    /// <summary>An integer from 0.</summary>
    internal int Id() =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetInt32(out int value) && value >= 0 ? value
            : throw Wrong("an integer from 0");

    /// <summary>An integer of a range.</summary>
    public long Integer(long low, long high) =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetInt64(out long value) && value >= low && value <= high ? value
            : throw Wrong(high == long.MaxValue ? $"an integer of {low} or more" : $"an integer from {low} to {high}");

    /// <summary>A number; one beyond the range of double precision is infinite.</summary>
    internal double Double() =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetDouble(out double value) ? value : throw Wrong("a number");

    /// <summary>A finite number.</summary>
    public double Number() => Double() is var value && double.IsFinite(value) ? value : throw Wrong("a number");

    /// <summary>Bytes in base64.</summary>
    internal byte[] Base64() => IsString && Element.TryGetBytesFromBase64(out byte[]? bytes) ? bytes : throw Wrong("base64");

    /// <summary>One of some texts.</summary>
    internal string OneOf(params string[] values)
    {
        string value = String();
        return values.Contains(value) ? value : throw Wrong("one of " + string.Join(", ", values));
    }

    /// <summary>Fails when an object of a text that was parsed strictly has a key that nobody asked for.</summary>
    /// <exception cref="FormatException">It has one; the message names those that are known.</exception>
    public void RequireAllAsked()
    {
        foreach (var property in Object().Element.EnumerateObject().Where(property => _asked?.Contains(property.Name) == false))
            throw Error(
                $"{At(property.Name)} (value {Shorten(property.Value)}) is no known key; known here are {string.Join(", ", _asked!)}.");
    }

    /// <summary>The place of a member.</summary>
    public string At(string key) => Place.Length == 0 ? key : $"{Place}.{key}";

    /// <summary>The error that the value is not what was expected.</summary>
    public Exception Wrong(string expected) => Error($"{Name} is {Shorten(Element)}, expected {expected}.");

    /// <summary>The same for a member, which may be missing.</summary>
    public Exception Wrong(string key, string expected) =>
        Element.TryGetProperty(key, out var value) ? Part(At(key), value).Wrong(expected)
            : Error($"{At(key)} is missing, expected {expected}.");

    /// <summary>The error that the value's type is none of those that are known.</summary>
    internal Exception Unsupported(string supported) =>
        Error($"{Name} is of type '{Type}', which is not supported; expected {supported}.");

    /// <summary>The value of a string, or null when the element is none.</summary>
    internal static string? TryString(JsonElement element) => element.ValueKind == JsonValueKind.String ? element.GetString() : null;

    /// <summary>The text of a value for a message, cut when it is long.</summary>
    internal static string Shorten(JsonElement element)
    {
        const int Longest = 80;
        var text = JsonMarshal.GetRawUtf8Value(element);
        return text.Length <= Longest ? Encoding.UTF8.GetString(text) : Encoding.UTF8.GetString(text[..(Longest - 3)]) + "...";
    }

    private delegate JsonElement Parser(ReadOnlySpan<byte> utf8);

    private static JsonPart Parse(
        string file, ReadOnlySpan<byte> utf8, Parser parser, Func<string, Exception?, Exception> error, bool strict)
    {
        try
        {
            var element = parser(utf8.StartsWith(Encoding.UTF8.Preamble) ? utf8[Encoding.UTF8.Preamble.Length..] : utf8);
            CheckStrings(element);
            return new JsonPart(file, "", element, error, strict);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw error($"'{file}' is not valid JSON: {exception.Message}", exception);
        }
    }

    /// <summary>
    /// Python writes infinities and NaN as bare words, which JSON does not have: they become numbers beyond the range, and null.
    /// </summary>
    private static JsonElement ParseLenient(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return JsonElement.Parse(utf8, Lenient);
        }
        catch (JsonException) when (utf8.IndexOf("Infinity"u8) >= 0 || utf8.IndexOf("NaN"u8) >= 0)
        {
            string text = Encoding.UTF8.GetString(utf8);
            string plain = PythonNumbers()
                .Replace(text, match => match.Value switch { "Infinity" => "1e999", "NaN" => "null", _ => match.Value });
            return JsonElement.Parse(plain, Lenient);
        }
    }

    /// <summary>Strings, which are left alone, or one of the bare words.</summary>
    [GeneratedRegex("\"(?:[^\"\\\\]|\\\\.)*\"|Infinity|NaN", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex PythonNumbers();

    /// <summary>Decodes every string once, so that one with half a surrogate pair fails here and not where it is used.</summary>
    private static void CheckStrings(JsonElement element)
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

    private string Name => Place.Length == 0 ? "the file" : Place;

    private JsonPart Part(string place, JsonElement element) => new(File, place, element, _error, _asked != null);

    private Exception Error(string what) => _error($"'{File}': {what}", null);
}
