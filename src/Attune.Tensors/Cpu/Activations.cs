using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Attune.Tensors.Cpu;

/// <summary>Elementwise nonlinearities over spans. What an element becomes does not depend on its place, so that results do not depend on how work is cut.</summary>
internal static class Activations
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
                TensorPrimitives.Max(x, 0f, output);
                break;
            case Activation.Tanh:
                TensorPrimitives.Tanh(x, output);
                break;
            case Activation.Sigmoid:
                Map<Sigmoid>(x, output);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(activation), activation, "An unknown activation.");
        }
    }

    /// <summary>Whole vectors, and the rest as one that is filled up.</summary>
    private static void Map<T>(ReadOnlySpan<float> x, Span<float> output)
        where T : struct, IFunction
    {
        var source = MemoryMarshal.Cast<float, Vector<float>>(x);
        var target = MemoryMarshal.Cast<float, Vector<float>>(output);
        for (int i = 0; i < source.Length; i++)
            target[i] = T.Of(source[i]);
        int rest = source.Length * Vector<float>.Count;
        if (rest == x.Length)
            return;
        Span<float> padded = stackalloc float[Vector<float>.Count];
        padded.Clear();
        x[rest..].CopyTo(padded);
        T.Of(new Vector<float>(padded)).CopyTo(padded);
        padded[..(x.Length - rest)].CopyTo(output[rest..]);
    }

    private interface IFunction
    {
        static abstract Vector<float> Of(Vector<float> x);
    }

    private readonly struct Sigmoid : IFunction
    {
        public static Vector<float> Of(Vector<float> x) => Vector<float>.One / (Vector<float>.One + Vector.Exp(-x));
    }

    private readonly struct Silu : IFunction
    {
        public static Vector<float> Of(Vector<float> x) => x / (Vector<float>.One + Vector.Exp(-x));
    }

    private readonly struct QuickGelu : IFunction
    {
        public static Vector<float> Of(Vector<float> x) => x / (Vector<float>.One + Vector.Exp(-1.702f * x));
    }

    /// <summary>x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), which is x / (1 + exp(-2 u)).</summary>
    private readonly struct GeluTanh : IFunction
    {
        public static Vector<float> Of(Vector<float> x) => x / (Vector<float>.One + Vector.Exp(-1.59576912160573071176f * (x + 0.044715f * x * x * x)));
    }

    /// <summary>x (1 + erf(x / sqrt(2))) / 2.</summary>
    private readonly struct Gelu : IFunction
    {
        public static Vector<float> Of(Vector<float> x) => 0.5f * x * (Vector<float>.One + Erf(0.70710678118654752440f * x));
    }

    /// <summary>
    /// The error function, to the rounding of float32: up to 1 as x + x p(x^2), beyond as 1 - exp(q(|x|)). Both polynomials are minimax fits (of erf(x) / x - 1 and of log erfc(x) weighted with erfc(x)), to
    /// 1.2e-9; from 4 on the result is 1.
    /// </summary>
    private static Vector<float> Erf(Vector<float> x)
    {
        var s = x * x;
        var near = Vector.Create(7.88911954e-05f);
        near = Vector.FusedMultiplyAdd(near, s, Vector.Create(-8.02084128e-04f));
        near = Vector.FusedMultiplyAdd(near, s, Vector.Create(5.18953534e-03f));
        near = Vector.FusedMultiplyAdd(near, s, Vector.Create(-2.68544446e-02f));
        near = Vector.FusedMultiplyAdd(near, s, Vector.Create(1.12836002e-01f));
        near = Vector.FusedMultiplyAdd(near, s, Vector.Create(-3.76126271e-01f));
        near = Vector.FusedMultiplyAdd(near, s, Vector.Create(1.28379166e-01f));
        near = Vector.FusedMultiplyAdd(near, x, x);

        var t = Vector.Min(Vector.Abs(x), Vector.Create(4f));
        var far = Vector.Create(1.85574893e-04f);
        far = Vector.FusedMultiplyAdd(far, t, Vector.Create(-2.93961574e-03f));
        far = Vector.FusedMultiplyAdd(far, t, Vector.Create(2.18053512e-02f));
        far = Vector.FusedMultiplyAdd(far, t, Vector.Create(-1.03037436e-01f));
        far = Vector.FusedMultiplyAdd(far, t, Vector.Create(-6.38225602e-01f));
        far = Vector.FusedMultiplyAdd(far, t, Vector.Create(-1.12704008f));
        far = Vector.FusedMultiplyAdd(far, t, Vector.Create(-3.53708927e-04f));
        far = Vector.CopySign(Vector<float>.One - Vector.Exp(far), x);
        return Vector.ConditionalSelect(Vector.LessThan(Vector.Abs(x), Vector<float>.One), near, far);
    }
}
