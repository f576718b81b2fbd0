using System.Numerics.Tensors;

namespace Attune.Tensors.Cpu;

internal sealed unsafe partial class CpuDevice
{
    public override void Linear(Tensor x, Weight weight, Weight? bias, Activation activation, Tensor output)
    {
        using var offsets = Widened(bias);
        int depth = weight.Shape[1];
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        const int Block = 16;
        Workers.For((weight.Shape[0] + Block - 1) / Block, piece =>
        {
            using var panel = TensorScope.Detach(Tensor.Empty([depth]));
            for (int n = piece * Block; n < Math.Min((piece + 1) * Block, weight.Shape[0]); n++)
            {
                weight.Widen((long)n * depth, panel.Pointer, depth);
                for (long i = 0; i < source.Count; i++)
                    target.At(i)[n] = TensorPrimitives.Dot(new ReadOnlySpan<float>(source.At(i), depth), panel.Span) + (offsets == null ? 0 : offsets.Pointer[n]);
            }
        });
        if (activation != Activation.None)
            Activate(output, activation, output);
    }

    public override void Conv2d(Tensor x, Weight weight, Weight? bias, Conv2dGeometry geometry, Tensor output)
    {
        using var offsets = Widened(bias);
        using var kernel = TensorScope.Detach(weight.ToTensor());
        var (height, width, inputs) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        var (outHeight, outWidth, outputs) = (output.Shape[1], output.Shape[2], output.Shape[3]);
        var (kernelHeight, kernelWidth) = (weight.Shape[2], weight.Shape[3]);
        int depth = inputs * kernelHeight * kernelWidth;
        var source = Rows.Of(x);
        var target = Rows.Of(output);
        Workers.For(output.Shape[0] * outHeight, line =>
        {
            using var window = TensorScope.Detach(Tensor.Empty([depth]));
            int item = line / outHeight;
            int row = line % outHeight;
            for (int column = 0; column < outWidth; column++)
            {
                float* w = window.Pointer;
                for (int ky = 0; ky < kernelHeight; ky++)
                {
                    for (int kx = 0; kx < kernelWidth; kx++)
                    {
                        int y = row * geometry.Stride + ky - geometry.Top;
                        int left = column * geometry.Stride + kx - geometry.Left;
                        bool inside = y >= 0 && y < height && left >= 0 && left < width;
                        float* p = inside ? source.At(((long)item * height + y) * width + left) : null;
                        for (int c = 0; c < inputs; c++)
                            w[(c * kernelHeight + ky) * kernelWidth + kx] = inside ? p[c] : 0;
                    }
                }
                float* r = target.At((long)line * outWidth + column);
                for (int n = 0; n < outputs; n++)
                    r[n] = TensorPrimitives.Dot(window.Span, new ReadOnlySpan<float>(kernel.Pointer + (long)n * depth, depth)) + (offsets == null ? 0 : offsets.Pointer[n]);
            }
        });
    }
}
