using System.Text.Json;

namespace Attune.Weights.Writing;

/// <summary>A safetensors file: large elements first, so that all are aligned.</summary>
internal sealed class SafetensorsContainer : IWeightContainer
{
    private const int Alignment = 8;

    public bool Holds(string type) => SafetensorsFile.Names(type);

    public void Write(Stream stream, WeightSource source, IReadOnlyList<WrittenTensor> tensors)
    {
        WrittenTensor[] ordered = [
            .. tensors.OrderByDescending(tensor => tensor.Entry.Count == 0 ? 0 : tensor.Length / (double)tensor.Entry.Count)
                .ThenBy(tensor => tensor.Entry.Name, StringComparer.Ordinal)];
        byte[] header = Header(ordered.Select(tensor => tensor.Entry with { Type = tensor.Type, Length = tensor.Length }));
        stream.Write(BitConverter.GetBytes((long)header.Length));
        stream.Write(header);
        foreach (var tensor in ordered)
            tensor.Write(stream, source);
    }

    /// <summary>What stands before the data of tensors that follow each other: names, types, shapes and lengths count.</summary>
    internal static byte[] Header(IEnumerable<TensorEntry> tensors)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            json.WriteString("format", "pt");        // transformers asks for it
            json.WriteEndObject();
            long at = 0;
            foreach (var tensor in tensors)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Type);
                json.WriteStartArray("shape");
                foreach (long extent in tensor.Dimensions)
                    json.WriteNumberValue(extent);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += tensor.Length);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        while (buffer.Length % Alignment != 0)
            buffer.WriteByte((byte)' ');
        return buffer.ToArray();
    }
}
