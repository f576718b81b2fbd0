using System.Text;

namespace Attune.Weights.Writing;

/// <summary>
/// A GGUF file of version 3. It takes over the metadata of a GGUF file that it is made from, but for what the writer decides. Rows that are
/// no whole blocks are cut anew, and their shape is told as ComfyUI-GGUF does.
/// </summary>
internal sealed class GgufContainer : IWeightContainer
{
    private const int Alignment = 32;
    private const int MaxAxes = 5;

    // Numbers of the types of values.
    private const int U32 = 4;
    private const int I32 = 5;
    private const int ArrayType = 9;

    public bool Holds(string type) => GgufFile.NumberOf(type) != null;

    public void Write(Stream stream, WeightSource source, IReadOnlyList<WrittenTensor> tensors)
    {
        if (tensors.FirstOrDefault(tensor => tensor.Entry.Dimensions.Count > MaxAxes) is { } wide)
            throw new CheckpointException($"GGUF holds tensors of up to {MaxAxes} axes; {wide.Entry.Name} is {wide.Entry.Extents}.");
        byte[] head = Head(source, tensors);
        stream.Write(head);
        Pad(stream, head.Length);
        foreach (var tensor in tensors)
        {
            tensor.Write(stream, source);
            Pad(stream, tensor.Length);
        }
    }

    private static byte[] Head(WeightSource source, IReadOnlyList<WrittenTensor> tensors)
    {
        var metadata = Metadata(source, tensors);
        using var buffer = new MemoryStream();
        using var writer = new BinaryWriter(buffer);
        writer.Write("GGUF"u8);
        writer.Write(3);
        writer.Write((long)tensors.Count);
        writer.Write((long)metadata.Count);
        foreach (var (key, (type, bytes)) in metadata)
        {
            Text(writer, key);
            writer.Write(type);
            writer.Write(bytes);
        }
        long at = 0;
        foreach (var tensor in tensors)
        {
            long[] extents = CutAnew(tensor) ? [tensor.Entry.Count / tensor.Format!.BlockLength, tensor.Format.BlockLength]
                : [.. tensor.Entry.Dimensions];
            Text(writer, tensor.Entry.Name);
            writer.Write(extents.Length);
            foreach (long extent in extents.Reverse())
                writer.Write(extent);
            writer.Write(GgufFile.NumberOf(tensor.Type)!.Value);
            writer.Write(at);
            at += (tensor.Length + Alignment - 1) / Alignment * Alignment;
        }
        writer.Flush();
        return buffer.ToArray();
    }

    private static SortedDictionary<string, (int Type, byte[] Bytes)> Metadata(
        WeightSource source, IReadOnlyList<WrittenTensor> tensors)
    {
        var metadata = new SortedDictionary<string, (int, byte[])>(StringComparer.Ordinal);
        if (source is GgufSource { File: { } file })
        {
            foreach (string key in file.Keys)
            {
                if (key is not (GgufFile.AlignmentKey or "general.file_type" or "split.count")
                    && !key.StartsWith(GgufFile.OriginalShapeKey, StringComparison.Ordinal))
                {
                    metadata[key] = file.Raw(key);
                }
            }
        }
        if (tensors.Any(tensor => tensor.Format is { BlockLength: > 1 }))
            metadata["general.quantization_version"] = (U32, BitConverter.GetBytes(2));
        foreach (var tensor in tensors.Where(CutAnew))
        {
            metadata[GgufFile.OriginalShapeKey + tensor.Entry.Name] = (ArrayType, [
                .. BitConverter.GetBytes(I32), .. BitConverter.GetBytes((long)tensor.Entry.Dimensions.Count),
                .. tensor.Entry.Dimensions.SelectMany(extent => BitConverter.GetBytes(checked((int)extent)))]);
        }
        return metadata;
    }

    private static bool CutAnew(WrittenTensor tensor) =>
        tensor.Format is { BlockLength: > 1 } format
            && (tensor.Entry.Dimensions.Count == 0 || tensor.Entry.Dimensions[^1] % format.BlockLength != 0);

    private static void Text(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((long)bytes.Length);
        writer.Write(bytes);
    }

    private static void Pad(Stream stream, long written) => stream.Write(new byte[(Alignment - written % Alignment) % Alignment]);
}
