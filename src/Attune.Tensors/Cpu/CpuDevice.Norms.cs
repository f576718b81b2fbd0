using System.Numerics.Tensors;

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

    public override void GroupNorm(Tensor x, int groups, Weight? weight, Weight? bias, float epsilon, Activation activation, Tensor output)
    {
        using var gamma = Widened(weight);
        using var beta = Widened(bias);
        int batch = x.Shape[0];
        int channels = x.Shape[^1];
        int size = channels / groups;
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        long pixels = source.Count / Math.Max(batch, 1);
        Workers.For(batch * groups, index =>
        {
            int item = index / groups;
            int at = index % groups * size;
            double sum = 0;
            double squares = 0;
            for (long i = item * pixels; i < (item + 1) * pixels; i++)
            {
                float* p = source.At(i) + at;
                for (int c = 0; c < size; c++)
                    sum += p[c];
            }
            double mean = sum / (pixels * size);
            for (long i = item * pixels; i < (item + 1) * pixels; i++)
            {
                float* p = source.At(i) + at;
                for (int c = 0; c < size; c++)
                    squares += (p[c] - mean) * (p[c] - mean);
            }
            float inverse = (float)(1 / Math.Sqrt(squares / (pixels * size) + epsilon));
            float centre = (float)mean;
            for (long i = item * pixels; i < (item + 1) * pixels; i++)
            {
                float* p = source.At(i) + at;
                float* r = target.At(i) + at;
                for (int c = 0; c < size; c++)
                    r[c] = (p[c] - centre) * inverse * (gamma == null ? 1 : gamma.Pointer[at + c]) + (beta == null ? 0 : beta.Pointer[at + c]);
                Activations.Apply(activation, new ReadOnlySpan<float>(r, size), new Span<float>(r, size));
            }
        });
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
