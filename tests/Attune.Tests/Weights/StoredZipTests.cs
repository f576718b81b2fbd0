using System.IO.Compression;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Where entries of stored zips lie, against System.IO.Compression, which reads them but does not say.</summary>
public class StoredZipTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(70_000)]
    public void Entries_are_those_of_the_runtime(int count)
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("a.zip");
        var random = new Random(count);
        using (var made = new ZipArchive(File.Create(path), ZipArchiveMode.Create))
        {
            for (int i = 0; i < count; i++)
            {
                using var stream = made.CreateEntry($"archive/data/{i}\u00fc", CompressionLevel.NoCompression).Open();
                byte[] bytes = new byte[random.Next(count < 100 ? 5000 : 3)];
                random.NextBytes(bytes);
                stream.Write(bytes);
            }
        }
        using var file = new MappedFile(path);
        var entries = StoredZip.Entries(file);
        using var zip = ZipFile.OpenRead(path);
        Assert.Equal(zip.Entries.Select(entry => entry.FullName).Order(StringComparer.Ordinal), entries.Keys.Order(StringComparer.Ordinal));
        foreach (var entry in zip.Entries)
        {
            var (offset, length) = entries[entry.FullName];
            Assert.Equal(entry.Length, length);
            byte[] expected = new byte[entry.Length];
            using var stream = entry.Open();
            stream.ReadExactly(expected);
            Assert.Equal(expected, StoredZip.Bytes(file, offset, length).ToArray());
        }
    }

    [Fact]
    public void Compressed_entries_are_refused()
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("a.zip");
        using (var made = new ZipArchive(File.Create(path), ZipArchiveMode.Create))
        {
            using var stream = made.CreateEntry("a", CompressionLevel.Optimal).Open();
            stream.Write(new byte[1000]);
        }
        using var file = new MappedFile(path);
        Assert.Contains("'a' is compressed", Assert.Throws<CheckpointException>(() => StoredZip.Entries(file)).Message);
    }
}
