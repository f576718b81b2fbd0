using System.Buffers.Binary;

namespace Attune.Imaging;

/// <summary>
/// The one thing of Exif metadata that changes pixels: how the camera was held (CIPA DC-008, section 4.6.4, tag Orientation).
/// </summary>
internal static class Exif
{
    private const int OrientationTag = 0x0112;
    private const int Short = 3;
    private const int Long = 4;

    /// <summary>
    /// The orientation from 1 to 8 that a TIFF structure states in its first directory; 1, upright, when it states none or is damaged.
    /// </summary>
    public static int Orientation(ReadOnlySpan<byte> tiff)
    {
        if (tiff.Length < 8)
            return 1;
        bool little = tiff[0] == 'I' && tiff[1] == 'I';
        if ((!little && (tiff[0] != 'M' || tiff[1] != 'M')) || Word(tiff[2..]) != 42)
            return 1;
        uint directory = Quad(tiff[4..]);
        if (directory > tiff.Length - 2)
            return 1;
        var entries = tiff[(int)directory..];
        int count = Word(entries);
        entries = entries[2..];
        for (int i = 0; i < count && entries.Length >= 12; i++, entries = entries[12..])
        {
            if (Word(entries) != OrientationTag)
                continue;
            uint value = Word(entries[2..]) switch { Short => Word(entries[8..]), Long => Quad(entries[8..]), _ => 1 };
            return value is >= 1 and <= 8 && Quad(entries[4..]) == 1 ? (int)value : 1;
        }
        return 1;

        ushort Word(ReadOnlySpan<byte> at) =>
            little ? BinaryPrimitives.ReadUInt16LittleEndian(at) : BinaryPrimitives.ReadUInt16BigEndian(at);
        uint Quad(ReadOnlySpan<byte> at) => little ? BinaryPrimitives.ReadUInt32LittleEndian(at) : BinaryPrimitives.ReadUInt32BigEndian(at);
    }
}
