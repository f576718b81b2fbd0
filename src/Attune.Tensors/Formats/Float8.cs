using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Formats;

/// <summary>What numbers of eight bits are: a sign, an exponent and a mantissa, whose bits are moved where a float32 has them.</summary>
internal interface IFloat8
{
    /// <summary>How many bits the mantissa has.</summary>
    static abstract int MantissaBits { get; }

    /// <summary>What is added to the exponent's true value.</summary>
    static abstract int Bias { get; }

    /// <summary>The last magnitude that is finite.</summary>
    static abstract sbyte LastFinite { get; }

    /// <summary>Bits that infinite numbers and NaN have beside their own.</summary>
    static abstract uint Special { get; }
}

/// <summary>A format of eight bits an element, without blocks.</summary>
internal abstract unsafe class Float8<T> : WeightFormat
    where T : struct, IFloat8
{
    public sealed override int BlockLength => 1;

    public sealed override int BlockBytes => 1;

    internal sealed override bool HasDots => Avx2.IsSupported;

    /// <summary>The value of each byte.</summary>
    protected abstract float[] Table { get; }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal sealed override float Dot(byte* blocks, int count, float* row, float* sums)
    {
        var sink = new DotSink(row);
        int read = Read(blocks, count, ref sink);
        float sum = sink.Sum;
        for (; read < count; read++)
            sum += Table[blocks[read]] * row[read];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected sealed override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        int read = 0;
        if (Avx2.IsSupported)
        {
            fixed (byte* bytes = &MemoryMarshal.GetReference(blocks))
            {
                fixed (float* destination = &MemoryMarshal.GetReference(values))
                {
                    var sink = new StoringSink(destination);
                    read = Read(bytes, blocks.Length, ref sink);
                }
            }
        }
        float[] table = Table;
        for (; read < values.Length; read++)
            values[read] = table[blocks[read]];
    }

    /// <summary>Widens 32 bytes at a time; returns how many.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Read<TSink>(byte* bytes, int count, ref TSink sink)
        where TSink : struct, IValueSink
    {
        int read = 0;
        for (; read <= count - 32; read += 32)
        {
            byte* at = bytes + read;
            if (Vector256.GreaterThanAny(Vector256.Load((sbyte*)at) & Vector256.Create((sbyte)0x7F), Vector256.Create(T.LastFinite)))
                sink.Take(WidenSpecial(at), WidenSpecial(at + 8), WidenSpecial(at + 16), WidenSpecial(at + 24));
            else
                sink.Take(Widen(at), Widen(at + 8), Widen(at + 16), Widen(at + 24));
        }
        return read;
    }

    /// <summary>Finite numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Widen(byte* bytes)
    {
        // The sign fills what is above the byte.
        var codes = Avx2.ConvertToVector256Int32((sbyte*)bytes).AsUInt32() << (23 - T.MantissaBits);
        var magnitudes = codes & Vector256.Create(0x7Fu << (23 - T.MantissaBits));
        var signs = codes & Vector256.Create(0x80000000u);
        return (SmallFloats.Widen(magnitudes, (uint)(127 - T.Bias) << 23).AsUInt32() | signs).AsSingle();
    }

    /// <summary>Numbers some of which may be infinite or NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> WidenSpecial(byte* bytes)
    {
        var magnitudes = Avx2.ConvertToVector256Int32(bytes) & Vector256.Create(0x7F);
        var specials = Vector256.GreaterThan(magnitudes, Vector256.Create((int)T.LastFinite)).AsUInt32() & Vector256.Create(T.Special);
        return (Widen(bytes).AsUInt32() | specials).AsSingle();
    }
}
