using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Attune.Tensors;

namespace Attune.Weights;

/// <summary>
/// A safetensors file, mapped into memory: 8 bytes of header length, a JSON header, and the data of all tensors without gaps. Only the
/// header is read when it is opened. The format's rules are enforced, so that no tensor can reach beyond the file or into another.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    private const long MaxHeader = 100_000_000;
    private static readonly Dictionary<string, int> BitsOfType = new(StringComparer.Ordinal)
    {
        ["F4"] = 4, ["F6_E2M3"] = 6, ["F6_E3M2"] = 6,
        ["BOOL"] = 8, ["U8"] = 8, ["I8"] = 8, ["F8_E5M2"] = 8, ["F8_E4M3"] = 8, ["F8_E8M0"] = 8, ["F8_E4M3FNUZ"] = 8, ["F8_E5M2FNUZ"] = 8,
        ["I16"] = 16, ["U16"] = 16, ["F16"] = 16, ["BF16"] = 16,
        ["I32"] = 32, ["U32"] = 32, ["F32"] = 32,
        ["C64"] = 64, ["F64"] = 64, ["I64"] = 64, ["U64"] = 64,
    };

    private readonly MappedFile _file;
    private readonly Dictionary<string, TensorEntry> _tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _metadata = new(StringComparer.Ordinal);

    private SafetensorsFile(MappedFile file)
    {
        _file = file;
        long data = ReadHeader();
        CheckLayout(data);
    }

    /// <summary>The path that was opened.</summary>
    public string Path => _file.Path;

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Tensors => _tensors;

    /// <summary>The free texts of the header's <c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Opens a file.</summary>
    /// <exception cref="CheckpointException">The file is missing or breaks a rule of the format; the message says which.</exception>
    public static SafetensorsFile Open(string path) => Mapping.Open(path, file => new SafetensorsFile(file));

    /// <summary>A tensor as a weight.</summary>
    /// <exception cref="CheckpointException">Its type is no format of weights, or it has too many axes.</exception>
    internal StoredWeight ToWeight(TensorEntry tensor)
    {
        var format = WeightFormat.Find(tensor.Type) ?? throw Unsupported(tensor);
        return new StoredWeight(tensor.Name, tensor.ToShape(), format, WeightBytes.Of(_file, tensor.Offset, tensor.Length));
    }

    /// <summary>A tensor's bytes read as another format and shape, of which the caller knows.</summary>
    internal StoredWeight ToWeight(TensorEntry tensor, WeightFormat format, Shape shape) =>
        new(tensor.Name, shape, format, WeightBytes.Of(_file, tensor.Offset, tensor.Length));

    /// <summary>A tensor's bytes, of which there are less than 2^31.</summary>
    internal ReadOnlySpan<byte> Bytes(TensorEntry tensor) => new(_file.Pointer + tensor.Offset, checked((int)tensor.Length));

    /// <summary>
    /// The one number that a tensor holds: an alpha, a counter. Trainers write such numbers in whatever type they have at hand.
    /// </summary>
    /// <exception cref="CheckpointException">It holds another count of elements, or its type is no type of numbers.</exception>
    internal double ReadNumber(TensorEntry tensor)
    {
        if (tensor.Count != 1)
            throw new CheckpointException($"'{Path}': {tensor.Name} is {tensor.Extents}, expected one number.");
        var bytes = new ReadOnlySpan<byte>(_file.Pointer + tensor.Offset, (int)tensor.Length);
        switch (tensor.Type)
        {
            case "U8":
                return bytes[0];
            case "I8":
                return (sbyte)bytes[0];
            case "U16":
                return BinaryPrimitives.ReadUInt16LittleEndian(bytes);
            case "I16":
                return BinaryPrimitives.ReadInt16LittleEndian(bytes);
            case "U32":
                return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
            case "I32":
                return BinaryPrimitives.ReadInt32LittleEndian(bytes);
            case "U64":
                return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            case "I64":
                return BinaryPrimitives.ReadInt64LittleEndian(bytes);
            case "F64":
                return BinaryPrimitives.ReadDoubleLittleEndian(bytes);
            default:
                float value = 0;
                (WeightFormat.Find(tensor.Type) ?? throw Unsupported(tensor)).Widen(bytes, new Span<float>(ref value));
                return value;
        }
    }

    /// <summary>Whether the format names a type.</summary>
    internal static bool Names(string type) => BitsOfType.ContainsKey(type);

    /// <summary>The error that a model cannot use a tensor's type, which is no fault of the file.</summary>
    internal static CheckpointException Unsupported(TensorEntry tensor) => new(
        $"'{tensor.File}': the tensor {tensor.Name} holds a type that is not supported, {tensor.Type}; a weight may be of "
            + $"{string.Join(", ", WeightFormat.All.Select(format => format.Name).Where(BitsOfType.ContainsKey))}.");

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Reads the header; returns where the data begins.</summary>
    private long ReadHeader()
    {
        if (_file.Length < 8)
            throw Wrong($"it has {_file.Length} bytes, expected at least the 8 of the header's length");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(new ReadOnlySpan<byte>(_file.Pointer, 8));
        if (length > MaxHeader || (long)length > _file.Length - 8)
            RefuseOtherFormats();
        if (length > MaxHeader)
            throw Wrong($"its header claims {length} bytes, expected at most {MaxHeader}");
        if ((long)length > _file.Length - 8)
            throw Wrong($"its header claims {length} bytes, but the file ends after {_file.Length - 8}");
        var header = new ReadOnlySpan<byte>(_file.Pointer + 8, (int)length);
        if (length == 0 || header[0] != '{')
            throw Wrong("its header does not begin with '{'");
        try
        {
            var reader = new Utf8JsonReader(header, new JsonReaderOptions { MaxDepth = 8 });
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                string name = reader.GetString()!;
                reader.Read();
                if (name == "__metadata__")
                    ReadMetadata(ref reader);
                else if (!_tensors.TryAdd(name, ReadTensor(ref reader, name, 8 + (long)length)))
                    throw Wrong($"the tensor {name} is described twice");
            }
            while (reader.Read())
            {
                // Reads on to the end: anything behind the object is an error.
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or DecoderFallbackException)
        {
            throw new CheckpointException($"'{Path}' is no safetensors file: its header is not valid JSON: {exception.Message}", exception);
        }
        return 8 + (long)length;
    }

    /// <summary>Files of other formats: what they are says more than what is wrong with their header.</summary>
    private void RefuseOtherFormats()
    {
        var start = new ReadOnlySpan<byte>(_file.Pointer, 4);
        if (start.SequenceEqual("GGUF"u8))
            throw new CheckpointException($"'{Path}' is a GGUF file, expected .safetensors.");
        // A zip archive (PyTorch 1.6 and later), or a pickle itself, with the number of its protocol.
        if (start.SequenceEqual("PK\u0003\u0004"u8) || (start[0] == 0x80 && start[1] is >= 2 and <= 5))
            throw new CheckpointException($"'{Path}': {WeightFiles.Pickled}");
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject || _metadata.Count > 0)
            throw Wrong("its __metadata__ is not one object of strings");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            if (!reader.Read() || reader.TokenType != JsonTokenType.String || !_metadata.TryAdd(key, reader.GetString()!))
                throw Wrong($"its __metadata__ entry {key} is not one string");
        }
    }

    private TensorEntry ReadTensor(ref Utf8JsonReader reader, string name, long data)
    {
        string? type = null;
        List<long>? shape = null;
        List<long>? offsets = null;
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Wrong($"the entry of the tensor {name} is no object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            switch (key)
            {
                case "dtype" when type == null && reader.TokenType == JsonTokenType.String:
                    type = reader.GetString()!;
                    break;
                case "shape" when shape == null:
                    shape = ReadNumbers(ref reader, name, key);
                    break;
                case "data_offsets" when offsets == null:
                    offsets = ReadNumbers(ref reader, name, key);
                    break;
                default:
                    throw Wrong($"the tensor {name} has an unexpected, repeated or mistyped field {key}");
            }
        }
        if (type == null || shape == null || offsets is not { Count: 2 })
            throw Wrong($"the tensor {name} lacks one of dtype, shape and the two data_offsets");
        if (!BitsOfType.TryGetValue(type, out int bits))
            throw Wrong($"the tensor {name} is of the unknown type {type}");
        long size;
        try
        {
            long bitCount = bits;
            foreach (long extent in shape)
                bitCount = checked(bitCount * extent);
            if (bitCount % 8 != 0)
                throw Wrong($"the tensor {name} of type {type} does not fill whole bytes");
            size = bitCount / 8;
        }
        catch (OverflowException exception)
        {
            throw new CheckpointException(
                $"'{Path}' is no safetensors file: the shape [{string.Join(", ", shape)}] of the tensor {name} overflows.", exception);
        }
        var (begin, end) = (offsets[0], offsets[1]);
        if (begin > end || end > _file.Length - data)
            throw Wrong($"the tensor {name} lies at bytes {begin} to {end} of {_file.Length - data}");
        if (end - begin != size)
            throw Wrong($"the tensor {name} has {end - begin} bytes, expected {size} for {type} [{string.Join(", ", shape)}]");
        return new TensorEntry(name, type, shape, Path, data + begin, size);
    }

    private List<long> ReadNumbers(ref Utf8JsonReader reader, string name, string key)
    {
        var numbers = new List<long>();
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Wrong($"{key} of the tensor {name} is no list");
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
                throw Wrong($"{key} of the tensor {name} holds something that is no natural number");
            if (numbers.Count == 64)
                throw Wrong($"{key} of the tensor {name} has more than 64 entries");
            numbers.Add(number);
        }
        return numbers;
    }

    /// <summary>The data of all tensors must cover the rest of the file, each byte once.</summary>
    private void CheckLayout(long data)
    {
        long at = data;
        foreach (var tensor in _tensors.Values.OrderBy(tensor => tensor.Offset).ThenBy(tensor => tensor.Length))
        {
            if (tensor.Offset < at)
                throw Wrong($"the tensor {tensor.Name} overlaps the one before it at byte {tensor.Offset - data}");
            if (tensor.Offset > at)
                throw Wrong($"there is a hole of {tensor.Offset - at} bytes before the tensor {tensor.Name}");
            at += tensor.Length;
        }
        if (at != _file.Length)
            throw Wrong($"{_file.Length - at} bytes behind the last tensor belong to none");
    }

    private CheckpointException Wrong(string what) => new($"'{Path}' is no safetensors file: {what}.");
}
