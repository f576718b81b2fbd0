using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>Sinusoidal features of a number, as in "Attention Is All You Need"; cosines first, as diffusion models have them.</summary>
internal static class Sinusoid
{
    /// <summary>[values, channels]: cosines, then sines, of scale value / 10000^(i / half).</summary>
    public static Tensor Of(
        Device device, ReadOnlySpan<float> values, int channels, bool cosineFirst = true, double frequencyShift = 0, float scale = 1)
    {
        int half = channels / 2;
        var result = Tensor.Empty(device, [values.Length, channels]);
        using var view = result.Write();
        for (int row = 0; row < values.Length; row++)
        {
            var features = view.Row(row);
            for (int i = 0; i < half; i++)
            {
                // float32, as the reference computes it: the frequency's rounding shows at timesteps near 1000.
                float frequency = MathF.Exp((float)(-MathF.Log(10000) * i / (half - frequencyShift)));
                float angle = values[row] * frequency * scale;
                features[cosineFirst ? i : half + i] = MathF.Cos(angle);
                features[cosineFirst ? half + i : i] = MathF.Sin(angle);
            }
        }
        return result;
    }
}

/// <summary>Two linear layers with SiLU between: <c>linear_1</c>, <c>linear_2</c>.</summary>
internal sealed class EmbeddingMlp(WeightCursor at, int inputs, int channels, bool bias = true)
{
    private readonly Linear _linear1 = new(at.At("linear_1"), inputs, channels, bias);
    private readonly Linear _linear2 = new(at.At("linear_2"), channels, channels, bias);

    public Tensor Apply(Tensor x) => _linear2.Apply(_linear1.Apply(x, Activation.Silu));
}
