using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Elementwise nonlinearities over spans. What an element becomes does not depend on its place, so that results do not depend on how work
/// is cut.
/// </summary>
internal static unsafe class Activations
{
    public static void Apply(Activation activation, ReadOnlySpan<float> x, Span<float> output)
    {
        switch (activation)
        {
            case Activation.None:
                x.CopyTo(output);
                break;
            case Activation.Silu:
                Map<Silu>(x, output);
                break;
            case Activation.QuickGelu:
                Map<QuickGelu>(x, output);
                break;
            case Activation.Gelu:
                Map<Gelu>(x, output);
                break;
            case Activation.GeluTanh:
                Map<GeluTanh>(x, output);
                break;
            case Activation.Relu:
                Map<Relu>(x, output);
                break;
            case Activation.Tanh:
                TensorPrimitives.Tanh(x, output);
                break;
            case Activation.Sigmoid:
                Map<Sigmoid>(x, output);
                break;
            case Activation.Exp:
                for (int i = 0; i < x.Length; i++)
                    output[i] = MathF.Exp(x[i]);
                break;
            case Activation.Log:
                for (int i = 0; i < x.Length; i++)
                    output[i] = MathF.Log(x[i]);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(activation), activation, "An unknown activation.");
        }
    }

    private static void Map<T>(ReadOnlySpan<float> x, Span<float> output)
        where T : struct, IMap
    {
        fixed (float* source = x)
        fixed (float* target = output)
            RowKernels.Map(default(T), source, target, x.Length);
    }

    private readonly struct Sigmoid : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Exponential.Of(-x));
    }

    /// <summary>
    /// Native maxima return their second operand when one is NaN, which so stays NaN; the sum makes +0 of -0. TensorPrimitives.Max asks for
    /// both in each element, and takes five times as long.
    /// </summary>
    private readonly struct Relu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) => Vector512.MaxNative(Vector512<float>.Zero, x) + Vector512<float>.Zero;
    }

    private readonly struct Silu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) => x / (Vector512<float>.One + Exponential.Of(-x));
    }

    private readonly struct QuickGelu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) => x / (Vector512<float>.One + Exponential.Of(-1.702f * x));
    }

    /// <summary>x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), which is x / (1 + exp(-2 u)).</summary>
    private readonly struct GeluTanh : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) =>
            x / (Vector512<float>.One + Exponential.Of(-1.59576912160573071176f * (x + 0.044715f * x * x * x)));
    }

    /// <summary>x (1 + erf(x / sqrt(2))) / 2.</summary>
    private readonly struct Gelu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Of(Vector512<float> x) => 0.5f * x * (Vector512<float>.One + Erf(0.70710678118654752440f * x));
    }

    /// <summary>
    /// The error function, to the rounding of float32: up to 1 as x + x p(x^2), beyond as 1 - exp(q(|x|)). Both polynomials are minimax
    /// fits (of erf(x) / x - 1 and of log erfc(x) weighted with erfc(x)), to 1.2e-9; from 4 on the result is 1.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Erf(Vector512<float> x)
    {
        var s = x * x;
        var near = Vector512.Create(7.88911954e-05f);
        near = Vector512.FusedMultiplyAdd(near, s, Vector512.Create(-8.02084128e-04f));
        near = Vector512.FusedMultiplyAdd(near, s, Vector512.Create(5.18953534e-03f));
        near = Vector512.FusedMultiplyAdd(near, s, Vector512.Create(-2.68544446e-02f));
        near = Vector512.FusedMultiplyAdd(near, s, Vector512.Create(1.12836002e-01f));
        near = Vector512.FusedMultiplyAdd(near, s, Vector512.Create(-3.76126271e-01f));
        near = Vector512.FusedMultiplyAdd(near, s, Vector512.Create(1.28379166e-01f));
        near = Vector512.FusedMultiplyAdd(near, x, x);

        var t = Vector512.Min(Vector512.Abs(x), Vector512.Create(4f));
        var far = Vector512.Create(1.85574893e-04f);
        far = Vector512.FusedMultiplyAdd(far, t, Vector512.Create(-2.93961574e-03f));
        far = Vector512.FusedMultiplyAdd(far, t, Vector512.Create(2.18053512e-02f));
        far = Vector512.FusedMultiplyAdd(far, t, Vector512.Create(-1.03037436e-01f));
        far = Vector512.FusedMultiplyAdd(far, t, Vector512.Create(-6.38225602e-01f));
        far = Vector512.FusedMultiplyAdd(far, t, Vector512.Create(-1.12704008f));
        far = Vector512.FusedMultiplyAdd(far, t, Vector512.Create(-3.53708927e-04f));
        far = Vector512.CopySign(Vector512<float>.One - Exponential.Of(far), x);
        return Vector512.ConditionalSelect(Vector512.LessThan(Vector512.Abs(x), Vector512<float>.One), near, far);
    }
}
