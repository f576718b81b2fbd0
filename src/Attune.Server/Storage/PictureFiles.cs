using System.Collections.Concurrent;
using Attune.Server.Requests;

namespace Attune.Server.Storage;

/// <summary>
/// The bytes of kept pictures and of their traces: files in a folder, or memory. Paths are made of names alone (<see cref="Ids"/>), never
/// of what a client sends.
/// </summary>
/// <param name="folder">The folder; null for memory.</param>
internal sealed class PictureFiles(string? folder)
{
    private readonly ConcurrentDictionary<string, byte[]> _memory = new(StringComparer.Ordinal);

    /// <summary>Keeps a file; when this has returned, it is whole, and survives the end of the process.</summary>
    public void Write(string id, string format, byte[] bytes)
    {
        if (folder == null)
        {
            _memory[NameOf(id, format)] = bytes;
            return;
        }
        string path = PathOf(id, format);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        OutputFile.Write(path, stream => stream.Write(bytes));
    }

    /// <summary>A file's bytes; null where there is none.</summary>
    public async Task<byte[]?> ReadAsync(string id, string format, CancellationToken cancellation)
    {
        if (folder == null)
            return _memory.GetValueOrDefault(NameOf(id, format));
        try
        {
            return await File.ReadAllBytesAsync(PathOf(id, format), cancellation).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    public void Delete(string id, string format)
    {
        if (folder == null)
            _memory.TryRemove(NameOf(id, format), out _);
        else if (PathOf(id, format) is var path && File.Exists(path))
            File.Delete(path);
    }

    /// <summary>Deletes files that nobody knows: of pictures that were written just before the process was killed.</summary>
    /// <param name="isKnown">Whether the name of a file is that of a kept picture.</param>
    public void DeleteUnknown(Func<string, bool> isKnown)
    {
        if (folder == null || !Directory.Exists(folder))
            return;
        foreach (string path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            if (!isKnown(Path.GetFileNameWithoutExtension(path)))
                File.Delete(path);
        }
    }

    private string PathOf(string id, string format)
    {
        string name = NameOf(id, format);
        return Path.Combine(folder!, name[..2], name);
    }

    private static string NameOf(string id, string format) => Ids.IsOne(id) && format is ("png" or "jpeg" or "webp" or "trace")
        ? $"{id}.{format}" : throw new ArgumentException("A picture's name has another form.", nameof(id));
}
