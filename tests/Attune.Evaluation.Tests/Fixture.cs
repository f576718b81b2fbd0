using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;
using Tensor = Attune.Tensors.Tensor;

namespace Attune.Evaluation.Tests;

/// <summary>A file of values in Fixtures, which generate.py there makes with PyTorch and numpy.</summary>
internal sealed class Fixture
{
    private readonly Dictionary<string, (int[] Shape, byte[] Bytes)> _tensors = [];

    public Fixture(string name)
    {
        string path = At(name);
        byte[] file = File.ReadAllBytes(path);
        using var opened = SafetensorsFile.Open(path);
        foreach (var tensor in opened.Tensors.Values)
            _tensors[tensor.Name] = (
                [.. tensor.Dimensions.Select(extent => (int)extent)], file.AsSpan((int)tensor.Offset, (int)tensor.Length).ToArray());
    }

    public static string At(params string[] parts) => Path.Combine([Folder(), "Fixtures", .. parts]);

    /// <summary>A model that comes with Attune.</summary>
    public static string Model(string name) => Path.GetFullPath(Path.Combine(Folder(), "..", "..", "models", name));

    public IEnumerable<string> Names => _tensors.Keys;

    /// <summary>Pictures that are stored as [pictures, 3, height, width] bytes.</summary>
    public Image[] Pictures()
    {
        var (shape, bytes) = _tensors["pictures"];
        int plane = shape[2] * shape[3];
        var result = new Image[shape[0]];
        for (int i = 0; i < result.Length; i++)
        {
            var pixels = new byte[3 * plane];
            for (int p = 0; p < pixels.Length; p++)
                pixels[p] = bytes[(i * 3 + p % 3) * plane + p / 3];
            result[i] = new Image(shape[3], shape[2], pixels);
        }
        return result;
    }

    /// <summary>The rows along the first axis.</summary>
    public float[][] Rows(string name)
    {
        var (shape, bytes) = _tensors[name];
        return [.. MemoryMarshal.Cast<byte, float>(bytes).ToArray().Chunk(MemoryMarshal.Cast<byte, float>(bytes).Length / shape[0])];
    }

    /// <summary>
    /// Compares values for one item: no NaN, and the largest error at most <paramref name="tolerance"/> times the largest value.
    /// </summary>
    public void Check(string name, int item, ReadOnlySpan<float> actual, double tolerance)
    {
        float[] expected = Rows(name)[item];
        Assert.Equal(expected.Length, actual.Length);
        double error = 0, scale = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.False(float.IsNaN(actual[i]), $"{name}: element {i} is NaN.");
            error = Math.Max(error, Math.Abs((double)actual[i] - expected[i]));
            scale = Math.Max(scale, Math.Abs((double)expected[i]));
        }
        TestContext.Current.TestOutputHelper?.WriteLine(
            string.Create(CultureInfo.InvariantCulture, $"{name}[{item}]: error {error / scale:0.0e+0} of the largest value"));
        Assert.True(
            error <= tolerance * scale,
            $"{name}[{item}]: the error {error} is {error / scale} of the largest value, expected {tolerance} at most.");
    }

    /// <summary>As the other, for a feature map that has its channels last here and first in the file.</summary>
    public void CheckMap(string name, int item, Tensor actual, double tolerance)
    {
        using var permuted = actual.Permute(0, 3, 1, 2);
        Check(name, item, permuted.ToArray(), tolerance);
    }

    private static string Folder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}

/// <summary>A copy of a folder of Fixtures, to be damaged; deleted at the end of a test.</summary>
internal sealed class DamagedCopy : IDisposable
{
    public DamagedCopy(string name)
    {
        foreach (string file in Directory.GetFiles(Fixture.At(name), "*", SearchOption.AllDirectories))
        {
            string copy = System.IO.Path.Combine(Path, System.IO.Path.GetRelativePath(Fixture.At(name), file));
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
    }

    public string Path { get; } = Directory.CreateTempSubdirectory("attune").FullName;

    public string At(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Replaces text in a file, which must hold it.</summary>
    public void Replace(string file, string before, string after)
    {
        string text = File.ReadAllText(At(file));
        Assert.Contains(before, text, StringComparison.Ordinal);
        File.WriteAllText(At(file), text.Replace(before, after, StringComparison.Ordinal));
    }

    /// <summary>Replaces text in the header of a safetensors file, which must hold it; the data stay.</summary>
    public void ReplaceInHeader(string file, string before, string after)
    {
        byte[] old = File.ReadAllBytes(At(file));
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(old);
        string text = Encoding.UTF8.GetString(old, 8, length);
        Assert.Contains(before, text, StringComparison.Ordinal);
        byte[] header = Encoding.UTF8.GetBytes(text.Replace(before, after, StringComparison.Ordinal));
        File.WriteAllBytes(At(file), [.. BitConverter.GetBytes((long)header.Length), .. header, .. old.AsSpan(8 + length)]);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
