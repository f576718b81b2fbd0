using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>
/// A random attention call, and everything that rules speak of in double precision, from the formulas. Tensors belong to the current scope.
/// </summary>
internal sealed class AttentionScene
{
    private readonly float[] _counted;

    public AttentionScene(
        AttentionKind kind, Random random, int batch = 1, int heads = 2, int channels = 24, int latents = 13, int text = 9,
        int negative = 5, double sharpness = 1.5, double values = 1, bool forked = false, Func<TokenKind, int, bool>? counts = null)
    {
        var mirrored = (TokenKind.NegativeLatent, forked ? latents : 0);
        var (queries, keys) = kind == AttentionKind.Cross
            ? (TokenLayout.Of((TokenKind.Latent, latents)), TokenLayout.Of((TokenKind.NegativeText, negative), (TokenKind.Text, text)))
            : (
                TokenLayout.Of((TokenKind.NegativeText, negative), (TokenKind.Text, text), (TokenKind.Latent, latents), mirrored),
                TokenLayout.Of((TokenKind.NegativeText, negative), (TokenKind.Text, text), (TokenKind.Latent, latents), mirrored));
        Tensor Noise(int tokens, double scale)
        {
            var tensor = Tensor.Empty(Host, [batch, tokens, heads, channels]);
            foreach (ref float value in tensor.Span)
                value = (float)(
                    scale * (Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()) + .3));
            return tensor;
        }

        _counted = new float[keys.Length];
        foreach (var span in keys.Spans)
        {
            for (int i = 0; i < span.Length; i++)
                _counted[span.Start + i] = counts == null || counts(span.Kind, i) ? 1 : 0;
        }
        var mask = counts == null ? null : new AttentionMask { Keys = Tensor.From(Host, _counted, [1, keys.Length]) };
        Call = new AttentionCall(
            Noise(queries.Length, sharpness), Noise(keys.Length, sharpness), Noise(keys.Length, values), 1 / MathF.Sqrt(channels), queries,
            keys, new AttentionSite("scene", kind), Mask: mask);
    }

    public AttentionCall Call { get; }

    public int Rows => Call.Queries.CountOf(TokenKind.Latent);

    public int Heads => Call.Query.Shape[2];

    /// <summary>The guided rows under some rules, [batch, rows, heads, channels].</summary>
    public Tensor Guided(params IEnumerable<GuidanceRule> rules)
    {
        var output = new GuidanceSchedule(rules).At(0, 1).Steering.Attention.Attend(Call);
        return output.Slice(1, StartOf(TokenKind.Latent), Rows).Contiguous();
    }

    public int StartOf(TokenKind kind) => Call.Queries.Spans.Single(span => span.Kind == kind).Start;

    /// <summary>The output of one latent row and head over the keys of some kinds.</summary>
    public double[] Over(int item, int row, int head, TokenKind[] kinds, double alpha = 1, TokenKind from = TokenKind.Latent)
    {
        double[] weights = EntmaxReference.Weights(Logits(item, row, head, kinds, from), alpha);
        return Sum(weights, item, head, kinds);
    }

    public double[] Logits(int item, int row, int head, TokenKind[] kinds, TokenKind from = TokenKind.Latent)
    {
        var query = Call.Query.Row(item, StartOf(from) + row, head).ToArray();
        return [
            .. Positions(kinds)
                .Select(
                    at => _counted[at] == 0 ? double.NegativeInfinity
                        : Call.Scale * Call.Key.Row(item, at, head).ToArray().Zip(query, (a, b) => (double)a * b).Sum())];
    }

    public double[] Sum(double[] weights, int item, int head, TokenKind[] kinds)
    {
        var result = new double[Call.Value.Shape[3]];
        foreach (var (at, weight) in Positions(kinds).Zip(weights))
        {
            for (int c = 0; c < result.Length; c++)
                result[c] += weight * Call.Value.Row(item, at, head)[c];
        }
        return result;
    }

    /// <summary>The share of a row's attention that the text gets.</summary>
    public double TextMass(int item, int row, int head)
    {
        double[] logits = Logits(item, row, head, [TokenKind.Text, TokenKind.Latent]);
        return EntmaxReference.Weights(logits, 1).Take(Call.Keys.CountOf(TokenKind.Text)).Sum();
    }

    public (double[] Dense, double[] Sparse, double[] Plain, double Mass) Facts(int item, int row, int head, double alpha) => (
        Over(item, row, head, [TokenKind.Text]), Over(item, row, head, [TokenKind.Text], alpha),
        Over(item, row, head, [TokenKind.Text, TokenKind.Latent]), TextMass(item, row, head));

    /// <summary>Compares every guided row and head with a reference.</summary>
    public void Compare(Tensor guided, Func<int, int, int, double[]> expected, double tolerance = 1e-5)
    {
        for (int index = 0; index < Call.Query.Shape[0] * Rows * Heads; index++)
        {
            var (item, row, head) = (index / Heads / Rows, index / Heads % Rows, index % Heads);
            double[] reference = expected(item, row, head);
            float[] actual = guided.Row(item, row, head).ToArray();
            double largest = Math.Max(reference.Max(Math.Abs), Over(item, row, head, [TokenKind.Text, TokenKind.Latent]).Max(Math.Abs));
            for (int c = 0; c < actual.Length; c++)
                Assert.True(
                    Math.Abs(actual[c] - reference[c]) <= tolerance * largest,
                    $"item {item}, row {row}, head {head}, channel {c}: {actual[c]}, expected {reference[c]}");
        }
    }

    private IEnumerable<int> Positions(TokenKind[] kinds) =>
        Call.Keys.Spans.Where(span => kinds.Contains(span.Kind)).SelectMany(span => Enumerable.Range(span.Start, span.Length));
}

/// <summary>alpha-entmax by its definition, with the threshold by bisection.</summary>
internal static class EntmaxReference
{
    public static double[] Weights(double[] z, double alpha)
    {
        double maximum = z.DefaultIfEmpty(double.NegativeInfinity).Max();
        if (double.IsNegativeInfinity(maximum))
            return new double[z.Length];
        double[] At(double tau) =>
            [
                .. z.Select(
                    value => alpha == 1 ? Math.Exp(value - maximum)
                        : Math.Pow(Math.Max((alpha - 1) * (value - maximum) - tau, 0), 1 / (alpha - 1)))];
        var (low, high) = (-1.0, 0.0);
        for (int i = 0; i < 100 && alpha != 1; i++)
            (low, high) = At((low + high) / 2).Sum() >= 1 ? ((low + high) / 2, high) : (low, (low + high) / 2);
        double[] weights = At(low);
        double total = weights.Sum();
        return [.. weights.Select(weight => weight / total)];
    }
}
