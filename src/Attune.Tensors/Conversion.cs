namespace Attune.Tensors;

/// <summary>Conversions between bfloat16 and float32. Widening is exact; narrowing rounds to nearest, ties to even.</summary>
public static class Conversion
{
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
}
