namespace Attune.Tensors.OneDnn;

/// <summary>
/// What is left to managed kernels, because they are faster, although oneDNN multiplies in bfloat16; measured by <c>attune bench
/// kernels</c> (docs/performance.md has the numbers).
/// </summary>
internal static class Choice
{
    /// <summary>
    /// With fewer rows, a product whose weight cannot be kept in the library's order is bound by reading it, which managed kernels do
    /// faster where it lies.
    /// </summary>
    private const int FewestRows = 8;

    private const int FewestChannels = 64;
    private const int FewestPixels = 16 * 16;

    /// <summary>Whether a product is.</summary>
    /// <param name="rows">Rows of activations.</param>
    /// <param name="kept">Whether the weight is, or can be, kept in the library's order.</param>
    public static bool Product(long rows, bool kept) => !kept && rows < FewestRows;

    /// <summary>
    /// Whether a convolution is: Winograd's F(4 x 4) in float32, where it is allowed, is 1.0 to 1.6 times as fast as a direct convolution
    /// in bfloat16, and more exact. On the smallest images it has too few tiles for each transformed weight, with few channels too little
    /// to multiply.
    /// </summary>
    public static bool Convolution(Shape weight, Conv2dGeometry geometry, Shape output, ConvolutionOptions options) =>
        weight[2] == 3 && weight[3] == 3 && geometry.Stride == 1
        && (
            options.Algorithm is ConvolutionAlgorithm.Winograd4
                || (
                    options.Algorithm is ConvolutionAlgorithm.Auto
                        && options.MaxError >= ConvolutionOptions.ErrorBound(ConvolutionAlgorithm.Winograd4)))
        && weight[0] >= FewestChannels && weight[1] >= FewestChannels && (long)output[0] * output[1] * output[2] >= FewestPixels;
}
