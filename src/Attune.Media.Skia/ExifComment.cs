using System.Buffers.Binary;
using System.Text;

namespace Attune.Media.Skia;

/// <summary>
/// Texts as Exif metadata: the tag UserComment (CIPA DC-008, section 4.6.5), where web interfaces for diffusion models put and look for
/// what a picture was made with.
/// </summary>
internal static class ExifComment
{
    private const int ExifDirectory = 0x8769, UserComment = 0x9286, Long = 4, Undefined = 7;

    /// <summary>
    /// A TIFF structure in big-endian order; empty without texts. One text stands alone; of several each has a line, or more, that begins
    /// with its keyword and a colon.
    /// </summary>
    public static byte[] Of(ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        if (texts.IsEmpty)
            return [];
        var all = new StringBuilder();
        foreach (var (keyword, text) in texts)
            all.Append(texts.Length == 1 ? text : $"{(all.Length == 0 ? "" : "\n")}{keyword}: {text}");
        byte[] comment = [.. "UNICODE\0"u8, .. Encoding.BigEndianUnicode.GetBytes(all.ToString())];

        // Two directories of one entry each, 18 bytes; the second, of Exif's own tags, begins at 26 and its value at 44.
        return [
            .. "MM\0*"u8, .. Number(8), .. Directory(ExifDirectory, Long, 1, 26),
            .. Directory(UserComment, Undefined, comment.Length, 44), .. comment];
    }

    private static byte[] Directory(int tag, int type, int count, int value) =>
        [0, 1, (byte)(tag >> 8), (byte)tag, 0, (byte)type, .. Number(count), .. Number(value), .. Number(0)];

    private static byte[] Number(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }
}
