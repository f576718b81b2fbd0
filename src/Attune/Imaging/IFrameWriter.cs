namespace Attune.Imaging;

/// <summary>Writes files of a format that holds moving pictures.</summary>
public interface IFrameWriter
{
    /// <summary>What people call the format, as GIF.</summary>
    string Name { get; }

    /// <summary>The extensions of its files, in lower case with the dot, the usual one first.</summary>
    IReadOnlyList<string> Extensions { get; }

    /// <summary>The most frames a second that it holds.</summary>
    double MostFramesPerSecond { get; }

    /// <summary>Encodes a video, which is shown again and again.</summary>
    /// <param name="frames">The frames.</param>
    /// <param name="rate">Frames a second, above 0 and at most <see cref="MostFramesPerSecond"/>.</param>
    /// <param name="stream">Where to write; it need not be seekable.</param>
    /// <param name="texts">Keywords and texts that go with the video, where the format can hold them.</param>
    void Write(Frames frames, double rate, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts);
}
