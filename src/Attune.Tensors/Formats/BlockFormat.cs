using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>
/// One of ggml's block formats (ggml-quants.c): integers of few bits with scales of binary16 beside them. What is in a block is the same
/// for all elements, so a format widens one block at a time.
/// </summary>
internal abstract unsafe class BlockFormat(string name, int length, int bytes) : WeightFormat
{
    public sealed override string Name { get; } = name;

    public sealed override int BlockLength { get; } = length;

    public sealed override int BlockBytes { get; } = bytes;

    protected sealed override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        fixed (byte* first = &MemoryMarshal.GetReference(blocks))
        {
            fixed (float* destination = &MemoryMarshal.GetReference(values))
            {
                byte* block = first;
                for (int i = 0; i < values.Length; i += BlockLength, block += BlockBytes)
                    WidenBlock(block, destination + i);
            }
        }
    }

    /// <summary>Widens one block.</summary>
    protected abstract void WidenBlock(byte* block, float* values);
}
