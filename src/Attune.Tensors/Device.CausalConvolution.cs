namespace Attune.Tensors;

public abstract partial class Device
{
    /// <summary>
    /// A convolution over videos with channels last that looks back in time only, as the autoencoders of Wan and Qwen-Image have it: output
    /// frame t is the sum over the kernel's frames k of frame t <paramref name="frameStride"/> + k - (kernel frames - 1), convolved with
    /// weight[:, :, k]. It is made of <see cref="Conv2d"/> and <see cref="AddConv2d"/> of this device, one
    /// for each of the kernel's frames and stretch of frames; those that would only meet zeros are left out.
    /// </summary>
    /// <remarks>
    /// A layer without padding in time, whose first output needs frames of the input, is this one with those frames as the earlier ones.
    /// </remarks>
    /// <param name="x">[batch, frames, height, width, in].</param>
    /// <param name="weight">[out, in, kernel frames, kernel height, kernel width], as PyTorch stores it.</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="geometry">Stride and zero padding in space.</param>
    /// <param name="frameStride">The distance in frames between neighbouring outputs, from 1.</param>
    /// <param name="earlier">[batch, any frames, height, width, in]: what precedes x, of which the last frames count; or null. Before it
    /// are zeros.</param>
    /// <param name="output">[batch, (frames - 1) / stride + 1, output height, output width, out]; none of the inputs.</param>
    public virtual void CausalConv3d(
        Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, int frameStride, Tensor? earlier, Tensor output)
    {
        int kernelFrames = weight.Shape[2];
        int outputs = output.Shape[1];
        // The kernel's last frame meets a frame of x for every output, so that it goes first, without anything to add to.
        for (int k = kernelFrames - 1; k >= 0; k--)
        {
            var slice = ((FrameKernels)weight).At(k);
            // Outputs before `inside` reach back to frames before x, those before `known` to zeros.
            int back = kernelFrames - 1 - k;
            int inside = Math.Min(CeilingOfQuotient(back, frameStride), outputs);
            int known = earlier == null ? inside
                : Math.Min(CeilingOfQuotient(Math.Max(back - earlier.Shape[1], 0), frameStride), inside);
            if (known < inside)
                ConvolveFrames(
                    earlier!, earlier!.Shape[1] + known * frameStride - back, frameStride, slice, null, geometry, output, known,
                    inside - known, add: true);
            if (inside < outputs)
                ConvolveFrames(
                    x, inside * frameStride - back, frameStride, slice, back == 0 ? bias : null, geometry, output, inside,
                    outputs - inside, add: back > 0);
        }
    }

    private static int CeilingOfQuotient(int dividend, int divisor) => (dividend + divisor - 1) / divisor;

    /// <summary>
    /// Convolves evenly spaced frames into, or onto, successive frames of the output: as one batch of images where they can be seen so.
    /// </summary>
    private void ConvolveFrames(
        Tensor x, int first, int stride, PreparedWeight slice, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output, int target,
        int count, bool add)
    {
        using var from = x.Slice(1, first, count, stride);
        using var to = output.Slice(1, target, count);
        int batch = from.Shape[0];
        bool together = batch == 1 || count == 1 || (from.IsContiguous && to.IsContiguous);
        int images = together ? batch * count : count;
        for (int b = 0; b < (together ? 1 : batch); b++)
        {
            using var source = Images(from, b, together, images);
            using var result = Images(to, b, together, images);
            if (add)
                AddConv2d(result, source, slice, bias, geometry, result);
            else
                Conv2d(source, slice, bias, geometry, result);
        }
    }

    private static Tensor Images(Tensor video, int item, bool together, int images)
    {
        var s = video.Shape;
        using var items = video.Slice(0, item, together ? s[0] : 1);
        return items.Reshape(images, s[2], s[3], s[4]);
    }
}
