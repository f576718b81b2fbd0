using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Formats;

/// <summary>
/// What block formats share: sixteen small integers become float32, times a scale and plus an offset. A scale has at most 11 bits and is
/// multiplied with integers of at most 12, so products are exact and only the sum is rounded: any order of evaluation, fused or not, gives
/// the same numbers.
/// </summary>
internal static unsafe class Codes
{
    /// <summary>The lower four bits of each byte.</summary>
    public static Vector128<byte> Low => Vector128.Create((byte)15);

    /// <summary>A binary16 at any address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Half(byte* at)
    {
        uint bits = Unsafe.ReadUnaligned<ushort>(at);
        uint magnitude = (bits & 0x7FFF) << 13;
        // Infinities and NaN get the largest exponent.
        uint special = magnitude >= 0x7C00u << 13 ? 0x7F800000u : 0;
        uint value = BitConverter.SingleToUInt32Bits(SmallFloats.Widen(magnitude, SmallFloats.Half));
        return BitConverter.UInt32BitsToSingle(value | special | (bits & 0x8000) << 16);
    }

    /// <summary>The bytes shifted to the right.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Shift(Vector128<byte> bytes, int count) => (bytes.AsUInt16() >> count).AsByte();

    /// <summary>Sixteen codes times a scale, and sixteen more times another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale<TSink>(
        ref TSink sink, Vector128<sbyte> first, float firstScale, Vector128<sbyte> second, float secondScale)
        where TSink : struct, IValueSink
    {
        var factor = Vector256.Create(firstScale);
        var other = Vector256.Create(secondScale);
        sink.Take(Floats(first) * factor, Floats(Upper(first)) * factor, Floats(second) * other, Floats(Upper(second)) * other);
    }

    /// <summary>32 signed bytes times a scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale<TSink>(ref TSink sink, sbyte* codes, float scale)
        where TSink : struct, IValueSink
    {
        if (Avx2.IsSupported)
        {
            var factor = Vector256.Create(scale);
            sink.Take(
                Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes)) * factor,
                Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 8)) * factor,
                Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 16)) * factor,
                Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 24)) * factor);
            return;
        }
        Scale(ref sink, Vector128.Load(codes), scale, Vector128.Load(codes + 16), scale);
    }

    /// <summary>Sixteen codes times a scale plus an offset, and sixteen more with others; codes are below 128.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale<TSink>(
        ref TSink sink, Vector128<byte> first, float firstScale, float firstOffset, Vector128<byte> second, float secondScale,
        float secondOffset)
        where TSink : struct, IValueSink
    {
        var factor = Vector256.Create(firstScale);
        var addend = Vector256.Create(firstOffset);
        var otherFactor = Vector256.Create(secondScale);
        var otherAddend = Vector256.Create(secondOffset);
        sink.Take(
            Vector256.MultiplyAddEstimate(Floats(first.AsSByte()), factor, addend),
            Vector256.MultiplyAddEstimate(Floats(Upper(first.AsSByte())), factor, addend),
            Vector256.MultiplyAddEstimate(Floats(second.AsSByte()), otherFactor, otherAddend),
            Vector256.MultiplyAddEstimate(Floats(Upper(second.AsSByte())), otherFactor, otherAddend));
    }

    /// <summary>One bit of each of sixteen, from a number of sixteen bits: 0 or all ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Bits(uint bits)
    {
        var places = Vector128.Create(0x8040201008040201ul).AsByte();
        var spread = Vector128.Create(Vector64.Create((byte)bits), Vector64.Create((byte)(bits >> 8)));
        return Vector128.Equals(spread & places, places);
    }

    /// <summary>The entries of a table at four-bit codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> Look(Vector128<sbyte> table, Vector128<byte> codes) => Vector128.Shuffle(table, codes.AsSByte());

    /// <summary>Eight signed bytes, the lower ones of sixteen, as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Floats(Vector128<sbyte> codes)
    {
        if (Avx2.IsSupported)
            return Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes));
        var words = Vector128.WidenLower(codes);
        return Vector256.ConvertToSingle(Vector256.Create(Vector128.WidenLower(words), Vector128.WidenUpper(words)));
    }

    /// <summary>Eight bytes below 128 as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Floats(ulong codes) => Floats(Vector128.CreateScalarUnsafe(codes).AsSByte());

    /// <summary>The upper eight of sixteen, in the place of the lower.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> Upper(Vector128<sbyte> codes) =>
        Sse2.IsSupported ? Sse2.ShiftRightLogical128BitLane(codes, 8) : Vector128.Create(codes.GetUpper(), codes.GetUpper());
}
