using System.Numerics.Tensors;

namespace Attune.Tensors.Cpu;

/// <summary>Elementwise nonlinearities over spans.</summary>
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
                for (int i = 0; i < x.Length; i++)
                    output[i] = x[i] / (1 + MathF.Exp(-x[i]));
                break;
            case Activation.QuickGelu:
                for (int i = 0; i < x.Length; i++)
                    output[i] = x[i] / (1 + MathF.Exp(-1.702f * x[i]));
                break;
            case Activation.Gelu:
                for (int i = 0; i < x.Length; i++)
                    output[i] = (float)(x[i] * 0.5 * Erfc(-x[i] * 0.70710678118654752440));
                break;
            case Activation.GeluTanh:
                for (int i = 0; i < x.Length; i++)
                    output[i] = 0.5f * x[i] * (1 + MathF.Tanh(0.79788456080286535588f * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
                break;
            case Activation.Relu:
                TensorPrimitives.Max(x, 0f, output);
                break;
            case Activation.Tanh:
                TensorPrimitives.Tanh(x, output);
                break;
            case Activation.Sigmoid:
                for (int i = 0; i < x.Length; i++)
                    output[i] = 1 / (1 + MathF.Exp(-x[i]));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(activation), activation, "An unknown activation.");
        }
    }

    /// <summary>The complementary error function to about 1e-7 relative (W. J. Cody's form by Numerical Recipes' Chebyshev fit, |error| below 1.2e-7).</summary>
    private static double Erfc(double x)
    {
        double z = Math.Abs(x);
        double t = 1 / (1 + 0.5 * z);
        double r = t * Math.Exp(-z * z - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 +
            t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))));
        return x >= 0 ? r : 2 - r;
    }
}
