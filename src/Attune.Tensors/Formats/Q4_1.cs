using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q4_1: a binary16 scale and minimum and 32 codes of four bits. An element is code scale + minimum; byte j holds the elements j
/// and j + 16.
/// </summary>
internal sealed unsafe class Q4_1() : BlockFormat("Q4_1", 32, 20)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block);
        float minimum = Codes.Half(block + 2);
        var bytes = Vector128.Load(block + 4);
        Codes.Scale(bytes & Codes.Low, scale, minimum, values);
        Codes.Scale(Codes.Shift(bytes, 4) & Codes.Low, scale, minimum, values + 16);
    }
}
