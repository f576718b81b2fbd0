using System.Runtime.InteropServices;

namespace Attune.Tensors.Formats;

/// <summary>A block format that models hardly use, widened one element at a time.</summary>
internal abstract unsafe class RareBlockFormat(string name, int length, int bytes) : WeightFormat
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
