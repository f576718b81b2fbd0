using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// Numbers of fewer bits than a float32 whose exponent and mantissa were moved to where a float32 has them, without the sign: they become
/// the float32 that they mean once the exponent has the other bias. A multiplication with a power of two would do that for subnormal
/// numbers as well, but such an operand costs some processors more than a hundred cycles. So the difference of the biases is added to the
/// bits: c + m instead of 2 m for the subnormal ones, where c is what zero becomes; of f and 2 (f - c) the smaller one is always right.
/// </summary>
internal static class SmallFloats
{
    /// <summary>The difference of the biases of float32 and binary16, where a float32 has its exponent.</summary>
    public const uint Half = (127 - 15) << 23;

    /// <summary>One number; <paramref name="bias"/> is the difference of the biases, where a float32 has its exponent.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Widen(uint magnitude, uint bias)
    {
        float value = BitConverter.UInt32BitsToSingle(magnitude + bias);
        float above = value - BitConverter.UInt32BitsToSingle(bias);
        return Vector128.MinNative(Vector128.CreateScalarUnsafe(value), Vector128.CreateScalarUnsafe(above + above)).ToScalar();
    }

    /// <summary>Eight numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Widen(Vector256<uint> magnitudes, uint bias)
    {
        var values = (magnitudes + Vector256.Create(bias)).AsSingle();
        var above = values - Vector256.Create(bias).AsSingle();
        return Vector256.MinNative(values, above + above);
    }

    /// <summary>Sixteen numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Widen(Vector512<uint> magnitudes, uint bias)
    {
        var values = (magnitudes + Vector512.Create(bias)).AsSingle();
        var above = values - Vector512.Create(bias).AsSingle();
        return Vector512.MinNative(values, above + above);
    }
}
