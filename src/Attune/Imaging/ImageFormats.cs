using System.Collections.Immutable;

namespace Attune.Imaging;

/// <summary>
/// The image formats that are read and written: PNG both ways and JPEG to read, and what packages add. Thread-safe.
/// </summary>
public static class ImageFormats
{
    private static ImmutableArray<IImageReader> _readers = [new PngFormat(), new JpegFormat()];
    private static ImmutableArray<IImageWriter> _writers = [new PngFormat()];

    /// <summary>What reads, in the order in which files are tried.</summary>
    public static IReadOnlyList<IImageReader> Readers => _readers;

    /// <summary>What writes.</summary>
    public static IReadOnlyList<IImageWriter> Writers => _writers;

    /// <summary>Adds a format to those that are read. Those that are there go first.</summary>
    public static void Add(IImageReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ImmutableInterlocked.Update(ref _readers, all => all.Any(known => known.Name == reader.Name) ? all : all.Add(reader));
    }

    /// <summary>Adds a format to those that are written. Those that are there go first.</summary>
    public static void Add(IImageWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ImmutableInterlocked.Update(ref _writers, all => all.Any(known => known.Name == writer.Name) ? all : all.Add(writer));
    }

    /// <summary>What writes files of a name, by its extension.</summary>
    /// <param name="path">The file's name.</param>
    /// <param name="label">What the error begins with, as the option that has the name; null for nothing.</param>
    /// <exception cref="ArgumentException">No format is written that has the extension; the message says which are.</exception>
    public static IImageWriter WriterOf(string path, string? label = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        string extension = Path.GetExtension(path);
        return Writers.FirstOrDefault(writer => writer.Extensions.Contains(extension, StringComparer.OrdinalIgnoreCase))
            ?? throw new ArgumentException(
                $"{(label == null ? "" : label + ": ")}'{path}' ends in {(extension.Length > 0 ? extension : "no extension")}; "
                    + $"pictures are written as {InWords(Writers.SelectMany(writer => writer.Extensions))}.");
    }

    /// <summary>As sentences have it: a, b or c.</summary>
    public static string InWords(IEnumerable<string> words, string last = "or")
    {
        string[] all = [.. words];
        return all.Length < 2 ? string.Concat(all) : $"{string.Join(", ", all[..^1])} {last} {all[^1]}";
    }

    private sealed class PngFormat : IImageReader, IImageWriter
    {
        public string Name => "PNG";

        public IReadOnlyList<string> Extensions { get; } = [".png"];

        public bool Matches(ReadOnlySpan<byte> bytes) => Png.Matches(bytes);

        public ImageHead ReadHead(ReadOnlySpan<byte> bytes, string name) => new PngReader(bytes, name).ReadHead();

        public Image Read(ReadOnlySpan<byte> bytes, string name) => Png.Read(bytes, name);

        public void Write(Image image, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts) =>
            Png.Write(image, stream, texts);
    }

    private sealed class JpegFormat : IImageReader
    {
        public string Name => "JPEG";

        public bool Matches(ReadOnlySpan<byte> bytes) => Jpeg.Matches(bytes);

        public ImageHead ReadHead(ReadOnlySpan<byte> bytes, string name) => new JpegReader(bytes, name).ReadHead();

        public Image Read(ReadOnlySpan<byte> bytes, string name) => Jpeg.Read(bytes, name);
    }
}
