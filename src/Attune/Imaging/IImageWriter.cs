namespace Attune.Imaging;

/// <summary>Writes files of an image format.</summary>
public interface IImageWriter
{
    /// <summary>What people call the format, as PNG.</summary>
    string Name { get; }

    /// <summary>The extensions of its files, in lower case with the dot, the usual one first: <c>.jpg</c>, <c>.jpeg</c>.</summary>
    IReadOnlyList<string> Extensions { get; }

    /// <summary>Encodes an image.</summary>
    /// <param name="image">The pixels.</param>
    /// <param name="stream">Where to write; it need not be seekable.</param>
    /// <param name="texts">Keywords and texts that go with the picture, where the format can hold them.</param>
    void Write(Image image, Stream stream, params ReadOnlySpan<KeyValuePair<string, string>> texts);
}
