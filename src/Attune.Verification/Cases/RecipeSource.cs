using System.Text.Json;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// Weights that are stated instead of stored: each tensor is offset + scale * randn(shape, seed), or of its absolute value. Files of
/// networks as large as Inception are so a page long.
/// </summary>
internal sealed class RecipeSource : WeightSource
{
    private readonly SortedDictionary<string, JsonElement> _tensors = new(StringComparer.Ordinal);

    public RecipeSource(string folder)
    {
        Path = System.IO.Path.Combine(folder, "weights.json");
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path));
        foreach (var line in document.RootElement.GetProperty("tensors").EnumerateArray())
            _tensors.Add(line.GetProperty("name").GetString()!, line.Clone());
    }

    public override string Path { get; }

    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    public override TensorEntry? Describe(string name)
    {
        if (!_tensors.TryGetValue(name, out var line))
            return null;
        bool integers = line.TryGetProperty("value", out _);
        long[] axes = [.. line.GetProperty("shape").EnumerateArray().Select(extent => extent.GetInt64())];
        return new TensorEntry(name, integers ? "I64" : "F32", axes, Path, 0, 0);
    }

    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        if (Describe(name) is not { Type: "F32" } entry)
            return null;
        var line = _tensors[name];
        var shape = Shape.Create([.. entry.Dimensions.Select(extent => (int)extent)]);
        float[] values = new float[shape.Count];
        new TorchRandom(line.GetProperty("seed").GetUInt64()).Normal(values);
        float scale = line.GetProperty("scale").GetSingle(), offset = line.GetProperty("offset").GetSingle();
        bool absolute = line.TryGetProperty("absolute", out var flag) && flag.GetBoolean();
        for (int i = 0; i < values.Length; i++)
        {
            float product = (absolute ? Math.Abs(values[i]) : values[i]) * scale;
            values[i] = product + offset;
        }
        RequireAsStated(line, values);
        using var scope = new TensorScope();
        return StoredWeight.Owning(name, Tensor.From(Devices.Managed, values, shape));
    }

    protected override void Dispose(bool disposing)
    {
    }

    /// <summary>Weights that are not those of the recipe would fail cases for another reason than the network.</summary>
    private void RequireAsStated(JsonElement line, float[] values)
    {
        double sum = values.Sum(value => (double)value * value), stated = line.GetProperty("sum_of_squares").GetDouble();
        if (!(Math.Abs(sum - stated) <= 1e-5 * stated))
            throw new CheckpointException($"'{Path}': the squares of {line.GetProperty("name")} add up to {sum}, expected {stated}.");
    }
}
