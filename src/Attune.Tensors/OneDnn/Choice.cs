namespace Attune.Tensors.OneDnn;

/// <summary>What is left to managed kernels, because they are faster, although oneDNN multiplies in bfloat16; measured by <c>attune bench kernels</c> (docs/performance.md has the numbers).</summary>
internal static class Choice
{
    /// <summary>With fewer rows, a product whose weight cannot be kept in the library's order is bound by reading it, which managed kernels do faster where it lies.</summary>
    private const int FewestRows = 8;

    /// <summary>Whether a product is.</summary>
    /// <param name="rows">Rows of activations.</param>
    /// <param name="kept">Whether the weight is, or can be, kept in the library's order.</param>
    public static bool Product(long rows, bool kept) => !kept && rows < FewestRows;
}
