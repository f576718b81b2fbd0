using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance.Diagnostics;

/// <summary>The numbers that make sense whatever the rules are.</summary>
internal static class GeneralMeasures
{
    internal static readonly Quantity Change = new("attention.change", "Relative change of the attention output",
        "|output - plain| / |plain| for each latent token, Euclidean norms over all heads: how far all rules together move the layer's "
            + "output from what the plain model would give for the same input.",
        "guidance moves the attention output by {0} of its length")
    { Unit = QuantityUnit.Share, Minimum = 0 };

    internal static readonly Quantity TextMass = Quantity.Share("attention.text", "Attention that the text gets",
        "The share of a latent token's softmax weights that falls on the prompt's tokens, for each token and head; the rest falls on "
            + "latents. Only in joint attention: in cross-attention it is 1.",
        "latents give {0} of their attention to the prompt");

    internal static readonly Quantity Cosine = new("attention.cosine", "Cosine of Z+ and Z-",
        "The cosine of the angle between a latent token's output for the prompt (Z+) and for the negative prompt (Z-), over all heads. 1: "
            + "both prompts say the same here, and their difference pushes nowhere.",
        "the outputs for prompt and negative prompt have a cosine of {0}")
    { Minimum = -1, Maximum = 1 };

    internal static readonly Quantity Difference = new("prediction.difference", "Distance of positive and negative prediction",
        "The norm of the prediction for the prompt minus that for the negative prompt, as a root mean square over elements, for each "
            + "sample of the batch, in units of the prediction.",
        "the predictions for prompt and negative prompt are {0} apart")
    { Minimum = 0 };

    internal static readonly Quantity Perturbation = new("prediction.perturbation", "Distance of positive and perturbed prediction",
        "The norm of the prediction for the prompt minus that of the pass in which the rule takes something away, as a root mean square "
            + "over elements, for each sample of the batch, in units of the prediction.",
        "taking away moves the prediction by {0}")
    { Minimum = 0 };

    internal static readonly Quantity NormRatio = new("prediction.norm", "Norm of the guided prediction to the positive one",
        "|guided| / |positive| for each sample of the batch: the prediction after all rules on predictions to the one for the prompt. "
            + "Above 1, rules on predictions make it longer, as strong classifier-free guidance does.",
        "the guided prediction is {0} times as long as the one for the prompt")
    { Minimum = 0 };

    internal static readonly Quantity PredictionChange = new("prediction.change", "Relative change of the prediction",
        "|guided - positive| / |positive| for each sample of the batch: how far rules on predictions move the prediction for the prompt. "
            + "What rules in attention do is already in both.",
        "rules on predictions move the prediction by {0} of its length")
    { Unit = QuantityUnit.Share, Minimum = 0 };

    public static void OfAttention(AttentionFacts facts, Tensor guided, bool acted, IMeasurements to)
    {
        if (facts.Length == 0)
            return;
        if (acted)
            to.Add(Change, PerToken(facts.Latents, guided, RelativeDistance));
        if (!facts.Call.Keys.Contains(TokenKind.Text))
            return;
        if (facts.Call.Site.Kind == AttentionKind.Joint)
            to.Add(TextMass, Array.ConvertAll(facts.TextMass.ToArray(), value => (double)value));
        if (facts.HasNegativeText)
            to.Add(Cosine, PerToken(facts.Latents, facts.NegativeLatents, CosineOf));
        HopfieldEnergy.MeasureDense(facts, to);
    }

    public static void OfPredictions(PredictionFacts facts, Tensor guided, bool combined, IMeasurements to)
    {
        var positive = facts.Positive;
        if (facts.Negative is { } negative)
            to.Add(Difference, PerSample(positive, negative, RootMeanSquare));
        if (!combined)
            return;
        to.Add(NormRatio, PerSample(positive, guided, (p, g) => Norm(g) / Norm(p)));
        to.Add(PredictionChange, PerSample(positive, guided, RelativeDistance));
    }

    public static void OfPerturbation(PredictionFacts facts, Tensor perturbed, IMeasurements to) =>
        to.Add(Perturbation, PerSample(facts.Positive, perturbed, RootMeanSquare));

    private delegate double Comparison(ReadOnlySpan<float> a, ReadOnlySpan<float> b);

    private static double Distance(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += ((double)b[i] - a[i]) * ((double)b[i] - a[i]);
        return Math.Sqrt(sum);
    }

    private static double RootMeanSquare(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => Distance(a, b) / Math.Sqrt(a.Length);

    private static double RelativeDistance(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => Distance(a, b) / Norm(a);

    private static double CosineOf(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double cosine = Dot(a, b) / (Norm(a) * Norm(b));
        return double.IsNaN(cosine) ? cosine : Math.Clamp(cosine, -1, 1);       // rounding may leave the range by 1e-16
    }

    private static double Norm(ReadOnlySpan<float> a) => Math.Sqrt(Dot(a, a));

    private static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += (double)a[i] * b[i];
        return sum;
    }

    /// <summary>A number for each token of two tensors [batch, tokens, heads, channels], over all heads.</summary>
    private static double[] PerToken(Tensor a, Tensor b, Comparison compare) => PerRow(a, b, a.Shape[0] * a.Shape[1], compare);

    /// <summary>A number for each sample of two tensors [batch, ...].</summary>
    private static double[] PerSample(Tensor a, Tensor b, Comparison compare) => PerRow(a, b, a.Shape[0], compare);

    private static double[] PerRow(Tensor a, Tensor b, int rows, Comparison compare)
    {
        var (first, second) = (a.ToArray(), b.ToArray());
        int length = first.Length / Math.Max(rows, 1);
        var values = new double[rows];
        Workers.For(
            rows, row => values[row] = compare(first.AsSpan(row * length, length), second.AsSpan(row * length, length)));
        return values;
    }
}
