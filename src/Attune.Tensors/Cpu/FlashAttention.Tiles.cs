using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>The two register tiles of attention: 12 rows of two vectors, 24 accumulators.</summary>
internal unsafe partial struct FlashAttention
{
    /// <summary>12 queries against 32 keys: c[i, j] = sum over k of a[k, i] b[k, j]; both packed.</summary>
    private static void Scores(float* a, float* b, int depth, float* c, int stride)
    {
        var c0x0 = Vector512<float>.Zero;
        var c0x1 = Vector512<float>.Zero;
        var c1x0 = Vector512<float>.Zero;
        var c1x1 = Vector512<float>.Zero;
        var c2x0 = Vector512<float>.Zero;
        var c2x1 = Vector512<float>.Zero;
        var c3x0 = Vector512<float>.Zero;
        var c3x1 = Vector512<float>.Zero;
        var c4x0 = Vector512<float>.Zero;
        var c4x1 = Vector512<float>.Zero;
        var c5x0 = Vector512<float>.Zero;
        var c5x1 = Vector512<float>.Zero;
        var c6x0 = Vector512<float>.Zero;
        var c6x1 = Vector512<float>.Zero;
        var c7x0 = Vector512<float>.Zero;
        var c7x1 = Vector512<float>.Zero;
        var c8x0 = Vector512<float>.Zero;
        var c8x1 = Vector512<float>.Zero;
        var c9x0 = Vector512<float>.Zero;
        var c9x1 = Vector512<float>.Zero;
        var c10x0 = Vector512<float>.Zero;
        var c10x1 = Vector512<float>.Zero;
        var c11x0 = Vector512<float>.Zero;
        var c11x1 = Vector512<float>.Zero;
        for (int k = 0; k < depth; k++)
        {
            var b0 = Vector512.Load(b + k * 32);
            var b1 = Vector512.Load(b + k * 32 + 16);
            var a0 = Vector512.Create(a[k * 12 + 0]);
            c0x0 = Vector512.FusedMultiplyAdd(a0, b0, c0x0);
            c0x1 = Vector512.FusedMultiplyAdd(a0, b1, c0x1);
            var a1 = Vector512.Create(a[k * 12 + 1]);
            c1x0 = Vector512.FusedMultiplyAdd(a1, b0, c1x0);
            c1x1 = Vector512.FusedMultiplyAdd(a1, b1, c1x1);
            var a2 = Vector512.Create(a[k * 12 + 2]);
            c2x0 = Vector512.FusedMultiplyAdd(a2, b0, c2x0);
            c2x1 = Vector512.FusedMultiplyAdd(a2, b1, c2x1);
            var a3 = Vector512.Create(a[k * 12 + 3]);
            c3x0 = Vector512.FusedMultiplyAdd(a3, b0, c3x0);
            c3x1 = Vector512.FusedMultiplyAdd(a3, b1, c3x1);
            var a4 = Vector512.Create(a[k * 12 + 4]);
            c4x0 = Vector512.FusedMultiplyAdd(a4, b0, c4x0);
            c4x1 = Vector512.FusedMultiplyAdd(a4, b1, c4x1);
            var a5 = Vector512.Create(a[k * 12 + 5]);
            c5x0 = Vector512.FusedMultiplyAdd(a5, b0, c5x0);
            c5x1 = Vector512.FusedMultiplyAdd(a5, b1, c5x1);
            var a6 = Vector512.Create(a[k * 12 + 6]);
            c6x0 = Vector512.FusedMultiplyAdd(a6, b0, c6x0);
            c6x1 = Vector512.FusedMultiplyAdd(a6, b1, c6x1);
            var a7 = Vector512.Create(a[k * 12 + 7]);
            c7x0 = Vector512.FusedMultiplyAdd(a7, b0, c7x0);
            c7x1 = Vector512.FusedMultiplyAdd(a7, b1, c7x1);
            var a8 = Vector512.Create(a[k * 12 + 8]);
            c8x0 = Vector512.FusedMultiplyAdd(a8, b0, c8x0);
            c8x1 = Vector512.FusedMultiplyAdd(a8, b1, c8x1);
            var a9 = Vector512.Create(a[k * 12 + 9]);
            c9x0 = Vector512.FusedMultiplyAdd(a9, b0, c9x0);
            c9x1 = Vector512.FusedMultiplyAdd(a9, b1, c9x1);
            var a10 = Vector512.Create(a[k * 12 + 10]);
            c10x0 = Vector512.FusedMultiplyAdd(a10, b0, c10x0);
            c10x1 = Vector512.FusedMultiplyAdd(a10, b1, c10x1);
            var a11 = Vector512.Create(a[k * 12 + 11]);
            c11x0 = Vector512.FusedMultiplyAdd(a11, b0, c11x0);
            c11x1 = Vector512.FusedMultiplyAdd(a11, b1, c11x1);
        }
        c0x0.Store(c + 0 * stride + 0);
        c0x1.Store(c + 0 * stride + 16);
        c1x0.Store(c + 1 * stride + 0);
        c1x1.Store(c + 1 * stride + 16);
        c2x0.Store(c + 2 * stride + 0);
        c2x1.Store(c + 2 * stride + 16);
        c3x0.Store(c + 3 * stride + 0);
        c3x1.Store(c + 3 * stride + 16);
        c4x0.Store(c + 4 * stride + 0);
        c4x1.Store(c + 4 * stride + 16);
        c5x0.Store(c + 5 * stride + 0);
        c5x1.Store(c + 5 * stride + 16);
        c6x0.Store(c + 6 * stride + 0);
        c6x1.Store(c + 6 * stride + 16);
        c7x0.Store(c + 7 * stride + 0);
        c7x1.Store(c + 7 * stride + 16);
        c8x0.Store(c + 8 * stride + 0);
        c8x1.Store(c + 8 * stride + 16);
        c9x0.Store(c + 9 * stride + 0);
        c9x1.Store(c + 9 * stride + 16);
        c10x0.Store(c + 10 * stride + 0);
        c10x1.Store(c + 10 * stride + 16);
        c11x0.Store(c + 11 * stride + 0);
        c11x1.Store(c + 11 * stride + 16);
    }

    /// <summary>12 rows of weights against 32 channels of values: c[i, j] += sum over k of a[i, k] b[k, j].</summary>
    private static void Values(float* a, float* b, int width, int depth, float* c, int stride)
    {
        var c0x0 = Vector512.Load(c + 0 * stride + 0);
        var c0x1 = Vector512.Load(c + 0 * stride + 16);
        var c1x0 = Vector512.Load(c + 1 * stride + 0);
        var c1x1 = Vector512.Load(c + 1 * stride + 16);
        var c2x0 = Vector512.Load(c + 2 * stride + 0);
        var c2x1 = Vector512.Load(c + 2 * stride + 16);
        var c3x0 = Vector512.Load(c + 3 * stride + 0);
        var c3x1 = Vector512.Load(c + 3 * stride + 16);
        var c4x0 = Vector512.Load(c + 4 * stride + 0);
        var c4x1 = Vector512.Load(c + 4 * stride + 16);
        var c5x0 = Vector512.Load(c + 5 * stride + 0);
        var c5x1 = Vector512.Load(c + 5 * stride + 16);
        var c6x0 = Vector512.Load(c + 6 * stride + 0);
        var c6x1 = Vector512.Load(c + 6 * stride + 16);
        var c7x0 = Vector512.Load(c + 7 * stride + 0);
        var c7x1 = Vector512.Load(c + 7 * stride + 16);
        var c8x0 = Vector512.Load(c + 8 * stride + 0);
        var c8x1 = Vector512.Load(c + 8 * stride + 16);
        var c9x0 = Vector512.Load(c + 9 * stride + 0);
        var c9x1 = Vector512.Load(c + 9 * stride + 16);
        var c10x0 = Vector512.Load(c + 10 * stride + 0);
        var c10x1 = Vector512.Load(c + 10 * stride + 16);
        var c11x0 = Vector512.Load(c + 11 * stride + 0);
        var c11x1 = Vector512.Load(c + 11 * stride + 16);
        for (int k = 0; k < depth; k++)
        {
            var b0 = Vector512.Load(b + (long)k * width);
            var b1 = Vector512.Load(b + (long)k * width + 16);
            var a0 = Vector512.Create(a[0 * KeyBlock + k]);
            c0x0 = Vector512.FusedMultiplyAdd(a0, b0, c0x0);
            c0x1 = Vector512.FusedMultiplyAdd(a0, b1, c0x1);
            var a1 = Vector512.Create(a[1 * KeyBlock + k]);
            c1x0 = Vector512.FusedMultiplyAdd(a1, b0, c1x0);
            c1x1 = Vector512.FusedMultiplyAdd(a1, b1, c1x1);
            var a2 = Vector512.Create(a[2 * KeyBlock + k]);
            c2x0 = Vector512.FusedMultiplyAdd(a2, b0, c2x0);
            c2x1 = Vector512.FusedMultiplyAdd(a2, b1, c2x1);
            var a3 = Vector512.Create(a[3 * KeyBlock + k]);
            c3x0 = Vector512.FusedMultiplyAdd(a3, b0, c3x0);
            c3x1 = Vector512.FusedMultiplyAdd(a3, b1, c3x1);
            var a4 = Vector512.Create(a[4 * KeyBlock + k]);
            c4x0 = Vector512.FusedMultiplyAdd(a4, b0, c4x0);
            c4x1 = Vector512.FusedMultiplyAdd(a4, b1, c4x1);
            var a5 = Vector512.Create(a[5 * KeyBlock + k]);
            c5x0 = Vector512.FusedMultiplyAdd(a5, b0, c5x0);
            c5x1 = Vector512.FusedMultiplyAdd(a5, b1, c5x1);
            var a6 = Vector512.Create(a[6 * KeyBlock + k]);
            c6x0 = Vector512.FusedMultiplyAdd(a6, b0, c6x0);
            c6x1 = Vector512.FusedMultiplyAdd(a6, b1, c6x1);
            var a7 = Vector512.Create(a[7 * KeyBlock + k]);
            c7x0 = Vector512.FusedMultiplyAdd(a7, b0, c7x0);
            c7x1 = Vector512.FusedMultiplyAdd(a7, b1, c7x1);
            var a8 = Vector512.Create(a[8 * KeyBlock + k]);
            c8x0 = Vector512.FusedMultiplyAdd(a8, b0, c8x0);
            c8x1 = Vector512.FusedMultiplyAdd(a8, b1, c8x1);
            var a9 = Vector512.Create(a[9 * KeyBlock + k]);
            c9x0 = Vector512.FusedMultiplyAdd(a9, b0, c9x0);
            c9x1 = Vector512.FusedMultiplyAdd(a9, b1, c9x1);
            var a10 = Vector512.Create(a[10 * KeyBlock + k]);
            c10x0 = Vector512.FusedMultiplyAdd(a10, b0, c10x0);
            c10x1 = Vector512.FusedMultiplyAdd(a10, b1, c10x1);
            var a11 = Vector512.Create(a[11 * KeyBlock + k]);
            c11x0 = Vector512.FusedMultiplyAdd(a11, b0, c11x0);
            c11x1 = Vector512.FusedMultiplyAdd(a11, b1, c11x1);
        }
        c0x0.Store(c + 0 * stride + 0);
        c0x1.Store(c + 0 * stride + 16);
        c1x0.Store(c + 1 * stride + 0);
        c1x1.Store(c + 1 * stride + 16);
        c2x0.Store(c + 2 * stride + 0);
        c2x1.Store(c + 2 * stride + 16);
        c3x0.Store(c + 3 * stride + 0);
        c3x1.Store(c + 3 * stride + 16);
        c4x0.Store(c + 4 * stride + 0);
        c4x1.Store(c + 4 * stride + 16);
        c5x0.Store(c + 5 * stride + 0);
        c5x1.Store(c + 5 * stride + 16);
        c6x0.Store(c + 6 * stride + 0);
        c6x1.Store(c + 6 * stride + 16);
        c7x0.Store(c + 7 * stride + 0);
        c7x1.Store(c + 7 * stride + 16);
        c8x0.Store(c + 8 * stride + 0);
        c8x1.Store(c + 8 * stride + 16);
        c9x0.Store(c + 9 * stride + 0);
        c9x1.Store(c + 9 * stride + 16);
        c10x0.Store(c + 10 * stride + 0);
        c10x1.Store(c + 10 * stride + 16);
        c11x0.Store(c + 11 * stride + 0);
        c11x1.Store(c + 11 * stride + 16);
    }
}
