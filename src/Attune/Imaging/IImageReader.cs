namespace Attune.Imaging;

/// <summary>Reads files of an image format.</summary>
public interface IImageReader
{
    /// <summary>What people call the format, as PNG.</summary>
    string Name { get; }

    /// <summary>Whether a file is of this format, by its first bytes; its name does not count.</summary>
    /// <param name="bytes">The whole file.</param>
    bool Matches(ReadOnlySpan<byte> bytes);

    /// <summary>Decodes a file to 8-bit RGB, upright.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">What errors call it: its path.</param>
    /// <exception cref="ImageException">The file is damaged, too large, or uses a feature that is not read.</exception>
    Image Read(ReadOnlySpan<byte> bytes, string name);
}
