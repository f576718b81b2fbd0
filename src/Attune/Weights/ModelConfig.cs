using System.Text.Json;

namespace Attune.Weights;

/// <summary>
/// A component's JSON configuration. Keys that no one asks for are ignored; a missing or null key gives the default of the reference
/// implementation, which the reader states.
/// </summary>
public sealed class ModelConfig
{
    internal const int LargestSize = 1 << 17;
    internal const int MostHeads = 1024;
    internal const int MostLayers = 1024;
    private const int LargestLength = 1 << 24;

    private readonly JsonPart _root;

    private ModelConfig(JsonPart root) => _root = root;

    /// <summary>The file, for messages.</summary>
    public string Path => _root.File;

    /// <summary>Where to note the keys that are asked for; null for nowhere.</summary>
    internal ISet<string>? Asked { get; set; }

    /// <summary>The value of <c>_class_name</c> (diffusers) or the first of <c>architectures</c> (transformers), if any.</summary>
    public string? ClassName => Find("_class_name") is { ValueKind: JsonValueKind.String } name ? name.GetString()
        : Find("architectures") is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() > 0
            ? JsonPart.TryString(list[0]) : null;

    /// <summary>Reads a JSON file.</summary>
    /// <exception cref="CheckpointException">The file is missing, no JSON, or not an object.</exception>
    public static ModelConfig Read(string path) => new(JsonPart.Read(path).Object());

    /// <summary>Parses JSON text; <paramref name="path"/> is named in messages.</summary>
    /// <exception cref="CheckpointException">The text is no JSON object.</exception>
    public static ModelConfig Parse(string path, ReadOnlyMemory<byte> utf8) => new(JsonPart.Parse(path, utf8.Span).Object());

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
            foreach (var property in _root.Element.EnumerateObject().Where(property => property.Name != key))
                property.WriteTo(json);
            json.WriteEndObject();
        }
        return Parse(Path, stream.ToArray());
    }

    /// <summary>Whether a key exists and is not null.</summary>
    public bool Has(string key) => Find(key) != null;

    /// <summary>All keys, in the order of the file.</summary>
    public IEnumerable<string> Keys() => _root.Element.EnumerateObject().Select(property => property.Name);

    /// <summary>A raw value, or null when it is missing or null.</summary>
    public JsonElement? Find(string key) => Part(key)?.Element;

    /// <summary>An object, or null when it is missing or null.</summary>
    /// <exception cref="CheckpointException">The value is no object.</exception>
    public ModelConfig? Object(string key) => Part(key) is { } part ? new ModelConfig(part.Object()) : null;

    /// <summary>An integer.</summary>
    /// <exception cref="CheckpointException">The value is no integer.</exception>
    public int Int(string key, int missing) => Part(key)?.Int() ?? missing;

    /// <summary>An integer or null.</summary>
    public int? OptionalInt(string key) => Part(key)?.Int();

    /// <summary>The width of something: channels, pixels, entries of a small table. From 1 to 2^17, so that widths times heads times the
    /// parts of a modulation still are shapes.</summary>
    /// <exception cref="CheckpointException">The value is no integer of that range.</exception>
    internal int Size(string key, int missing) => OptionalSize(key) ?? missing;

    /// <inheritdoc cref="Size"/>
    internal int? OptionalSize(string key) => (int?)Part(key)?.Integer(1, LargestSize);

    /// <summary>A list of sizes.</summary>
    /// <exception cref="CheckpointException">The value is no list of integers from 1 to 2^17.</exception>
    internal int[] Sizes(string key, params int[] missing) =>
        Part(key)?.Items().Select(item => (int)item.Integer(1, LargestSize)).ToArray() ?? missing;

    /// <summary>How many heads an attention has, from 1 to 1024.</summary>
    /// <exception cref="CheckpointException">The value is no integer of that range.</exception>
    internal int Heads(string key, int missing) => (int?)Part(key)?.Integer(1, MostHeads) ?? missing;

    /// <summary>How many blocks follow one another, from 0 to 1024.</summary>
    /// <exception cref="CheckpointException">The value is no integer of that range.</exception>
    internal int Layers(string key, int missing) => (int?)Part(key)?.Integer(0, MostLayers) ?? missing;

    /// <summary>A list of such numbers.</summary>
    /// <exception cref="CheckpointException">The value is no list of integers from 0 to 1024.</exception>
    internal int[] LayerLists(string key, params int[] missing) =>
        Part(key)?.Items().Select(item => (int)item.Integer(0, MostLayers)).ToArray() ?? missing;

    /// <summary>The entries of a vocabulary or of a context, from 1 to 2^24.</summary>
    /// <exception cref="CheckpointException">The value is no integer of that range.</exception>
    internal int Length(string key, int missing) => OptionalLength(key) ?? missing;

    /// <inheritdoc cref="Length"/>
    internal int? OptionalLength(string key) => (int?)Part(key)?.Integer(1, LargestLength);

    /// <summary>A number above 0.</summary>
    /// <param name="key">Its key.</param>
    /// <param name="missing">Its default.</param>
    /// <param name="most">The largest that makes sense.</param>
    /// <exception cref="CheckpointException">The value is no number of that range.</exception>
    internal double Positive(string key, double missing, double most = 1e12) => OptionalPositive(key, most) ?? missing;

    /// <inheritdoc cref="Positive"/>
    internal double? OptionalPositive(string key, double most = 1e12) =>
        Part(key) is not { } part ? null
            : part.Double() is var value && value > 0 && value <= most ? value
            : throw part.Wrong(FormattableString.Invariant($"a number above 0 and at most {most}"));

    /// <summary>A number of a range, both ends included.</summary>
    /// <exception cref="CheckpointException">The value is no number of that range.</exception>
    internal double Number(string key, double missing, double low, double high) =>
        Part(key) is not { } part ? missing
            : part.Double() is var value && value >= low && value <= high ? value
            : throw part.Wrong(FormattableString.Invariant($"a number from {low} to {high}"));

    /// <summary>What norms add to the mean of squares, from 0 to 1.</summary>
    /// <exception cref="CheckpointException">The value is no number of that range.</exception>
    internal float Epsilon(string key, double missing) => (float)Number(key, missing, 0, 1);

    /// <summary>A number.</summary>
    /// <exception cref="CheckpointException">The value is no number.</exception>
    public double Double(string key, double missing) => Part(key)?.Double() ?? missing;

    /// <summary>A number or null.</summary>
    public double? OptionalDouble(string key) => Part(key)?.Double();

    /// <summary>A single-precision number.</summary>
    public float Float(string key, double missing) => (float)Double(key, missing);

    /// <summary>A truth value.</summary>
    public bool Bool(string key, bool missing) => Part(key)?.Bool() ?? missing;

    /// <summary>A text.</summary>
    public string String(string key, string missing) => Part(key)?.String() ?? missing;

    /// <summary>A list of integers.</summary>
    public int[] Ints(string key, params int[] missing) => Part(key)?.Items().Select(item => item.Int()).ToArray() ?? missing;

    /// <summary>A list of truth values.</summary>
    public bool[] Bools(string key, params bool[] missing) => Part(key)?.Items().Select(item => item.Bool()).ToArray() ?? missing;

    /// <summary>A list of single-precision numbers.</summary>
    public float[] Floats(string key, params float[] missing) =>
        Part(key)?.Items().Select(item => (float)item.Double()).ToArray() ?? missing;

    /// <summary>A list of texts.</summary>
    public string[] Strings(string key, params string[] missing) =>
        Part(key)?.Items().Select(item => item.String()).ToArray() ?? missing;

    private JsonPart? Part(string key)
    {
        Asked?.Add(key);
        return _root.Find(key);
    }
}
