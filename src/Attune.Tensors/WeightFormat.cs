using System.Diagnostics;
using System.Numerics.Tensors;
using Attune.Tensors.Formats;

namespace Attune.Tensors;

/// <summary>
/// How numbers lie in a file: blocks of so many elements in so many bytes. Kernels widen them to float32 while they use them; activations
/// are never in such a format. Formats are found by the names that files use. A new one is a class in Formats/ and an entry in
/// <see cref="All"/>.
/// </summary>
[DebuggerDisplay("{Name}")]
public abstract class WeightFormat
{
    /// <summary>F32: IEEE 754 binary32.</summary>
    public static WeightFormat Float32 { get; } = new Float32();

    /// <summary>F16: IEEE 754 binary16.</summary>
    public static WeightFormat Float16 { get; } = new Float16();

    /// <summary>BF16: the upper half of a binary32, 8 bits of exponent and 7 of mantissa.</summary>
    public static WeightFormat BFloat16 { get; } = new BFloat16();

    /// <summary>Signed bytes: weights only with a scale beside them, and so not one of <see cref="All"/>.</summary>
    public static WeightFormat Int8 { get; } = new Int8();

    /// <summary>Powers of two by their exponents: scales in microscaling formats, and not one of <see cref="All"/>.</summary>
    public static WeightFormat Float8E8M0 { get; } = new Float8E8M0();

    /// <summary>The numbers of E2M1, two in a byte, the first in its upper half: with scales beside them, nvfp4 of ComfyUI.</summary>
    public static WeightFormat Float4E2M1 { get; } =
        new CodeBook4("F4", [0, .5f, 1, 1.5f, 2, 3, 4, 6, -0f, -.5f, -1, -1.5f, -2, -3, -4, -6]);

    /// <summary>All formats that files name.</summary>
    public static IReadOnlyList<WeightFormat> All { get; } =
    [
        Float32, Float16, BFloat16, new Float64(), new Float8E4M3(), new Float8E5M2(),
        new Q4_0(), new Q4_1(), new Q5_0(), new Q5_1(), new Q8_0(), new Q2_K(), new Q3_K(), new Q4_K(), new Q5_K(), new Q6_K(),
        new IQ4_NL(), new IQ4_XS(), new MXFP4(), new NVFP4(), new TQ1_0(), new TQ2_0(), new Q1_0(), new Q2_0(),
    ];

    /// <summary>The name in files: <c>BF16</c> and <c>F8_E4M3</c> as safetensors has them, <c>Q4_K</c> as GGUF does.</summary>
    public abstract string Name { get; }

    /// <summary>Elements of a block; they are neighbours in row-major order.</summary>
    public abstract int BlockLength { get; }

    /// <summary>Bytes of a block.</summary>
    public abstract int BlockBytes { get; }

    /// <summary>Codes of four bits, two in a byte, the first in its upper half.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="table">The sixteen values of the codes.</param>
    /// <exception cref="ArgumentException">The values are not sixteen.</exception>
    public static WeightFormat CodeBook(string name, ReadOnlySpan<float> table) => new CodeBook4(name, table);

    /// <summary>Signed bytes of rows that were rotated by a Hadamard matrix (ComfyUI's convrot), with a scale beside them.</summary>
    /// <param name="group">How many neighbours were rotated together, a power of 4.</param>
    /// <exception cref="ArgumentException">The group is no power of 4.</exception>
    public static WeightFormat RotatedInt8(int group) => new RotatedInt8(group);

    /// <summary>Whether <see cref="Dot"/> is there.</summary>
    internal virtual bool HasDots => false;

    /// <summary>The format that files call so, or null.</summary>
    public static WeightFormat? Find(string name)
    {
        foreach (var format in All)
        {
            if (format.Name == name)
                return format;
        }
        return null;
    }

    /// <summary>The bytes of so many elements.</summary>
    /// <exception cref="ArgumentException">They are no whole number of blocks.</exception>
    public long BytesOf(long elements) =>
        elements % BlockLength == 0 ? elements / BlockLength * BlockBytes
            : throw new ArgumentException(
                $"{elements} elements are no whole number of blocks of {Name}, which have {BlockLength}.", nameof(elements));

    /// <summary>Widens whole blocks to float32 and multiplies the values.</summary>
    /// <param name="blocks">The bytes, of any alignment.</param>
    /// <param name="values">Where the values go, all elements of the blocks.</param>
    /// <param name="scale">A factor from outside of the blocks; with 1 the values are exactly those that the format defines.</param>
    /// <exception cref="ArgumentException">Blocks and values are not equally many.</exception>
    public void Widen(ReadOnlySpan<byte> blocks, Span<float> values, float scale = 1)
    {
        if (blocks.Length != BytesOf(values.Length))
            throw new ArgumentException($"{blocks.Length} bytes of {Name} do not hold {values.Length} elements.", nameof(blocks));
        WidenBlocks(blocks, values);
        if (scale != 1)
            TensorPrimitives.Multiply(values, scale, values);
    }

    /// <summary>Whether numbers can be written in it.</summary>
    public virtual bool CanNarrow => false;

    /// <summary>Rounds float32 numbers to whole blocks; block formats choose codes as ggml's reference quantiser does.</summary>
    /// <param name="values">All elements of the blocks.</param>
    /// <param name="blocks">Where the bytes go.</param>
    /// <exception cref="ArgumentException">Blocks and values are not equally many.</exception>
    /// <exception cref="NotSupportedException">Numbers cannot be written in the format.</exception>
    public void Narrow(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        if (!CanNarrow)
            throw new NotSupportedException($"Numbers cannot be written as {Name}.");
        if (blocks.Length != BytesOf(values.Length))
            throw new ArgumentException($"{blocks.Length} bytes of {Name} do not hold {values.Length} elements.", nameof(blocks));
        NarrowBlocks(values, blocks);
    }

    /// <summary>The <see cref="Name"/>.</summary>
    public override string ToString() => Name;

    /// <summary>
    /// How many neighbours of a row <see cref="Dot"/> needs the sums of: what codes have in common is multiplied with them. 0 for none.
    /// </summary>
    internal virtual int SumLength => 0;

    /// <summary>The product of whole blocks with a row of floats, widened in registers.</summary>
    /// <param name="blocks">The first byte.</param>
    /// <param name="count">How many elements.</param>
    /// <param name="row">As many floats.</param>
    /// <param name="sums">The sums of each <see cref="SumLength"/> of them, where that is not 0.</param>
    internal virtual unsafe float Dot(byte* blocks, int count, float* row, float* sums) => throw new NotSupportedException();

    /// <summary>Rounds numbers to whole blocks.</summary>
    protected virtual void NarrowBlocks(ReadOnlySpan<float> values, Span<byte> blocks) => throw new NotSupportedException();

    /// <summary>Widens whole blocks, as many as there are values for.</summary>
    protected abstract void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values);
}
