using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>The rules that read the negative prompt's text, and how rules in attention space go together.</summary>
[NoLeaks]
public class AttentionRuleTests
{
    private static readonly TokenKind[] Own = [TokenKind.Text, TokenKind.Latent];
    private static readonly TokenKind[] Other = [TokenKind.NegativeText, TokenKind.Latent];
    private readonly Random _random = new(9);

    public static TheoryData<AttentionKind> Kinds => [AttentionKind.Cross, AttentionKind.Joint];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Nasa_subtracts_the_negative_output(AttentionKind kind)
    {
        using var scope = new TensorScope();
        var scene = new AttentionScene(kind, _random, batch: 2);
        scene.Compare(scene.Guided(new NegativeAwaySteerAttention { Scale = .4f }), (item, row, head) =>
            [.. scene.Over(item, row, head, Own).Zip(scene.Over(item, row, head, Other), (plus, minus) => plus - (double).4f * minus)]);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Vsf_is_one_softmax_with_flipped_negative_values(AttentionKind kind)
    {
        foreach (var (scale, offset) in new[] { (3.5f, .1f), (1.7f, -.25f), (0, .2f) })
        {
            using var scope = new TensorScope();
            var scene = new AttentionScene(kind, _random, batch: 2, negative: 11);
            scene.Compare(scene.Guided(new ValueSignFlip { Scale = scale, Offset = offset }), (item, row, head) =>
            {
                double[] positive = scene.Logits(item, row, head, Own);
                double[] weights = EntmaxReference.Weights(
                    [.. positive, .. scene.Logits(item, row, head, [TokenKind.NegativeText]).Select(z => z - offset)], 1);
                double[] kept = scene.Sum(weights[..positive.Length], item, head, Own);
                double[] flipped = scene.Sum(weights[positive.Length..], item, head, [TokenKind.NegativeText]);
                return [.. kept.Zip(flipped, (plus, minus) => plus - scale * minus)];
            });
        }
    }

    /// <summary>Equations 7 to 10 for tokens whose width is no multiple of a vector's, with their bound.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void Nag_is_its_formula_at_any_width(AttentionKind kind)
    {
        foreach (var (heads, channels, norm) in new[] { (1, 8, 1), (3, 8, 2), (5, 24, 1), (2, 40, 2), (3, 72, 1) })
        {
            using var scope = new TensorScope();
            var scene = new AttentionScene(kind, _random, heads: heads, channels: channels);
            var rule = new NormalizedAttentionGuidance { Scale = 6, Tau = 1.8f, Alpha = .7f, Norm = norm };
            var guided = scene.Guided(rule);
            double Length(IEnumerable<double> token) => norm == 2 ? Math.Sqrt(token.Sum(value => value * value)) : token.Sum(Math.Abs);
            double[] Token(int item, int row, TokenKind[] kinds) =>
                [.. Enumerable.Range(0, heads).SelectMany(head => scene.Over(item, row, head, kinds))];
            double[] Expected(int item, int row)
            {
                var (plus, minus) = (Token(item, row, Own), Token(item, row, Other));
                double[] extrapolated = [.. plus.Zip(minus, (p, m) => p + 6 * (p - m))];
                double factor = Math.Min(1, (double)1.8f * Length(plus) / Length(extrapolated));
                return [.. extrapolated.Zip(plus, (e, p) => (double).7f * factor * e + (1 - (double).7f) * p)];
            }

            scene.Compare(guided, (item, row, head) => Expected(item, row)[(head * channels)..((head + 1) * channels)], 3e-5);
            for (int row = 0; row < scene.Rows; row++)
            {
                var all = Enumerable.Range(0, heads).SelectMany(head => guided.Row(0, row, head).ToArray()).Select(value => (double)value);
                Assert.True(Length(all) <= (1 - .7 + .7 * 1.8) * Length(Token(0, row, Own)) * (1 + 1e-5));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Corrections_read_plain_facts_and_add_up_in_any_order(AttentionKind kind)
    {
        using var scope = new TensorScope();
        var scene = new AttentionScene(kind, _random);
        GuidanceRule[] rules = [
            new GeometryAwareAttentionGuidance(), new NormalizedAttentionGuidance(), new NegativeAwaySteerAttention(),
            new PladisGuidance { Entmax = 2 }];
        var plain = scene.Guided();
        var together = scene.Guided(rules);
        float[] sum = plain.ToArray();
        foreach (var rule in rules)
        {
            float[] alone = scene.Guided(rule).ToArray();
            float[] without = plain.ToArray();
            for (int i = 0; i < sum.Length; i++)
                sum[i] += alone[i] - without[i];
        }
        Assert.All(
            together.ToArray().Select((value, i) => (value, i)), pair => Assert.Equal(sum[pair.i], pair.value, 2e-5f * sum.Max(Math.Abs)));
        Assert.Equal(together.ToArray(), scene.Guided(rules.Reverse()).ToArray());
    }

    [Fact]
    public void Text_rows_stay_plain_and_both_copies_of_forked_latents_are_guided()
    {
        using var scope = new TensorScope();
        foreach (
            var rule in new GuidanceRule[] {
                new GeometryAwareAttentionGuidance(), new PladisGuidance(), new ValueSignFlip(), new NegativeAwaySteerAttention(),
                new NormalizedAttentionGuidance() })
        {
            var scene = new AttentionScene(AttentionKind.Joint, _random, forked: true);
            var guided = new GuidanceSchedule(rule).At(0, 1).Steering.Attention.Attend(scene.Call);
            var plain = PlainAttention.Instance.Attend(scene.Call);
            int text = scene.StartOf(TokenKind.Latent);
            Assert.Equal(plain.Slice(1, 0, text).ToArray(), guided.Slice(1, 0, text).ToArray());
            float[] rows = guided.Slice(1, text, scene.Rows).ToArray();
            Assert.Equal(rows, guided.Slice(1, scene.StartOf(TokenKind.NegativeLatent), scene.Rows).ToArray());
            Assert.NotEqual(plain.Slice(1, text, scene.Rows).ToArray(), rows);
        }
    }

    [Theory]
    [InlineData("gag:lambda=10,eta=infinite,zeta=0.5,entmax=2,project=row")]
    [InlineData("pladis:scale=1.5,entmax=1.75,steps=0-2")]
    [InlineData("nasa:scale=0.4")]
    [InlineData("vsf:scale=6,offset=-0.2")]
    [InlineData("gag + nag + pladis")]
    public void Rules_have_a_text_form_that_reads_back(string text)
    {
        var rules = RuleCatalog.Parse(text);
        Assert.Equal(rules, RuleCatalog.Parse(string.Join('+', rules.Select(RuleCatalog.Format))));
    }

    [Fact]
    public void Parameters_out_of_range_and_conflicts_are_named()
    {
        foreach (var (rule, name) in new (GuidanceRule, string)[]
        {
            (new GeometryAwareAttentionGuidance { Lambda = -1 }, "gag: lambda"),
            (new GeometryAwareAttentionGuidance { Eta = float.NaN }, "gag: eta"),
            (new GeometryAwareAttentionGuidance { Zeta = 1.1f }, "gag: zeta"),
            (new GeometryAwareAttentionGuidance { Entmax = .5f }, "gag: entmax"),
            (new PladisGuidance { Scale = float.PositiveInfinity }, "pladis: scale"), (new PladisGuidance { Entmax = 0 }, "pladis: entmax"),
            (new NegativeAwaySteerAttention { Scale = -.1f }, "nasa: scale"), (new ValueSignFlip { Scale = -1 }, "vsf: scale"),
            (new ValueSignFlip { Offset = float.NaN }, "vsf: offset"),
        })
            Assert.Contains(
                name, Assert.Throws<ArgumentOutOfRangeException>(() => new GuidanceSchedule(rule)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "vsf and vsf",
            Assert.Throws<ArgumentException>(() => new GuidanceSchedule(new ValueSignFlip(), new ValueSignFlip { Scale = 2 })).Message,
            StringComparison.Ordinal);
        using var scope = new TensorScope();
        var call = new AttentionScene(AttentionKind.Cross, _random, negative: 0).Call;
        Assert.Throws<InvalidOperationException>(() => new GuidanceSchedule(new ValueSignFlip()).At(0, 1).Steering.Attention.Attend(call));
    }
}
