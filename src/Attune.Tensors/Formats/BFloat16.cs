using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>The upper half of a binary32: 8 bits of exponent, 7 of mantissa.</summary>
internal sealed unsafe class BFloat16 : WeightFormat
{
    public override string Name => "BF16";

    public override int BlockLength => 1;

    public override int BlockBytes => 2;

    public override bool CanNarrow => true;

    protected override void NarrowBlocks(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        var bits = MemoryMarshal.Cast<byte, ushort>(blocks);
        for (int i = 0; i < values.Length; i++)
            bits[i] = Conversion.ToBFloat16(values[i]);
    }

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        fixed (byte* bytes = blocks)
        {
            fixed (float* destination = values)
                Widen((ushort*)bytes, destination, values.Length);
        }
    }

    private static void Widen(ushort* source, float* destination, int count)
    {
        nint i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; i <= count - 16; i += 16)
                (Vector512.WidenLower(Vector256.LoadUnsafe(ref *(source + i)).ToVector512Unsafe()) << 16).AsSingle().Store(destination + i);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            for (; i <= count - 8; i += 8)
                (Vector256.WidenLower(Vector128.LoadUnsafe(ref *(source + i)).ToVector256Unsafe()) << 16).AsSingle().Store(destination + i);
        }
        for (; i < count; i++)
            destination[i] = Conversion.FromBFloat16(Unsafe.ReadUnaligned<ushort>(source + i));
    }
}
