using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors;

/// <summary>Conversions between stored types and float32. Widening is exact; narrowing rounds to nearest, ties to even.</summary>
public static unsafe class Conversion
{
    /// <summary>Widens <paramref name="count"/> elements of any alignment to float32.</summary>
    public static void Widen(void* source, DataType type, float* destination, long count)
    {
        switch (type)
        {
            case DataType.Float32:
                Buffer.MemoryCopy(source, destination, count * 4, count * 4);
                break;
            case DataType.BFloat16:
                WidenBFloat16((ushort*)source, destination, count);
                break;
            case DataType.Float16:
                for (long at = 0; at < count; at += 1 << 20)
                {
                    int n = (int)Math.Min(count - at, 1 << 20);
                    TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>((Half*)source + at, n), new Span<float>(destination + at, n));
                }
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "An unknown type of weight.");
        }
    }

    /// <summary>The bfloat16 nearest to a float32, as its 16 bits. NaN stays NaN.</summary>
    public static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
            return (ushort)((bits >> 16) | 0x40);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>The float32 of a bfloat16.</summary>
    public static float FromBFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    private static void WidenBFloat16(ushort* source, float* destination, long count)
    {
        long i = 0;
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
            destination[i] = FromBFloat16(Unsafe.ReadUnaligned<ushort>(source + i));
    }
}
