using System.Buffers.Binary;

namespace Attune.Tensors.Tests;

/// <summary>Formats against bytes written by hand.</summary>
public class WeightFormatTests
{
    [Fact]
    public void Formats_are_found_by_the_names_of_files()
    {
        Assert.Equal(
            [
                "F32", "F16", "BF16", "F64", "F8_E4M3", "F8_E5M2", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
                "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4", "NVFP4", "TQ1_0", "TQ2_0", "Q1_0", "Q2_0",
            ],
            WeightFormat.All.Select(format => format.Name));
        Assert.All(WeightFormat.All, format => Assert.Same(format, WeightFormat.Find(format.Name)));
        Assert.Null(WeightFormat.Find("Q9"));
        Assert.Equal((1, 4), (WeightFormat.Float32.BlockLength, WeightFormat.Float32.BlockBytes));
        Assert.Equal((1, 2), (WeightFormat.Float16.BlockLength, WeightFormat.Float16.BlockBytes));
        Assert.Equal((1, 2), (WeightFormat.BFloat16.BlockLength, WeightFormat.BFloat16.BlockBytes));
    }

    [Theory]
    [InlineData("F32", new byte[] { 0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC0, 1, 0, 0, 0 }, new[] { 1f, -2.5f, 1.4e-45f })]
    [InlineData("F16", new byte[] { 0, 0x3C, 0, 0xC1, 1, 0, 0, 0x7C }, new[] { 1f, -2.5f, 5.9604645e-8f, float.PositiveInfinity })]
    [InlineData("BF16", new byte[] { 0x80, 0x3F, 0x20, 0xC0, 1, 0, 0x80, 0xFF }, new[] { 1f, -2.5f, 9.1835e-41f, float.NegativeInfinity })]
    [InlineData(
        "F8_E4M3", new byte[] { 0x38, 0xB8, 0, 0x80, 0x7E, 0xFE, 1, 7, 8, 0x7F, 0xFF },
        new[] { 1f, -1, 0, -0f, 448, -448, 0.001953125f, 0.013671875f, 0.015625f, float.NaN, float.NaN })]
    [InlineData(
        "F64", new byte[] { 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0, 0, 0, 0, 0, 0, 4, 0xC0, 0, 0, 0, 0, 0, 0, 0xF0, 0x7F },
        new[] { 1f, -2.5f, float.PositiveInfinity })]
    [InlineData(
        "F8_E5M2", new byte[] { 0x3C, 0xC1, 0, 0x80, 1, 4, 0x7B, 0x7C, 0xFC, 0x7D, 0xFF },
        new[] { 1f, -2.5f, 0, -0f, 1.52587890625e-5f, 6.103515625e-5f, 57344, float.PositiveInfinity, float.NegativeInfinity, float.NaN,
            float.NaN })]
    public void Plain_formats_widen_exactly(string name, byte[] bytes, float[] expected)
    {
        var format = WeightFormat.Find(name)!;
        var values = new float[expected.Length];
        format.Widen(bytes, values);
        // Signs of zeros count, those of NaN do not.
        int Bits(float value) => float.IsNaN(value) ? -1 : BitConverter.SingleToInt32Bits(value);
        Assert.Equal(expected.Select(Bits), values.Select(Bits));
        format.Widen(bytes, values, 0.25f);
        Assert.Equal(expected.Select(value => 0.25f * value), values);
    }

    /// <summary>The one format that is wider than float32: ties go to even, what is beyond the range is infinite.</summary>
    [Fact]
    public void Float64_is_rounded_to_the_nearest()
    {
        double[] values = [0.1, 1 + Math.ScaleB(1, -24), 1 + 3 * Math.ScaleB(1, -24), 1e39, -1e-50, Math.PI];
        var widened = new float[values.Length];
        WeightFormat.Find("F64")!.Widen(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()), widened);
        Assert.Equal([0.1f, 1, 1 + MathF.ScaleB(1, -22), float.PositiveInfinity, -0f, MathF.PI], widened);
    }

    /// <summary>All codes of E4M3 are what sign, exponent and mantissa say.</summary>
    [Fact]
    public void Float8_has_all_codes()
    {
        byte[] codes = [.. Enumerable.Range(0, 256).Select(code => (byte)code)];
        var values = new float[256];
        WeightFormat.Find("F8_E4M3")!.Widen(codes, values);
        for (int code = 0; code < 256; code++)
        {
            int exponent = code / 8 % 16;
            double magnitude = exponent == 0 ? code % 8 / 8.0 * Math.Pow(2, -6) : (1 + code % 8 / 8.0) * Math.Pow(2, exponent - 7);
            Assert.Equal(code % 128 == 127 ? float.NaN : (float)(code < 128 ? magnitude : -magnitude), values[code]);
        }
    }

    [Fact]
    public void Q8_0_multiplies_bytes_with_the_scale_of_their_block()
    {
        var format = WeightFormat.Find("Q8_0")!;
        Assert.Equal((32, 34), (format.BlockLength, format.BlockBytes));
        byte[] blocks = new byte[68];
        BinaryPrimitives.WriteHalfLittleEndian(blocks, (Half)0.125);
        BinaryPrimitives.WriteHalfLittleEndian(blocks.AsSpan(34), (Half)(-2));
        for (int i = 0; i < 32; i++)
        {
            blocks[2 + i] = (byte)(sbyte)(i - 16);
            blocks[36 + i] = (byte)(i == 0 ? -128 : 127 - i);
        }
        var values = new float[64];
        format.Widen(blocks, values);
        Assert.Equal(Enumerable.Range(0, 32).Select(i => (i - 16) / 8f), values[..32]);
        Assert.Equal(Enumerable.Range(0, 32).Select(i => i == 0 ? 256f : 2f * i - 254), values[32..]);
        format.Widen(blocks, values, 3);
        Assert.Equal(-6f, values[0]);
    }

    [Fact]
    public void Numbers_that_do_not_fit_are_refused()
    {
        var format = WeightFormat.Find("Q8_0")!;
        Assert.Contains(
            "33 elements are no whole number of blocks of Q8_0", Assert.Throws<ArgumentException>(() => format.BytesOf(33)).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => format.Widen(new byte[33], new float[32]));
        Assert.Throws<ArgumentException>(() => WeightFormat.Float16.Widen(new byte[6], new float[2]));
    }
}
