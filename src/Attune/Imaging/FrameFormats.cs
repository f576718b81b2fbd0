using System.Collections.Immutable;

namespace Attune.Imaging;

/// <summary>The formats of moving pictures that are written: animated PNG and GIF, and what packages add. Thread-safe.</summary>
public static class FrameFormats
{
    private static ImmutableArray<IFrameWriter> _writers = [new AnimatedPng(), new AnimatedGif()];

    /// <summary>What writes.</summary>
    public static IReadOnlyList<IFrameWriter> Writers => _writers;

    /// <summary>Adds a format to those that are written. Those that are there go first.</summary>
    public static void Add(IFrameWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ImmutableInterlocked.Update(ref _writers, all => all.Any(known => known.Name == writer.Name) ? all : all.Add(writer));
    }

    /// <summary>What writes files of a name, by its extension; null for none.</summary>
    public static IFrameWriter? WriterOf(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        string extension = Path.GetExtension(path);
        return Writers.FirstOrDefault(writer => writer.Extensions.Contains(extension, StringComparer.OrdinalIgnoreCase));
    }

    private sealed class AnimatedPng : IFrameWriter
    {
        public string Name => "animated PNG";

        public IReadOnlyList<string> Extensions { get; } = [".png", ".apng"];

        public double MostFramesPerSecond => 1000;

        public void Write(Frames frames, double rate, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts) =>
            Png.WriteAnimation(frames, rate, stream, texts);
    }

    private sealed class AnimatedGif : IFrameWriter
    {
        public string Name => "GIF";

        public IReadOnlyList<string> Extensions { get; } = [".gif"];

        /// <summary>Delays are hundredths of a second, and players take 1 for a mistake.</summary>
        public double MostFramesPerSecond => 50;

        public void Write(Frames frames, double rate, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts) =>
            Gif.Write(frames, rate, stream, texts);
    }
}
