using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Attune.Generation;

/// <summary>What tells a model from others: its name, and a hash that hardly any two share.</summary>
/// <param name="Name">The name of the folder or file, without its place.</param>
/// <param name="Hash">16 hexadecimal digits; see <see cref="Of"/>.</param>
public sealed record ModelIdentity(string Name, string Hash)
{
    private const int Samples = 64;
    private const int SampleBytes = 4096;

    /// <summary>
    /// Of a folder: a hash (SHA-256, the first 16 digits) of its configurations and of its weights: their headers, lengths and 64 samples
    /// of 4 KiB spread over each file. Reading all of a model's weights would take longer than a picture does; models that were trained
    /// differ in all samples.
    /// </summary>
    /// <param name="path">The folder or file.</param>
    /// <param name="parts">Files that go with it.</param>
    public static ModelIdentity Of(string path, IEnumerable<string>? parts = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (File.Exists(full))
        {
            AddWeights(hash, full);
        }
        else
        {
            foreach (string file in Directory.EnumerateFiles(full, "*", SearchOption.AllDirectories)
                .Where(file => Path.GetExtension(file) is ".json" or ".safetensors")
                .Order(StringComparer.Ordinal))
            {
                hash.AppendData(Encoding.UTF8.GetBytes(Path.GetRelativePath(full, file).Replace('\\', '/')));
                if (Path.GetExtension(file) == ".json")
                    hash.AppendData(File.ReadAllBytes(file));
                else
                    AddWeights(hash, file);
            }
        }
        foreach (string part in parts ?? [])
            AddWeights(hash, part);
        return new ModelIdentity(Path.GetFileName(full), Convert.ToHexStringLower(hash.GetHashAndReset())[..16]);
    }

    /// <summary>How many bytes the weights of a model have: its file, or the .safetensors files of its folder, and those that go with
    /// it.</summary>
    /// <param name="paths">Folders and files.</param>
    public static long WeightBytes(params IEnumerable<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        return paths.Sum(
            path => File.Exists(path) ? new FileInfo(path).Length
                : Directory.EnumerateFiles(path, "*.safetensors", SearchOption.AllDirectories)
                    .Sum(file => (File.ResolveLinkTarget(file, returnFinalTarget: true) as FileInfo ?? new FileInfo(file)).Length));
    }

    private static void AddWeights(IncrementalHash hash, string file)
    {
        using var handle = File.OpenHandle(file);
        long length = RandomAccess.GetLength(handle);
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(number, length);
        hash.AppendData(number);
        byte[] buffer = new byte[SampleBytes];
        for (int i = 0; i < Samples; i++)
        {
            int read = RandomAccess.Read(handle, buffer, (long)((Int128)Math.Max(length - SampleBytes, 0) * i / (Samples - 1)));
            hash.AppendData(buffer, 0, read);
        }
    }
}
