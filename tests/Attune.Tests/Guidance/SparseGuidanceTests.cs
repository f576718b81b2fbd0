using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>GAG and PLADIS against their formulas in double precision, and the identities that tie them together.</summary>
[NoLeaks]
public class SparseGuidanceTests
{
    private readonly Random _random = new(5);

    public static TheoryData<AttentionKind> Kinds => [AttentionKind.Cross, AttentionKind.Joint];

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double[] Add(double[] a, double factor, double[] b) => [.. a.Zip(b, (x, y) => x + factor * y)];

    /// <summary>s + lambda G min(1, eta / |G|), G = par + zeta (r - par), r = s - d, par = (r s / s s) s.</summary>
    private static double[] Gag(double[] d, double[] s, GeometryAwareAttentionGuidance rule)
    {
        double[] r = Add(s, -1, d);
        double square = Dot(s, s);
        double[] parallel = [.. s.Select(value => square == 0 ? 0 : Dot(r, s) / square * value)];
        double[] g = Add(parallel, rule.Zeta, Add(r, -1, parallel));
        double norm = Math.Sqrt(Dot(g, g));
        return Add(s, rule.Lambda * (norm > rule.Eta ? rule.Eta / norm : 1), g);
    }

    private GeometryAwareAttentionGuidance RandomGag() => new()
    {
        Lambda = (float)(_random.NextDouble() * 12),
        Eta = _random.Next(3) switch { 0 => 15, 1 => float.PositiveInfinity, _ => (float)_random.NextDouble() },
        Zeta = _random.Next(3) switch { 0 => 0, 1 => 1, _ => (float)_random.NextDouble() },
        Entmax = new[] { 1.5f, 2, 1.25f }[_random.Next(3)],
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gag_is_its_formula_on_the_text_and_on_the_full_row(AttentionKind kind)
    {
        for (int trial = 0; trial < 12; trial++)
        {
            using var scope = new TensorScope();
            var scene = new AttentionScene(
                kind, _random, batch: 1 + trial % 2, heads: 1 + trial % 3, channels: 8 * _random.Next(1, 9), latents: _random.Next(1, 30),
                text: _random.Next(1, 40));
            var rule = RandomGag();
            scene.Compare(scene.Guided(rule), (item, row, head) =>
            {
                var (d, s, plain, m) = scene.Facts(item, row, head, rule.Entmax);
                return Add(plain, m, Add(Gag(d, s, rule), -1, d));
            }, 3e-5);
            scene.Compare(scene.Guided(rule with { Projection = GuidanceProjection.Row }), (item, row, head) =>
            {
                var (d, s, plain, m) = scene.Facts(item, row, head, rule.Entmax);
                return Gag(plain, Add(plain, m, Add(s, -1, d)), rule);
            }, 3e-5);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Pladis_is_its_formula_and_gag_without_projection(AttentionKind kind)
    {
        for (int trial = 0; trial < 8; trial++)
        {
            using var scope = new TensorScope();
            var scene = new AttentionScene(kind, _random, text: _random.Next(1, 40));
            var rule = new PladisGuidance { Scale = (float)(1 + _random.NextDouble() * 3), Entmax = trial % 2 == 0 ? 1.5f : 2 };
            var guided = scene.Guided(rule);
            scene.Compare(guided, (item, row, head) =>
            {
                var (d, s, plain, m) = scene.Facts(item, row, head, rule.Entmax);
                return Add(plain, m * rule.Scale, Add(s, -1, d));
            });
            var same = scene.Guided(
                new GeometryAwareAttentionGuidance {
                    Lambda = rule.Scale - 1, Zeta = 1, Eta = float.PositiveInfinity, Entmax = rule.Entmax });
            scene.Compare(same, (item, row, head) => [.. guided.Row(item, row, head).ToArray().Select(value => (double)value)]);
        }
    }

    /// <summary>With zeta 0 the result lies along s, and is at most lambda min(eta, |par|) away from it.</summary>
    [Fact]
    public void Gag_without_the_orthogonal_part_never_turns_the_sparse_output()
    {
        for (int trial = 0; trial < 20; trial++)
        {
            using var scope = new TensorScope();
            var scene = new AttentionScene(AttentionKind.Cross, _random, text: 20);
            var rule = RandomGag() with { Zeta = 0 };
            var guided = scene.Guided(rule);
            for (int row = 0; row < scene.Rows; row++)
            {
                var (d, s, _, _) = scene.Facts(0, row, 1, rule.Entmax);
                double[] result = [.. guided.Row(0, row, 1).ToArray().Select(value => (double)value)];
                double along = Dot(result, s);
                Assert.True(along * along >= Dot(result, result) * Dot(s, s) * (1 - 1e-8));
                double parallel = Math.Abs(Dot(Add(s, -1, d), s)) / Math.Sqrt(Dot(s, s));
                double[] change = Add(result, -1, s);
                Assert.True(Math.Sqrt(Dot(change, change)) <= rule.Lambda * Math.Min(rule.Eta, parallel) + 1e-4);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Parameters_that_switch_off_and_one_text_token(AttentionKind kind)
    {
        using var scope = new TensorScope();
        var scene = new AttentionScene(kind, _random);
        float[] plain = scene.Guided().ToArray();
        Assert.Equal(plain, scene.Guided(new PladisGuidance { Scale = 0 }).ToArray());
        Assert.Equal(plain, scene.Guided(new PladisGuidance { Entmax = 1 }).ToArray());
        Assert.Equal(plain, scene.Guided(new GeometryAwareAttentionGuidance { Entmax = 1 }).ToArray());
        foreach (
            var rule in new GuidanceRule[] {
                new PladisGuidance(), new GeometryAwareAttentionGuidance(), new NegativeAwaySteerAttention(),
                new NormalizedAttentionGuidance() })
            Assert.Equal(plain, scene.Guided(rule.Neutral!).ToArray());

        // lambda 0 is sparse attention, not plain; one token is all there is to attend to.
        var sparse = scene.Guided(new GeometryAwareAttentionGuidance { Lambda = 0 });
        scene.Compare(sparse, (item, row, head) =>
        {
            var (d, s, whole, m) = scene.Facts(item, row, head, 1.5);
            return Add(whole, m, Add(s, -1, d));
        });
        Assert.NotEqual(plain, sparse.ToArray());
        var single = new AttentionScene(kind, _random, text: 1);
        single.Compare(
            single.Guided(new GeometryAwareAttentionGuidance { Lambda = 10 }),
            (item, row, head) => single.Facts(item, row, head, 1.5).Plain, 2e-6);
    }

    /// <summary>
    /// The rules are homogeneous in the values: tiny and huge ones, whose squares float32 does not hold, are guided as others are.
    /// </summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void Tiny_and_huge_values_are_guided_alike(AttentionKind kind)
    {
        foreach (var projection in new[] { GuidanceProjection.Text, GuidanceProjection.Row })
        {
            var rule = new GeometryAwareAttentionGuidance {
                Lambda = 10, Eta = float.PositiveInfinity, Zeta = .25f, Projection = projection };
            float[] Guided(double factor)
            {
                using var scope = new TensorScope();
                return [
                    .. new AttentionScene(kind, new Random(1), values: factor)
                        .Guided(rule)
                        .ToArray()
                        .Select(value => (float)(value / factor))];
            }

            float[] expected = Guided(1);
            foreach (int exponent in new[] { -90, -66, 62, 80 })
            {
                float[] actual = Guided(Math.Pow(2, exponent));
                for (int i = 0; i < expected.Length; i++)
                    Assert.Equal(expected[i], actual[i], 2e-5f * expected.Max(Math.Abs));
            }
        }
    }

    /// <summary>The discrepancy does not change when a vector is added to all values.</summary>
    [Fact]
    public void Shifted_values_shift_the_output()
    {
        using var scope = new TensorScope();
        var scene = new AttentionScene(AttentionKind.Joint, _random);
        var rule = new PladisGuidance { Scale = 3 };
        var before = scene.Guided(rule);
        var plain = scene.Guided();
        var shift = Tensor.Full(Host, [1, 1, 1, 24], 3);
        var schedule = new GuidanceSchedule(rule).At(0, 1).Steering.Attention;
        var shifted = schedule.Attend(scene.Call with { Value = scene.Call.Value.Add(shift) })
            .Slice(1, scene.StartOf(TokenKind.Latent), scene.Rows);
        scene.Compare(
            shifted.Contiguous(), (item, row, head) => [.. before.Row(item, row, head).ToArray().Select(value => (double)value + 3)], 1e-5);
        Assert.NotEqual(plain.ToArray(), before.ToArray());
    }

    [Fact]
    public void Masked_text_does_not_count_and_without_any_nothing_changes()
    {
        GuidanceRule[] rules = [
            new PladisGuidance(), new GeometryAwareAttentionGuidance { Zeta = .3f },
            new GeometryAwareAttentionGuidance { Projection = GuidanceProjection.Row }];
        foreach (var rule in rules)
        {
            using var scope = new TensorScope();
            var padded = new AttentionScene(AttentionKind.Joint, _random, counts: (kind, i) => kind != TokenKind.Text || i < 4);
            float entmax = ((ISparseTextReader)rule).Entmax;
            if (rule is PladisGuidance)
            {
                padded.Compare(padded.Guided(rule), (item, row, head) =>
                {
                    var (d, s, plain, m) = padded.Facts(item, row, head, entmax);
                    return Add(plain, m * 2, Add(s, -1, d));
                });
            }
            var none = new AttentionScene(AttentionKind.Joint, _random, counts: (kind, _) => kind != TokenKind.Text);
            none.Compare(none.Guided(rule), (item, row, head) => none.Over(item, row, head, [TokenKind.Latent]), 2e-6);
            var nothing = new AttentionScene(AttentionKind.Cross, _random, counts: (_, _) => false);
            Assert.All(nothing.Guided(rule).ToArray(), value => Assert.Equal(0, value));
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Extreme_inputs_stay_finite(AttentionKind kind)
    {
        foreach (
            var rule in new GuidanceRule[] {
                new PladisGuidance(), new GeometryAwareAttentionGuidance { Lambda = 10, Zeta = .5f },
                new GeometryAwareAttentionGuidance { Projection = GuidanceProjection.Row }, new ValueSignFlip(),
                new NegativeAwaySteerAttention(), new NormalizedAttentionGuidance() })
        {
            foreach (var (sharpness, values) in new[] { (100.0, 1.0), (1.5, 0.0), (0.0, 1.0), (1.5, 1e-30) })
            {
                using var scope = new TensorScope();
                var scene = new AttentionScene(kind, _random, sharpness: sharpness, values: values);
                Assert.All(scene.Guided(rule).ToArray(), value => Assert.True(float.IsFinite(value), $"{rule}, {sharpness}, {values}"));
            }
        }
    }

    [Fact]
    public void Facts_are_computed_once_and_cross_attention_needs_no_merge()
    {
        using var scope = new TensorScope();
        var cross = new AttentionScene(AttentionKind.Cross, _random);
        using (var facts = new AttentionFacts(cross.Call))
        {
            Assert.Same(facts.TextDense, facts.Latents);
            Assert.Same(facts.NegativeLatents, facts.NegativeLatents);
            Assert.Same(facts.TextSparse(1.5f), facts.TextSparse(1.5f));
            Assert.NotSame(facts.TextSparse(1.5f), facts.TextSparse(2));
            Assert.All(facts.TextMass.ToArray(), mass => Assert.Equal(1, mass));
            Assert.Same(cross.Call.Query, facts.Query);
        }

        // What was asked for first must not matter beyond rounding, nor whether the sparse part was expected.
        var joint = new AttentionScene(AttentionKind.Joint, _random);
        using var first = new AttentionFacts(joint.Call);
        using var last = new AttentionFacts(joint.Call) { NeedsParts = true };
        using var expected = new AttentionFacts(joint.Call) { NeedsParts = true, ExpectedEntmax = 2 };
        var sparse = first.TextSparse(2);
        _ = (
            last.Latents, expected.Latents, last.NegativeLatents, last.OverNegativeText, expected.OverNegativeText,
            expected.NegativeLatents);
        foreach (var (a, b) in new[]
        {
            (sparse, last.TextSparse(2)), (sparse, expected.TextSparse(2)), (first.SupportSize(2), last.SupportSize(2)),
            (first.TextDense, last.TextDense), (first.Latents, expected.Latents),
            (first.TextMass, last.TextMass), (first.NegativeLatents, last.NegativeLatents),
            (first.NegativeLatents, expected.NegativeLatents),
        })
        {
            float[] other = b.ToArray();
            Assert.All(a.ToArray().Select((value, i) => (value, i)), pair => Assert.Equal(pair.value, other[pair.i], 2e-5f));
        }
        joint.Compare(first.NegativeLatents, (item, row, head) => joint.Over(item, row, head, [TokenKind.NegativeText, TokenKind.Latent]));
        for (int row = 0; row < joint.Rows; row++)
            Assert.Equal(
                EntmaxReference.Weights(joint.Logits(0, row, 1, [TokenKind.Text]), 2).Count(weight => weight > 0),
                first.SupportSize(2).Row(0, row)[1]);
    }
}
