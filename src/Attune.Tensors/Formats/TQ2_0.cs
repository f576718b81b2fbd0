using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's TQ2_0: 256 codes of two bits and a binary16 scale. An element is (code - 1) scale; of each half, the bits 0 and 1 of its 32 bytes
/// come first, then the bits 2 and 3, and so on.
/// </summary>
internal sealed unsafe class TQ2_0() : BlockFormat("TQ2_0", 256, 66)
{
    protected override void WidenBlock(byte* block, float* values)
    {
        float scale = Codes.Half(block + 64);
        var mask = Vector128.Create((byte)3);
        var one = Vector128.Create((sbyte)1);
        for (int part = 0; part < 16; part++, values += 16)
        {
            var bytes = Vector128.Load(block + part / 8 * 32 + part % 2 * 16);
            Codes.Scale((Codes.Shift(bytes, part % 8 / 2 * 2) & mask).AsSByte() - one, scale, values);
        }
    }
}
