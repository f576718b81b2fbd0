using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q5_1: a binary16 scale and minimum, the fifth bits of 32 codes, and their lower four. An element is code scale + minimum; bit i
/// belongs to element i, byte j holds the lower bits of the elements j and j + 16.
/// </summary>
internal sealed unsafe class Q5_1() : BlockFormat("Q5_1", 32, 24)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block);
        float minimum = Codes.Half(block + 2);
        uint fifth = Unsafe.ReadUnaligned<uint>(block + 4);
        var bytes = Vector128.Load(block + 8);
        var bit = Vector128.Create((byte)16);
        Codes.Scale((bytes & Codes.Low) | (Codes.Bits(fifth) & bit), scale, minimum, values);
        Codes.Scale((Codes.Shift(bytes, 4) & Codes.Low) | (Codes.Bits(fifth >> 16) & bit), scale, minimum, values + 16);
    }
}
