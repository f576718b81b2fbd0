namespace Attune.Tensors.Tests;

[NoLeaks]
public class ActivationTests
{
    public static TheoryData<Activation> All => [.. Enum.GetValues<Activation>()];

    public static TheoryData<Activation> Bounded => [.. Enum.GetValues<Activation>().Except([Activation.Exp, Activation.Log])];

    [Theory]
    [MemberData(nameof(Bounded))]
    public void Values_are_those_of_double_precision(Activation activation)
    {
        float[] inputs = [
            .. Enumerable.Range(-6000, 12001).Select(i => i / 500f), -1e-30f, 1e-30f, -40, 40, -1000, 1000, float.MinValue, float.MaxValue];
        using var x = Tensor.From(Host, inputs, [inputs.Length]);
        using var y = x.Activate(activation);
        for (int i = 0; i < inputs.Length; i++)
            Assert.InRange(
                y.Span[i] - Expected(activation, inputs[i]), -2e-7 * (1 + Math.Abs(inputs[i])), 2e-7 * (1 + Math.Abs(inputs[i])));
    }

    [Fact]
    public void Exponentials_and_logarithms_are_those_of_double_precision()
    {
        float[] inputs = [.. Enumerable.Range(-400, 801).Select(i => i / 5f), float.NegativeInfinity];
        using var x = Tensor.From(Host, inputs, [inputs.Length]);
        using var powers = x.Activate(Activation.Exp);
        using var back = powers.Activate(Activation.Log);
        for (int i = 0; i < inputs.Length; i++)
        {
            double expected = Math.Exp(inputs[i]);
            Assert.Equal(expected, powers.Span[i], 2e-7 * expected);
            Assert.Equal(Math.Log(powers.Span[i]), back.Span[i], 2e-7 * (1 + Math.Abs(inputs[i])));
        }
        using var below = Tensor.From(Host, [-1], [1]);
        below.Activate(Activation.Log, into: below);
        Assert.True(float.IsNaN(below.Span[0]));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_value_does_not_depend_on_its_place(Activation activation)
    {
        var random = new Random(1);
        float[] inputs = [.. Enumerable.Range(0, 37).Select(_ => (float)(6 * random.NextDouble() - 3))];
        using var whole = Tensor.From(Host, inputs, [37]);
        using var together = whole.Activate(activation);
        for (int i = 0; i < inputs.Length; i++)
        {
            // TensorPrimitives, which the hyperbolic tangent is left to, treats short spans apart.
            if (activation == Activation.Tanh)
                continue;
            using var one = Tensor.From(Host, [inputs[i]], [1]);
            using var alone = one.Activate(activation);
            Assert.Equal(alone.Span[0], together.Span[i]);
        }
        using var again = whole.Clone();
        again.Activate(activation, into: again);
        Assert.Equal(together.ToArray(), again.ToArray());
    }

    [Theory]
    [MemberData(nameof(All))]
    public void What_is_no_number_stays_none(Activation activation)
    {
        using var x = Tensor.From(Host, [1, float.NaN, 2], [3]);
        using var y = x.Activate(activation);
        Assert.Equal([false, true, false], y.ToArray().Select(float.IsNaN));
    }

    private static double Expected(Activation activation, double x) => activation switch
    {
        Activation.Silu => x * Logistic(x),
        Activation.QuickGelu => x * Logistic(1.702 * x),
        Activation.Gelu => x * (1 + Erf(x / Math.Sqrt(2))) / 2,
        Activation.GeluTanh => x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))) / 2,
        Activation.Relu => Math.Max(x, 0),
        Activation.Tanh => Math.Tanh(x),
        Activation.Sigmoid => Logistic(x),
        _ => x,
    };

    private static double Logistic(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>2 / sqrt(pi) exp(-x^2) times the sum of 2^n x^(2 n + 1) / (2 n + 1)!!, all terms of which have one sign.</summary>
    private static double Erf(double x)
    {
        if (Math.Abs(x) > 6)
            return Math.Sign(x);
        double term = x, sum = x;
        for (int n = 1; n < 300; n++)
        {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return 2 / Math.Sqrt(Math.PI) * Math.Exp(-x * x) * sum;
    }
}
