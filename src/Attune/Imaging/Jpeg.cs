namespace Attune.Imaging;

/// <summary>Reads JPEG files (ISO/IEC 10918-1 = ITU-T T.81; JFIF, Exif and Adobe conventions).</summary>
public static class Jpeg
{
    /// <summary>
    /// Decodes a baseline, extended sequential or progressive JPEG file with Huffman coding and 8 bits per sample to RGB: gray, YCbCr, RGB,
    /// CMYK and YCCK, subsampled in any way. The pixels are those of libjpeg-turbo's defaults, hence of Pillow's <c>convert("RGB")</c>:
    /// accurate integer transform, triangular upsampling of chroma; CMYK is taken as inverted, as Adobe writes it, and colour profiles are
    /// ignored. The image is turned upright where Exif metadata says how the camera was held. The end marker may be missing, or something
    /// else stand in its place, where the scans before it give every coefficient.
    /// </summary>
    /// <param name="bytes">The whole file. Of several images in it (MPO) the first is read.</param>
    /// <param name="name">What errors call it: its path.</param>
    /// <exception cref="ImageException">
    /// The bytes are no JPEG file, damaged or cut off; the image has more than 178,956,970 pixels; or it is one of those that are not read:
    /// arithmetic coding, lossless, hierarchical, 12 bits.
    /// </exception>
    public static Image Read(ReadOnlySpan<byte> bytes, string name) => new JpegReader(bytes, name).Read();

    internal static bool Matches(ReadOnlySpan<byte> bytes) => bytes is [0xFF, 0xD8, 0xFF, ..];
}
