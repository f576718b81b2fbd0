using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's Q8_0: a binary16 scale and 32 signed bytes. An element is its byte times the scale.
/// </summary>
internal sealed unsafe class Q8_0() : BlockFormat("Q8_0", 32, 34)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block);
        Codes.Scale(Vector128.Load((sbyte*)block + 2), scale, values);
        Codes.Scale(Vector128.Load((sbyte*)block + 18), scale, values + 16);
    }
}
