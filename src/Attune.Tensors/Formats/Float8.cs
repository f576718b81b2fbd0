using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Formats;

/// <summary>Numbers of eight bits, widened by moving their bits where a float32 has them.</summary>
internal static unsafe class Float8
{
    /// <summary>Widens bytes whose lower seven bits are exponent and mantissa.</summary>
    /// <param name="blocks">The bytes.</param>
    /// <param name="values">The values.</param>
    /// <param name="table">The value of each byte.</param>
    /// <param name="mantissa">Bits of the mantissa.</param>
    /// <param name="rebias">A power of two: what the exponent's bias differs by. Multiplying with it makes subnormal numbers right,
    /// too.</param>
    /// <param name="firstSpecial">The first magnitude that is infinite or NaN.</param>
    /// <param name="special">Bits that such have beside their own.</param>
    public static void Widen(
        ReadOnlySpan<byte> blocks, Span<float> values, float[] table, int mantissa, float rebias, int firstSpecial, uint special)
    {
        fixed (byte* bytes = blocks)
        {
            fixed (float* destination = values)
            {
                int i = 0;
                if (Avx2.IsSupported)
                {
                    var factor = Vector256.Create(rebias);
                    var last = Vector256.Create(firstSpecial - 1);
                    var extra = Vector256.Create(special);
                    int shift = 23 - mantissa;
                    for (; i <= blocks.Length - 8; i += 8)
                    {
                        var codes = Avx2.ConvertToVector256Int32(bytes + i);
                        var magnitudes = codes & Vector256.Create(0x7F);
                        var widened = ((magnitudes << shift).AsSingle() * factor).AsUInt32();
                        var specials = Vector256.GreaterThan(magnitudes, last).AsUInt32() & extra;
                        var signs = (codes.AsUInt32() & Vector256.Create(0x80u)) << 24;
                        (widened | specials | signs).AsSingle().Store(destination + i);
                    }
                }
                for (; i < blocks.Length; i++)
                    destination[i] = table[bytes[i]];
            }
        }
    }
}
