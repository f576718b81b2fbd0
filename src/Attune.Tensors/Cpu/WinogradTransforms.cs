using System.Runtime.CompilerServices;

namespace Attune.Tensors.Cpu;

/// <summary>
/// The three linear maps of Winograd's filtering F(m x m, 3 x 3), each for as many channels as a vector has lanes: tiles of the input and
/// the kernels are evaluated at points, where a convolution is a product, and the outputs are interpolated from the products.
/// </summary>
internal unsafe interface IWinograd
{
    /// <summary>m: a tile of the output is m x m.</summary>
    static abstract int Outputs { get; }

    /// <summary>m + 2: a tile of the input is so high and wide, and there are as many points on each axis.</summary>
    static abstract int Points { get; }

    /// <summary>B^T d B.</summary>
    /// <param name="pixels">[points, points] pointers to pixels.</param>
    /// <param name="channel">The first channel, counted from each pointer.</param>
    /// <param name="target">Where the value at the first pair of points goes.</param>
    /// <param name="stride">From there to the next.</param>
    static abstract void Input<TSimd, TVector>(float** pixels, nint channel, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct;

    /// <summary>G g G^T.</summary>
    /// <param name="taps">The first of the nine elements of the kernels.</param>
    /// <param name="tapStride">From one to the next.</param>
    /// <param name="target">Where the value at the first pair of points goes.</param>
    /// <param name="stride">From there to the next.</param>
    static abstract void Kernel<TSimd, TVector>(float* taps, nint tapStride, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct;

    /// <summary>A^T M A + offset + residual.</summary>
    /// <param name="products">The product at the first pair of points.</param>
    /// <param name="stride">From there to the next.</param>
    /// <param name="offset">Added to each output: the bias.</param>
    /// <param name="targets">[m, m] pointers to pixels of the output.</param>
    /// <param name="residuals">[m, m] pointers to what is added, or null; they may be the targets.</param>
    /// <param name="channel">The first channel, counted from each pointer.</param>
    static abstract void Output<TSimd,
    TVector>(float* products, nint stride, TVector offset, float** targets, float** residuals, nint channel)
        where TSimd : ISimd<TVector>
        where TVector : struct;
}

/// <summary>F(2 x 2, 3 x 3) at the points 0, 1, -1 and infinity.</summary>
internal readonly unsafe struct Winograd2 : IWinograd
{
    public static int Outputs => 2;

    public static int Points => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input<TSimd, TVector>(float** pixels, nint channel, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static TVector At(float** pixels, nint channel, int i) => TSimd.Load(pixels[i] + channel);

        InputRow<TSimd, TVector>(
            TSimd.Subtract(At(pixels, channel, 0), At(pixels, channel, 8)), TSimd.Subtract(At(pixels, channel, 1), At(pixels, channel, 9)),
            TSimd.Subtract(At(pixels, channel, 2), At(pixels, channel, 10)),
            TSimd.Subtract(At(pixels, channel, 3), At(pixels, channel, 11)), target, stride);
        InputRow<TSimd, TVector>(
            TSimd.Add(At(pixels, channel, 8), At(pixels, channel, 4)), TSimd.Add(At(pixels, channel, 9), At(pixels, channel, 5)),
            TSimd.Add(At(pixels, channel, 10), At(pixels, channel, 6)), TSimd.Add(At(pixels, channel, 11), At(pixels, channel, 7)),
            target + 4 * stride, stride);
        InputRow<TSimd, TVector>(
            TSimd.Subtract(At(pixels, channel, 8), At(pixels, channel, 4)), TSimd.Subtract(At(pixels, channel, 9), At(pixels, channel, 5)),
            TSimd.Subtract(At(pixels, channel, 10), At(pixels, channel, 6)),
            TSimd.Subtract(At(pixels, channel, 11), At(pixels, channel, 7)), target + 8 * stride, stride);
        InputRow<TSimd, TVector>(
            TSimd.Subtract(At(pixels, channel, 12), At(pixels, channel, 4)),
            TSimd.Subtract(At(pixels, channel, 13), At(pixels, channel, 5)),
            TSimd.Subtract(At(pixels, channel, 14), At(pixels, channel, 6)),
            TSimd.Subtract(At(pixels, channel, 15), At(pixels, channel, 7)), target + 12 * stride, stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Kernel<TSimd, TVector>(float* taps, nint tapStride, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        var half = TSimd.Create(0.5f);
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        TVector At(int i) => TSimd.Load(taps + i * tapStride);
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        TVector Even(int i) => TSimd.Multiply(half, TSimd.Add(At(i), At(i + 6)));
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        TVector Odd(int i) => TSimd.Multiply(half, At(i + 3));

        KernelRow<TSimd, TVector>(At(0), At(1), At(2), target, stride);
        TVector e0 = Even(0), e1 = Even(1), e2 = Even(2), o0 = Odd(0), o1 = Odd(1), o2 = Odd(2);
        KernelRow<TSimd, TVector>(TSimd.Add(e0, o0), TSimd.Add(e1, o1), TSimd.Add(e2, o2), target + 4 * stride, stride);
        KernelRow<TSimd, TVector>(TSimd.Subtract(e0, o0), TSimd.Subtract(e1, o1), TSimd.Subtract(e2, o2), target + 8 * stride, stride);
        KernelRow<TSimd, TVector>(At(6), At(7), At(8), target + 12 * stride, stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output<TSimd,
    TVector>(float* products, nint stride, TVector offset, float** targets, float** residuals, nint channel)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        TVector At(int i) => TSimd.Load(products + i * stride);

        TVector first0 = At(0), first1 = At(1), first2 = At(2), first3 = At(3), second0, second1, second2, second3;
        AddColumn<TSimd, TVector>(ref first0, out second0, At(4), At(8), At(12));
        AddColumn<TSimd, TVector>(ref first1, out second1, At(5), At(9), At(13));
        AddColumn<TSimd, TVector>(ref first2, out second2, At(6), At(10), At(14));
        AddColumn<TSimd, TVector>(ref first3, out second3, At(7), At(11), At(15));
        OutputRow<TSimd, TVector>(first0, first1, first2, first3, offset, targets, residuals, channel);
        OutputRow<TSimd, TVector>(
            second0, second1, second2, second3, offset, targets + 2, residuals == null ? null : residuals + 2, channel);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void InputRow<TSimd, TVector>(TVector d0, TVector d1, TVector d2, TVector d3, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        TSimd.Store(TSimd.Subtract(d0, d2), target);
        TSimd.Store(TSimd.Add(d2, d1), target + stride);
        TSimd.Store(TSimd.Subtract(d2, d1), target + 2 * stride);
        TSimd.Store(TSimd.Subtract(d3, d1), target + 3 * stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KernelRow<TSimd, TVector>(TVector g0, TVector g1, TVector g2, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        var half = TSimd.Create(0.5f);
        var even = TSimd.Multiply(half, TSimd.Add(g0, g2));
        var odd = TSimd.Multiply(half, g1);
        TSimd.Store(g0, target);
        TSimd.Store(TSimd.Add(even, odd), target + stride);
        TSimd.Store(TSimd.Subtract(even, odd), target + 2 * stride);
        TSimd.Store(g2, target + 3 * stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddColumn<TSimd, TVector>(ref TVector first, out TVector second, TVector m1, TVector m2, TVector m3)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        first = TSimd.Add(first, TSimd.Add(m1, m2));
        second = TSimd.Add(TSimd.Subtract(m1, m2), m3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OutputRow<TSimd, TVector>(
        TVector m0, TVector m1, TVector m2, TVector m3, TVector offset, float** targets, float** residuals, nint channel)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        WinogradOutput.Emit<TSimd, TVector>(TSimd.Add(TSimd.Add(m0, TSimd.Add(m1, m2)), offset), targets, residuals, 0, channel);
        WinogradOutput.Emit<TSimd, TVector>(TSimd.Add(TSimd.Add(TSimd.Subtract(m1, m2), m3), offset), targets, residuals, 1, channel);
    }
}

/// <summary>
/// F(4 x 4, 3 x 3) at the points 0, 5/8, -5/8, 3/2, -3/2 and infinity. With them errors are a quarter of those at the usual 0, 1, -1, 2,
/// -2; pairs of opposite points share their even and odd parts, and all constants of the maps of input and output are exact.
/// </summary>
internal readonly unsafe struct Winograd4 : IWinograd
{
    private const float A = 0.625f;
    private const float B = 1.5f;
    private const float A2 = A * A;
    private const float B2 = B * B;

    public static int Outputs => 4;

    public static int Points => 6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input<TSimd, TVector>(float** pixels, nint channel, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static TVector At(float** pixels, nint channel, int i) => TSimd.Load(pixels[i] + channel);
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static TVector End(float** pixels, nint channel, int i) =>
            Input0<TSimd, TVector>(At(pixels, channel, i), At(pixels, channel, i + 12), At(pixels, channel, i + 24));
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static TVector Even(float** pixels, nint channel, int i, float square) =>
            TSimd.MultiplyAdd(TSimd.Create(-square), At(pixels, channel, i + 12), At(pixels, channel, i + 24));
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static TVector Odd(float** pixels, nint channel, int i, float square, float point) =>
            TSimd.Multiply(
                TSimd.Create(point), TSimd.MultiplyAdd(TSimd.Create(-square), At(pixels, channel, i + 6), At(pixels, channel, i + 18)));

        InputRow<TSimd, TVector>(
            End(pixels, channel, 0), End(pixels, channel, 1), End(pixels, channel, 2), End(pixels, channel, 3), End(pixels, channel, 4),
            End(pixels, channel, 5), target, stride);
        TVector e0 = Even(pixels, channel, 0, B2), e1 = Even(pixels, channel, 1, B2), e2 = Even(pixels, channel, 2, B2),
        e3 = Even(pixels, channel, 3, B2), e4 = Even(pixels, channel, 4, B2), e5 = Even(pixels, channel, 5, B2);
        TVector o0 = Odd(pixels, channel, 0, B2, A), o1 = Odd(pixels, channel, 1, B2, A), o2 = Odd(pixels, channel, 2, B2, A),
        o3 = Odd(pixels, channel, 3, B2, A), o4 = Odd(pixels, channel, 4, B2, A), o5 = Odd(pixels, channel, 5, B2, A);
        InputRow<TSimd, TVector>(
            TSimd.Add(e0, o0), TSimd.Add(e1, o1), TSimd.Add(e2, o2), TSimd.Add(e3, o3), TSimd.Add(e4, o4), TSimd.Add(e5, o5),
            target + 6 * stride, stride);
        InputRow<TSimd, TVector>(
            TSimd.Subtract(e0, o0), TSimd.Subtract(e1, o1), TSimd.Subtract(e2, o2), TSimd.Subtract(e3, o3), TSimd.Subtract(e4, o4),
            TSimd.Subtract(e5, o5), target + 12 * stride, stride);
        (e0, e1, e2, e3, e4, e5) = (
            Even(pixels, channel, 0, A2), Even(pixels, channel, 1, A2), Even(pixels, channel, 2, A2), Even(pixels, channel, 3, A2),
            Even(pixels, channel, 4, A2), Even(pixels, channel, 5, A2));
        (o0, o1, o2, o3, o4, o5) = (
            Odd(pixels, channel, 0, A2, B), Odd(pixels, channel, 1, A2, B), Odd(pixels, channel, 2, A2, B), Odd(pixels, channel, 3, A2, B),
            Odd(pixels, channel, 4, A2, B), Odd(pixels, channel, 5, A2, B));
        InputRow<TSimd, TVector>(
            TSimd.Add(e0, o0), TSimd.Add(e1, o1), TSimd.Add(e2, o2), TSimd.Add(e3, o3), TSimd.Add(e4, o4), TSimd.Add(e5, o5),
            target + 18 * stride, stride);
        InputRow<TSimd, TVector>(
            TSimd.Subtract(e0, o0), TSimd.Subtract(e1, o1), TSimd.Subtract(e2, o2), TSimd.Subtract(e3, o3), TSimd.Subtract(e4, o4),
            TSimd.Subtract(e5, o5), target + 24 * stride, stride);
        InputRow<TSimd, TVector>(
            End(pixels, channel, 6), End(pixels, channel, 7), End(pixels, channel, 8), End(pixels, channel, 9), End(pixels, channel, 10),
            End(pixels, channel, 11), target + 30 * stride, stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Kernel<TSimd, TVector>(float* taps, nint tapStride, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        TVector At(int i) => TSimd.Load(taps + i * tapStride);
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        TVector Even(int i, float scale, float square) =>
            TSimd.MultiplyAdd(TSimd.Create(scale * square), At(i + 6), TSimd.Multiply(TSimd.Create(scale), At(i)));
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        TVector Odd(int i, float scale, float point) => TSimd.Multiply(TSimd.Create(scale * point), At(i + 3));

        var zero = TSimd.Create(1 / (A2 * B2));
        KernelRow<TSimd, TVector>(TSimd.Multiply(zero, At(0)), TSimd.Multiply(zero, At(1)), TSimd.Multiply(zero, At(2)), target, stride);
        TVector e0 = Even(0, ScaleA, A2), e1 = Even(1, ScaleA, A2), e2 = Even(2, ScaleA, A2), o0 = Odd(0, ScaleA, A),
        o1 = Odd(1, ScaleA, A), o2 = Odd(2, ScaleA, A);
        KernelRow<TSimd, TVector>(TSimd.Add(e0, o0), TSimd.Add(e1, o1), TSimd.Add(e2, o2), target + 6 * stride, stride);
        KernelRow<TSimd, TVector>(TSimd.Subtract(e0, o0), TSimd.Subtract(e1, o1), TSimd.Subtract(e2, o2), target + 12 * stride, stride);
        (e0, e1, e2, o0, o1, o2) = (
            Even(0, ScaleB, B2), Even(1, ScaleB, B2), Even(2, ScaleB, B2), Odd(0, ScaleB, B), Odd(1, ScaleB, B), Odd(2, ScaleB, B));
        KernelRow<TSimd, TVector>(TSimd.Add(e0, o0), TSimd.Add(e1, o1), TSimd.Add(e2, o2), target + 18 * stride, stride);
        KernelRow<TSimd, TVector>(TSimd.Subtract(e0, o0), TSimd.Subtract(e1, o1), TSimd.Subtract(e2, o2), target + 24 * stride, stride);
        KernelRow<TSimd, TVector>(At(6), At(7), At(8), target + 30 * stride, stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output<TSimd,
    TVector>(float* products, nint stride, TVector offset, float** targets, float** residuals, nint channel)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        OutputColumn<TSimd, TVector>(products, stride, out var a0, out var b0, out var c0, out var d0);
        OutputColumn<TSimd, TVector>(products + stride, stride, out var a1, out var b1, out var c1, out var d1);
        OutputColumn<TSimd, TVector>(products + 2 * stride, stride, out var a2, out var b2, out var c2, out var d2);
        OutputColumn<TSimd, TVector>(products + 3 * stride, stride, out var a3, out var b3, out var c3, out var d3);
        OutputColumn<TSimd, TVector>(products + 4 * stride, stride, out var a4, out var b4, out var c4, out var d4);
        OutputColumn<TSimd, TVector>(products + 5 * stride, stride, out var a5, out var b5, out var c5, out var d5);
        OutputRow<TSimd, TVector>(a0, a1, a2, a3, a4, a5, offset, targets, residuals, channel);
        OutputRow<TSimd, TVector>(b0, b1, b2, b3, b4, b5, offset, targets + 4, residuals == null ? null : residuals + 4, channel);
        OutputRow<TSimd, TVector>(c0, c1, c2, c3, c4, c5, offset, targets + 8, residuals == null ? null : residuals + 8, channel);
        OutputRow<TSimd, TVector>(d0, d1, d2, d3, d4, d5, offset, targets + 12, residuals == null ? null : residuals + 12, channel);
    }

    /// <summary>1 / (2 a^2 (a^2 - b^2)), the scale of the points a and -a; likewise for b.</summary>
    private const float ScaleA = (float)(1 / (2.0 * A2 * (A2 - B2)));

    private const float ScaleB = (float)(1 / (2.0 * B2 * (B2 - A2)));

    /// <summary>
    /// x^4 - (a^2 + b^2) x^2 + a^2 b^2 with powers of x replaced by values: the row for 0, and for infinity one place further.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Input0<TSimd, TVector>(TVector d0, TVector d2, TVector d4)
        where TSimd : ISimd<TVector>
        where TVector : struct =>
        TSimd.MultiplyAdd(TSimd.Create(A2 * B2), d0, TSimd.MultiplyAdd(TSimd.Create(-(A2 + B2)), d2, d4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void InputRow<TSimd,
    TVector>(TVector d0, TVector d1, TVector d2, TVector d3, TVector d4, TVector d5, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        TSimd.Store(Input0<TSimd, TVector>(d0, d2, d4), target);
        var even = TSimd.MultiplyAdd(TSimd.Create(-B2), d2, d4);
        var odd = TSimd.Multiply(TSimd.Create(A), TSimd.MultiplyAdd(TSimd.Create(-B2), d1, d3));
        TSimd.Store(TSimd.Add(even, odd), target + stride);
        TSimd.Store(TSimd.Subtract(even, odd), target + 2 * stride);
        even = TSimd.MultiplyAdd(TSimd.Create(-A2), d2, d4);
        odd = TSimd.Multiply(TSimd.Create(B), TSimd.MultiplyAdd(TSimd.Create(-A2), d1, d3));
        TSimd.Store(TSimd.Add(even, odd), target + 3 * stride);
        TSimd.Store(TSimd.Subtract(even, odd), target + 4 * stride);
        TSimd.Store(Input0<TSimd, TVector>(d1, d3, d5), target + 5 * stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KernelRow<TSimd, TVector>(TVector g0, TVector g1, TVector g2, float* target, nint stride)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        TSimd.Store(TSimd.Multiply(TSimd.Create(1 / (A2 * B2)), g0), target);
        var even = TSimd.MultiplyAdd(TSimd.Create(ScaleA * A2), g2, TSimd.Multiply(TSimd.Create(ScaleA), g0));
        var odd = TSimd.Multiply(TSimd.Create(ScaleA * A), g1);
        TSimd.Store(TSimd.Add(even, odd), target + stride);
        TSimd.Store(TSimd.Subtract(even, odd), target + 2 * stride);
        even = TSimd.MultiplyAdd(TSimd.Create(ScaleB * B2), g2, TSimd.Multiply(TSimd.Create(ScaleB), g0));
        odd = TSimd.Multiply(TSimd.Create(ScaleB * B), g1);
        TSimd.Store(TSimd.Add(even, odd), target + 3 * stride);
        TSimd.Store(TSimd.Subtract(even, odd), target + 4 * stride);
        TSimd.Store(g2, target + 5 * stride);
    }

    /// <summary>The four sums over a column of points.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OutputColumn<TSimd,
    TVector>(float* products, nint stride, out TVector y0, out TVector y1, out TVector y2, out TVector y3)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        TVector m1 = TSimd.Load(products + 6 * stride), m2 = TSimd.Load(products + 12 * stride), m3 = TSimd.Load(products + 18 * stride),
        m4 = TSimd.Load(products + 24 * stride);
        Interpolate<TSimd, TVector>(
            TSimd.Load(products), m1, m2, m3, m4, TSimd.Load(products + 30 * stride), out y0, out y1, out y2, out y3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OutputRow<TSimd, TVector>(
        TVector m0, TVector m1, TVector m2, TVector m3, TVector m4, TVector m5, TVector offset, float** targets, float** residuals,
        nint channel)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        Interpolate<TSimd, TVector>(m0, m1, m2, m3, m4, m5, out var y0, out var y1, out var y2, out var y3);
        WinogradOutput.Emit<TSimd, TVector>(TSimd.Add(y0, offset), targets, residuals, 0, channel);
        WinogradOutput.Emit<TSimd, TVector>(TSimd.Add(y1, offset), targets, residuals, 1, channel);
        WinogradOutput.Emit<TSimd, TVector>(TSimd.Add(y2, offset), targets, residuals, 2, channel);
        WinogradOutput.Emit<TSimd, TVector>(TSimd.Add(y3, offset), targets, residuals, 3, channel);
    }

    /// <summary>y[i] = the sum over finite points p of p^i m(p), and in y[3] the value at infinity.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interpolate<TSimd, TVector>(
        TVector m0, TVector m1, TVector m2, TVector m3, TVector m4, TVector m5, out TVector y0, out TVector y1, out TVector y2,
        out TVector y3)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        var evenA = TSimd.Add(m1, m2);
        var oddA = TSimd.Subtract(m1, m2);
        var evenB = TSimd.Add(m3, m4);
        var oddB = TSimd.Subtract(m3, m4);
        y0 = TSimd.Add(m0, TSimd.Add(evenA, evenB));
        y1 = TSimd.MultiplyAdd(TSimd.Create(B), oddB, TSimd.Multiply(TSimd.Create(A), oddA));
        y2 = TSimd.MultiplyAdd(TSimd.Create(B2), evenB, TSimd.Multiply(TSimd.Create(A2), evenA));
        y3 = TSimd.MultiplyAdd(TSimd.Create(B2 * B), oddB, TSimd.MultiplyAdd(TSimd.Create(A2 * A), oddA, m5));
    }
}

/// <summary>What all tiles have in common.</summary>
internal static unsafe class WinogradOutput
{
    /// <summary>Writes outputs of one pixel, with what is to be added.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Emit<TSimd, TVector>(TVector value, float** targets, float** residuals, int pixel, nint channel)
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        if (residuals != null)
            value = TSimd.Add(value, TSimd.Load(residuals[pixel] + channel));
        TSimd.Store(value, targets[pixel] + channel);
    }
}
