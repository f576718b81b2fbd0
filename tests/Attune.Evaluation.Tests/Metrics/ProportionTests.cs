using Attune.Evaluation.Metrics;

namespace Attune.Evaluation.Tests.Metrics;

public class ProportionTests
{
    [Theory]
    [InlineData(8, 10, 0.4901625, 0.9433178)]
    [InlineData(1, 2, 0.0945312, 0.9054688)]
    [InlineData(15, 1000, 0.0091110, 0.0246010)]
    public void Wilson_intervals_have_known_ends(int successes, int trials, double low, double high)
    {
        var interval = new Proportion(successes, trials).Wilson();
        Assert.Equal(low, interval.Low, 2e-7);
        Assert.Equal(high, interval.High, 2e-7);
    }

    [Fact]
    public void Wilson_intervals_solve_their_equation()
    {
        // Both ends are the probabilities p at which the observed share is z deviations away: |share - p| = z sqrt(p (1 - p) / n).
        var proportion = new Proportion(37, 210);
        var interval = proportion.Wilson();
        foreach (double p in (double[])[interval.Low, interval.High])
            Assert.Equal(1.959963984540054, Math.Abs(proportion.Value - p) / Math.Sqrt(p * (1 - p) / 210), 1e-10);
        Assert.True(interval.Low < proportion.Value && proportion.Value < interval.High);
    }

    [Fact]
    public void Wilson_intervals_end_at_0_and_1()
    {
        Assert.Equal(new Interval(0, 1), new Proportion(0, 0).Wilson());
        Assert.Equal(0, new Proportion(0, 10).Wilson().Low);
        Assert.Equal(0.2775328, new Proportion(0, 10).Wilson().High, 1e-7);
        Assert.Equal(1, new Proportion(10, 10).Wilson().High);
        Assert.Equal(1 - 0.2775328, new Proportion(10, 10).Wilson().Low, 1e-7);
    }

    [Fact]
    public void Proportions_add_up()
    {
        Assert.Equal(new Proportion(3, 10), Proportion.Sum([new Proportion(1, 4), new Proportion(2, 6), default]));
        Assert.Equal(0.3, new Proportion(3, 10).Value);
        Assert.True(double.IsNaN(Proportion.Sum([]).Value));
    }

    [Theory]
    [InlineData(-1, 2)]
    [InlineData(3, 2)]
    [InlineData(0, -1)]
    public void What_is_no_share_is_refused(int successes, int trials) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new Proportion(successes, trials));

    [Fact]
    public void What_moves_with_its_baseline_has_a_narrow_interval()
    {
        // Each prompt has as many as its baseline: however the prompts are drawn, the ratio is 1. Unpaired, the interval would be wide.
        var pairs = Enumerable.Range(0, 30).Select(i => Pair(i % 5, i % 5, 8)).ToArray();
        Assert.Equal(new RatioEstimate(1, new Interval(1, 1)), Proportion.Ratio(pairs));
        var half = Enumerable.Range(0, 30).Select(i => Pair(i % 5, 2 * (i % 5), 8)).ToArray();
        Assert.Equal(new RatioEstimate(0.5, new Interval(0.5, 0.5)), Proportion.Ratio(half));
    }

    [Fact]
    public void The_interval_is_that_of_the_delta_method_for_many_prompts()
    {
        // 900 prompts of one trial: 1/3 against 2/3, independent. log ratio has the variance (1 - p)/(p n) + (1 - q)/(q n).
        var pairs = Enumerable.Range(0, 900).Select(i => Pair(i % 3 == 0 ? 1 : 0, i / 3 % 3 != 0 ? 1 : 0, 1)).ToArray();
        double half = 1.959964 * Math.Sqrt(2 / 900.0 + 0.5 / 900.0);
        var estimate = Proportion.Ratio(pairs, seed: 3);
        Assert.Equal(0.5, estimate.Value, 1e-12);
        Assert.Equal(-half, Math.Log(estimate.Interval.Low / 0.5), 0.05 * half);
        Assert.Equal(half, Math.Log(estimate.Interval.High / 0.5), 0.05 * half);
    }

    [Fact]
    public void Pictures_of_one_prompt_are_drawn_together()
    {
        // Ten equal trials for each of 90 prompts hold what one trial of each holds.
        var one = Enumerable.Range(0, 90).Select(i => Pair(i % 3 == 0 ? 1 : 0, i / 3 % 3 != 0 ? 1 : 0, 1)).ToArray();
        var ten = one.Select(pair => Pair(10 * pair.Value.Successes, 10 * pair.Baseline.Successes, 10)).ToArray();
        Assert.Equal(Proportion.Ratio(one, seed: 5).Interval, Proportion.Ratio(ten, seed: 5).Interval);
    }

    [Fact]
    public void Prompts_weigh_as_many_as_their_trials()
    {
        var pairs = new[] {
            new PairedProportions(new Proportion(1, 10), new Proportion(5, 10)),
            new PairedProportions(new Proportion(0, 2), new Proportion(1, 2)) };
        Assert.Equal(1 / 12.0 / (6 / 12.0), Proportion.Ratio(pairs).Value, 1e-12);
    }

    [Fact]
    public void A_seed_gives_its_interval()
    {
        var pairs = Enumerable.Range(0, 40).Select(i => Pair(i * i % 7, i % 7, 8)).ToArray();
        Assert.Equal(Proportion.Ratio(pairs, seed: 1, resamples: 200), Proportion.Ratio(pairs, seed: 1, resamples: 200));
        Assert.NotEqual(Proportion.Ratio(pairs, seed: 1, resamples: 200), Proportion.Ratio(pairs, seed: 2, resamples: 200));
    }

    [Fact]
    public void A_baseline_of_zero_gives_no_finite_ratio()
    {
        var none = Proportion.Ratio([Pair(0, 0, 4), Pair(0, 0, 4)]);
        Assert.True(double.IsNaN(none.Value) && double.IsNaN(none.Interval.Low) && double.IsNaN(none.Interval.High));
        var nothing = Proportion.Ratio([]);
        Assert.True(double.IsNaN(nothing.Value) && double.IsNaN(nothing.Interval.Low));
        var infinite = Proportion.Ratio([Pair(2, 0, 4), Pair(1, 0, 4)]);
        Assert.Equal(new RatioEstimate(double.PositiveInfinity, new Interval(double.PositiveInfinity, double.PositiveInfinity)), infinite);
        // A quarter of the draws has the first prompt alone.
        var half = Proportion.Ratio([Pair(2, 0, 4), Pair(1, 2, 4)]);
        Assert.Equal(1.5, half.Value, 1e-12);
        Assert.Equal(0.5, half.Interval.Low, 1e-12);
        Assert.Equal(double.PositiveInfinity, half.Interval.High);
    }

    private static PairedProportions Pair(int successes, int baseline, int trials) =>
        new(new Proportion(successes, trials), new Proportion(baseline, trials));
}
