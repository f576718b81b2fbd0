using System.Buffers.Binary;
using System.Numerics;
using Attune.Tensors;

namespace Attune.Weights;

/// <summary>
/// The tensors of a file of <c>torch.save</c>, in a zip or in the container before that: a state dict, or a dictionary that holds one as
/// <c>state_dict</c>. Tensors are taken and nothing else: no code of the file ever runs, and a name or an instruction that is not needed
/// for tensors is refused. TorchScript is refused.
/// </summary>
internal sealed class TorchFile : WeightSource
{
    private static readonly Dictionary<string, (string Type, int Bytes)> Types = new(StringComparer.Ordinal)
    {
        ["FloatStorage"] = ("F32", 4), ["HalfStorage"] = ("F16", 2), ["BFloat16Storage"] = ("BF16", 2), ["DoubleStorage"] = ("F64", 8),
        ["LongStorage"] = ("I64", 8), ["IntStorage"] = ("I32", 4), ["ShortStorage"] = ("I16", 2), ["CharStorage"] = ("I8", 1),
        ["ByteStorage"] = ("U8", 1), ["BoolStorage"] = ("BOOL", 1),
    };

    private static readonly BigInteger Magic = ((BigInteger)0x1950 << 64) + 0xa86a20f9469cfc6c;

    private readonly MappedFile _file;
    private readonly SortedDictionary<string, (TensorEntry Entry, PickledTensor Tensor, long Storage)> _tensors =
        new(StringComparer.Ordinal);

    private TorchFile(MappedFile file)
    {
        _file = file;
        var (root, storages) = IsZip(file) ? ReadZip() : ReadLegacy();
        var dictionary = root as Dictionary<object, object?>
            ?? throw new CheckpointException($"'{Path}' holds no dictionary of tensors; expected a state dict.");
        if (dictionary.GetValueOrDefault("state_dict") is Dictionary<object, object?> inner)
            dictionary = inner;
        foreach (var (key, value) in dictionary)
        {
            if (key is string name && value is PickledTensor tensor)
                Add(name, tensor, storages);
        }
        if (_tensors.Count == 0)
            throw new CheckpointException($"'{Path}' holds no tensors at its top; expected a state dict.");
    }

    /// <inheritdoc/>
    public override string Path => _file.Path;

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>Whether a file begins as one of torch does.</summary>
    public static bool Is(string path)
    {
        using var stream = File.OpenRead(path);
        Span<byte> start = stackalloc byte[4];
        int read = stream.ReadAtLeast(start, 4, throwOnEndOfStream: false);
        return read == 4
            && (start.SequenceEqual("PK\u0003\u0004"u8) || (start[0] == 0x80 && start[1] is >= 2 and <= 5 && start[2] == 0x8a));
    }

    /// <summary>Opens a file.</summary>
    /// <exception cref="CheckpointException">It is missing, damaged, TorchScript, or holds what is no tensor.</exception>
    public static new TorchFile Open(string path) => Mapping.Open(path, file => new TorchFile(file));

    /// <inheritdoc/>
    public override TensorEntry? Describe(string name) => _tensors.TryGetValue(name, out var found) ? found.Entry : null;

    /// <inheritdoc/>
    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        if (!_tensors.TryGetValue(name, out var found))
            return null;
        var entry = found.Entry;
        var format = WeightFormat.Find(entry.Type) ?? throw SafetensorsFile.Unsupported(entry);
        var shape = entry.ToShape();
        return IsContiguous(found.Tensor)
            ? new StoredWeight(name, shape, format, WeightBytes.Of(_file, entry.Offset, entry.Length))
            : StoredWeight.Owning(name, Gather(found.Tensor, found.Storage, format, shape));
    }

    /// <summary>What a class of storages holds, or null for a name that is none.</summary>
    internal static string? TypeOf(string storage) => Types.TryGetValue(storage, out var type) ? type.Type : null;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();

    private static unsafe bool IsZip(MappedFile file) => file.Length >= 4 && BinaryPrimitives.ReadUInt32LittleEndian(
        new ReadOnlySpan<byte>(file.Pointer, 4)) == 0x04034b50;

    private (object? Root, Dictionary<string, (long Offset, long Length)> Storages) ReadZip()
    {
        var entries = StoredZip.Entries(_file);
        string[] pickles = [.. entries.Keys.Where(name => name.EndsWith("/data.pkl", StringComparison.Ordinal))];
        if (pickles.Length != 1)
            throw new CheckpointException($"'{Path}' is a zip with {pickles.Length} files data.pkl; expected one, as torch.save writes.");
        string folder = pickles[0][..^"data.pkl".Length];
        bool script = entries.ContainsKey(folder + "constants.pkl")
            || entries.Keys.Any(name => name.StartsWith(folder + "code/", StringComparison.Ordinal));
        if (script)
        {
            throw new CheckpointException(
                $"'{Path}' is TorchScript, which is a program; expected the state dict: a .safetensors file, or a .pth file of "
                    + "torch.save.");
        }
        if (entries.TryGetValue(folder + "byteorder", out var order)
            && !StoredZip.Bytes(_file, order.Offset, order.Length).StartsWith("little"u8))
            throw new CheckpointException($"'{Path}' was written on a big-endian machine, which is not supported.");
        var (start, length) = entries[pickles[0]];
        object? root = new TensorPickle(Path, Reader(start + length), start).Read();
        string data = folder + "data/";
        return (root, entries.Where(entry => entry.Key.StartsWith(data, StringComparison.Ordinal))
            .ToDictionary(entry => entry.Key[data.Length..], entry => entry.Value));
    }

    /// <summary>Five pickles (a magic number, a version, the machine, the object, the storages' names), then the storages.</summary>
    private (object? Root, Dictionary<string, (long Offset, long Length)> Storages) ReadLegacy()
    {
        long at = 0;
        object? Next()
        {
            var pickle = new TensorPickle(Path, Reader(_file.Length), at);
            object? value = pickle.Read();
            at = pickle.End;
            return value;
        }

        if (Next() is not BigInteger magic || magic != Magic)
            throw new CheckpointException($"'{Path}' is no file of torch.save.");
        if (Next() is not 1001L)
            throw new CheckpointException($"'{Path}' is of another version of torch.save than 1001.");
        if (Next() is Dictionary<object, object?> machine && machine.GetValueOrDefault("little_endian") is false)
            throw new CheckpointException($"'{Path}' was written on a big-endian machine, which is not supported.");
        object? root = Next();
        var sizes = new Dictionary<string, int>(StringComparer.Ordinal);
        Collect(root, sizes);
        var storages = new Dictionary<string, (long, long)>(StringComparer.Ordinal);
        foreach (object? name in Next() as List<object?> ?? throw new CheckpointException($"'{Path}' has no list of storages."))
        {
            if (name is not string key || !sizes.TryGetValue(key, out int bytes))
                throw new CheckpointException($"'{Path}' has the storage {name}, which no tensor refers to.");
            long count = BinaryPrimitives.ReadInt64LittleEndian(StoredZip.Bytes(_file, at, 8));
            at += 8;
            if (count < 0 || count > (_file.Length - at) / bytes)
                throw new CheckpointException($"'{Path}': the storage {key} of {count} elements does not lie within the file.");
            storages[key] = (at, count * bytes);
            at += count * bytes;
        }
        return (root, storages);
    }

    /// <summary>The bytes of an element of every storage that a value refers to.</summary>
    private static void Collect(object? root, Dictionary<string, int> sizes)
    {
        var open = new Stack<object?>([root]);
        var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
        while (open.TryPop(out object? value))
        {
            if (value is PickledTensor tensor)
                sizes[tensor.Storage.Key] = Types[tensor.Storage.Type].Bytes;
            if (value == null || value is string || !seen.Add(value))
                continue;
            IEnumerable<object?> inner = value is Dictionary<object, object?> dictionary ? dictionary.Values
                : value as IEnumerable<object?> ?? [];
            foreach (object? one in inner)
                open.Push(one);
        }
    }

    private Func<long, int, byte[]> Reader(long end) => (at, count) =>
        at + count <= end ? StoredZip.Bytes(_file, at, count).ToArray()
            : throw new CheckpointException($"'{Path}': the pickle ends in the middle: the file may be cut off.");

    private void Add(string name, PickledTensor tensor, Dictionary<string, (long Offset, long Length)> storages)
    {
        if (!storages.TryGetValue(tensor.Storage.Key, out var storage))
            throw new CheckpointException($"'{Path}': the storage {tensor.Storage.Key} of the tensor {name} is missing.");
        var (type, bytes) = Types[tensor.Storage.Type];
        BigInteger count = 1, last = tensor.Offset;
        for (int axis = 0; axis < tensor.Sizes.Length; axis++)
        {
            count *= tensor.Sizes[axis];
            last += (BigInteger)Math.Max(tensor.Sizes[axis] - 1, 0) * tensor.Strides[axis];
        }
        if (count > 0 && last >= storage.Length / bytes)
            throw new CheckpointException($"'{Path}': the tensor {name} reaches beyond its storage of {storage.Length} bytes.");
        // Strides of 0 could make a large tensor of a small file.
        if (count * bytes > storage.Length)
            throw new CheckpointException($"'{Path}': the tensor {name} has {count} elements, more than its storage.");
        var entry = new TensorEntry(name, type, tensor.Sizes, Path, storage.Offset + tensor.Offset * bytes, (long)count * bytes);
        _tensors.Add(name, (entry, tensor, storage.Offset));
    }

    private static bool IsContiguous(PickledTensor tensor)
    {
        long stride = 1;
        for (int axis = tensor.Sizes.Length - 1; axis >= 0; axis--)
        {
            if (tensor.Sizes[axis] > 1 && tensor.Strides[axis] != stride)
                return false;
            stride *= tensor.Sizes[axis];
        }
        return true;
    }

    /// <summary>The elements of a view with any strides, in row-major order.</summary>
    private Tensor Gather(PickledTensor tensor, long storage, WeightFormat format, Shape shape)
    {
        using var scope = new TensorScope();
        var result = Tensor.Empty(Devices.Managed, shape);
        using (var view = result.Write())
        {
            var place = new long[shape.Rank];
            for (int i = 0; i < view.Span.Length; i++)
            {
                long element = tensor.Offset;
                for (int axis = 0; axis < place.Length; axis++)
                    element += place[axis] * tensor.Strides[axis];
                format.Widen(StoredZip.Bytes(_file, storage + element * format.BlockBytes, format.BlockBytes), view.Span.Slice(i, 1));
                for (int axis = place.Length - 1; axis >= 0 && ++place[axis] == tensor.Sizes[axis]; axis--)
                    place[axis] = 0;
            }
        }
        return scope.Keep(result);
    }
}
