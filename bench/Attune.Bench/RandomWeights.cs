using Attune.Tensors;
using Attune.Weights;

namespace Attune.Bench;

/// <summary>
/// Weights of any shape without a file: bfloat16 numbers of about the size that trained weights have (uniform; xorshift).
/// </summary>
internal static unsafe class RandomWeights
{
    /// <summary>Numbers repeat after so many, a prime, so that making billions takes no longer than copying them.</summary>
    private const int Period = 1048573;

    public static Checkpoint Checkpoint(int seed)
    {
        ulong state = 0x9E3779B97F4A7C15 * (ulong)(seed + 1);
        return Weights.Checkpoint.Synthetic((name, shape) =>
        {
            var memory = Tensor.Empty([(int)((shape.Count + 1) / 2)]);
            var bits = (ushort*)memory.Pointer;
            float scale = shape.Rank > 1 ? MathF.Sqrt(3f * shape[0] / shape.Count) : 0.1f;
            bool norm = shape.Rank == 1 && name.EndsWith("weight", StringComparison.Ordinal);
            long made = Math.Min(shape.Count, Period);
            for (long i = 0; i < made; i++)
            {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                float uniform = (state >> 40) * (2f / (1 << 24)) - 1;
                bits[i] = Conversion.ToBFloat16((norm ? 1 : 0) + scale * uniform);
            }
            for (long at = made; at < shape.Count; at += made)
                Buffer.MemoryCopy(bits, bits + at, 2 * (shape.Count - at), 2 * Math.Min(made, shape.Count - at));
            return Weight.Packed(name, memory, shape, DataType.BFloat16);
        });
    }
}
