using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;
using Attune.Tensors;

namespace Attune.Weights;

/// <summary>
/// A GGUF file of version 2 or 3 (ggml's docs/gguf.md), mapped into memory: metadata of keys and values, a list of tensors, and their data.
/// Only the lists are read when it is opened. Nothing that the file claims is believed before it was compared with the bytes that there
/// are, and nothing is allocated by a claim; no tensor can reach beyond the file or into another.
/// </summary>
public sealed unsafe class GgufFile : IDisposable
{
    internal const string AlignmentKey = "general.alignment";
    internal const string OriginalShapeKey = "comfy.gguf.orig_shape.";
    private const int MaxKey = 65535;
    private const int MaxName = 1024;
    private const int MaxAxes = 5;
    private const uint MaxAlignment = 1 << 20;

    // Bytes of the shortest of them: length, type and a byte of value; length, number of axes, type and offset.
    private const int MinMetadata = 13;
    private const int MinTensor = 24;

    private static readonly string?[] TypeNames =
    [
        "F32", "F16", "Q4_0", "Q4_1", null, null, "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K",
        "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M", "BF16",
        null, null, null, "TQ1_0", "TQ2_0", null, null, null, "MXFP4", "NVFP4", "Q1_0", "Q2_0",
    ];

    /// <summary>Elements and bytes of a block of the types that are no formats of weights.</summary>
    private static readonly Dictionary<string, (int Length, int Bytes)> OtherBlocks = new()
    {
        ["I8"] = (1, 1), ["I16"] = (1, 2), ["I32"] = (1, 4), ["I64"] = (1, 8), ["Q8_1"] = (32, 36), ["Q8_K"] = (256, 292),
        ["IQ2_XXS"] = (256, 66), ["IQ2_XS"] = (256, 74), ["IQ3_XXS"] = (256, 98), ["IQ1_S"] = (256, 50), ["IQ3_S"] = (256, 110),
        ["IQ2_S"] = (256, 82), ["IQ1_M"] = (256, 56),
    };

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly MappedFile _file;
    private readonly Dictionary<string, Value> _metadata = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorEntry> _tensors = new(StringComparer.Ordinal);
    private long _at;

    private GgufFile(MappedFile file)
    {
        _file = file;
        Version = ReadVersion();
        long tensors = ReadCount("tensors", MinTensor);
        long entries = ReadCount("entries of metadata", MinMetadata);
        for (; entries > 0; entries--)
            ReadMetadata();
        Alignment = ReadAlignment();
        for (; tensors > 0; tensors--)
            ReadTensor();
        Place();
    }

    /// <summary>The kinds of values, by their numbers in files.</summary>
    private enum ValueType
    {
        U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64,
    }

    /// <summary>The path that was opened.</summary>
    public string Path => _file.Path;

    /// <summary>2 or 3.</summary>
    public int Version { get; }

    /// <summary>What offsets of tensors are multiples of, in bytes.</summary>
    public int Alignment { get; }

    /// <summary>The keys of the metadata.</summary>
    public IReadOnlyCollection<string> Keys => _metadata.Keys;

    /// <summary>The tensors by name. Their dimensions are in PyTorch's order, outermost first.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Tensors => _tensors;

    /// <summary>Opens a file.</summary>
    /// <exception cref="CheckpointException">The file is missing or breaks a rule of the format; the message says which.</exception>
    public static GgufFile Open(string path) => Mapping.Open(path, file => new GgufFile(file));

    /// <summary>The type of a value as GGUF calls it: u8, i8, u16, i16, u32, i32, f32, bool, string, array, u64, i64 or f64; null for a key
    /// that is not there.</summary>
    public string? TypeOf(string key) => _metadata.TryGetValue(key, out var value) ? value.Type.ToString().ToLowerInvariant() : null;

    /// <summary>
    /// A value, read when it is asked for: a number, bool or string of the type that the file gives it, or an object[] of such; null for a
    /// key that is not there.
    /// </summary>
    public object? Find(string key)
    {
        if (!_metadata.TryGetValue(key, out var value))
            return null;
        long at = value.Offset;
        if (value.Type != ValueType.Array)
            return Take(value.Type, ref at);
        var type = (ValueType)(int)Take(ValueType.I32, ref at);
        var values = new object[(ulong)Take(ValueType.U64, ref at)];
        for (int i = 0; i < values.Length; i++)
            values[i] = Take(type, ref at);
        return values;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>A value as the file has it: the number of its type, and its bytes.</summary>
    internal (int Type, byte[] Bytes) Raw(string key)
    {
        var value = _metadata[key];
        return ((int)value.Type, new ReadOnlySpan<byte>(_file.Pointer + value.Offset, checked((int)value.Length)).ToArray());
    }

    /// <summary>The number of a type in files, or null for one that GGUF does not have.</summary>
    internal static int? NumberOf(string type) => Array.IndexOf(TypeNames, type) is >= 0 and var number ? number : null;

    /// <summary>A tensor as a weight.</summary>
    /// <exception cref="CheckpointException">Its type is no format of weights, or it has too many axes.</exception>
    internal StoredWeight ToWeight(TensorEntry tensor)
    {
        var format = WeightFormat.Find(tensor.Type)
            ?? throw new CheckpointException(
                $"'{Path}': the tensor {tensor.Name} is of the type {tensor.Type}, which is not supported; a weight may be of "
                    + $"{string.Join(", ", TypeNames.Where(type => type != null && WeightFormat.Find(type) != null))}.");
        return new StoredWeight(tensor.Name, tensor.ToShape(), format, WeightBytes.Of(_file, tensor.Offset, tensor.Length));
    }

    private static int SizeOf(ValueType type) => type switch
    {
        ValueType.U8 or ValueType.I8 or ValueType.Bool => 1,
        ValueType.U16 or ValueType.I16 => 2,
        ValueType.U32 or ValueType.I32 or ValueType.F32 => 4,
        _ => 8,
    };

    /// <summary>A value that was checked when the file was opened.</summary>
    private object Take(ValueType type, ref long at)
    {
        var bytes = new ReadOnlySpan<byte>(_file.Pointer + at, SizeOf(type));
        at += bytes.Length;
        switch (type)
        {
            case ValueType.U8:
                return bytes[0];
            case ValueType.I8:
                return (sbyte)bytes[0];
            case ValueType.U16:
                return BinaryPrimitives.ReadUInt16LittleEndian(bytes);
            case ValueType.I16:
                return BinaryPrimitives.ReadInt16LittleEndian(bytes);
            case ValueType.U32:
                return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
            case ValueType.I32:
                return BinaryPrimitives.ReadInt32LittleEndian(bytes);
            case ValueType.F32:
                return BinaryPrimitives.ReadSingleLittleEndian(bytes);
            case ValueType.Bool:
                return bytes[0] != 0;
            case ValueType.U64:
                return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            case ValueType.I64:
                return BinaryPrimitives.ReadInt64LittleEndian(bytes);
            case ValueType.F64:
                return BinaryPrimitives.ReadDoubleLittleEndian(bytes);
            default:
                int length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
                string text = Encoding.UTF8.GetString(_file.Pointer + at, length);
                at += length;
                return text;
        }
    }

    private int ReadVersion()
    {
        if (_file.Length < 4 || !new ReadOnlySpan<byte>(_file.Pointer, 4).SequenceEqual("GGUF"u8))
            throw Wrong("it does not begin with 'GGUF'");
        _at = 4;
        uint version = Read<uint>("its version");
        if ((version & 0xFFFF) == 0)
            throw Wrong("its numbers are big-endian, which is not supported");
        if (version is not (2 or 3))
            throw Wrong($"its version is {version}, expected 2 or 3");
        return (int)version;
    }

    /// <summary>How many of something follow; there cannot be more than the file has room for.</summary>
    private long ReadCount(string what, int smallest)
    {
        long count = Read<long>($"the number of {what}");
        if (count < 0 || count > _file.Length / smallest)
            throw Wrong($"it claims {count} {what}, but has {_file.Length} bytes");
        return count;
    }

    private void ReadMetadata()
    {
        string key = ReadName("a key", MaxKey);
        var type = ReadType(key);
        long start = _at;
        if (type == ValueType.Array)
            SkipArray(key);
        else
            Skip(type, 1, key);
        if (!_metadata.TryAdd(key, new Value(type, start, _at - start)))
            throw Wrong($"the key {key} is there twice");
    }

    private void SkipArray(string key)
    {
        var type = ReadType(key);
        if (type == ValueType.Array)
            throw Wrong($"the value of {key} is an array of arrays");
        ulong count = Read<ulong>(key);
        if (count > (ulong)(_file.Length - _at) / (ulong)SizeOf(type))
            throw Wrong($"the array {key} claims {count} values, but the file ends after {_file.Length - _at} bytes");
        Skip(type, (long)count, key);
    }

    private ValueType ReadType(string key)
    {
        int type = Read<int>(key);
        return type is >= 0 and <= (int)ValueType.F64 ? (ValueType)type
            : throw Wrong($"the value of {key} is of the unknown type {type}");
    }

    private void Skip(ValueType type, long count, string key)
    {
        if (type != ValueType.String)
        {
            Advance((ulong)(count * SizeOf(type)), key);
            return;
        }
        for (; count > 0; count--)
            Advance(Read<ulong>(key), key);
    }

    private int ReadAlignment()
    {
        if (!_metadata.ContainsKey(AlignmentKey))
            return 32;
        if (Find(AlignmentKey) is not uint alignment)
            throw Wrong($"{AlignmentKey} is of type {TypeOf(AlignmentKey)}, expected u32");
        if (alignment > MaxAlignment || !System.Numerics.BitOperations.IsPow2(alignment))
            throw Wrong($"{AlignmentKey} is {alignment}, expected a power of two up to {MaxAlignment}");
        return (int)alignment;
    }

    private void ReadTensor()
    {
        string name = ReadName("a tensor's name", MaxName);
        uint axes = Read<uint>(name);
        if (axes > MaxAxes)
            throw Wrong($"the tensor {name} has {axes} axes, expected at most {MaxAxes}");
        long[] sizes = new long[axes];        // innermost first
        for (int i = 0; i < sizes.Length; i++)
        {
            sizes[i] = Read<long>(name);
            if (sizes[i] < 0)
                throw Wrong($"the tensor {name} has the size {sizes[i]}");
        }
        int number = Read<int>(name);
        string? type = number >= 0 && number < TypeNames.Length ? TypeNames[number] : null;
        if (type == null)
            throw Wrong($"the tensor {name} is of the unknown type {number}");
        long length = BytesOf(name, type, sizes);
        ulong offset = Read<ulong>(name);
        if (offset % (uint)Alignment != 0)
            throw Wrong($"the tensor {name} lies at {offset}, expected a multiple of {Alignment}");
        Array.Reverse(sizes);
        if (offset > (ulong)_file.Length)
            throw Wrong($"the tensor {name} lies at {offset}, but the file has {_file.Length} bytes");
        if (!_tensors.TryAdd(name, new TensorEntry(name, type, OriginalShape(name, sizes), Path, (long)offset, length)))
            throw Wrong($"the tensor {name} is there twice");
    }

    private long BytesOf(string name, string type, long[] sizes)
    {
        var (length, bytes) = WeightFormat.Find(type) is { } format ? (format.BlockLength, format.BlockBytes) : OtherBlocks[type];
        long row = sizes.Length == 0 ? 1 : sizes[0];
        if (row % length != 0)
            throw Wrong($"the tensor {name} has rows of {row}, which are no whole number of blocks of {type} ({length})");
        try
        {
            long total = checked(row / length * bytes);
            foreach (long size in sizes.AsSpan(Math.Min(1, sizes.Length)))
                total = checked(total * size);
            return total;
        }
        catch (OverflowException exception)
        {
            throw new CheckpointException(
                $"'{Path}' is no GGUF file: the sizes [{string.Join(", ", sizes)}] of the tensor {name} overflow.", exception);
        }
    }

    /// <summary>The shape that a tensor had before it was cut into rows of whole blocks, which the metadata may tell.</summary>
    private long[] OriginalShape(string name, long[] stored)
    {
        if (Find(OriginalShapeKey + name) is not { } value)
            return stored;
        long count = stored.Aggregate(1L, (product, size) => product * size);
        if (value is object[] { Length: <= MaxAxes } values && values.All(size => size is int or uint or long))
        {
            long[] original = [.. values.Select(size => Convert.ToInt64(size, System.Globalization.CultureInfo.InvariantCulture))];
            if (original.All(size => size is >= 0 and <= int.MaxValue)
                && original.Aggregate((Int128)1, (product, size) => product * size) == count)
            {
                return original;
            }
        }
        throw Wrong($"{OriginalShapeKey}{name} is no shape of the {count} elements of the tensor");
    }

    /// <summary>Brings the tensors' offsets to the file's; their data must lie within it, each byte in one tensor.</summary>
    private void Place()
    {
        long data = (_at + Alignment - 1) / Alignment * Alignment;
        long end = data;
        foreach (var tensor in _tensors.Values.OrderBy(tensor => tensor.Offset).ThenBy(tensor => tensor.Length).ToArray())
        {
            long offset = data + tensor.Offset;
            if (tensor.Length > _file.Length - offset)
                throw Wrong($"the tensor {tensor.Name} has {tensor.Length} bytes at {offset}, but the file has {_file.Length}");
            if (offset < end)
                throw Wrong($"the tensor {tensor.Name} overlaps the one before it at byte {offset}");
            end = offset + tensor.Length;
            _tensors[tensor.Name] = tensor with { Offset = offset };
        }
    }

    private string ReadName(string what, int longest)
    {
        ulong length = Read<ulong>(what);
        if (length > (ulong)longest)
            throw Wrong($"{what} has {length} bytes, expected at most {longest}");
        byte* start = _file.Pointer + _at;
        Advance(length, what);
        try
        {
            return StrictUtf8.GetString(start, (int)length);
        }
        catch (DecoderFallbackException exception)
        {
            throw new CheckpointException($"'{Path}' is no GGUF file: {what} is not valid UTF-8.", exception);
        }
    }

    private T Read<T>(string what)
        where T : unmanaged
    {
        byte* start = _file.Pointer + _at;
        Advance((ulong)sizeof(T), what);
        return Unsafe.ReadUnaligned<T>(start);
    }

    private void Advance(ulong bytes, string what)
    {
        if (bytes > (ulong)(_file.Length - _at))
            throw Wrong($"it ends after {_file.Length} bytes, within {what}");
        _at += (long)bytes;
    }

    private CheckpointException Wrong(string what) => new($"'{Path}' is no GGUF file that can be read: {what}.");

    /// <summary>Where a value of the metadata lies.</summary>
    private readonly record struct Value(ValueType Type, long Offset, long Length);
}
