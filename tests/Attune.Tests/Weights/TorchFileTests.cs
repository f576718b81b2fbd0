using System.IO.Compression;
using System.Text;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Files of torch.save: what is read of them, and that nothing of them is run.</summary>
public class TorchFileTests
{
    private static readonly byte[] Magic = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, (byte)'.'];
    private static readonly byte[] Version = [0x80, 2, (byte)'M', 0xe9, 3, (byte)'.'];
    private static readonly byte[] Machine = [0x80, 2, (byte)'}', (byte)'.'];

    /// <summary>A dictionary {"w": tensor} in protocol 2, as torch.save writes it.</summary>
    private static byte[] Pickle(
        string key = "0", string sizes = "K\u0002K\u0003\u0086", string strides = "K\u0003K\u0001\u0086",
        string storage = "torch\nFloatStorage\n", string offset = "K\0", bool legacy = false)
    {
        string reference = $"(U\u0007storagec{storage}U{(char)key.Length}{key}U\u0003cpu\u008a\u0001\u0006{(legacy ? "N" : "")}tQ";
        string tensor = $"ctorch._utils\n_rebuild_tensor_v2\n({reference}{offset}{sizes}{strides}\u0089NtR";
        return Latin("\u0080\u0002}(U\u0001w" + tensor + "u.");
    }

    private static byte[] Latin(string text) => Encoding.Latin1.GetBytes(text);

    private static byte[] Numbers(int count = 6) => [.. Enumerable.Range(1, count).SelectMany(i => BitConverter.GetBytes((float)i))];

    private static string Zip(string folder, byte[] pickle, params (string Name, byte[] Bytes)[] files)
    {
        string path = Path.Combine(folder, Guid.NewGuid().ToString("N") + ".pth");
        using var zip = new ZipArchive(File.Create(path), ZipArchiveMode.Create);
        foreach (var (name, bytes) in files.Prepend(("data.pkl", pickle)))
        {
            using var stream = zip.CreateEntry("archive/" + name, CompressionLevel.NoCompression).Open();
            stream.Write(bytes);
        }
        return path;
    }

    private static string Legacy(string folder, byte[] pickle, byte[] numbers)
    {
        string path = Path.Combine(folder, Guid.NewGuid().ToString("N") + ".pth");
        File.WriteAllBytes(
            path,
            [.. Magic, .. Version, .. Machine, .. pickle, .. Latin("\u0080\u0002]U\u00010a."), 6, 0, 0, 0, 0, 0, 0, 0, .. numbers]);
        return path;
    }

    private static float[] Values(string path)
    {
        Assert.True(TorchFile.Is(path));
        using var source = TorchFile.Open(path);
        Assert.Equal(["w"], source.Names);
        Assert.Equal(Shape.Create([2, 3]), source.ShapeOf("w"));
        using var stored = source.Find("w")!;
        var values = new float[6];
        stored.Widen(0, values);
        return values;
    }

    [Fact]
    public void Both_containers_are_read()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal([1, 2, 3, 4, 5, 6], Values(Zip(folder.Path, Pickle(), ("data/0", Numbers()), ("version", Latin("3\n")))));
        Assert.Equal([1, 2, 3, 4, 5, 6], Values(Legacy(folder.Path, Pickle(legacy: true), Numbers())));
    }

    [Fact]
    public void A_view_with_other_strides_is_laid_out_anew()
    {
        using var folder = new TemporaryFolder();
        string path = Zip(folder.Path, Pickle(strides: "K\u0001K\u0002\u0086"), ("data/0", Numbers()));
        Assert.Equal([1, 3, 5, 2, 4, 6], Values(path));
    }

    [Theory]
    [InlineData("\u0080\u0002cos\nsystem\nU\u0001x\u0085R.", "it names os.system, which is code")]
    [InlineData("\u0080\u0002cbuiltins\neval\nU\u0001x\u0085R.", "it names builtins.eval, which is code")]
    [InlineData("\u0080\u0004\u008c\u0002os\u008c\u0006system\u0093.", "it names os.system, which is code")]
    [InlineData("\u0080\u0002ctorch\nload\n.", "it names torch.load, which is code")]
    [InlineData("\u0080\u0002(U\u0001xios\nsystem\n.", "the instruction 0x69")]
    [InlineData("\u0080\u0002U\u0001xP", "the instruction 0x50")]
    [InlineData("\u0080\u0002N\u0081.", "the instruction 0x81")]
    [InlineData("\u0080\u0002\u0082\u0001.", "the instruction 0x82")]
    [InlineData("\u0080\u0002U\u0001xQ.", "no storage of a tensor")]
    [InlineData("\u0080\u0002}.", "holds no tensors")]
    [InlineData("\u0080\u0002].", "no dictionary")]
    [InlineData("\u0080\u0002R.", "damaged")]
    [InlineData("\u0080\u0002h\u0005.", "damaged")]
    [InlineData("\u0080\u0002}", "ends in the middle")]
    [InlineData("\u0080\u0009}.", "protocol 9")]
    public void What_is_no_tensor_is_refused(string pickle, string message)
    {
        using var folder = new TemporaryFolder();
        string path = Zip(folder.Path, Latin(pickle), ("data/0", Numbers()));
        Assert.Contains(message, Assert.Throws<CheckpointException>(() => TorchFile.Open(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_that_reach_beyond_their_storage_are_refused()
    {
        using var folder = new TemporaryFolder();
        foreach (string path in new[]
        {
            Zip(folder.Path, Pickle(), ("data/0", Numbers(5))),
            Zip(folder.Path, Pickle(offset: "K\u0001"), ("data/0", Numbers())),
            Zip(folder.Path, Pickle(strides: "K\u0004K\u0001\u0086"), ("data/0", Numbers())),
            Zip(folder.Path, Pickle(sizes: "K\u0002Kÿ\u0086", strides: "K\0K\0\u0086"), ("data/0", Numbers())),
            Zip(folder.Path, Pickle(key: "7"), ("data/0", Numbers())),
            Zip(folder.Path, Pickle(storage: "torch\nDoubleStorage\n"), ("data/0", Numbers())),
            Legacy(folder.Path, Pickle(legacy: true), Numbers(5)),
        })
            Assert.Contains(path, Assert.Throws<CheckpointException>(() => TorchFile.Open(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TorchScript_is_refused_with_what_to_use_instead()
    {
        using var folder = new TemporaryFolder();
        string path = Zip(folder.Path, Pickle(), ("data/0", Numbers()), ("constants.pkl", []), ("code/__torch__.py", []));
        string message = Assert.Throws<CheckpointException>(() => TorchFile.Open(path)).Message;
        Assert.Contains("TorchScript", message, StringComparison.Ordinal);
        Assert.Contains(".safetensors", message, StringComparison.Ordinal);
    }

    /// <summary>Every cut and many a changed byte gives the tensor or the error that says what is wrong, and no other.</summary>
    [Fact]
    public void Damaged_files_are_errors()
    {
        using var folder = new TemporaryFolder();
        string damaged = Path.Combine(folder.Path, "damaged.pth");
        foreach (string whole in new[]
        {
            Zip(folder.Path, Pickle(), ("data/0", Numbers())), Legacy(folder.Path, Pickle(legacy: true), Numbers()),
        })
        {
            byte[] bytes = File.ReadAllBytes(whole);
            for (int i = 0; i < bytes.Length; i++)
            {
                Try(bytes[..i]);
                byte[] changed = [.. bytes];
                changed[i] ^= (byte)(1 << (i % 8));
                Try(changed);
            }
        }

        void Try(byte[] bytes)
        {
            File.WriteAllBytes(damaged, bytes);
            try
            {
                using var source = TorchFile.Open(damaged);
                foreach (string name in source.Names)
                    source.Find(name)?.Dispose();
            }
            catch (CheckpointException)
            {
            }
        }
    }
}
