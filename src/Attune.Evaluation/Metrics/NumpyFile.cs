using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>An array of an <c>.npz</c> file, in row-major order.</summary>
/// <param name="Axes">Its extents.</param>
/// <param name="Values">Its numbers.</param>
public sealed record NumpyArray(IReadOnlyList<int> Axes, double[] Values);

/// <summary>
/// Files <c>.npz</c> of NumPy, a zip of arrays: the form in which the Python tools keep statistics (<c>mu</c> and <c>sigma</c>) and
/// features (<c>feats</c>). Arrays of objects are pickles and are refused: nothing of a file is ever run.
/// </summary>
public static partial class NumpyFile
{
    private const long MostBytes = 1L << 32;
    private static readonly byte[] Magic = [0x93, .. "NUMPY"u8];

    /// <summary>Reads the arrays that are asked for; what else the file holds is not looked at.</summary>
    /// <param name="path">The file.</param>
    /// <param name="names">Names of arrays; those that the file lacks are left out.</param>
    /// <exception cref="CheckpointException">The file is no zip, or one of the arrays is damaged or of a type that is not read.</exception>
    public static IReadOnlyDictionary<string, NumpyArray> Read(string path, params ReadOnlySpan<string> names) =>
        Read(path, names, ReadArray);

    /// <summary>A text that <see cref="Write(string, IReadOnlyList{KeyValuePair{string, NumpyArray}})"/> wrote, or null.</summary>
    internal static string? ReadText(string path, string name) => Read(path, [name], ReadText).GetValueOrDefault(name);

    private static Dictionary<string, T> Read<T>(string path, ReadOnlySpan<string> names, Func<ZipArchiveEntry, string, string, T> read)
    {
        ArgumentNullException.ThrowIfNull(path);
        var result = new Dictionary<string, T>(StringComparer.Ordinal);
        try
        {
            using var zip = ZipFile.OpenRead(path);
            foreach (string name in names)
            {
                if (zip.GetEntry(name + ".npy") is { } entry)
                    result[name] = read(entry, path, name);
            }
        }
        catch (Exception exception) when (exception is InvalidDataException or EndOfStreamException)
        {
            throw new CheckpointException($"'{path}' is no .npz file of NumPy, or damaged: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"'{path}' cannot be opened: {exception.Message}", exception);
        }
        return result;
    }

    /// <summary>
    /// Writes arrays of float64, compressed as <c>numpy.savez_compressed</c> does. The file is replaced when it is complete.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="arrays">Names and arrays, in order.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, params IReadOnlyList<KeyValuePair<string, NumpyArray>> arrays) => Write(path, arrays, []);

    /// <summary>The same, with texts: arrays without axes of type <c>|S</c>.</summary>
    internal static void Write(
        string path, IReadOnlyList<KeyValuePair<string, NumpyArray>> arrays, IReadOnlyList<KeyValuePair<string, string>> texts)
    {
        ArgumentNullException.ThrowIfNull(arrays);
        OutputFile.Write(path, stream =>
        {
            using var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true);
            foreach (var (name, array) in arrays)
            {
                using var output = Begin(zip, name, "<f8", array.Axes);
                byte[] bytes = new byte[1 << 16];
                foreach (double[] chunk in array.Values.Chunk(bytes.Length / 8))
                {
                    for (int i = 0; i < chunk.Length; i++)
                        BinaryPrimitives.WriteDoubleLittleEndian(bytes.AsSpan(8 * i), chunk[i]);
                    output.Write(bytes, 0, 8 * chunk.Length);
                }
            }
            foreach (var (name, text) in texts)
            {
                byte[] bytes = Encoding.UTF8.GetBytes(text);
                using var output = Begin(zip, name, FormattableString.Invariant($"|S{bytes.Length}"), []);
                output.Write(bytes);
            }
        });
    }

    /// <summary>An entry, of which the header is written.</summary>
    private static Stream Begin(ZipArchive zip, string name, string type, IReadOnlyList<int> axes)
    {
        var entry = zip.CreateEntry(name + ".npy");
        // The same arrays give the same bytes.
        entry.LastWriteTime = new DateTimeOffset(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);
        var output = entry.Open();
        string shape = string.Create(CultureInfo.InvariantCulture, $"({string.Join(", ", axes)}{(axes.Count == 1 ? "," : "")})");
        string header = $"{{'descr': '{type}', 'fortran_order': False, 'shape': {shape}, }}";
        header = header.PadRight((header.Length + 11 + 63) / 64 * 64 - 11) + "\n";
        output.Write([.. Magic, 1, 0, (byte)header.Length, (byte)(header.Length >> 8)]);
        output.Write(Encoding.ASCII.GetBytes(header));
        return output;
    }

    /// <summary>What an array's header says.</summary>
    private static Match ReadHeader(ZipArchiveEntry entry, Stream stream, string path, string name, out long read)
    {
        if (entry.Length > MostBytes)
            throw new CheckpointException($"'{path}': the array {name} has {entry.Length} bytes, expected {MostBytes} at most.");
        byte[] start = new byte[8];
        stream.ReadExactly(start);
        if (!start.AsSpan(0, 6).SequenceEqual(Magic) || start[6] is < 1 or > 3)
            throw new CheckpointException($"'{path}': {name} is no array of NumPy's format 1 to 3.");
        byte[] length = new byte[start[6] == 1 ? 2 : 4];
        stream.ReadExactly(length);
        long size = length.Length == 2 ? BinaryPrimitives.ReadUInt16LittleEndian(length) : BinaryPrimitives.ReadUInt32LittleEndian(length);
        if (size > 1 << 16)
            throw new CheckpointException($"'{path}': the header of the array {name} has {size} bytes, expected 65536 at most.");
        byte[] header = new byte[size];
        stream.ReadExactly(header);
        string text = Encoding.Latin1.GetString(header);
        var parts = Header().Match(text);
        if (!parts.Success)
            throw new CheckpointException($"'{path}': the header of the array {name} is not understood: {text.Trim()}");
        read = 6 + 2 + length.Length + size;
        return parts;
    }

    private static string ReadText(ZipArchiveEntry entry, string path, string name)
    {
        using var stream = entry.Open();
        var parts = ReadHeader(entry, stream, path, name, out long read);
        if (!parts.Groups["type"].Value.StartsWith("|S", StringComparison.Ordinal) || parts.Groups["shape"].Value.Length > 0
            || entry.Length - read > 1 << 16)
            throw new CheckpointException($"'{path}': the array {name} is of type {parts.Groups["type"].Value}, expected one text.");
        byte[] bytes = new byte[entry.Length - read];
        stream.ReadExactly(bytes);
        return Encoding.UTF8.GetString(bytes).TrimEnd('\0');
    }

    private static NumpyArray ReadArray(ZipArchiveEntry entry, string path, string name)
    {
        using var stream = entry.Open();
        var parts = ReadHeader(entry, stream, path, name, out long read);
        string type = parts.Groups["type"].Value;
        int width = type switch
        {
            "<f2" => 2,
            "<f4" or "<i4" or "<u4" => 4,
            "<f8" or "<i8" => 8,
            _ => throw new CheckpointException(
                $"'{path}': the array {name} is of type {type}, expected <f2, <f4, <f8, <i4, <u4 or <i8."),
        };
        int[] axes = [.. parts.Groups["shape"].Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(extent => int.TryParse(extent, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value
                : throw new CheckpointException($"'{path}': the array {name} has the extent {extent}."))];
        long count = 1;
        foreach (int extent in axes)
        {
            if (extent > 0 && count > MostBytes / width / extent)
                throw new CheckpointException($"'{path}': the array {name} has the shape {parts.Groups["shape"].Value}: too large.");
            count *= extent;
        }
        if (entry.Length != read + count * width || count > Array.MaxLength)
            throw new CheckpointException(
                $"'{path}': the array {name} of shape ({parts.Groups["shape"].Value}) and type {type} has {entry.Length} bytes in all.");
        var values = new double[count];
        byte[] chunk = new byte[1 << 16];
        for (long at = 0; at < count;)
        {
            int many = (int)Math.Min(count - at, chunk.Length / width);
            stream.ReadExactly(chunk.AsSpan(0, many * width));
            for (int i = 0; i < many; i++)
            {
                var bytes = chunk.AsSpan(i * width, width);
                values[at + i] = type switch
                {
                    "<f2" => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
                    "<f4" => BinaryPrimitives.ReadSingleLittleEndian(bytes),
                    "<f8" => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
                    "<i4" => BinaryPrimitives.ReadInt32LittleEndian(bytes),
                    "<u4" => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
                    _ => BinaryPrimitives.ReadInt64LittleEndian(bytes),
                };
            }
            at += many;
        }
        return new NumpyArray(axes, parts.Groups["fortran"].Value == "True" && axes.Length > 1 ? RowMajor(values, axes) : values);
    }

    /// <summary>Numbers that lie with the first axis innermost, with the last one innermost.</summary>
    private static double[] RowMajor(double[] values, int[] axes)
    {
        var result = new double[values.Length];
        var place = new int[axes.Length];
        foreach (double value in values)
        {
            long at = 0;
            for (int axis = 0; axis < axes.Length; axis++)
                at = at * axes[axis] + place[axis];
            result[at] = value;
            for (int axis = 0; axis < axes.Length && ++place[axis] == axes[axis]; axis++)
                place[axis] = 0;
        }
        return result;
    }

    [GeneratedRegex(
        @"^\{\s*'descr':\s*'(?<type>[^']*)',\s*'fortran_order':\s*(?<fortran>True|False),\s*'shape':\s*\((?<shape>[\d,\s]*)\),?\s*\}\s*$")]
    private static partial Regex Header();
}
