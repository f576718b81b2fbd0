using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Attune.Tests.Imaging;

/// <summary>Writes PNG files of every kind, and wrong ones, chunk by chunk.</summary>
internal static class PngFile
{
    public static byte[] Make(params ReadOnlySpan<byte[]> chunks)
    {
        var file = new List<byte>([0x89, .. "PNG\r\n\u001a\n"u8]);
        foreach (byte[] chunk in chunks)
            file.AddRange(chunk);
        return [.. file, .. Chunk("IEND", [])];
    }

    /// <summary>A whole file.</summary>
    /// <param name="width">In pixels.</param>
    /// <param name="height">In pixels.</param>
    /// <param name="depth">The bits of a sample.</param>
    /// <param name="color">The colour type: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha.</param>
    /// <param name="samples">All samples, row by row.</param>
    /// <param name="interlaced">Whether the pixels come in the seven passes of Adam7.</param>
    /// <param name="filters">Draws the filter of each row; null for none.</param>
    /// <param name="chunks">What stands before the pixels: palette, transparency.</param>
    public static byte[] Encode(
        int width, int height, byte depth, byte color, ReadOnlySpan<int> samples, bool interlaced = false, Random? filters = null,
        params ReadOnlySpan<byte[]> chunks)
    {
        int channels = color switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };
        var rows = new List<byte>();
        (int X, int Y, int StepX, int StepY)[] passes = interlaced
            ? [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] : [(0, 0, 1, 1)];
        foreach (var pass in passes)
        {
            int columns = (width - pass.X + pass.StepX - 1) / pass.StepX;
            var above = new byte[((columns * channels * depth) + 7) / 8];
            for (int y = pass.Y; y < height && columns > 0; y += pass.StepY)
            {
                var row = new byte[above.Length];
                for (int i = 0; i < columns * channels; i++)
                {
                    int x = pass.X + (i / channels * pass.StepX);
                    int sample = samples[(((y * width) + x) * channels) + (i % channels)];
                    if (depth == 16)
                        BinaryPrimitives.WriteUInt16BigEndian(row.AsSpan(2 * i), (ushort)sample);
                    else
                        row[i * depth / 8] |= (byte)(sample << (8 - depth - (i * depth % 8)));
                }
                int filter = filters?.Next(5) ?? 0;
                rows.Add((byte)filter);
                for (int i = 0, distance = Math.Max(channels * depth / 8, 1); i < row.Length; i++)
                {
                    int left = i < distance ? 0 : row[i - distance], corner = i < distance ? 0 : above[i - distance];
                    rows.Add(
                        (byte)(row[i] - filter switch
                        {
                            0 => 0,
                            1 => left,
                            2 => above[i],
                            3 => (left + above[i]) / 2,
                            _ => Nearest(left, above[i], corner),
                        }));
                }
                above = row;
            }
        }
        return Make([Header(width, height, depth, color, interlaced), .. chunks, Chunk("IDAT", Zlib([.. rows]))]);
    }

    /// <summary>Paeth's prediction: of three neighbours, in this order, the nearest to their plane.</summary>
    private static int Nearest(int left, int above, int corner)
    {
        ReadOnlySpan<int> candidates = [left, above, corner];
        int plane = left + above - corner, best = left;
        foreach (int candidate in candidates)
        {
            if (Math.Abs(plane - candidate) < Math.Abs(plane - best))
                best = candidate;
        }
        return best;
    }

    public static byte[] Header(int width, int height, byte depth, byte color, bool interlaced = false)
    {
        byte[] data = [0, 0, 0, 0, 0, 0, 0, 0, depth, color, 0, 0, (byte)(interlaced ? 1 : 0)];
        BinaryPrimitives.WriteInt32BigEndian(data, width);
        BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(4), height);
        return Chunk("IHDR", data);
    }

    public static byte[] Chunk(string type, ReadOnlySpan<byte> data)
    {
        byte[] chunk = [0, 0, 0, 0, .. Encoding.ASCII.GetBytes(type), .. data, 0, 0, 0, 0];
        BinaryPrimitives.WriteInt32BigEndian(chunk, data.Length);
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(^4..), Crc(chunk.AsSpan(4..^4)));
        return chunk;
    }

    /// <summary>CRC-32, bit by bit.</summary>
    public static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
        }
        return ~crc;
    }

    public static byte[] Zlib(ReadOnlySpan<byte> data)
    {
        var stream = new MemoryStream();
        using (var zlib = new ZLibStream(stream, CompressionLevel.Optimal, leaveOpen: true))
            zlib.Write(data);
        return stream.ToArray();
    }
}
