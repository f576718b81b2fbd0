using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q5_0: a binary16 scale, the fifth bits of 32 codes, and their lower four. An element is (code - 16) scale; bit i belongs to
/// element i, byte j holds the lower bits of the elements j and j + 16.
/// </summary>
internal sealed unsafe class Q5_0() : BlockFormat("Q5_0", 32, 22)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block);
        uint fifth = Unsafe.ReadUnaligned<uint>(block + 2);
        var bytes = Vector128.Load(block + 6);
        // A code whose fifth bit is not set is 16 below its lower four.
        var below = Vector128.Create((byte)0xF0);
        Codes.Scale(((bytes & Codes.Low) | Vector128.AndNot(below, Codes.Bits(fifth))).AsSByte(), scale, values);
        Codes.Scale(
            ((Codes.Shift(bytes, 4) & Codes.Low) | Vector128.AndNot(below, Codes.Bits(fifth >> 16))).AsSByte(), scale, values + 16);
    }
}
