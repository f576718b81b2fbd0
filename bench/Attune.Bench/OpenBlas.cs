using System.Runtime.InteropServices;

namespace Attune.Bench;

/// <summary>
/// OpenBLAS as a yardstick, when the system has it (Debian: libopenblas0-pthread). Set OPENBLAS_CORETYPE=SkylakeX where it does not know
/// the processor.
/// </summary>
internal static unsafe partial class OpenBlas
{
    private const string Library = "libopenblas.so.0";
    private const int RowMajor = 101;
    private const int NoTranspose = 111;
    private const int Transpose = 112;

    public static bool Available { get; } = NativeLibrary.TryLoad(Library, out _);

    /// <summary>c [m, n] = a [m, k] b^T, b [n, k].</summary>
    public static void Product(int m, int n, int k, float* a, float* b, float* c) =>
        Sgemm(RowMajor, NoTranspose, Transpose, m, n, k, 1, a, k, b, k, 0, c, n);

    [LibraryImport(Library, EntryPoint = "cblas_sgemm")]
    private static partial void Sgemm(
        int order, int transA, int transB, int m, int n, int k, float alpha, float* a, int lda, float* b, int ldb, float beta, float* c,
        int ldc);
}
