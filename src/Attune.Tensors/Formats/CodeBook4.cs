using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Formats;

/// <summary>
/// Codes of four bits that stand for the sixteen values of a table, two in a byte, the first in its upper half: nf4 and fp4 of
/// bitsandbytes, and the numbers of ComfyUI's nvfp4. Their scales are companions of the weight.
/// </summary>
internal sealed unsafe class CodeBook4 : WeightFormat
{
    private readonly float[] _table;

    public CodeBook4(string name, ReadOnlySpan<float> table)
    {
        if (table.Length != 16)
            throw new ArgumentException($"A table of four-bit codes has 16 values, not {table.Length}.", nameof(table));
        Name = name;
        _table = table.ToArray();
    }

    public override string Name { get; }

    public override int BlockLength => 2;

    public override int BlockBytes => 1;

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        fixed (byte* bytes = blocks)
        {
            fixed (float* destination = values, table = _table)
            {
                int i = 0;
                if (Avx2.IsSupported)
                {
                    var first = Vector256.Load(table);
                    var second = Vector256.Load(table + 8);
                    var shifts = Vector256.Create(4u, 0, 12, 8, 20, 16, 28, 24);
                    for (; i <= blocks.Length - 4; i += 4)
                    {
                        var codes = Avx2.ShiftRightLogicalVariable(Vector256.Create(Unsafe.ReadUnaligned<uint>(bytes + i)), shifts);
                        var lower = Avx2.PermuteVar8x32(first, codes.AsInt32());
                        var upper = Avx2.PermuteVar8x32(second, codes.AsInt32());
                        Avx.BlendVariable(lower, upper, (codes << 28).AsSingle()).Store(destination + 2 * i);
                    }
                }
                for (; i < blocks.Length; i++)
                    (destination[2 * i], destination[2 * i + 1]) = (table[bytes[i] >> 4], table[bytes[i] & 15]);
            }
        }
    }
}
