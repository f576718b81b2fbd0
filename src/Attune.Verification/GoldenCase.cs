using System.Text.Json;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>One golden case: what to run, and what the reference implementation gave. See tests/golden/README.md for the format.</summary>
internal sealed class GoldenCase
{
    private readonly JsonElement _root;
    private readonly string _file;
    private CaseTensors? _tensors;

    private GoldenCase(string root, string file, string name, Device device, JsonElement json)
    {
        (Root, _file, _root, Name, Device) = (root, file, json, name, device);
        Kind = json.GetProperty("kind").GetString()!;
        Arguments = json.GetProperty("arguments");
        Outputs = json.TryGetProperty("outputs", out var outputs)
            ? outputs.EnumerateObject().ToDictionary(o => o.Name, o => o.Value.GetDouble())
            : [];
    }

    /// <summary>GROUP/NAME.</summary>
    public string Name { get; }

    /// <summary>The folder of the whole set, to which checkpoints are relative.</summary>
    public string Root { get; }

    /// <summary>What computes, and where inputs and references live.</summary>
    public Device Device { get; }

    /// <summary>What kind of case it is: how it is run.</summary>
    public string Kind { get; }

    public string? Class => _root.TryGetProperty("class", out var name) ? name.GetString() : null;

    /// <summary>The full path of the checkpoint folder.</summary>
    public string Checkpoint =>
        Path.Combine(Root, _root.GetProperty("checkpoint").GetString() ?? throw new UnsupportedCaseException("no checkpoint is named"));

    /// <summary>Everything that is not a tensor.</summary>
    public JsonElement Arguments { get; }

    public IEnumerable<string> ArgumentNames => Arguments.EnumerateObject().Select(argument => argument.Name);

    /// <summary>The names of its input tensors.</summary>
    public IEnumerable<string> InputNames => _root.GetProperty("inputs").EnumerateArray().Select(input => input.GetString()!);

    /// <summary>Names of outputs and their tolerances.</summary>
    public IReadOnlyDictionary<string, double> Outputs { get; }

    private CaseTensors Tensors => _tensors ??= new CaseTensors(Path.ChangeExtension(_file, ".safetensors"), Device);

    /// <exception cref="CheckpointException">The file is malformed.</exception>
    public static GoldenCase Read(GoldenFolder folder, string name, Device device)
    {
        string file = folder.FileOf(name);
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            return new GoldenCase(folder.Path, file, name, device, document.RootElement.Clone());
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new CheckpointException($"'{file}' is no golden case: {exception.Message}", exception);
        }
    }

    /// <summary>Another case of the set.</summary>
    public GoldenCase Other(string name) => Read(GoldenFolder.Open(Root), name, Device);

    /// <summary>A further JSON file beside the case.</summary>
    public JsonElement Beside(string key)
    {
        string name = _root.GetProperty("files").GetProperty(key).GetString()!;
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Path.GetDirectoryName(_file)!, name)));
        return document.RootElement.Clone();
    }

    public bool HasInput(string name) => Tensors.Contains("input." + name);

    /// <summary>An input as float32; owned by the current scope.</summary>
    public Tensor Input(string name) => Tensors.Float("input." + name);

    public Tensor? OptionalInput(string name) => HasInput(name) ? Input(name) : null;

    /// <summary>An integer input, in row-major order.</summary>
    public long[] InputIntegers(string name) => Tensors.Integer("input." + name);

    public Shape InputShape(string name) => Tensors.ShapeOf("input." + name);

    public Shape ExpectedShape(string name) => Tensors.ShapeOf("output." + name);

    public bool IsIntegerOutput(string name) => Tensors.IsInteger("output." + name);

    /// <summary>A reference output as float32.</summary>
    public Tensor Expected(string name) => Tensors.Float("output." + name);

    public long[] ExpectedIntegers(string name) => Tensors.Integer("output." + name);

    public string Text(string key) => Arguments.GetProperty(key).GetString()!;

    public string? OptionalText(string key) =>
        Arguments.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    public float Single(string key) => Arguments.GetProperty(key).GetSingle();

    public bool Flag(string key, bool missing) => Arguments.TryGetProperty(key, out var value) ? value.GetBoolean() : missing;

    public int Int(string key, int missing) =>
        Arguments.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : missing;

    /// <summary>A list of texts, or null where it is none.</summary>
    public string[]? Texts(string key) => Arguments.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Array
        ? [.. value.EnumerateArray().Select(text => text.GetString()!)] : null;

    public double? OptionalDouble(string key) =>
        Arguments.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
}
