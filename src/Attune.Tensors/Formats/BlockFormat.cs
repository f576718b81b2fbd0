using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>How one block is read: its elements in order, 32 at a time.</summary>
internal unsafe interface IBlock
{
    /// <summary>Widens a block into a sink.</summary>
    static abstract void Read<TSink>(byte* block, ref TSink sink)
        where TSink : struct, IValueSink;
}

/// <summary>
/// One of ggml's block formats (ggml-quants.c): integers of few bits with scales of binary16 beside them. A product with few rows
/// multiplies values where they are widened, in registers.
/// </summary>
internal abstract unsafe class BlockFormat<TBlock>(string name, int length, int bytes) : WeightFormat
    where TBlock : struct, IBlock
{
    public sealed override string Name { get; } = name;

    public sealed override int BlockLength { get; } = length;

    public sealed override int BlockBytes { get; } = bytes;

    internal sealed override bool HasDots => true;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override float Dot(byte* blocks, int count, float* row, float* sums)
    {
        var sink = new DotSink(row);
        for (; count > 0; count -= BlockLength, blocks += BlockBytes)
            TBlock.Read(blocks, ref sink);
        return sink.Sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected sealed override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        fixed (byte* first = &MemoryMarshal.GetReference(blocks))
        {
            fixed (float* destination = &MemoryMarshal.GetReference(values))
            {
                var sink = new StoringSink(destination);
                byte* block = first;
                for (int count = values.Length; count > 0; count -= BlockLength, block += BlockBytes)
                    TBlock.Read(block, ref sink);
            }
        }
    }
}
