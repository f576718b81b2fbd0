using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void LayerNorm(Tensor x, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Tensor output)
    {
        using var gamma = Widened(weight);
        using var beta = Widened(bias);
        float* a = gamma == null ? null : gamma.Pointer;
        float* b = beta == null ? null : beta.Pointer;
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        ForRows(source.Count, source.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                var normal = Standardise(source.At(i), source.Columns, epsilon);
                if (a != null && b != null)
                    RowKernels.Map(new ScaledAndShifted(normal), source.At(i), a, b, target.At(i), source.Columns);
                else if (a != null)
                    RowKernels.Map(new Scaled(normal), source.At(i), a, target.At(i), source.Columns);
                else if (b != null)
                    RowKernels.Map(new Shifted(normal), source.At(i), b, target.At(i), source.Columns);
                else
                    RowKernels.Map(normal, source.At(i), target.At(i), source.Columns);
            }
        });
    }

    public override void ModulatedLayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor output)
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
                var normal = Standardise(source.At(i), source.Columns, epsilon);
                RowKernels.Map(
                    new Modulated(normal), source.At(i), scales.At(scales.Count == 1 ? 0 : i / tokens),
                    shifts.At(shifts.Count == 1 ? 0 : i / tokens), target.At(i), source.Columns);
            }
        });
    }

    public override void RmsNorm(Tensor x, PreparedWeight? weight, float epsilon, Tensor output)
    {
        using var gamma = Widened(weight);
        float* a = gamma == null ? null : gamma.Pointer;
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        int columns = source.Columns;
        ForRows(source.Count, columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                float* row = source.At(i);
                float inverse = 1 / MathF.Sqrt(RowKernels.SumOfSquares(row, columns) / columns + epsilon);
                if (a == null)
                    RowKernels.Map(new Multiple(inverse), row, target.At(i), columns);
                else
                    RowKernels.Map(new MultipleOfProduct(inverse), row, a, target.At(i), columns);
            }
        });
    }

    /// <summary>
    /// A row's mean and deviation in one pass: sums are taken over differences from the mean of the first elements, and once more should
    /// that lie further from the mean than the deviation, so that a mean far larger than the deviation costs no precision.
    /// </summary>
    private static Standardised Standardise(float* row, int columns, float epsilon)
    {
        int first = Math.Min(columns, Vector512<float>.Count);
        float centre = RowKernels.Sum(row, first) / first;
        double rest, variance;
        for (int attempt = 0; ; attempt++)
        {
            var (sum, squares) = RowKernels.CentredSums(row, columns, centre);
            rest = sum / columns;
            variance = Math.Max(squares / columns - rest * rest, 0);
            if (!(rest * rest > variance) || attempt == 2)
                break;
            centre += (float)rest;
        }
        return new Standardised(centre, (float)rest, (float)(1 / Math.Sqrt(variance + epsilon)));
    }

    /// <summary>((x - centre) - rest) inverse.</summary>
    private readonly struct Standardised(float centre, float rest, float inverse) : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) =>
            (x - Vector512.Create(centre) - Vector512.Create(rest)) * Vector512.Create(inverse);
    }

    private readonly struct Scaled(Standardised normal) : IMap2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> weight) => normal.Of(x) * weight;
    }

    private readonly struct Shifted(Standardised normal) : IMap2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> bias) => normal.Of(x) + bias;
    }

    private readonly struct ScaledAndShifted(Standardised normal) : IMap3
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> weight, Vector512<float> bias) => normal.Of(x) * weight + bias;
    }

    private readonly struct Modulated(Standardised normal) : IMap3
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> scale, Vector512<float> shift) =>
            normal.Of(x) * (Vector512<float>.One + scale) + shift;
    }

    private readonly struct Multiple(float factor) : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) => x * Vector512.Create(factor);
    }

    private readonly struct MultipleOfProduct(float factor) : IMap2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> y) => x * Vector512.Create(factor) * y;
    }

    private readonly struct Centred : IMap4
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x, Vector512<float> centre, Vector512<float> factor, Vector512<float> shift) =>
            Vector512.FusedMultiplyAdd(x - centre, factor, shift);
    }

    /// <summary>
    /// One pass over the image for its statistics and one for the result. Blocks of pixels, whose number depends on the shape alone, have
    /// means of their own, and sums of squares around these, taken while the block is in the cache; both are put together in double
    /// precision in one order (Chan et al., Updating formulae and a pairwise algorithm for computing sample variances, 1979).
    /// </summary>
    public override void GroupNorm(
        Tensor x, int groups, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Activation activation, Tensor output)
    {
        int batch = x.Shape[0];
        int channels = x.Shape[^1];
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        long pixels = source.Count / Math.Max(batch, 1);
        if (pixels == 0)
            return;
        var plan = new NormPlan(pixels, channels, groups);
        int blocks = plan.Blocks;

        using var scratch = new Scratch((nuint)(2L * batch * blocks * groups * sizeof(double) + 3L * batch * channels * sizeof(float)));
        double* sums = scratch.Take<double>((long)batch * blocks * groups);
        double* squares = scratch.Take<double>((long)batch * blocks * groups);
        float* coefficients = scratch.Take<float>(3L * batch * channels);

        Workers.For(batch * blocks, index =>
        {
            var (first, end) = RowsOf(index);
            BlockSums(source, first, end, groups, sums + (long)index * groups, squares + (long)index * groups);
        });
        for (int item = 0; item < batch; item++)
        {
            long at = (long)item * blocks * groups;
            plan.Coefficients(sums + at, squares + at, weight, bias, epsilon, coefficients + 3L * item * channels);
        }
        Workers.For(batch * blocks, index =>
        {
            var (first, end) = RowsOf(index);
            Centre(source, first, end, coefficients + 3L * (index / blocks) * channels, activation, target);
        });

        (long First, long End) RowsOf(int index)
        {
            long item = index / blocks * pixels;
            var (first, end) = plan.PixelsOf(index % blocks);
            return (item + first, item + end);
        }
    }

    public override GroupMoments BeginGroupNorm(long pixels, int channels, int groups) => new Moments(this, pixels, channels, groups);

    /// <summary>Where the blocks of an image lie, and how their sums make its mean and variance.</summary>
    private readonly struct NormPlan
    {
        private readonly long _pixels;
        private readonly int _channels;
        private readonly int _groups;

        public NormPlan(long pixels, int channels, int groups)
        {
            (_pixels, _channels, _groups) = (pixels, channels, groups);
            Block = Math.Max(1, Math.Clamp(pixels * channels / 256, BlockFloats, 8 * BlockFloats) / channels);
            Blocks = (int)((pixels + Block - 1) / Block);
        }

        /// <summary>Pixels of each block but the last, which may have fewer.</summary>
        public long Block { get; }

        public int Blocks { get; }

        public (long First, long End) PixelsOf(int block) => (block * Block, Math.Min((block + 1) * Block, _pixels));

        /// <summary>[3, channels]: what is subtracted from each channel, what that is multiplied with, what is added.</summary>
        public void Coefficients(
            double* sums, double* squares, PreparedWeight? weight, PreparedWeight? bias, float epsilon, float* coefficients)
        {
            using var gamma = Widened(weight);
            using var beta = Widened(bias);
            int size = _channels / _groups;
            for (int group = 0; group < _groups; group++)
            {
                double total = 0;
                for (int i = 0; i < Blocks; i++)
                    total += sums[(long)i * _groups + group];
                double mean = total / (_pixels * size);
                double deviation = 0;
                for (int i = 0; i < Blocks; i++)
                {
                    var (first, end) = PixelsOf(i);
                    double members = (double)(end - first) * size;
                    double difference = sums[(long)i * _groups + group] / members - mean;
                    deviation += squares[(long)i * _groups + group] + members * difference * difference;
                }
                double inverse = 1 / Math.Sqrt(deviation / (_pixels * size) + epsilon);
                for (int c = group * size; c < (group + 1) * size; c++)
                {
                    // The mean's rounding goes into the shift.
                    float factor = (float)(gamma == null ? inverse : inverse * gamma.Pointer[c]);
                    coefficients[c] = (float)mean;
                    coefficients[_channels + c] = factor;
                    coefficients[2 * _channels + c] = (float)((beta == null ? 0 : beta.Pointer[c]) - (mean - (float)mean) * factor);
                }
            }
        }
    }

    private static void Centre(Rows source, long first, long end, float* coefficients, Activation activation, Rows target)
    {
        int channels = source.Columns;
        for (long i = first; i < end; i++)
        {
            float* row = target.At(i);
            RowKernels.Map(
                default(Centred), source.At(i), coefficients, coefficients + channels, coefficients + 2 * channels, row, channels);
            if (activation != Activation.None)
                Activations.Apply(activation, new ReadOnlySpan<float>(row, channels), new Span<float>(row, channels));
        }
    }

    /// <summary>Sums the blocks that are complete where they lie; pixels of one that is not are copied until the rest comes.</summary>
    private sealed class Moments : GroupMoments
    {
        private readonly long _pixels;
        private readonly int _channels;
        private readonly int _groups;
        private readonly NormPlan _plan;
        private readonly Tensor _started;
        private readonly Tensor _coefficients;
        private readonly double[] _sums;
        private readonly double[] _squares;
        private long _next;
        private bool _finished;

        public Moments(CpuDevice device, long pixels, int channels, int groups)
        {
            (_pixels, _channels, _groups) = (pixels, channels, groups);
            _plan = new NormPlan(pixels, channels, groups);
            _started = Tensor.Empty(device, [checked((int)Math.Min(_plan.Block, pixels)), channels]);
            _coefficients = Tensor.Empty(device, [3, channels]);
            _sums = GC.AllocateUninitializedArray<double>(_plan.Blocks * groups, pinned: true);
            _squares = GC.AllocateUninitializedArray<double>(_plan.Blocks * groups, pinned: true);
        }

        public override void Add(Tensor pixels)
        {
            ArgumentNullException.ThrowIfNull(pixels);
            var rows = Rows.Of(pixels);
            if (rows.Columns != _channels || rows.Count > _pixels - _next)
                throw new ArgumentException(
                    $"{pixels.Shape} cannot follow {_next} of {_pixels} pixels with {_channels} channels.", nameof(pixels));
            long at = 0;
            if (_next % _plan.Block != 0)
                at = Start(rows, 0);
            long complete = _next + rows.Count - at == _pixels ? rows.Count : at + (rows.Count - at) / _plan.Block * _plan.Block;
            if (complete > at)
            {
                int first = (int)(_next / _plan.Block);
                int blocks = (int)((complete - at + _plan.Block - 1) / _plan.Block);
                long start = at;
                Workers.For(blocks, index => Sum(
                    rows, start + index * _plan.Block, Math.Min(start + (index + 1) * _plan.Block, complete), first + index));
                _next += complete - at;
            }
            if (complete < rows.Count)
                Start(rows, complete);
        }

        public override void Finish(PreparedWeight? weight, PreparedWeight? bias, float epsilon)
        {
            if (_next != _pixels)
                throw new InvalidOperationException($"Only {_next} of {_pixels} pixels were added.");
            fixed (double* sums = _sums, squares = _squares)
                _plan.Coefficients(sums, squares, weight, bias, epsilon, _coefficients.Pointer);
            _finished = true;
        }

        public override void Apply(Tensor pixels, Activation activation, Tensor output)
        {
            if (!_finished)
                throw new InvalidOperationException("The image has not ended.");
            var (source, target) = (Rows.Of(pixels), Rows.Of(output));
            float* coefficients = _coefficients.Pointer;
            ForRows(source.Count, _channels, (first, end) => Centre(source, first, end, coefficients, activation, target));
        }

        protected override void Dispose(bool disposing)
        {
            _started.Dispose();
            _coefficients.Dispose();
        }

        /// <summary>Copies pixels to what there is of their block, as many as there are of it, and sums it once it is complete.</summary>
        /// <returns>The first row that was not copied.</returns>
        private long Start(Rows rows, long first)
        {
            int block = (int)(_next / _plan.Block);
            var (begin, end) = _plan.PixelsOf(block);
            long count = Math.Min(rows.Count - first, end - _next);
            long bytes = (long)_channels * sizeof(float);
            for (long i = 0; i < count; i++)
                Buffer.MemoryCopy(rows.At(first + i), _started.Pointer + (_next - begin + i) * _channels, bytes, bytes);
            _next += count;
            if (_next == end)
                Sum(Rows.Of(_started), 0, end - begin, block);
            return first + count;
        }

        private void Sum(Rows rows, long first, long end, int block)
        {
            fixed (double* sums = _sums, squares = _squares)
                BlockSums(rows, first, end, _groups, sums + (long)block * _groups, squares + (long)block * _groups);
        }
    }

    /// <summary>A block of pixels stays in the second-level cache, and is large enough to be worth handing to a thread.</summary>
    private const long BlockFloats = 1 << 14;

    /// <summary>
    /// For each group the sum over the rows of a block, and the sum of squares around the block's own mean: from differences to the mean of
    /// the first rows, and once more should that lie further from the mean than the deviation in any group, so that a mean far larger than
    /// the deviation costs no precision.
    /// </summary>
    private static void BlockSums(Rows source, long first, long end, int groups, double* sums, double* squares)
    {
        int channels = source.Columns;
        int size = channels / groups;
        double members = (double)(end - first) * size;
        using var scratch = new Scratch((nuint)(channels * (3 * sizeof(float) + 2 * sizeof(double))));
        float* centres = scratch.Take<float>(channels);
        float* partSums = scratch.Take<float>(channels);
        float* partSquares = scratch.Take<float>(channels);
        double* totals = scratch.Take<double>(channels);
        double* totalSquares = scratch.Take<double>(channels);
        new Span<float>(centres, channels).Clear();
        for (int attempt = 0; attempt < 3; attempt++)
        {
            Totals(attempt == 0 ? Math.Min(first + 4, end) : end);
            bool far = attempt == 0;
            double count = attempt == 0 ? (double)(Math.Min(first + 4, end) - first) * size : members;
            for (int group = 0; group < groups; group++)
            {
                var (sum, square) = (0.0, 0.0);
                for (int c = group * size; c < (group + 1) * size; c++)
                {
                    sum += totals[c];
                    square += totalSquares[c];
                }
                double rest = sum / count;
                float centre = centres[group * size];
                squares[group] = Math.Max(square - count * rest * rest, 0);
                sums[group] = members * (centre + rest);
                far |= count * rest * rest > squares[group];
                new Span<float>(centres + group * size, size).Fill((float)(centre + rest));
            }
            if (!far)
                break;
        }

        // Float32 for 32 rows at a time, then float64.
        void Totals(long stop)
        {
            new Span<double>(totals, channels).Clear();
            new Span<double>(totalSquares, channels).Clear();
            for (long start = first; start < stop; start += 32)
            {
                new Span<float>(partSums, channels).Clear();
                new Span<float>(partSquares, channels).Clear();
                long last = Math.Min(start + 32, stop);
                for (long i = start; i < last; i += 4)
                {
                    // Where rows are missing, the centres stand in, whose differences are 0.
                    float* b = i + 1 < last ? source.At(i + 1) : centres;
                    float* c = i + 2 < last ? source.At(i + 2) : centres;
                    float* d = i + 3 < last ? source.At(i + 3) : centres;
                    RowKernels.AddDifferences(partSums, partSquares, source.At(i), b, c, d, centres, channels);
                }
                RowKernels.AddTo(totals, partSums, channels);
                RowKernels.AddTo(totalSquares, partSquares, channels);
            }
        }
    }

    public override void Softmax(Tensor x, Tensor output)
    {
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        ForRows(source.Count, source.Columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                float* row = source.At(i);
                float* result = target.At(i);
                float maximum = RowKernels.Maximum(row, source.Columns);
                if (float.IsNegativeInfinity(maximum))
                {
                    new Span<float>(result, source.Columns).Clear();
                    continue;
                }
                float total = RowKernels.Exponentials(row, maximum, result, source.Columns);
                RowKernels.Map(new Multiple(1 / total), result, result, source.Columns);
            }
        });
    }

    /// <summary>A parameter in float32, in a tensor that the caller disposes.</summary>
    private static Tensor? Widened(PreparedWeight? weight) => CpuWeight.Find(weight)?.Widened();
}
