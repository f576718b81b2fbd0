using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void LayerNorm(Tensor x, Weight? weight, Weight? bias, float epsilon, Tensor output)
    {
        using var gamma = Widened(weight);
        using var beta = Widened(bias);
        NormaliseRows(x, output, epsilon, centred: true, (_, result) =>
        {
            if (gamma != null)
                TensorPrimitives.Multiply(result, gamma.Span, result);
            if (beta != null)
                TensorPrimitives.Add(result, beta.Span, result);
        });
    }

    public override void ModulatedLayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor output)
    {
        int tokens = x.Shape[1];
        var scales = Rows.Of(scale);
        var shifts = Rows.Of(shift);
        NormaliseRows(x, output, epsilon, centred: true, (row, result) =>
        {
            float* a = scales.At(scales.Count == 1 ? 0 : row / tokens);
            float* b = shifts.At(shifts.Count == 1 ? 0 : row / tokens);
            for (int c = 0; c < result.Length; c++)
                result[c] = result[c] * (1 + a[c]) + b[c];
        });
    }

    public override void RmsNorm(Tensor x, Weight? weight, float epsilon, Tensor output)
    {
        using var gamma = Widened(weight);
        NormaliseRows(x, output, epsilon, centred: false, (_, result) =>
        {
            if (gamma != null)
                TensorPrimitives.Multiply(result, gamma.Span, result);
        });
    }

    /// <summary>
    /// Pixels are walked in memory order, all channels at once, in blocks whose number depends on the shape alone; each channel's sums are kept in double precision and added up in one order.
    /// </summary>
    public override void GroupNorm(Tensor x, int groups, Weight? weight, Weight? bias, float epsilon, Activation activation, Tensor output)
    {
        using var gamma = Widened(weight);
        using var beta = Widened(bias);
        int batch = x.Shape[0];
        int channels = x.Shape[^1];
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        long pixels = source.Count / Math.Max(batch, 1);
        if (pixels == 0)
            return;
        long block = Math.Max(32, (pixels + 255) / 256);
        int blocks = (int)((pixels + block - 1) / block);

        using var scratch = new Scratch((nuint)((long)batch * channels * (blocks * sizeof(double) + 2 * sizeof(float))));
        double* sums = scratch.Take<double>((long)batch * blocks * channels);
        float* centres = scratch.Take<float>((long)batch * channels);
        float* factors = scratch.Take<float>((long)batch * channels);
        float* gammas = gamma == null ? null : gamma.Pointer;
        float* betas = beta == null ? null : beta.Pointer;

        Workers.For(batch * blocks, index =>
        {
            var total = new Span<double>(sums + (long)index * channels, channels);
            total.Clear();
            var (first, end) = RowsOf(index);
            for (long i = first; i < end; i++)
                AddTo(total, new ReadOnlySpan<float>(source.At(i), channels));
        });
        ForGroups((item, at, size, total) => new Span<float>(centres + (long)item * channels + at, size).Fill((float)(total / (pixels * size))));
        Workers.For(batch * blocks, index =>
        {
            var total = new Span<double>(sums + (long)index * channels, channels);
            total.Clear();
            var centre = new ReadOnlySpan<float>(centres + (long)(index / blocks) * channels, channels);
            var (first, end) = RowsOf(index);
            for (long i = first; i < end; i++)
                AddSquaresTo(total, new ReadOnlySpan<float>(source.At(i), channels), centre);
        });
        ForGroups((item, at, size, total) =>
        {
            float inverse = (float)(1 / Math.Sqrt(total / (pixels * size) + epsilon));
            for (int c = at; c < at + size; c++)
                factors[(long)item * channels + c] = gammas == null ? inverse : inverse * gammas[c];
        });
        Workers.For(batch * blocks, index =>
        {
            var centre = new ReadOnlySpan<float>(centres + (long)(index / blocks) * channels, channels);
            var factor = new ReadOnlySpan<float>(factors + (long)(index / blocks) * channels, channels);
            var (first, end) = RowsOf(index);
            for (long i = first; i < end; i++)
            {
                var row = new Span<float>(target.At(i), channels);
                TensorPrimitives.Subtract(new ReadOnlySpan<float>(source.At(i), channels), centre, row);
                if (betas == null)
                    TensorPrimitives.Multiply(row, factor, row);
                else
                    TensorPrimitives.MultiplyAdd(row, factor, new ReadOnlySpan<float>(betas, channels), row);
                if (activation != Activation.None)
                    Activations.Apply(activation, row, row);
            }
        });

        (long First, long End) RowsOf(int index)
        {
            long first = index / blocks * pixels + index % blocks * block;
            return (first, Math.Min(first + block, (index / blocks + 1) * pixels));
        }

        void ForGroups(GroupTotal use)
        {
            int size = channels / groups;
            for (int group = 0; group < batch * groups; group++)
            {
                var (item, at) = (group / groups, group % groups * size);
                double total = 0;
                for (int i = 0; i < blocks; i++)
                {
                    double* part = sums + ((long)item * blocks + i) * channels + at;
                    for (int c = 0; c < size; c++)
                        total += part[c];
                }
                use(item, at, size, total);
            }
        }
    }

    /// <summary>Told the sum over all pixels of the channels [at, at + size) of an item.</summary>
    private delegate void GroupTotal(int item, int at, int size, double total);

    private static void AddTo(Span<double> totals, ReadOnlySpan<float> row)
    {
        var values = MemoryMarshal.Cast<float, Vector<float>>(row);
        var sums = MemoryMarshal.Cast<double, Vector<double>>(totals);
        for (int i = 0; i < values.Length; i++)
        {
            Vector.Widen(values[i], out var low, out var high);
            sums[2 * i] += low;
            sums[2 * i + 1] += high;
        }
        for (int c = values.Length * Vector<float>.Count; c < row.Length; c++)
            totals[c] += row[c];
    }

    private static void AddSquaresTo(Span<double> totals, ReadOnlySpan<float> row, ReadOnlySpan<float> centre)
    {
        var values = MemoryMarshal.Cast<float, Vector<float>>(row);
        var centres = MemoryMarshal.Cast<float, Vector<float>>(centre);
        var sums = MemoryMarshal.Cast<double, Vector<double>>(totals);
        for (int i = 0; i < values.Length; i++)
        {
            Vector.Widen(values[i] - centres[i], out var low, out var high);
            sums[2 * i] += low * low;
            sums[2 * i + 1] += high * high;
        }
        for (int c = values.Length * Vector<float>.Count; c < row.Length; c++)
        {
            double difference = row[c] - centre[c];
            totals[c] += difference * difference;
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
                var row = new ReadOnlySpan<float>(source.At(i), source.Columns);
                var result = new Span<float>(target.At(i), source.Columns);
                float maximum = TensorPrimitives.Max(row);
                if (float.IsNegativeInfinity(maximum))
                {
                    result.Clear();
                    continue;
                }
                TensorPrimitives.Subtract(row, maximum, result);
                TensorPrimitives.Exp(result, result);
                TensorPrimitives.Multiply(result, 1 / TensorPrimitives.Sum<float>(result), result);
            }
        });
    }

    private delegate void FinishRow(long row, Span<float> result);

    private static void NormaliseRows(Tensor x, Tensor output, float epsilon, bool centred, FinishRow finish)
    {
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        int columns = source.Columns;
        ForRows(source.Count, columns, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                var row = new ReadOnlySpan<float>(source.At(i), columns);
                var result = new Span<float>(target.At(i), columns);
                if (centred)
                {
                    TensorPrimitives.Subtract(row, TensorPrimitives.Sum(row) / columns, result);
                    row = result;
                }
                float inverse = 1 / MathF.Sqrt(TensorPrimitives.SumOfSquares(row) / columns + epsilon);
                TensorPrimitives.Multiply(row, inverse, result);
                finish(i, result);
            }
        });
    }

    /// <summary>A parameter in float32, in a tensor that the caller disposes.</summary>
    private static Tensor? Widened(Weight? weight) => weight == null ? null : TensorScope.Detach(weight.ToTensor());
}
