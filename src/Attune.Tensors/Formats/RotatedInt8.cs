using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>
/// Signed bytes of rows that were rotated before they were rounded, group by group (ComfyUI's convrot): with the matrix H that is the
/// Kronecker power of the symmetric 4 x 4 matrix of ones with -1 where row and column add up to 3, over the square root of the group. H is
/// its own inverse, so that a group times H is the weight.
/// </summary>
internal sealed class RotatedInt8 : WeightFormat
{
    private readonly float _factor;

    /// <param name="group">Elements that are rotated together, a power of 4.</param>
    public RotatedInt8(int group)
    {
        if (group < 4 || !BitOperations.IsPow2(group) || BitOperations.Log2((uint)group) % 2 != 0)
            throw new ArgumentException($"The group of a rotation is {group}, expected a power of 4.", nameof(group));
        BlockLength = group;
        _factor = 1 / MathF.Sqrt(group);        // of a power of 4: exact
    }

    public override string Name => "I8 rotated";

    public override int BlockLength { get; }

    public override int BlockBytes => BlockLength;

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        TensorPrimitives.ConvertTruncating<sbyte, float>(MemoryMarshal.Cast<byte, sbyte>(blocks), values);
        for (int stride = 1; stride < BlockLength; stride *= 4)
        {
            for (int i = 0; i < values.Length; i += 4 * stride)
            {
                for (int j = i; j < i + stride; j++)
                {
                    // Rows (1, 1, 1, -1), (1, 1, -1, 1), (1, -1, 1, 1), (-1, 1, 1, 1): the sum of all without twice one of them.
                    float a = values[j], b = values[j + stride], c = values[j + 2 * stride], d = values[j + 3 * stride];
                    float sum = a + b + c + d;
                    values[j] = sum - 2 * d;
                    values[j + stride] = sum - 2 * c;
                    values[j + 2 * stride] = sum - 2 * b;
                    values[j + 3 * stride] = sum - 2 * a;
                }
            }
        }
        TensorPrimitives.Multiply(values, _factor, values);
    }
}
