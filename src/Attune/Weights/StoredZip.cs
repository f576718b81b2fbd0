using System.Buffers.Binary;
using System.Text;
using Attune.Tensors;

namespace Attune.Weights;

/// <summary>Where the files of a zip lie that are stored as they are: mapped, they need not be copied. ZIP64 too.</summary>
internal static unsafe class StoredZip
{
    private const int MostEntries = 1 << 20;

    /// <summary>The entries by name: where their bytes begin in the file, and how many there are.</summary>
    /// <exception cref="CheckpointException">The file is no zip, damaged, or an entry is compressed.</exception>
    public static Dictionary<string, (long Offset, long Length)> Entries(MappedFile file)
    {
        long end = -1;
        for (long at = file.Length - 22; at >= 0 && at >= file.Length - 65557 && end < 0; at--)
        {
            if (Number(file, at, 4) == 0x06054b50)
                end = at;
        }
        if (end < 0)
            throw new CheckpointException($"'{file.Path}' is a zip whose directory is missing: it may be cut off.");
        long count = Number(file, end + 10, 2), directory = Number(file, end + 16, 4);
        if ((count == 0xFFFF || directory == 0xFFFFFFFF) && end >= 20 && Number(file, end - 20, 4) == 0x07064b50)
        {
            long wide = Number(file, end - 12, 8);
            if (Number(file, wide, 4) != 0x06064b50)
                throw new CheckpointException($"'{file.Path}': the directory of the zip is damaged.");
            (count, directory) = (Number(file, wide + 32, 8), Number(file, wide + 48, 8));
        }
        if (count is < 0 or > MostEntries)
            throw new CheckpointException($"'{file.Path}' is a zip of {count} files, expected {MostEntries} at most.");
        var entries = new Dictionary<string, (long, long)>(StringComparer.Ordinal);
        for (long i = 0, at = directory; i < count; i++)
        {
            if (Number(file, at, 4) != 0x02014b50)
                throw new CheckpointException($"'{file.Path}': entry {i} of the zip's directory is damaged.");
            long packed = Number(file, at + 20, 4), length = Number(file, at + 24, 4), local = Number(file, at + 42, 4);
            long nameLength = Number(file, at + 28, 2), extra = at + 46 + nameLength, extraEnd = extra + Number(file, at + 30, 2);
            string name = Encoding.UTF8.GetString(Bytes(file, at + 46, nameLength));
            for (; extra + 4 <= extraEnd; extra += 4 + Number(file, extra + 2, 2))
            {
                if (Number(file, extra, 2) != 1)
                    continue;
                long field = extra + 4;
                length = length == 0xFFFFFFFF ? Number(file, (field += 8) - 8, 8) : length;
                packed = packed == 0xFFFFFFFF ? Number(file, (field += 8) - 8, 8) : packed;
                local = local == 0xFFFFFFFF ? Number(file, field, 8) : local;
            }
            if (Number(file, at + 10, 2) != 0 || packed != length)
                throw new CheckpointException($"'{file.Path}': '{name}' is compressed, which torch.save never does.");
            long start = local + 30 + Number(file, local + 26, 2) + Number(file, local + 28, 2);
            if (Number(file, local, 4) != 0x04034b50 || length < 0 || start > file.Length - length)
                throw new CheckpointException($"'{file.Path}': '{name}' does not lie within the file.");
            if (!entries.TryAdd(name, (start, length)))
                throw new CheckpointException($"'{file.Path}' holds '{name}' twice.");
            at = extraEnd + Number(file, at + 32, 2);
        }
        return entries;
    }

    /// <summary>Bytes that lie within the file.</summary>
    /// <exception cref="CheckpointException">They do not.</exception>
    public static ReadOnlySpan<byte> Bytes(MappedFile file, long at, long length) =>
        at >= 0 && length >= 0 && length <= int.MaxValue && at <= file.Length - length
            ? new ReadOnlySpan<byte>(file.Pointer + at, (int)length)
            : throw new CheckpointException($"'{file.Path}' ends before byte {at} + {length}: it may be cut off.");

    private static long Number(MappedFile file, long at, int size)
    {
        var bytes = Bytes(file, at, size);
        return size switch
        {
            2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
            4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            _ => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        };
    }
}
