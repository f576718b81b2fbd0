using Attune.Tensors;

namespace Attune.Weights.Writing;

/// <summary>A tensor that is to be written.</summary>
/// <param name="Entry">What it is in its source.</param>
/// <param name="Type">The name of its type in the output.</param>
/// <param name="Format">The format of its numbers; null for what is no weight, and is copied.</param>
/// <param name="Length">Bytes that it takes.</param>
internal sealed record WrittenTensor(TensorEntry Entry, string Type, WeightFormat? Format, long Length)
{
    /// <summary>Elements that are rounded at a time, a multiple of every block.</summary>
    private const int Chunk = 1 << 16;

    /// <summary>Writes the bytes.</summary>
    /// <exception cref="CheckpointException">A number does not fit the type.</exception>
    public void Write(Stream stream, WeightSource source)
    {
        if (Format == null || (!Entry.IsQuantised && Entry.Type == Type))
        {
            Copy(stream);
            return;
        }
        using var weight = source.Find(Entry.Name)!;
        var values = new float[Math.Min(Chunk, Entry.Count)];
        var blocks = new byte[Format.BytesOf(values.Length)];
        for (long at = 0; at < Entry.Count; at += values.Length)
        {
            var part = values.AsSpan(0, (int)Math.Min(values.Length, Entry.Count - at));
            weight.Widen(at, part);
            if (Format != WeightFormat.Float32 && Format != WeightFormat.BFloat16)
                Check(part);
            var bytes = blocks.AsSpan(0, (int)Format.BytesOf(part.Length));
            Format.Narrow(part, bytes);
            stream.Write(bytes);
        }
    }

    private void Copy(Stream stream)
    {
        using var file = new MappedFile(Entry.File);
        var bytes = WeightBytes.Of(file, Entry.Offset, Entry.Length);
        for (long at = 0; at < Entry.Length; at += Chunk)
            stream.Write(bytes.Read(at, (int)Math.Min(Chunk, Entry.Length - at)));
    }

    /// <summary>Numbers that a binary16, as a number or as a scale, cannot be near to.</summary>
    private void Check(ReadOnlySpan<float> values)
    {
        float limit = (float)Half.MaxValue * (Format!.BlockLength == 1 ? 1 : 8);
        foreach (float value in values)
        {
            if (!(MathF.Abs(value) <= limit))
            {
                throw new CheckpointException(
                    $"'{Entry.File}': the tensor {Entry.Name} holds {value}, which does not fit {Type}; expected numbers up to {limit}, or "
                        + "the type bf16.");
            }
        }
    }
}

/// <summary>A kind of file that tensors are written into.</summary>
internal interface IWeightContainer
{
    /// <summary>Whether it has a type of this name.</summary>
    bool Holds(string type);

    /// <summary>Writes a whole file.</summary>
    void Write(Stream stream, WeightSource source, IReadOnlyList<WrittenTensor> tensors);
}
