using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Tests.Guidance;

[NoLeaks]
public class NormalizedAttentionGuidanceTests
{
    /// <summary>A cross-attention call with one key each, so that Z+ and Z- are the given values.</summary>
    private static float[] Guide(NormalizedAttentionGuidance rule, float[] positive, float[] negative)
    {
        using var scope = new TensorScope();
        int channels = positive.Length;
        var query = Tensor.Zeros(Host, [1, 1, 1, channels]);
        var key = Tensor.Zeros(Host, [1, 2, 1, channels]);
        var value = Tensor.From(Host, [.. negative, .. positive], [1, 2, 1, channels]);
        var call = new AttentionCall(
            query, key, value, 1, TokenLayout.Of((TokenKind.Latent, 1)), TokenLayout.Of((TokenKind.NegativeText, 1), (TokenKind.Text, 1)),
            new AttentionSite("test", AttentionKind.Cross));
        return new GuidanceSchedule(rule).At(0, 1).Steering.Attention.Attend(call).ToArray();
    }

    private static readonly float[] Positive = [1, -2, .5f, .25f, 0, 0, 0, 0];
    private static readonly float[] Negative = [.5f, -1, 1, -.75f, 0, 0, 0, 0];

    /// <summary>Worked by hand from equations 7 to 10 (the authors' scale s is phi + 1).</summary>
    [Theory]
    [InlineData(4, 2.5, .25, 1, new[] { 1.226694915f, -2.453389831f, 0.136652542f, 0.862817797f })]
    [InlineData(4, 2.5, .25, 2, new[] { 1.284752212f, -2.569504424f, 0.107623894f, 0.945065634f })]
    [InlineData(2, 2.5, .5, 1, new[] { 1.5f, -3, 0, 1.25f })]
    public void Worked_examples(float scale, float tau, float alpha, int norm, float[] expected)
    {
        var rule = new NormalizedAttentionGuidance { Scale = scale, Tau = tau, Alpha = alpha, Norm = norm };
        float[] actual = Guide(rule, Positive, Negative);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 1e-6f);
    }

    [Fact]
    public void The_norm_stays_within_its_bound()
    {
        var random = new Random(3);
        for (int trial = 0; trial < 500; trial++)
        {
            float[] Draw() =>
                [.. Enumerable.Range(0, 8).Select(_ => (float)((random.NextDouble() - .5) * Math.Pow(10, random.Next(-6, 7))))];
            var (positive, negative) = (Draw(), Draw());
            var rule = new NormalizedAttentionGuidance {
                Scale = (float)(random.NextDouble() * 20), Tau = 1 + (float)random.NextDouble() * 4, Alpha = (float)random.NextDouble() };
            float[] guided = Guide(rule, positive, negative);
            Assert.All(guided, value => Assert.True(float.IsFinite(value)));
            double bound = (1 - rule.Alpha + rule.Alpha * rule.Tau) * positive.Sum(Math.Abs);
            Assert.True(guided.Sum(Math.Abs) <= bound * (1 + 1e-5), $"{guided.Sum(Math.Abs)} > {bound}");
        }
    }

    [Fact]
    public void Equal_prompts_give_the_plain_output_and_zeros_stay_zeros()
    {
        var rule = new NormalizedAttentionGuidance();
        Assert.Equal(Positive, Guide(rule, Positive, Positive));
        Assert.Equal(new float[8], Guide(rule, new float[8], Negative));
        Assert.Equal(Positive, Guide(new NormalizedAttentionGuidance { Scale = 0 }, Positive, Negative));
        Assert.Equal(Positive, Guide(new NormalizedAttentionGuidance { Alpha = 0 }, Positive, Negative));
    }

    [Theory]
    [InlineData("nag:scale=3,tau=2,alpha=0.5,norm=2,latents=forked,steps=0-2,layers=transformer_blocks.1")]
    [InlineData("nag:phi=3")]
    [InlineData("cfg:scale=3 + nag")]
    public void Rules_have_a_text_form_that_reads_back(string text)
    {
        var rules = RuleCatalog.Parse(text);
        Assert.Equal(rules, RuleCatalog.Parse(string.Join('+', rules.Select(RuleCatalog.Format))));
    }

    [Fact]
    public void Conflicts_are_found_when_a_schedule_is_built()
    {
        var exception = Assert.Throws<ArgumentException>(
            () => new GuidanceSchedule(new ClassifierFreeGuidance(), new ClassifierFreeGuidance { Scale = 2 }));
        Assert.Contains("cfg and cfg", exception.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new GuidanceSchedule(new NormalizedAttentionGuidance { Scale = float.NaN }));
    }
}
