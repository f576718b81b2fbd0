using System.Buffers.Binary;
using Attune.Imaging;

namespace Attune.Media.Skia;

/// <summary>The RIFF container of WebP files (RFC 9649, section 2).</summary>
internal static class WebPContainer
{
    private const int MaxSide = 16383;
    private const byte HasExif = 0x08;

    /// <summary>The file with a chunk of Exif metadata, for which a simple file becomes an extended one (section 2.7).</summary>
    public static byte[] WithExif(byte[] file, int width, int height, byte[] exif)
    {
        if (exif.Length == 0)
            return file;
        byte[] chunks = file[12..];
        if (chunks.AsSpan().StartsWith("VP8X"u8))
        {
            chunks[8] |= HasExif;
        }
        else
        {
            byte[] header = [.. "VP8X"u8, 10, 0, 0, 0, HasExif, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            WriteUInt24(header.AsSpan(12), width - 1);
            WriteUInt24(header.AsSpan(15), height - 1);
            chunks = [.. header, .. chunks];
        }
        byte[] size = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(size, exif.Length);
        byte[] padding = exif.Length % 2 == 0 ? [] : [0];
        byte[] result = [.. "RIFF"u8, 0, 0, 0, 0, .. "WEBP"u8, .. chunks, .. "EXIF"u8, .. size, .. exif, .. padding];
        BinaryPrimitives.WriteInt32LittleEndian(result.AsSpan(4), result.Length - 8);
        return result;
    }

    public static ImageException TooLarge(Image image) => new(
        $"{image.Width} x {image.Height} pixels are not written as WebP, which takes sides of {MaxSide} at most.");

    private static void WriteUInt24(Span<byte> at, int value) =>
        (at[0], at[1], at[2]) = ((byte)value, (byte)(value >> 8), (byte)(value >> 16));
}
