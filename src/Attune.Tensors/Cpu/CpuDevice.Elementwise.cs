using System.Numerics.Tensors;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Activate(Tensor x, Activation activation, Tensor output)
    {
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        ForRows(source.Count, source.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
                Activations.Apply(activation, new ReadOnlySpan<float>(source.At(i), source.Columns), new Span<float>(target.At(i), source.Columns));
        });
    }

    public override void Affine(Tensor x, float multiplier, float addend, Tensor output)
    {
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        ForRows(source.Count, source.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                var result = new Span<float>(target.At(i), source.Columns);
                TensorPrimitives.Multiply(new ReadOnlySpan<float>(source.At(i), source.Columns), multiplier, result);
                if (addend != 0)
                    TensorPrimitives.Add(result, addend, result);
            }
        });
    }

    public override void Combine(float a, Tensor x, float b, Tensor y, Tensor output)
    {
        var left = Rows.Of(x);
        var right = Rows.Of(y);
        var target = Rows.Of(output);
        ForRows(left.Count, left.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                float* p = left.At(i);
                float* q = right.At(i);
                float* r = target.At(i);
                for (int c = 0; c < left.Columns; c++)
                    r[c] = a * p[c] + b * q[c];
            }
        });
    }

    public override void Modulate(Tensor x, Tensor scale, Tensor shift, Tensor output)
    {
        int tokens = x.Shape[1];
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        var scales = Rows.Of(scale);
        var shifts = Rows.Of(shift);
        ForRows(source.Count, source.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                long item = i / tokens;
                float* p = source.At(i);
                float* a = scales.At(scales.Count == 1 ? 0 : item);
                float* b = shifts.At(shifts.Count == 1 ? 0 : item);
                float* r = target.At(i);
                for (int c = 0; c < source.Columns; c++)
                    r[c] = p[c] * (1 + a[c]) + b[c];
            }
        });
    }

    public override void AddGated(Tensor residual, Tensor gate, Tensor update, Tensor output)
    {
        int tokens = residual.Shape[1];
        var source = Rows.Of(residual);
        var added = Rows.Of(update);
        var target = Rows.Of(output);
        var gates = Rows.Of(gate);
        ForRows(source.Count, source.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                float* p = source.At(i);
                float* g = gates.At(gates.Count == 1 ? 0 : i / tokens);
                float* u = added.At(i);
                float* r = target.At(i);
                for (int c = 0; c < source.Columns; c++)
                    r[c] = p[c] + g[c] * u[c];
            }
        });
    }

    public override void Binary(BinaryOperation operation, Tensor a, Tensor b, Tensor output)
    {
        var shape = output.Shape;
        int columns = shape.Rank == 0 ? 1 : shape[^1];
        long rows = columns == 0 ? 0 : shape.Count / columns;
        var target = Rows.Of(output);
        var left = new BroadcastRows(a, shape);
        var right = new BroadcastRows(b, shape);
        ForRows(rows, columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                float* p = left.At(i);
                float* q = right.At(i);
                var result = new Span<float>(target.At(i), columns);
                var x = new ReadOnlySpan<float>(p, left.Repeated ? 1 : columns);
                var y = new ReadOnlySpan<float>(q, right.Repeated ? 1 : columns);
                if (left.Repeated && right.Repeated)
                {
                    result.Fill(operation switch
                    {
                        BinaryOperation.Add => *p + *q,
                        BinaryOperation.Subtract => *p - *q,
                        BinaryOperation.Multiply => *p * *q,
                        _ => *p / *q,
                    });
                }
                else if (right.Repeated)
                {
                    switch (operation)
                    {
                        case BinaryOperation.Add: TensorPrimitives.Add(x, *q, result); break;
                        case BinaryOperation.Subtract: TensorPrimitives.Subtract(x, *q, result); break;
                        case BinaryOperation.Multiply: TensorPrimitives.Multiply(x, *q, result); break;
                        default: TensorPrimitives.Divide(x, *q, result); break;
                    }
                }
                else if (left.Repeated)
                {
                    switch (operation)
                    {
                        case BinaryOperation.Add: TensorPrimitives.Add(y, *p, result); break;
                        case BinaryOperation.Subtract: TensorPrimitives.Subtract(*p, y, result); break;
                        case BinaryOperation.Multiply: TensorPrimitives.Multiply(y, *p, result); break;
                        default: TensorPrimitives.Divide(*p, y, result); break;
                    }
                }
                else
                {
                    switch (operation)
                    {
                        case BinaryOperation.Add: TensorPrimitives.Add(x, y, result); break;
                        case BinaryOperation.Subtract: TensorPrimitives.Subtract(x, y, result); break;
                        case BinaryOperation.Multiply: TensorPrimitives.Multiply(x, y, result); break;
                        default: TensorPrimitives.Divide(x, y, result); break;
                    }
                }
            }
        });
    }

    public override void Copy(Tensor source, Tensor destination)
    {
        var from = Rows.Of(source);
        var to = Rows.Of(destination);
        ForRows(from.Count, from.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
                Buffer.MemoryCopy(from.At(i), to.At(i), (long)from.Columns * 4, (long)from.Columns * 4);
        });
    }

    public override void Permute(Tensor x, ReadOnlySpan<int> axes, Tensor output)
    {
        int rank = axes.Length;
        var strides = new long[rank];
        for (int i = 0; i < rank; i++)
            strides[i] = x.Stride(axes[i]);
        var shape = output.Shape;
        var target = Rows.Of(output);
        float* source = x.Pointer;
        long inner = rank == 0 ? 0 : strides[^1];
        ForRows(target.Count, target.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                long rest = i;
                float* p = source;
                for (int axis = rank - 2; axis >= 0; axis--)
                {
                    p += rest % shape[axis] * strides[axis];
                    rest /= shape[axis];
                }
                float* r = target.At(i);
                for (int c = 0; c < target.Columns; c++)
                    r[c] = p[c * inner];
            }
        });
    }

    public override void ResizeNearest(Tensor x, Tensor output)
    {
        var (height, width, channels) = (output.Shape[1], output.Shape[2], output.Shape[3]);
        var (sourceHeight, sourceWidth) = (x.Shape[1], x.Shape[2]);
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        ForRows(target.Count, channels, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                long column = i % width * sourceWidth / width;
                long row = i / width % height * sourceHeight / height;
                long item = i / width / height;
                Buffer.MemoryCopy(source.At((item * sourceHeight + row) * sourceWidth + column), target.At(i), (long)channels * 4, (long)channels * 4);
            }
        });
    }

    public override void Embed(Weight table, ReadOnlySpan<int> ids, Tensor output)
    {
        int columns = table.Shape[1];
        var target = Rows.Of(output);
        for (int i = 0; i < ids.Length; i++)
        {
            if ((uint)ids[i] >= (uint)table.Shape[0])
                throw new ArgumentOutOfRangeException(nameof(ids), $"{table.Name}: row {ids[i]} of a table with {table.Shape[0]} rows.");
            table.Widen((long)ids[i] * columns, target.At(i), columns);
        }
    }

    public override void Rotate(Tensor x, RotaryEmbedding rotary, Tensor output)
    {
        var (tokens, heads, channels) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        int half = channels / 2;
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        var cosines = Rows.Of(rotary.Cosine);
        var sines = Rows.Of(rotary.Sine);
        bool adjacent = rotary.Pairing == RotaryPairing.Adjacent;
        ForRows(source.Count, channels, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                float* p = source.At(i);
                float* r = target.At(i);
                float* cos = cosines.At(i / heads % tokens);
                float* sin = sines.At(i / heads % tokens);
                for (int c = 0; c < half; c++)
                {
                    int at = adjacent ? 2 * c : c;
                    int beside = adjacent ? at + 1 : c + half;
                    float even = p[at];
                    float odd = p[beside];
                    r[at] = even * cos[c] - odd * sin[c];
                    r[beside] = odd * cos[c] + even * sin[c];
                }
            }
        });
    }

    /// <summary>Rows of a tensor as broadcasting to a larger shape repeats them.</summary>
    private readonly struct BroadcastRows
    {
        private readonly float* _pointer;
        private readonly Shape _shape;
        private readonly long[] _strides;

        public BroadcastRows(Tensor tensor, Shape shape)
        {
            _pointer = tensor.Pointer;
            _shape = shape;
            _strides = new long[shape.Rank];
            for (int i = 1; i <= tensor.Shape.Rank; i++)
                _strides[^i] = tensor.Shape[^i] == 1 ? 0 : tensor.Stride(^i);
            Repeated = tensor.Shape.Rank == 0 || (tensor.Shape[^1] == 1 && shape[^1] != 1);
        }

        /// <summary>Whether a row is one element that counts for all columns.</summary>
        public bool Repeated { get; }

        public float* At(long row)
        {
            float* at = _pointer;
            for (int axis = _shape.Rank - 2; axis >= 0; axis--)
            {
                at += row % _shape[axis] * _strides[axis];
                row /= _shape[axis];
            }
            return at;
        }
    }
}
