using System.Runtime.InteropServices;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Bench;

/// <summary>
/// Weights of any name and shape without a file: bfloat16 numbers of about the size that trained weights have (uniform; xorshift).
/// </summary>
internal sealed class RandomWeights(int seed) : WeightSource
{
    /// <summary>Numbers repeat after so many, a prime, so that making billions takes no longer than copying them.</summary>
    private const int Period = 1048573;

    private ulong _state = 0x9E3779B97F4A7C15 * (ulong)(seed + 1);

    public override string Path => "random weights";

    public override IReadOnlyCollection<string> Names => [];

    public static Checkpoint Checkpoint(Device device, int seed) => new(new RandomWeights(seed), device);

    public override TensorEntry? Describe(string name) => null;

    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        var shape = expected ?? throw new ArgumentNullException(nameof(expected));
        var bytes = WeightBytes.Allocate(2 * shape.Count);
        float scale = shape.Rank > 1 ? MathF.Sqrt(3f * shape[0] / shape.Count) : 0.1f;
        bool norm = shape.Rank == 1 && name.EndsWith("weight", StringComparison.Ordinal);
        int made = (int)Math.Min(shape.Count, Period);
        var bits = MemoryMarshal.Cast<byte, ushort>(bytes.Write(0, 2 * made));
        for (int i = 0; i < made; i++)
        {
            _state ^= _state << 13;
            _state ^= _state >> 7;
            _state ^= _state << 17;
            float uniform = (_state >> 40) * (2f / (1 << 24)) - 1;
            bits[i] = Conversion.ToBFloat16((norm ? 1 : 0) + scale * uniform);
        }
        for (long at = 2 * made; at < bytes.Length; at += 2 * made)
        {
            int count = (int)Math.Min(2 * made, bytes.Length - at);
            bytes.Read(0, count).CopyTo(bytes.Write(at, count));
        }
        return new StoredWeight(name, shape, WeightFormat.BFloat16, bytes);
    }

    protected override void Dispose(bool disposing)
    {
    }
}
