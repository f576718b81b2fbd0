using System.Buffers.Binary;
using System.IO.Compression;
using Attune.Imaging;

namespace Attune.Tests.Imaging;

/// <summary>The files of tests/Attune.Tests/Imaging/data, and what Pillow makes of them (tools/imaging/make_test_images.py).</summary>
internal static class TestImages
{
    private static readonly string Folder = Path.Combine(Repository.Root, "tests", "Attune.Tests", "Imaging", "data");
    private static readonly Dictionary<string, Image> Values = ReadExpected();

    public static IEnumerable<string> Names(string extension) =>
        Values.Keys.Where(name => name.EndsWith(extension, StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    public static TheoryData<string> All(string extension) => [.. Names(extension)];

    public static string At(string name) => Path.Combine(Folder, name);

    public static byte[] Bytes(string name) => File.ReadAllBytes(At(name));

    public static Image Expected(string name) => Values[name];

    /// <summary>The largest difference of any channel of any pixel.</summary>
    public static int Difference(Image expected, Image actual)
    {
        Assert.Equal((expected.Width, expected.Height), (actual.Width, actual.Height));
        return expected.Rgb.ToArray().Zip(actual.Rgb.ToArray(), (a, b) => Math.Abs(a - b)).Max();
    }

    private static Dictionary<string, Image> ReadExpected()
    {
        using var archive = ZipFile.OpenRead(At("expected.zip"));
        var values = new Dictionary<string, Image>();
        foreach (var entry in archive.Entries)
        {
            using var stream = entry.Open();
            var bytes = new MemoryStream();
            stream.CopyTo(bytes);
            byte[] all = bytes.ToArray();
            int width = BinaryPrimitives.ReadInt32LittleEndian(all), height = BinaryPrimitives.ReadInt32LittleEndian(all.AsSpan(4));
            values.Add(Path.GetFileNameWithoutExtension(entry.Name), new Image(width, height, all.AsSpan(8)));
        }
        return values;
    }
}
