using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Formats;

/// <summary>
/// What block formats share: sixteen small integers become float32, times a scale and plus an offset. A scale has at most 11 bits and is
/// multiplied with integers of at most 12, so products are exact and only the sum is rounded: any order of evaluation gives the same
/// numbers.
/// </summary>
internal static unsafe class Codes
{
    /// <summary>The lower four bits of each byte.</summary>
    public static Vector128<byte> Low => Vector128.Create((byte)15);

    /// <summary>A binary16 at any address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Half(byte* at)
    {
        // Exponents move by a multiplication, which also normalises subnormal numbers; infinities and NaN get the largest exponent.
        uint bits = Unsafe.ReadUnaligned<ushort>(at);
        uint magnitude = (bits & 0x7FFF) << 13;
        uint value = BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle(magnitude) * 5.192296858534828e33f);
        uint special = magnitude >= 0x7C00u << 13 ? 0x7F800000u : 0;
        return BitConverter.UInt32BitsToSingle(value | special | (bits & 0x8000) << 16);
    }

    /// <summary>The bytes shifted to the right.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Shift(Vector128<byte> bytes, int count) => (bytes.AsUInt16() >> count).AsByte();

    /// <summary>values[i] = scale codes[i], of sixteen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale(Vector128<sbyte> codes, float scale, float* values)
    {
        if (Vector512.IsHardwareAccelerated && Avx512F.IsSupported)
        {
            (Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(codes)) * Vector512.Create(scale)).Store(values);
            return;
        }
        var factor = Vector256.Create(scale);
        var (lower, upper) = Widen(codes);
        (Vector256.ConvertToSingle(lower) * factor).Store(values);
        (Vector256.ConvertToSingle(upper) * factor).Store(values + 8);
    }

    /// <summary>values[i] = scale codes[i] + offset, of sixteen; codes are below 128.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale(Vector128<byte> codes, float scale, float offset, float* values)
    {
        if (Vector512.IsHardwareAccelerated && Avx512F.IsSupported)
        {
            (Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(codes)) * Vector512.Create(scale) + Vector512.Create(offset))
                .Store(values);
            return;
        }
        var factor = Vector256.Create(scale);
        var addend = Vector256.Create(offset);
        var (lower, upper) = Widen(codes.AsSByte());
        (Vector256.ConvertToSingle(lower) * factor + addend).Store(values);
        (Vector256.ConvertToSingle(upper) * factor + addend).Store(values + 8);
    }

    /// <summary>One bit of each of sixteen, from a number of sixteen bits: 0 or all ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Bits(uint bits)
    {
        var places = Vector128.Create(0x8040201008040201ul).AsByte();
        var spread = Vector128.Create(
            Vector64.Create((byte)bits), Vector64.Create((byte)(bits >> 8)));
        return Vector128.Equals(spread & places, places);
    }

    /// <summary>The entries of a table at four-bit codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> Look(Vector128<sbyte> table, Vector128<byte> codes) => Vector128.Shuffle(table, codes.AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<int> Lower, Vector256<int> Upper) Widen(Vector128<sbyte> codes)
    {
        if (Avx2.IsSupported)
        {
            var upper = Vector128.Create(codes.GetUpper(), codes.GetUpper());
            return (Avx2.ConvertToVector256Int32(codes), Avx2.ConvertToVector256Int32(upper));
        }
        var (low, high) = Vector128.Widen(codes);
        return (Vector256.Create(Vector128.WidenLower(low), Vector128.WidenUpper(low)),
            Vector256.Create(Vector128.WidenLower(high), Vector128.WidenUpper(high)));
    }
}
