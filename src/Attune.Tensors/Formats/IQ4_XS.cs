using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Formats;

/// <summary>
/// ggml's IQ4_XS: a binary16 scale and 256 codes as <see cref="IQ4_NL"/> has them, in eight parts with a factor of six bits each. An
/// element is its integer times (factor - 32) scale; byte j of a part holds its elements j and j + 16.
/// </summary>
internal sealed unsafe class IQ4_XS() : BlockFormat<IQ4_XS.Block>("IQ4_XS", 256, 136)
{
    internal readonly struct Block : IBlock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read<TSink>(byte* block, ref TSink sink)
            where TSink : struct, IValueSink
        {
            float scale = Codes.Half(block);
            int upper = Unsafe.ReadUnaligned<ushort>(block + 2);
            for (int part = 0; part < 8; part++)
            {
                int factor = (block[4 + part / 2] >> 4 * (part % 2) & 15) | (upper >> 2 * part & 3) << 4;
                var bytes = Vector128.Load(block + 8 + 16 * part);
                float scaled = scale * (factor - 32);
                Codes.Scale(
                    ref sink, Codes.Look(IQ4_NL.Table, bytes & Codes.Low), scaled,
                    Codes.Look(IQ4_NL.Table, Codes.Shift(bytes, 4) & Codes.Low), scaled);
            }
        }
    }
}
