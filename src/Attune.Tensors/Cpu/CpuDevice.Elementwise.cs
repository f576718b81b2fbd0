using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Activate(Tensor x, Activation activation, Tensor output) =>
        ForRuns(
            Rows.Of(x), Rows.Of(output),
            (p, r, count) => Activations.Apply(activation, new ReadOnlySpan<float>(p, count), new Span<float>(r, count)));

    public override void Affine(Tensor x, float multiplier, float addend, Tensor output)
    {
        var f = new AffineMap(multiplier, addend);
        if (addend == 0)
            ForRuns(Rows.Of(x), Rows.Of(output), (p, r, count) => RowKernels.Map(new Multiple(multiplier), p, r, count));
        else
            ForRuns(Rows.Of(x), Rows.Of(output), (p, r, count) => RowKernels.Map(f, p, r, count));
    }

    public override void Combine(float a, Tensor x, float b, Tensor y, Tensor output)
    {
        var f = new Combination(a, b);
        ForRuns(Rows.Of(x), Rows.Of(y), Rows.Of(output), (p, q, r, count) => RowKernels.Map(f, p, q, r, count));
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
                RowKernels.Map(
                    default(ModulateMap), source.At(i), scales.At(scales.Count == 1 ? 0 : i / tokens),
                    shifts.At(shifts.Count == 1 ? 0 : i / tokens), target.At(i), source.Columns);
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
                RowKernels.Map(
                    default(GatedSum), source.At(i), gates.At(gates.Count == 1 ? 0 : i / tokens), added.At(i), target.At(i),
                    source.Columns);
        });
    }

    private readonly struct AffineMap(float multiplier, float addend) : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) => x * Vector512.Create(multiplier) + Vector512.Create(addend);
    }

    private readonly struct Combination(float a, float b) : IMap2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> y) => Vector512.Create(a) * x + Vector512.Create(b) * y;
    }

    private readonly struct ModulateMap : IMap3
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> scale, Vector512<float> shift) =>
            x * (Vector512<float>.One + scale) + shift;
    }

    private readonly struct GatedSum : IMap3
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> gate, Vector512<float> update) => x + gate * update;
    }

    /// <summary>What is done with contiguous runs of an operand and the result.</summary>
    private delegate void Run1(float* x, float* result, int count);

    /// <summary>What is done with contiguous runs of two operands and the result.</summary>
    private delegate void Run2(float* x, float* y, float* result, int count);

    /// <summary>
    /// Calls <paramref name="body"/> for runs that are as long as the tensors are contiguous, but about <see cref="Grain"/> elements at
    /// most if there are several rows.
    /// </summary>
    private static void ForRuns(Rows x, Rows result, Run1 body)
    {
        if (x.Contiguous && result.Contiguous)
            ForRows(x.Count * x.Columns, 1, (first, end) => body(x.At(0) + first, result.At(0) + first, (int)(end - first)));
        else
        {
            ForRows(x.Count, x.Columns, (first, end) =>
            {
                for (long i = first; i < end; i++)
                    body(x.At(i), result.At(i), x.Columns);
            });
        }
    }

    private static void ForRuns(Rows x, Rows y, Rows result, Run2 body)
    {
        if (x.Contiguous && y.Contiguous && result.Contiguous)
            ForRows(
                x.Count * x.Columns, 1, (first, end) => body(x.At(0) + first, y.At(0) + first, result.At(0) + first, (int)(end - first)));
        else
        {
            ForRows(x.Count, x.Columns, (first, end) =>
            {
                for (long i = first; i < end; i++)
                    body(x.At(i), y.At(i), result.At(i), x.Columns);
            });
        }
    }

    public override void Binary(BinaryOperation operation, Tensor a, Tensor b, Tensor output)
    {
        var shape = output.Shape;
        int columns = shape.Rank == 0 ? 1 : shape[^1];
        long rows = columns == 0 ? 0 : shape.Count / columns;
        var target = Rows.Of(output);
        var left = new BroadcastRows(a, shape);
        var right = new BroadcastRows(b, shape);
        if (a.Shape == b.Shape)
        {
            ForRuns(
                Rows.Of(a), Rows.Of(b), target,
                (p, q, r, count) => Apply(
                    operation, new ReadOnlySpan<float>(p, count), new ReadOnlySpan<float>(q, count), new Span<float>(r, count)));
            return;
        }
        if (b.Count == 1 && a.Shape == shape)
        {
            float number = *b.Pointer;
            ForRuns(
                Rows.Of(a), target,
                (p, r, count) => Apply(operation, new ReadOnlySpan<float>(p, count), number, new Span<float>(r, count)));
            return;
        }
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
                        BinaryOperation.Divide => *p / *q,
                        BinaryOperation.Minimum => MathF.Min(*p, *q),
                        _ => MathF.Max(*p, *q),
                    });
                }
                else if (right.Repeated)
                {
                    Apply(operation, x, *q, result);
                }
                else if (left.Repeated)
                {
                    switch (operation)
                    {
                        case BinaryOperation.Add: TensorPrimitives.Add(y, *p, result); break;
                        case BinaryOperation.Subtract: TensorPrimitives.Subtract(*p, y, result); break;
                        case BinaryOperation.Multiply: TensorPrimitives.Multiply(y, *p, result); break;
                        case BinaryOperation.Divide: TensorPrimitives.Divide(*p, y, result); break;
                        case BinaryOperation.Minimum: TensorPrimitives.Min(y, *p, result); break;
                        default: TensorPrimitives.Max(y, *p, result); break;
                    }
                }
                else
                {
                    Apply(operation, x, y, result);
                }
            }
        });
    }

    private static void Apply(BinaryOperation operation, ReadOnlySpan<float> x, float y, Span<float> result)
    {
        switch (operation)
        {
            case BinaryOperation.Add: TensorPrimitives.Add(x, y, result); break;
            case BinaryOperation.Subtract: TensorPrimitives.Subtract(x, y, result); break;
            case BinaryOperation.Multiply: TensorPrimitives.Multiply(x, y, result); break;
            case BinaryOperation.Divide: TensorPrimitives.Divide(x, y, result); break;
            case BinaryOperation.Minimum: TensorPrimitives.Min(x, y, result); break;
            default: TensorPrimitives.Max(x, y, result); break;
        }
    }

    private static void Apply(BinaryOperation operation, ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> result)
    {
        switch (operation)
        {
            case BinaryOperation.Add: TensorPrimitives.Add(x, y, result); break;
            case BinaryOperation.Subtract: TensorPrimitives.Subtract(x, y, result); break;
            case BinaryOperation.Multiply: TensorPrimitives.Multiply(x, y, result); break;
            case BinaryOperation.Divide: TensorPrimitives.Divide(x, y, result); break;
            case BinaryOperation.Minimum: TensorPrimitives.Min(x, y, result); break;
            default: TensorPrimitives.Max(x, y, result); break;
        }
    }

    public override void Copy(Tensor source, Tensor destination) =>
        ForRuns(
            Rows.Of(source), Rows.Of(destination),
            (p, r, count) => Buffer.MemoryCopy(p, r, (long)count * sizeof(float), (long)count * sizeof(float)));

    public override void Permute(Tensor x, ReadOnlySpan<int> axes, Tensor output)
    {
        int rank = axes.Length;
        if (rank == 0)
        {
            Copy(x, output);
            return;
        }
        var strides = new long[rank];
        for (int i = 0; i < rank; i++)
            strides[i] = x.Stride(axes[i]);
        var shape = output.Shape;
        int contiguous = Array.FindLastIndex(strides, stride => stride == 1);
        if (strides[^1] != 1 && contiguous >= 0 && shape[contiguous] >= Transposition.Size && shape[^1] >= Transposition.Size)
        {
            Transpose(x.Pointer, strides, contiguous, output);
            return;
        }
        var target = Rows.Of(output);
        float* source = x.Pointer;
        long inner = strides[^1];
        ForRows(target.Count, target.Columns, (first, end) =>
        {
            Span<int> index = stackalloc int[rank];
            float* p = source;
            long rest = first;
            for (int axis = rank - 2; axis >= 0; axis--)
            {
                (rest, long at) = Math.DivRem(rest, shape[axis]);
                index[axis] = (int)at;
                p += at * strides[axis];
            }
            for (long i = first; i < end; i++)
            {
                float* r = target.At(i);
                if (inner == 1)
                {
                    RowKernels.Copy(p, r, target.Columns);
                }
                else
                {
                    for (int c = 0; c < target.Columns; c++)
                        r[c] = p[c * inner];
                }
                for (int axis = rank - 2; axis >= 0; axis--)
                {
                    p += strides[axis];
                    if (++index[axis] < shape[axis])
                        break;
                    p -= shape[axis] * strides[axis];
                    index[axis] = 0;
                }
            }
        });
    }

    /// <summary>
    /// Turns the last axis of the output with the one along which the source is contiguous, in tiles that are gathered to runs, as rows
    /// that lie a power of two apart share few places of the cache.
    /// </summary>
    private static void Transpose(float* source, long[] strides, int turned, Tensor output)
    {
        const int size = Transposition.Size;
        const int group = 4 * size;         // two lines of the cache
        const int run = 8 * size;
        var shape = output.Shape;
        int rank = shape.Rank;
        var (rows, columns) = (shape[turned], shape[^1]);
        long outer = 1;
        for (int axis = 0; axis < rank - 1; axis++)
            outer *= axis == turned ? 1 : shape[axis];
        int groups = (rows + group - 1) / group;
        long step = strides[^1];
        long down = output.Stride(turned);
        float* target = output.Pointer;
        Workers.For(checked((int)(outer * groups)), piece =>
        {
            float* p = source;
            float* r = target;
            long rest = piece / groups;
            for (int axis = rank - 2; axis >= 0; axis--)
            {
                if (axis == turned)
                    continue;
                (rest, long at) = Math.DivRem(rest, shape[axis]);
                p += at * strides[axis];
                r += at * output.Stride(axis);
            }
            int first = piece % groups * group;
            int end = Math.Min(first + group, rows);
            int wholeRows = first + (end - first) / size * size;
            int wholeColumns = columns / size * size;
            float* block = stackalloc float[group * run];
            for (int c = 0; c < wholeColumns; c += run)
            {
                int width = Math.Min(run, wholeColumns - c);
                for (int at = 0; at < width; at += size)
                {
                    for (int i = first; i < wholeRows; i += size)
                        Transposition.Tile(p + (c + at) * step + i, step, block + (i - first) * run + at, run);
                }
                for (int i = first; i < wholeRows; i++)
                    new ReadOnlySpan<float>(block + (i - first) * run, width).CopyTo(new Span<float>(r + i * down + c, width));
            }
            for (int i = first; i < end; i++)
            {
                for (int c = i < wholeRows ? wholeColumns : 0; c < columns; c++)
                    r[i * down + c] = p[c * step + i];
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
                Buffer.MemoryCopy(
                    source.At((item * sourceHeight + row) * sourceWidth + column), target.At(i), (long)channels * 4, (long)channels * 4);
            }
        });
    }

    public override void Embed(PreparedWeight table, ReadOnlySpan<int> ids, Tensor output)
    {
        int columns = table.Shape[1];
        var stored = CpuWeight.Of(table);
        var target = Rows.Of(output);
        for (int i = 0; i < ids.Length; i++)
        {
            if ((uint)ids[i] >= (uint)table.Shape[0])
                throw new ArgumentOutOfRangeException(nameof(ids), $"{table.Name}: row {ids[i]} of a table with {table.Shape[0]} rows.");
            stored.Widen((long)ids[i] * columns, target.At(i), columns);
        }
    }

    public override void Rotate(Tensor x, RotaryEmbedding rotary, Tensor output)
    {
        var (tokens, heads, channels) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        var cosines = Rows.Of(rotary.Cosine);
        var sines = Rows.Of(rotary.Sine);
        var pairing = rotary.Pairing;
        var (from, to) = (x.Stride(2), output.Stride(2));
        ForRows((long)x.Shape[0] * tokens, heads * channels, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                var (item, token) = Math.DivRem(i, tokens);
                float* p = x.Pointer + item * x.Stride(0) + token * x.Stride(1);
                float* r = output.Pointer + item * output.Stride(0) + token * output.Stride(1);
                float* cosine = cosines.At(token);
                float* sine = sines.At(token);
                for (int head = 0; head < heads; head++, p += from, r += to)
                {
                    if (pairing == RotaryPairing.Adjacent)
                        RotateNeighbours(p, cosine, sine, r, channels);
                    else if (pairing == RotaryPairing.Halves)
                        RotateHalves(p, cosine, sine, r, channels / 2);
                    else
                        TurnHalvesByNeighbours(p, cosine, sine, r, channels / 2);
                }
            }
        });
    }

    /// <summary>Four pairs at a time, and the rest one by one.</summary>
    private static void RotateNeighbours(float* p, float* cos, float* sin, float* r, int channels)
    {
        var signs = Vector256.Create(-1f, 1, -1, 1, -1, 1, -1, 1);
        int c = 0;
        for (; c <= channels - 8; c += 8)
        {
            var x = Vector256.Load(p + c);
            var turned = Vector256.Shuffle(x, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6));
            (x * Doubled(cos + c / 2) + turned * (Doubled(sin + c / 2) * signs)).Store(r + c);
        }
        for (; c < channels; c += 2)
        {
            float even = p[c];
            float odd = p[c + 1];
            r[c] = even * cos[c / 2] - odd * sin[c / 2];
            r[c + 1] = odd * cos[c / 2] + even * sin[c / 2];
        }
    }

    /// <summary>Four numbers, each twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Doubled(float* numbers)
    {
        var four = Vector128.Load(numbers);
        return Vector256.Shuffle(Vector256.Create(four, four), Vector256.Create(0, 0, 1, 1, 6, 6, 7, 7));
    }

    private static void RotateHalves(float* p, float* cos, float* sin, float* r, int half)
    {
        int c = 0;
        for (; c <= half - 8; c += 8)
        {
            var (even, odd, cosine, sine) = (
                Vector256.Load(p + c), Vector256.Load(p + half + c), Vector256.Load(cos + c), Vector256.Load(sin + c));
            (even * cosine - odd * sine).Store(r + c);
            (odd * cosine + even * sine).Store(r + half + c);
        }
        for (; c <= half - 4; c += 4)
        {
            var (even, odd, cosine, sine) = (
                Vector128.Load(p + c), Vector128.Load(p + half + c), Vector128.Load(cos + c), Vector128.Load(sin + c));
            (even * cosine - odd * sine).Store(r + c);
            (odd * cosine + even * sine).Store(r + half + c);
        }
        for (; c < half; c++)
        {
            float even = p[c];
            float odd = p[c + half];
            r[c] = even * cos[c] - odd * sin[c];
            r[c + half] = odd * cos[c] + even * sin[c];
        }
    }

    private static void TurnHalvesByNeighbours(float* p, float* cos, float* sin, float* r, int half)
    {
        int c = 0;
        for (; half % 2 == 0 && c <= half - 8; c += 8)
        {
            var (first, second) = (Vector256.Load(p + c), Vector256.Load(p + half + c));
            int other = (half + c) / 2;
            (first * Doubled(cos + c / 2) - second * Doubled(sin + c / 2)).Store(r + c);
            (second * Doubled(cos + other) + first * Doubled(sin + other)).Store(r + half + c);
        }
        for (; c < half; c++)
        {
            var (first, second) = (p[c], p[half + c]);
            int other = (half + c) / 2;
            r[c] = first * cos[c / 2] - second * sin[c / 2];
            r[half + c] = second * cos[other] + first * sin[other];
        }
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
