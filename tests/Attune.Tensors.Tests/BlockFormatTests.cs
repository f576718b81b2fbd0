using System.Buffers.Binary;

namespace Attune.Tensors.Tests;

/// <summary>
/// ggml's block formats against a second implementation, one element at a time, on blocks of random bytes with scales of either sign. All
/// products are exact, so the numbers are equal.
/// </summary>
public class BlockFormatTests
{
    private static readonly int[] Unequal = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    private static readonly float[] E2M1 = [0, .5f, 1, 1.5f, 2, 3, 4, 6, 0, -.5f, -1, -1.5f, -2, -3, -4, -6];

    [Theory]
    [InlineData("Q4_0")]
    [InlineData("Q4_1")]
    [InlineData("Q5_0")]
    [InlineData("Q5_1")]
    [InlineData("Q8_0")]
    [InlineData("Q2_K")]
    [InlineData("Q3_K")]
    [InlineData("Q4_K")]
    [InlineData("Q5_K")]
    [InlineData("Q6_K")]
    [InlineData("IQ4_NL")]
    [InlineData("IQ4_XS")]
    [InlineData("MXFP4")]
    [InlineData("NVFP4")]
    [InlineData("TQ1_0")]
    [InlineData("TQ2_0")]
    [InlineData("Q1_0")]
    [InlineData("Q2_0")]
    public void Blocks_of_random_bytes(string name)
    {
        var format = WeightFormat.Find(name)!;
        var random = new Random(19);
        byte[] blocks = new byte[20 * format.BlockBytes];
        random.NextBytes(blocks);
        for (int block = 0; block < 20; block++)
        {
            foreach (int at in Halves(name))
            {
                var half = (Half)((random.NextSingle() - .5f) * (block == 0 ? 1e-6f : .1f));        // the first are subnormal
                BinaryPrimitives.WriteHalfLittleEndian(blocks.AsSpan(block * format.BlockBytes + at), half);
            }
        }
        var values = new float[20 * format.BlockLength];
        format.Widen(blocks, values);
        for (int i = 0; i < values.Length; i++)
        {
            var block = blocks.AsSpan(i / format.BlockLength * format.BlockBytes, format.BlockBytes);
            double expected = Element(name, block, i % format.BlockLength);
            Assert.True((float)expected == values[i], $"element {i}: {values[i]:r}, expected {expected:r}");
        }
    }

    [Fact]
    public void Scales_that_are_not_finite_do_no_harm()
    {
        foreach (var format in WeightFormat.All.Where(format => format.BlockLength > 1))
        {
            byte[] block = new byte[format.BlockBytes];
            block.AsSpan().Fill(0xFF);
            var values = new float[format.BlockLength];
            format.Widen(block, values);
            Assert.All(values, value => Assert.False(float.IsSubnormal(value)));
        }
    }

    /// <summary>Where a block of a format has numbers of binary16.</summary>
    internal static int[] Halves(string name) => name switch
    {
        "Q4_0" or "Q5_0" or "Q8_0" or "IQ4_NL" or "IQ4_XS" or "Q1_0" or "Q2_0" => [0],
        "Q4_1" or "Q5_1" or "Q4_K" or "Q5_K" => [0, 2],
        "Q2_K" => [80, 82],
        "Q3_K" => [108],
        "Q6_K" => [208],
        "TQ1_0" => [52],
        "TQ2_0" => [64],
        _ => [],
    };

    private static double Element(string name, ReadOnlySpan<byte> block, int i) => name switch
    {
        "Q4_0" => Half(block, 0) * (Nibble(block[2..], i) - 8),
        "Q4_1" => Half(block, 0) * Nibble(block[4..], i) + Half(block, 2),
        "Q5_0" => Half(block, 0) * ((Nibble(block[6..], i) | Bit(block[2..], i) << 4) - 16),
        "Q5_1" => Half(block, 0) * (Nibble(block[8..], i) | Bit(block[4..], i) << 4) + Half(block, 2),
        "Q8_0" => Half(block, 0) * (sbyte)block[2 + i],
        "Q2_K" => Half(block, 80) * (block[i / 16] & 15) * Pair(block[16..], i) - Half(block, 82) * (block[i / 16] >> 4),
        "Q3_K" => Half(block, 108) * (SixBits(block[96..], i / 16) - 32)
            * (Pair(block[32..], i) - (1 - (block[i % 32] >> i / 32 & 1)) * 4),
        "Q4_K" => Affine(block, i, block[16 + i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15),
        "Q5_K" => Affine(block, i, (block[48 + i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15) | (block[16 + i % 32] >> i / 32 & 1) << 4),
        "Q6_K" => Half(block, 208) * (sbyte)block[192 + i / 16] * (Six(block, i) - 32),
        "IQ4_NL" => Half(block, 0) * Unequal[Nibble(block[2..], i)],
        "IQ4_XS" => Half(block, 0) * (((block[4 + i / 64] >> i / 32 % 2 * 4 & 15)
            | (BinaryPrimitives.ReadUInt16LittleEndian(block[2..]) >> i / 32 * 2 & 3) << 4) - 32)
            * Unequal[Nibble(block[(8 + i / 32 * 16)..], i % 32)],
        "MXFP4" => Math.ScaleB(E2M1[Nibble(block[1..], i)], block[0] - 127),
        "NVFP4" => Unsigned(block[i / 16]) * E2M1[block[4 + i / 16 * 8 + i % 8] >> i / 8 % 2 * 4 & 15],
        "TQ1_0" => Half(block, 52) * (Trit(block, i) - 1),
        "TQ2_0" => Half(block, 64) * (Pair(block, i) - 1),
        "Q1_0" => Half(block, 0) * (2 * Bit(block[2..], i) - 1),
        _ => Half(block, 0) * ((block[2 + i / 4] >> i % 4 * 2 & 3) - 1),
    };

    private static double Half(ReadOnlySpan<byte> block, int at) => (double)BinaryPrimitives.ReadHalfLittleEndian(block[at..]);

    private static int Nibble(ReadOnlySpan<byte> codes, int i) => codes[i % 16] >> i / 16 * 4 & 15;

    private static int Bit(ReadOnlySpan<byte> bits, int i) => bits[i / 8] >> i % 8 & 1;

    private static int Pair(ReadOnlySpan<byte> codes, int i) => codes[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;

    private static int SixBits(ReadOnlySpan<byte> packed, int i) =>
        (packed[i % 8] >> i / 8 * 4 & 15) | (packed[8 + i % 4] >> i / 4 * 2 & 3) << 4;

    private static double Affine(ReadOnlySpan<byte> block, int i, int code)
    {
        int part = i / 32;
        var packed = block[4..];
        var (factor, minimum) = part < 4 ? (packed[part] & 63, packed[part + 4] & 63)
            : ((packed[part + 4] & 15) | packed[part - 4] >> 6 << 4, packed[part + 4] >> 4 | packed[part] >> 6 << 4);
        return Half(block, 0) * factor * code - Half(block, 2) * minimum;
    }

    private static int Six(ReadOnlySpan<byte> block, int i)
    {
        int within = i % 128;
        int lower = block[i / 128 * 64 + within % 64] >> within / 64 * 4 & 15;
        return lower | (block[128 + i / 128 * 32 + within % 32] >> within / 32 * 2 & 3) << 4;
    }

    private static double Unsigned(int code)
    {
        code &= 127;
        return code == 127 ? 0 : code < 8 ? code / 512.0 : Math.ScaleB(8 + code % 8, code / 8 - 10);
    }

    private static int Trit(ReadOnlySpan<byte> block, int i)
    {
        var (at, digit) = i < 160 ? (i % 32, i / 32)
            : i < 240 ? (32 + (i - 160) % 16, (i - 160) / 16) : (48 + (i - 240) % 4, (i - 240) / 4);
        return (byte)(block[at] * (int)Math.Pow(3, digit)) * 3 >> 8;
    }
}
