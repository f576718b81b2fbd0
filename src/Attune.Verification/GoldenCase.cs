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

    private GoldenCase(string root, string file, JsonElement json)
    {
        (Root, _file, _root) = (root, file, json);
        Name = json.GetProperty("name").GetString()!;
        Outputs = json.TryGetProperty("outputs", out var outputs)
            ? outputs.EnumerateObject().ToDictionary(o => o.Name, o => o.Value.GetDouble())
            : [];
    }

    /// <summary>GROUP/NAME.</summary>
    public string Name { get; }

    /// <summary>The folder of the whole set, to which checkpoints are relative.</summary>
    public string Root { get; }

    public string Kind => _root.GetProperty("kind").GetString()!;

    public string? Class => _root.TryGetProperty("class", out var name) ? name.GetString() : null;

    /// <summary>The full path of the checkpoint folder.</summary>
    public string Checkpoint =>
        Path.Combine(Root, _root.GetProperty("checkpoint").GetString() ?? throw new UnsupportedCaseException("no checkpoint is named"));

    public JsonElement Arguments => _root.GetProperty("arguments");

    /// <summary>Names of outputs and their tolerances.</summary>
    public IReadOnlyDictionary<string, double> Outputs { get; }

    private CaseTensors Tensors => _tensors ??= new CaseTensors(Path.ChangeExtension(_file, ".safetensors"));

    /// <summary>All cases below ROOT/cases, by name.</summary>
    /// <exception cref="CheckpointException">A case file is malformed, or there is no such folder.</exception>
    public static IEnumerable<(string Name, string File)> List(string root)
    {
        string cases = Path.Combine(root, "cases");
        if (!Directory.Exists(cases))
            throw new CheckpointException($"'{root}' has no folder cases/; expected a folder of golden cases.");
        return Directory.EnumerateFiles(cases, "*.json", SearchOption.AllDirectories)
            .Where(file => !Path.GetFileNameWithoutExtension(file).EndsWith(".strings", StringComparison.Ordinal))
            .Select(file => (Path.GetRelativePath(cases, file)[..^".json".Length].Replace('\\', '/'), file))
            .OrderBy(pair => pair.Item1, StringComparer.Ordinal);
    }

    public static GoldenCase Read(string root, string file)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            return new GoldenCase(root, file, document.RootElement.Clone());
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new CheckpointException($"'{file}' is no golden case: {exception.Message}", exception);
        }
    }

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

    public int Int(string key, int missing) =>
        Arguments.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : missing;

    public double? OptionalDouble(string key) =>
        Arguments.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
}

/// <summary>The case is of a kind, class or option that is not implemented; counted apart from passed and failed.</summary>
internal sealed class UnsupportedCaseException(string message) : Exception(message);
