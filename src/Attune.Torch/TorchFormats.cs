using Attune.Tensors;

namespace Attune.Torch;

/// <summary>
/// Weights of few bits, widened on the device by tensor operations: ggml's blocks, float8 and signed bytes, and the scales beside them.
/// Codes times scales are exact in float32, so that the numbers are those of <see cref="StoredWeight.Widen"/>, to the bit.
/// </summary>
internal static unsafe class TorchFormats
{
    /// <summary>Whether a weight can be kept on the device as it is stored.</summary>
    public static bool Has(StoredWeight weight) =>
        weight.Format.Name is "F8_E4M3" or "F8_E5M2" or "I8" or "Q8_0" or "Q4_0" or "Q4_1" or "Q5_0" or "Q5_1" or "Q2_K" or "Q3_K" or "Q4_K"
            or "Q5_K" or "Q6_K"
            && weight.Companions.Keys.All(name => name is StoredWeight.ScaleCompanion or StoredWeight.ColumnsCompanion);

    /// <summary>The elements in float32, contiguous.</summary>
    /// <param name="o">What runs.</param>
    /// <param name="bytes">[bytes], contiguous, on the device.</param>
    /// <param name="weight">What they are.</param>
    /// <param name="scale">The numbers of the companion that scales, in float32, or 0.</param>
    /// <param name="columns">Those of the companion for columns, or 0.</param>
    public static nint Widen(TorchOperation o, nint bytes, StoredWeight weight, nint scale, nint columns)
    {
        int mark = o.Mark;
        var shape = weight.Shape;
        long rows = Math.Max(shape.Rank == 0 ? 1 : shape[0], 1), width = shape.Count / rows;
        nint values = o.Reshape(Elements(new Blocks(o, bytes, weight.Format, shape.Count)), [rows, width]);
        if (scale != 0)
        {
            // One number, or one for each part of equal size along rows, columns or both.
            var parts = weight.Companions[StoredWeight.ScaleCompanion].Shape;
            long rowParts = parts.Count == 1 ? 1 : parts[0], columnParts = parts.Count / rowParts;
            nint cut = o.Reshape(values, [rowParts, rows / rowParts, columnParts, width / columnParts]);
            values = o.Multiply(cut, o.Reshape(scale, [rowParts, 1, columnParts, 1]));
        }
        if (columns != 0)
            values = o.Multiply(o.Reshape(values, [rows, width]), o.Reshape(columns, [1, width]));
        return o.FreeSince(mark, o.Reshape(values, TorchDevice.Extents(shape)));
    }

    private static nint Elements(Blocks b)
    {
        var o = b.Operation;
        switch (b.Format.Name)
        {
            case "F8_E4M3":
                return o.As(b.As(0, 1, o.Torch.Float8E4M3), o.Torch.Float32);
            case "F8_E5M2":
                return o.As(b.As(0, 1, o.Torch.Float8E5M2), o.Torch.Float32);
            case "I8":
                return o.As(b.As(0, 1, o.Torch.SignedByte), o.Torch.Float32);
            case "Q8_0":
                return o.Multiply(o.As(b.As(2, 32, o.Torch.SignedByte), o.Torch.Float32), b.Half(0));
            case "Q4_0":
                return o.Multiply(b.Number(b.Halves(2, 16), -8), b.Half(0));
            case "Q4_1":
                return o.Add(o.Multiply(b.Number(b.Halves(4, 16), 0), b.Half(0)), b.Half(2));
            case "Q5_0":
                return o.Multiply(o.Add(b.Number(b.Halves(6, 16), -16), b.Bits(2, 16)), b.Half(0));
            case "Q5_1":
                return o.Add(o.Multiply(o.Add(b.Number(b.Halves(8, 16), 0), b.Bits(4, 16)), b.Half(0)), b.Half(2));
            case "Q4_K":
                return b.Offset(b.Number(b.Pairs(16), 0));
            case "Q5_K":
                return b.Offset(o.Add(b.Number(b.Pairs(48), 0), b.Upper(b.Spread(b.At(16, 32), 32, 8, 1, 1), 16)));
            case "Q6_K":
            {
                nint lower = b.Number(b.Quarters(o.Concatenate([b.And(b.At(0, 2, 64), 15), b.Shift(b.At(0, 2, 64), 4)], 2)), -32);
                nint upper = b.Upper(b.Spread(b.At(128, 2, 32), 32, 4, 2, 3), 16);
                nint factors = o.Multiply(o.As(b.As(192, 16, o.Torch.SignedByte), o.Torch.Float32), b.Half(208));
                return b.Scaled(o.Add(lower, o.Reshape(upper, [b.Count, 2, 4, 32])), factors);
            }
            case "Q2_K":
            {
                nint codes = b.Number(b.Spread(b.At(16, 2, 32), 32, 4, 2, 3), 0);
                nint factors = o.Multiply(b.Number(b.And(b.At(0, 16), 15), 0), b.Half(80));
                nint minima = o.Multiply(b.Number(b.Shift(b.At(0, 16), 4), 0), b.Half(82));
                return o.Add(b.Scaled(codes, factors), o.Reshape(minima, [b.Count, 16, 1]), -1);
            }
            default:
            {
                nint codes = b.Number(b.Spread(b.At(32, 2, 32), 32, 4, 2, 3), -4);
                nint third = b.Upper(b.Spread(b.At(0, 32), 32, 8, 1, 1), 4);
                nint packed = b.At(96, 8);
                nint lower = o.Concatenate([b.And(packed, 15), b.Shift(packed, 4)], 1);
                nint upper = b.Upper(b.Spread(b.At(104, 4), 4, 4, 2, 3), 16);
                nint factors = o.Multiply(o.Add(b.Number(lower, -32), o.Reshape(upper, [b.Count, 16])), b.Half(108));
                return b.Scaled(o.Add(o.Reshape(codes, [b.Count, 256]), o.Reshape(third, [b.Count, 256])), factors);
            }
        }
    }

    /// <summary>Bytes seen as blocks.</summary>
    private readonly struct Blocks(TorchOperation o, nint bytes, WeightFormat format, long elements)
    {
        public TorchOperation Operation => o;

        public WeightFormat Format => format;

        public long Count { get; } = elements / format.BlockLength;

        /// <summary>[blocks, count]: bytes of each block.</summary>
        public nint At(int start, int count) => o.Reinterpret(bytes, [Count, count], [format.BlockBytes, 1], start);

        /// <summary>[blocks, parts, count]: bytes of each block, in parts.</summary>
        public nint At(int start, int parts, int count) =>
            o.Reinterpret(bytes, [Count, parts, count], [format.BlockBytes, count, 1], start);

        /// <summary>Bytes of each block as a type of one byte.</summary>
        public nint As(int start, int count, int type) => o.ViewAs(At(start, count), type);

        /// <summary>[blocks, 1]: a number of binary16 of each block, in float32.</summary>
        public nint Half(int start) => o.As(o.ViewAs(At(start, 2), o.Torch.Float16), o.Torch.Float32);

        public nint And(nint x, byte mask) => o.Call("aten::bitwise_and"u8, "Tensor"u8, o.Pass(x), o.Pass(o.Byte(mask)));

        public nint Shift(nint x, byte count) => o.Call("aten::bitwise_right_shift"u8, "Tensor"u8, o.Pass(x), o.Pass(o.Byte(count)));

        /// <summary>[blocks, 2 count]: the lower four bits of bytes, then the upper.</summary>
        public nint Halves(int start, int count)
        {
            nint found = At(start, count);
            return o.Concatenate([And(found, 15), Shift(found, 4)], 1);
        }

        /// <summary>[blocks, 8, 32]: the lower four bits of 32 bytes, then the upper, four times.</summary>
        public nint Pairs(int start)
        {
            nint found = o.Reinterpret(bytes, [Count, 4, 1, 32], [format.BlockBytes, 32, 32, 1], start);
            return o.Reshape(o.Concatenate([And(found, 15), Shift(found, 4)], 2), [Count, 8, 32]);
        }

        /// <summary>[blocks, 2, 4, 32] of [blocks, 2, 128].</summary>
        public nint Quarters(nint x) => o.Reshape(x, [Count, 2, 4, 32]);

        /// <summary>[blocks, 32]: a bit of four bytes for each element, worth so much.</summary>
        public nint Bits(int start, float worth)
        {
            nint found = o.Reinterpret(bytes, [Count, 4, 1], [format.BlockBytes, 1, 1], start);
            return Upper(o.Reshape(And(Shifted(found, 8, 1, 1), 1), [Count, 32]), worth);
        }

        /// <summary>[..., times, width] of [..., width]: all bytes, shifted by 0, step, 2 step, ... bits, and masked.</summary>
        public nint Spread(nint x, int width, int times, byte step, byte mask)
        {
            var sizes = o.SizesOf(x);
            var strides = o.StridesOf(x);
            long[] wide = sizes.Length == 2 ? [sizes[0], 1, width] : [sizes[0], sizes[1], 1, width];
            long[] apart = sizes.Length == 2 ? [strides[0], width, 1] : [strides[0], strides[1], width, 1];
            return And(Shifted(o.Reinterpret(x, wide, apart), times, width, step), mask);
        }

        /// <summary>Codes as float32, with a number added.</summary>
        public nint Number(nint codes, float addend)
        {
            nint numbers = o.As(codes, o.Torch.Float32);
            return addend == 0 ? numbers : o.Add(numbers, o.Number(addend));
        }

        /// <summary>Upper bits of codes as float32, each worth so much.</summary>
        public nint Upper(nint bits, float worth) => o.Multiply(o.As(bits, o.Torch.Float32), worth);

        /// <summary>256 codes a block in parts of sixteen, each times its factor.</summary>
        public nint Scaled(nint codes, nint factors) =>
            o.Multiply(o.Reshape(codes, [Count, 16, 16]), o.Reshape(factors, [Count, 16, 1]));

        /// <summary>256 codes a block in eight parts, times the factors and less the minima that the first 16 bytes hold.</summary>
        public nint Offset(nint codes)
        {
            nint a = At(4, 4), b = At(8, 4), c = At(12, 4);
            nint factors = o.Concatenate([And(a, 63), Or(And(c, 15), And(Shift(a, 2), 48))], 1);
            nint minima = o.Concatenate([And(b, 63), Or(Shift(c, 4), And(Shift(b, 2), 48))], 1);
            nint scales = o.Multiply(Number(factors, 0), Half(0)), offsets = o.Multiply(Number(minima, 0), Half(2));
            nint scaled = o.Multiply(o.Reshape(codes, [Count, 8, 32]), o.Reshape(scales, [Count, 8, 1]));
            return o.Add(scaled, o.Reshape(offsets, [Count, 8, 1]), -1);
        }

        private nint Or(nint x, nint y) => o.Call("aten::bitwise_or"u8, "Tensor"u8, o.Pass(x), o.Pass(y));

        /// <summary>[..., times, width]: the rows before, shifted by 0, step, 2 step, ... bits.</summary>
        private nint Shifted(nint rows, int times, int width, byte step)
        {
            byte[] shifts = new byte[times];
            for (int i = 0; i < times; i++)
                shifts[i] = (byte)(i * step);
            long[] shape = width == 1 ? [times] : [times, 1];
            return o.Call("aten::bitwise_right_shift"u8, "Tensor"u8, o.Pass(rows), o.Pass(o.Constant(shifts, shape)));
        }
    }
}
