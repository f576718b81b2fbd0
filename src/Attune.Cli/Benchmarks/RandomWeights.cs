using Attune.Tensors;
using Attune.Weights;

namespace Attune.Cli.Benchmarks;

/// <summary>Weights of any shape without a file: bfloat16 normal numbers over the square root of the fan-in, as trained weights are sized.</summary>
internal static unsafe class RandomWeights
{
    public static Checkpoint Checkpoint(int seed)
    {
        var random = new TorchRandom(seed);
        return Weights.Checkpoint.Synthetic((name, shape) =>
        {
            var memory = Tensor.Empty([(int)((shape.Count + 1) / 2)]);
            var bits = (ushort*)memory.Pointer;
            float scale = shape.Rank > 1 ? 1 / MathF.Sqrt(shape.Count / shape[0]) : 0.1f;
            bool norm = shape.Rank == 1 && name.EndsWith("weight", StringComparison.Ordinal);
            var row = new float[1 << 12];
            for (long at = 0; at < shape.Count; at += row.Length)
            {
                random.Normal(row);
                for (int i = 0; i < Math.Min(row.Length, shape.Count - at); i++)
                    bits[at + i] = Conversion.ToBFloat16((norm ? 1 : 0) + scale * row[i]);
            }
            return Weight.Packed(name, memory, shape, DataType.BFloat16);
        });
    }
}
