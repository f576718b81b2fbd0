namespace Attune.Tensors.OneDnn;

/// <summary>At which shapes oneDNN is faster than the managed kernels, as measured by <c>attune bench kernels</c> (docs/performance.md has the numbers).</summary>
internal static class Choice
{
    /// <summary>With fewer rows, a product whose weight cannot be kept in the library's order is bound by reading it, which managed kernels do faster where it lies.</summary>
    public const int FewestRows = 8;

    /// <summary>Whether a product of rows x inputs with outputs x inputs is.</summary>
    public static bool Product(Precision precision, long rows, int inputs, int outputs) =>
        precision == Precision.BFloat16;

    /// <summary>Whether a convolution is.</summary>
    public static bool Convolution(Precision precision, Shape weight, Conv2dGeometry geometry, Shape output) =>
        precision == Precision.BFloat16;
}
