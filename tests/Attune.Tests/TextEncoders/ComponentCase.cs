using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Attune.Tensors;

namespace Attune.Tests;

/// <summary>A golden case in tests/golden that has a checkpoint: inputs, and outputs with their tolerances.</summary>
public sealed class ComponentCase
{
    private readonly Dictionary<string, (int[] Shape, Array Values)> _tensors = [];
    private readonly Dictionary<string, double> _tolerances = [];
    private readonly HashSet<string> _checked = [];

    private ComponentCase(string checkpoint) => Checkpoint = checkpoint;

    /// <summary>The folder of the case's checkpoint.</summary>
    public string Checkpoint { get; }

    /// <summary>The folder tests/golden of the repository.</summary>
    public static string Root { get; } = FindRoot();

    public static ComponentCase Read(string name)
    {
        string path = Path.Combine(Root, "cases", name);
        using var json = JsonDocument.Parse(File.ReadAllBytes(path + ".json"));
        var result = new ComponentCase(Path.Combine(Root, json.RootElement.GetProperty("checkpoint").GetString()!));
        foreach (var output in json.RootElement.GetProperty("outputs").EnumerateObject())
            result._tolerances[output.Name] = output.Value.GetDouble();
        result.ReadTensors(File.ReadAllBytes(path + ".safetensors"));
        return result;
    }

    /// <summary>Rows of an integer input.</summary>
    public int[][] Rows(string name)
    {
        var (shape, values) = _tensors["input." + name];
        return [.. ((long[])values).Select(value => (int)value).Chunk(shape[1])];
    }

    /// <summary>An image or feature map, from [batch, channels, height, width] to channels last.</summary>
    public Tensor Image(string name)
    {
        var (shape, values) = _tensors["input." + name];
        using var stored = Tensor.From(Host, (float[])values, Shape.Create(shape));
        return stored.Permute(0, 2, 3, 1);
    }

    /// <summary>An output as it is stored, for a step that starts from it.</summary>
    public Tensor Output(string name)
    {
        var (shape, values) = _tensors["output." + name];
        return Tensor.From(Host, (float[])values, Shape.Create(shape));
    }

    /// <summary>Compares an output, [batch, height, width, channels] here, [batch, channels, height, width] in the file.</summary>
    public void CheckImage(string name, Tensor actual)
    {
        using var permuted = actual.Permute(0, 3, 1, 2);
        Check(name, permuted);
    }

    /// <summary>Compares an output: same shape, no NaN, max|value - reference| at most tolerance * max|reference|.</summary>
    public void Check(string name, Tensor? actual)
    {
        Assert.NotNull(actual);
        var (shape, values) = _tensors["output." + name];
        Assert.Equal(Shape.Create(shape), actual.Shape);
        float[] expected = (float[])values;
        float[] got = actual.ToArray();
        double error = 0;
        double scale = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.False(float.IsNaN(got[i]), $"{name}: element {i} is NaN.");
            error = Math.Max(error, Math.Abs((double)got[i] - expected[i]));
            scale = Math.Max(scale, Math.Abs((double)expected[i]));
        }
        double ratio = error / (_tolerances[name] * scale);
        TestContext.Current.TestOutputHelper?.WriteLine(
            string.Create(CultureInfo.InvariantCulture, $"{name}: {ratio:0.000} of the tolerance {_tolerances[name]:0.0e+0}"));
        Assert.True(ratio <= 1, $"{name}: the error {error} is {ratio:0.00} times what the tolerance allows.");
        _checked.Add(name);
    }

    /// <summary>Fails when an output was not compared, save those of submodules, which only help to find a fault.</summary>
    public void RequireAllChecked() =>
        Assert.DoesNotContain(
            _tolerances.Keys,
            name => !_checked.Contains(name)
                && !name.StartsWith("encoder.", StringComparison.Ordinal) && !name.StartsWith("decoder.", StringComparison.Ordinal));

    private void ReadTensors(byte[] file)
    {
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        using var json = JsonDocument.Parse(file.AsMemory(8, header));
        foreach (var entry in json.RootElement.EnumerateObject().Where(e => e.Name != "__metadata__"))
        {
            int[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(e => e.GetInt32())];
            var offsets = entry.Value.GetProperty("data_offsets");
            var bytes = file.AsSpan((8 + header + offsets[0].GetInt32())..(8 + header + offsets[1].GetInt32()));
            string type = entry.Value.GetProperty("dtype").GetString()!;
            _tensors[entry.Name] = (shape, type switch
            {
                "F32" => MemoryMarshal.Cast<byte, float>(bytes).ToArray(),
                "I64" => MemoryMarshal.Cast<byte, long>(bytes).ToArray(),
                _ => throw new NotSupportedException($"{entry.Name} is {type}."),
            });
        }
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
        {
            string candidate = Path.Combine(folder.FullName, "tests", "golden");
            if (Directory.Exists(Path.Combine(candidate, "cases")))
                return candidate;
        }
        throw new DirectoryNotFoundException($"There is no folder tests/golden above '{AppContext.BaseDirectory}'.");
    }
}
