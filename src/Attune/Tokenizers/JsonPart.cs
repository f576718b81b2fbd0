using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>A value in a JSON file that knows where it is, so that errors name the file and the place.</summary>
internal readonly struct JsonPart
{
    private readonly string _place;

    private JsonPart(string file, string place, JsonElement element) => (File, _place, Element) = (file, place, element);

    /// <summary>The path of the file.</summary>
    public string File { get; }

    public JsonElement Element { get; }

    /// <summary>The value of "type".</summary>
    public string Type => this["type"].String();

    /// <summary>A member that must be there.</summary>
    public JsonPart this[string key] => Find(key) ?? throw new CheckpointException($"'{File}': {Name(_place)} lacks '{key}'.");

    /// <summary>Parses a file. The document must outlive the parts.</summary>
    /// <exception cref="CheckpointException">The file is no JSON object.</exception>
    public static JsonPart Parse(string file, out JsonDocument document)
    {
        ReadOnlyMemory<byte> bytes = System.IO.File.ReadAllBytes(file);
        if (bytes.Span.StartsWith(Encoding.UTF8.Preamble))
            bytes = bytes[3..];
        try
        {
            document = JsonDocument.Parse(bytes);
            ModelConfig.CheckStrings(document.RootElement);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new CheckpointException($"'{file}' is not valid JSON: {exception.Message}", exception);
        }
        var part = new JsonPart(file, "", document.RootElement);
        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return part;
        document.Dispose();
        throw new CheckpointException($"'{file}' holds {document.RootElement.ValueKind}, expected a JSON object.");
    }

    /// <summary>A member, or null when it is missing or null.</summary>
    public JsonPart? Find(string key)
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Wrong("an object");
        return Element.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null
            ? new JsonPart(File, $"{_place}.{key}", value)
            : null;
    }

    /// <summary>Whether a member is there, be it null.</summary>
    public bool Has(string key) => Element.ValueKind == JsonValueKind.Object && Element.TryGetProperty(key, out _);

    public IEnumerable<JsonPart> Items()
    {
        if (Element.ValueKind != JsonValueKind.Array)
            throw Wrong("a list");
        int index = 0;
        foreach (var item in Element.EnumerateArray())
            yield return new JsonPart(File, $"{_place}[{index++}]", item);
    }

    public IEnumerable<(string Key, JsonPart Value)> Members()
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Wrong("an object");
        foreach (var property in Element.EnumerateObject())
        {
            string key = NameOf(property);
            yield return (key, new JsonPart(File, $"{_place}.{key}", property.Value));
        }
    }

    /// <summary>The vocabulary of a BPE model: tokens and their ids.</summary>
    public Dictionary<string, int> Ids()
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Wrong("an object of tokens and ids");
        var ids = new Dictionary<string, int>(Element.GetPropertyCount(), StringComparer.Ordinal);
        foreach (var property in Element.EnumerateObject())
        {
            string token = NameOf(property);
            if (property.Value.ValueKind != JsonValueKind.Number || !property.Value.TryGetInt32(out int id) || id < 0)
                throw new CheckpointException(
                    $"'{File}': the id of token '{token}' is {Shorten(property.Value)}, expected an integer from 0.");
            ids[token] = id;
        }
        return ids;
    }

    public bool IsString => Element.ValueKind == JsonValueKind.String;

    public string String() => TryString(Element) ?? throw Wrong("a string");

    public bool Bool() =>
        Element.ValueKind is JsonValueKind.True or JsonValueKind.False ? Element.GetBoolean() : throw Wrong("true or false");

    /// <summary>An integer from 0.</summary>
    public int Id() =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetInt32(out int value) && value >= 0 ? value
            : throw Wrong("an integer from 0");

    public double Double() =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetDouble(out double value) ? value : throw Wrong("a number");

    public byte[] Base64() => IsString && Element.TryGetBytesFromBase64(out byte[]? bytes) ? bytes : throw Wrong("base64");

    public string OneOf(params string[] values)
    {
        string value = String();
        return values.Contains(value) ? value : throw Wrong("one of " + string.Join(", ", values));
    }

    /// <summary>A pattern, {"String": text} or {"Regex": expression}.</summary>
    public TextPattern Pattern() =>
        Find("String") is { } text ? TextPattern.Literal(text.String()) : TextPattern.Regex(File, this["Regex"].String());

    /// <summary>The value of a string, or null when the element is none or holds half of a surrogate pair.</summary>
    public static string? TryString(JsonElement element)
    {
        try
        {
            return element.ValueKind == JsonValueKind.String ? element.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    public CheckpointException Wrong(string expected) => new($"'{File}': {Name(_place)} is {Shorten(Element)}, expected {expected}.");

    public CheckpointException Unsupported(string supported) =>
        new($"'{File}': {Name(_place)} is of type '{Type}', which is not supported; expected {supported}.");

    private string NameOf(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException exception)
        {
            throw new CheckpointException($"'{File}': a key in {Name(_place)} is no valid text.", exception);
        }
    }

    private static string Name(string place) => place.Length == 0 ? "the file" : place[1..];

    /// <summary>The text of a value for a message, cut when it is long, with replacements for what is no UTF-8.</summary>
    public static string Shorten(JsonElement element)
    {
        const int Longest = 60;
        var text = JsonMarshal.GetRawUtf8Value(element);
        return text.Length <= Longest ? Encoding.UTF8.GetString(text) : Encoding.UTF8.GetString(text[..Longest]) + "...";
    }
}
