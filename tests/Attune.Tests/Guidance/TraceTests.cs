using Attune.Attention;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>Diagnostic numbers against their definitions in double precision, on random attention calls.</summary>
[NoLeaks]
public class TraceTests
{
    private static readonly TokenKind[] Text = [TokenKind.Text];
    private static readonly TokenKind[] All = [TokenKind.Text, TokenKind.Latent];
    private static readonly TokenKind[] Negative = [TokenKind.NegativeText, TokenKind.Latent];
    private readonly Random _random = new(11);

    public static TheoryData<AttentionKind> Kinds => [AttentionKind.Cross, AttentionKind.Joint];

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double Norm(double[] a) => Math.Sqrt(Dot(a, a));

    private static double[] Add(double[] a, double factor, double[] b) => [.. a.Zip(b, (x, y) => x + factor * y)];

    private AttentionScene Scene(AttentionKind kind, Func<TokenKind, int, bool>? counts = null) =>
        new(
            kind, _random, batch: 1 + _random.Next(2), heads: 1 + _random.Next(3), channels: 8 * _random.Next(1, 5),
            latents: _random.Next(1, 20), text: _random.Next(1, 24), negative: _random.Next(1, 9), counts: counts);

    private static GuidanceTrace Trace(AttentionCall call, params GuidanceRule[] rules)
    {
        var trace = new GuidanceTrace();
        var point = new StepPoint(0, 1, 1000, 1);
        trace.Begin(point);
        _ = new GuidanceSchedule(rules).At(point, trace).Steering.Attention.Attend(call);
        return trace;
    }

    private static Summary Of(GuidanceTrace trace, string name) =>
        Assert.Single(Assert.Single(trace.Series, series => series.Quantity.Name == name).Entries).Values;

    private static void Same(Summary actual, IEnumerable<double> expected, double tolerance = 2e-5)
    {
        double[] sorted = [.. expected.Where(double.IsFinite).Order()];
        double Quantile(double part)
        {
            double at = part * (sorted.Length - 1);
            return sorted[(int)Math.Floor(at)] * (1 - at + Math.Floor(at)) + sorted[(int)Math.Ceiling(at)] * (at - Math.Floor(at));
        }

        Assert.Equal(sorted.Length, actual.Count);
        double allowed = tolerance * Math.Max(1, sorted.Max(Math.Abs));
        Assert.Equal(sorted.Average(), actual.Mean, allowed);
        Assert.Equal(sorted[0], actual.Minimum, allowed);
        Assert.Equal(Quantile(.1), actual.LowDecile, allowed);
        Assert.Equal(Quantile(.5), actual.Median, allowed);
        Assert.Equal(Quantile(.9), actual.HighDecile, allowed);
        Assert.Equal(sorted[^1], actual.Maximum, allowed);
    }

    private static IEnumerable<double> Tokens(AttentionScene scene, Func<int, int, double> of) =>
        from item in Enumerable.Range(0, scene.Call.Query.Shape[0]) from row in Enumerable.Range(0, scene.Rows) select of(item, row);

    private static IEnumerable<double> Heads(AttentionScene scene, Func<int, int, int, double> of) =>
        from item in Enumerable.Range(
            0, scene.Call.Query.Shape[0]) from row in Enumerable.Range(0, scene.Rows) from head in Enumerable.Range(0,
            scene.Heads) select of(item, row, head);

    private static double[] Whole(AttentionScene scene, int item, int row, TokenKind[] kinds) =>
        [.. Enumerable.Range(0, scene.Heads).SelectMany(head => scene.Over(item, row, head, kinds))];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Nag_reports_norm_ratio_and_the_share_that_tau_clips(AttentionKind kind)
    {
        for (int trial = 0; trial < 8; trial++)
        {
            using var scope = new TensorScope();
            var scene = Scene(kind);
            var rule = new NormalizedAttentionGuidance { Norm = 1 + trial % 2, Tau = 1.5f };
            double Of(double[] z) => rule.Norm == 1 ? z.Sum(Math.Abs) : Norm(z);
            double[] ratios = [.. Tokens(scene, (item, row) =>
            {
                double[] plus = Whole(scene, item, row, All);
                return Of(Add(plus, rule.Scale, Add(plus, -1, Whole(scene, item, row, Negative)))) / Of(plus);
            })];
            var trace = Trace(scene.Call, rule);
            Same(TraceTests.Of(trace, "nag.ratio"), ratios, 1e-4);
            Same(TraceTests.Of(trace, "nag.clipped"), [ratios.Count(ratio => ratio > rule.Tau) / (double)ratios.Length]);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_layer_reports_change_text_mass_and_cosine(AttentionKind kind)
    {
        for (int trial = 0; trial < 8; trial++)
        {
            using var scope = new TensorScope();
            var scene = Scene(kind);
            GuidanceRule[] rules = [new NegativeAwaySteerAttention { Scale = .4f }, new PladisGuidance { Scale = 1.5f }];
            var trace = Trace(scene.Call, rules);
            Same(Of(trace, "attention.change"), Tokens(scene, (item, row) =>
            {
                double[] pladis = [.. Enumerable.Range(0, scene.Heads).SelectMany(head =>
                {
                    var (dense, sparse, _, mass) = scene.Facts(item, row, head, 1.5);
                    return Add(sparse, -1, dense).Select(value => 1.5 * mass * value);
                })];
                return Norm(Add(pladis, -.4, Whole(scene, item, row, Negative))) / Norm(Whole(scene, item, row, All));
            }), 1e-4);
            Same(Of(trace, "attention.cosine"), Tokens(scene, (item, row) =>
            {
                var (plus, minus) = (Whole(scene, item, row, All), Whole(scene, item, row, Negative));
                return Dot(plus, minus) / Norm(plus) / Norm(minus);
            }));
            if (kind == AttentionKind.Joint)
                Same(Of(trace, "attention.text"), Heads(scene, scene.TextMass));
            else
                Assert.DoesNotContain(trace.Series, series => series.Quantity.Name == "attention.text");
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gag_reports_gain_length_and_how_often_eta_binds(AttentionKind kind)
    {
        for (int trial = 0; trial < 8; trial++)
        {
            using var scope = new TensorScope();
            var scene = Scene(kind);
            var rule = new GeometryAwareAttentionGuidance {
                Eta = .2f, Zeta = trial % 3 / 2f, Entmax = trial % 2 == 0 ? 1.5f : 2, Projection = (GuidanceProjection)(trial % 2) };
            double[] Directions(int item, int row, int head, out double[] r)
            {
                var (dense, sparse, plain, mass) = scene.Facts(item, row, head, rule.Entmax);
                bool full = rule.Projection == GuidanceProjection.Row;
                r = [.. Add(sparse, -1, dense).Select(value => full ? mass * value : value)];
                return full ? Add(plain, 1, r) : sparse;
            }

            double Length(int item, int row, int head)
            {
                double[] s = Directions(item, row, head, out double[] r);
                double[] parallel = [.. s.Select(value => Dot(r, s) / Dot(s, s) * value)];
                return Norm(Add(parallel, rule.Zeta, Add(r, -1, parallel)));
            }

            var trace = Trace(scene.Call, rule);
            Same(Of(trace, "gag.gain"), Heads(scene, (item, row, head) =>
            {
                double[] s = Directions(item, row, head, out double[] r);
                return Dot(r, s) / Dot(s, s);
            }), 1e-4);
            double[] lengths = [.. Heads(scene, Length)];
            Same(Of(trace, "gag.length"), lengths, 1e-4);
            Same(Of(trace, "gag.capped"), [lengths.Count(length => length > rule.Eta) / (double)lengths.Length]);
        }
    }

    /// <summary>Energies, residuals and the coefficient in the space of keys, from their definitions; a mask leaves text out.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void Sparse_rules_report_support_energies_and_the_anderson_step(AttentionKind kind)
    {
        for (int trial = 0; trial < 8; trial++)
        {
            using var scope = new TensorScope();
            var scene = Scene(kind, trial < 4 ? null : (token, at) => token != TokenKind.Text || at % 3 != 1);
            double alpha = new[] { 1.5, 2, 1.25, 3 }[trial % 4];
            double coefficient = trial % 2 == 0 ? 3 : .5;
            GuidanceRule rule = trial % 2 == 0 ? new GeometryAwareAttentionGuidance { Lambda = 3, Entmax = (float)alpha }
                : new PladisGuidance { Scale = 1.5f, Entmax = (float)alpha };
            var call = scene.Call;
            int start = scene.StartOf(TokenKind.Latent);
            int first = call.Keys.Spans.Single(span => span.Kind == TokenKind.Text).Start;
            double beta = call.Scale;
            double[][] Keys(int item, int head) =>
                [
                    .. Enumerable.Range(0, call.Keys.CountOf(TokenKind.Text))
                        .Where(i => call.Mask == null || call.Mask.Keys!.Row(0)[first + i] != 0)
                .Select(i => call.Key.Row(item, first + i, head).ToArray().Select(value => (double)value).ToArray())];
            double[] Query(int item, int row, int head) =>
                [.. call.Query.Row(item, start + row, head).ToArray().Select(value => (double)value)];
            double[] Logits(double[][] keys, double[] at) => [.. keys.Select(key => beta * Dot(key, at))];
            double[] Update(double[][] keys, double[] at, double a) =>
                EntmaxReference.Weights(Logits(keys, at), a)
                    .Zip(keys)
                    .Aggregate(new double[at.Length], (sum, pair) => Add(sum, pair.First, pair.Second));
            double Energy(double[][] keys, double[] at, double a)
            {
                double[] z = Logits(keys, at);
                if (a == 1)
                    return -(z.Max() + Math.Log(z.Sum(value => Math.Exp(value - z.Max())))) / beta + Dot(at, at) / 2;
                double[] p = EntmaxReference.Weights(z, a);
                return -(Dot(p, z) + (1 - p.Sum(value => Math.Pow(value, a))) / (a * (a - 1))) / beta + Dot(at, at) / 2;
            }

            IEnumerable<double> Each(Func<double[][], double[], double> of) =>
                Heads(scene, (item, row, head) => of(Keys(item, head), Query(item, row, head)));
            var trace = Trace(call, rule);
            Same(
                Of(trace, "entmax.support"),
                Each((keys, q) => EntmaxReference.Weights(Logits(keys, q), alpha).Count(weight => weight > 0)));
            Same(Of(trace, "hopfield.before"), Each((keys, q) => Energy(keys, q, 1)), 1e-6);
            Same(Of(trace, "hopfield.after"), Each((keys, q) => Energy(keys, Update(keys, q, 1), 1)), 1e-6);
            Same(Of(trace, "hopfield.fall"), Each((keys, q) => Energy(keys, q, 1) - Energy(keys, Update(keys, q, 1), 1)), 1e-6);
            Same(Of(trace, "entmax.before"), Each((keys, q) => Energy(keys, q, alpha)), 1e-6);
            Same(Of(trace, "entmax.after"), Each((keys, q) => Energy(keys, Update(keys, q, alpha), alpha)), 1e-6);
            Same(Of(trace, "anderson.dense"), Each((keys, q) => Norm(Add(Update(keys, q, 1), -1, q))), 1e-6);
            Same(Of(trace, "anderson.sparse"), Each((keys, q) => Norm(Add(Update(keys, q, alpha), -1, q))), 1e-6);
            Same(Of(trace, "anderson.step"), Each((keys, q) =>
            {
                double[] sparse = Update(keys, q, alpha);
                return Norm(Add(Add(sparse, coefficient, Add(sparse, -1, Update(keys, q, 1))), -1, q));
            }), 1e-6);
            if (Keys(0, 0).Length > 1)
            {
                Same(Of(trace, "anderson.coefficient"), Each((keys, q) =>
                {
                    double[] sparse = Update(keys, q, alpha);
                    double[] step = Add(sparse, -1, Update(keys, q, 1));
                    return -Dot(Add(sparse, -1, q), step) / Dot(step, step);
                }), 1e-4);
            }
        }
    }

    [Fact]
    public void The_coefficient_that_is_reported_gives_the_least_residual()
    {
        using var scope = new TensorScope();
        int compared = 0;
        for (int trial = 0; trial < 60; trial++)
        {
            var call = new AttentionScene(AttentionKind.Cross, _random, heads: 1, latents: 1).Call;
            call = call with { Query = call.Query.Affine(6), Scale = call.Scale / 6 };      // a state that is far from the patterns
            double best = Of(Trace(call, new PladisGuidance()), "anderson.coefficient").Mean;
            if (best < -.7)
                continue;       // PLADIS has no coefficient below -1
            double Residual(double coefficient) =>
                Of(Trace(call, new PladisGuidance { Scale = (float)(1 + coefficient) }), "anderson.step").Mean;
            Assert.True(Residual(best) < Residual(best - .2) && Residual(best) < Residual(best + .2));
            compared++;
        }
        Assert.True(compared > 5, $"{compared} scenes");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Vsf_reports_the_share_of_the_flipped_values(AttentionKind kind)
    {
        using var scope = new TensorScope();
        var scene = Scene(kind);
        var rule = new ValueSignFlip { Offset = .5f };
        Same(Of(Trace(scene.Call, rule), "vsf.share"), Heads(scene, (item, row, head) =>
        {
            double negative = scene.Logits(item, row, head, [TokenKind.NegativeText]).Sum(z => Math.Exp(z - .5));
            TokenKind[] others = kind == AttentionKind.Cross ? Text : All;
            return negative / (negative + scene.Logits(item, row, head, others).Sum(Math.Exp));
        }));
    }

    public static TheoryData<string> Extremes => ["plain", "masked text", "large logits", "zeros", "one text token"];

    /// <summary>
    /// Whatever the input is, what is reported is finite and lies in the range that its definition states; the output is the same bits as
    /// without a trace.
    /// </summary>
    [Theory]
    [MemberData(nameof(Extremes))]
    public void Numbers_stay_in_their_ranges_and_the_output_is_the_same(string extreme)
    {
        foreach (var kind in new[] { AttentionKind.Cross, AttentionKind.Joint })
        {
            foreach (
                string rules in new[] {
                    "none", "nag", "gag", "pladis:entmax=2", "nasa+gag:project=row", "vsf", "nag+pladis+gag:entmax=1.3,zeta=0.5" })
            {
                using var scope = new TensorScope();
                var scene = new AttentionScene(
                    kind, _random, batch: 2, text: extreme == "one text token" ? 1 : 9, sharpness: extreme == "large logits" ? 60 : 1.5,
                    values: extreme == "zeros" ? 0 : 1,
                    counts: extreme == "masked text" ? (token, _) => token is TokenKind.Latent : null);
                if (extreme == "zeros")
                    scene.Call.Query.Fill(0);
                var schedule = new GuidanceSchedule(RuleCatalog.Parse(rules));
                var trace = new GuidanceTrace();
                var point = new StepPoint(0, 1, 1000, 1);
                trace.Begin(point);
                float[] watched = schedule.At(point, trace).Steering.Attention.Attend(scene.Call).ToArray();
                Assert.Equal(schedule.At(point).Steering.Attention.Attend(scene.Call).ToArray(), watched);
                Assert.Single(trace.Layers);
                foreach (var series in trace.Series)
                {
                    var values = Assert.Single(series.Entries).Values;
                    double[] all = [values.Minimum, values.LowDecile, values.Mean, values.Median, values.HighDecile, values.Maximum];
                    Assert.All(
                        all,
                        value => Assert.True(
                            double.IsFinite(value) && value >= series.Quantity.Minimum && value <= series.Quantity.Maximum,
                            $"{extreme}, {kind}, {rules}: {series.Quantity.Name} is {value}"));
                    Assert.InRange(values.Mean, values.Minimum, values.Maximum);
                    Assert.True(
                        values.Count > 0
                            && series.Rule == null == !(
                                rules.Contains(series.Quantity.Name.Split('.')[0], StringComparison.Ordinal)
                                    || series.Quantity.Name.StartsWith("entmax", StringComparison.Ordinal)
                                    || series.Quantity.Name.StartsWith("anderson", StringComparison.Ordinal)));
                }
            }
        }
    }

    /// <summary>Without a trace, attention is evaluated as often as the rules need, and the plain model is the plain model.</summary>
    [Fact]
    public void No_trace_costs_no_attention_call()
    {
        var device = new CountingDevice(Host);
        using var scope = new TensorScope();
        Tensor On(Tensor x)
        {
            var copy = Tensor.Empty(device, x.Shape);
            x.CopyTo(copy);
            return copy;
        }

        int Count(AttentionKind kind, GuidanceTrace? trace, params GuidanceRule[] rules)
        {
            var call = new AttentionScene(kind, _random).Call;
            call = call with { Query = On(call.Query), Key = On(call.Key), Value = On(call.Value) };
            var point = new StepPoint(0, 1, 1000, 1);
            trace?.Begin(point);
            device.Attentions = 0;
            _ = new GuidanceSchedule(rules).At(point, trace).Steering.Attention.Attend(call);
            return device.Attentions;
        }

        Assert.Equal(1, Count(AttentionKind.Cross, null));
        Assert.Equal(2, Count(AttentionKind.Cross, null, new NormalizedAttentionGuidance()));
        Assert.Equal(1, Count(AttentionKind.Cross, null, new GeometryAwareAttentionGuidance()));
        Assert.Equal(2, Count(AttentionKind.Cross, null, new GeometryAwareAttentionGuidance(), new NormalizedAttentionGuidance()));
        Assert.True(Count(AttentionKind.Cross, new GuidanceTrace()) > 1);
        Assert.Same(Steering.Plain, GuidanceSchedule.None.At(0, 1).Steering);
        Assert.Null(((GuidedAttention)new GuidanceSchedule(new NormalizedAttentionGuidance()).At(0, 1).Steering.Attention).Probe);
    }

    [Fact]
    public void Layers_where_no_rule_acts_report_what_holds_without_rules()
    {
        using var scope = new TensorScope();
        var rule = new NormalizedAttentionGuidance { Layers = LayerSelector.Of("elsewhere") };
        var trace = Trace(new AttentionScene(AttentionKind.Joint, _random).Call, rule);
        Assert.Equal(
            ["attention.text", "attention.cosine", "hopfield.before", "hopfield.after", "hopfield.fall"],
            trace.Series.Select(series => series.Quantity.Name));
        var self = new AttentionScene(AttentionKind.Joint, _random).Call with { Site = new AttentionSite("self", AttentionKind.Self) };
        Assert.Empty(Trace(self, rule).Layers);
    }

    private sealed record OutsideRule : GuidanceRule, IAttentionCorrection, IDiagnosedRule
    {
        public static Quantity Tokens { get; } = new("outside.tokens", "Tokens", "The number of latent tokens.", "there are {0} tokens");

        public void AddTo(Tensor output, AttentionFacts facts)
        {
        }

        public void Measure(AttentionFacts facts, IMeasurements to) => to.Add(Tokens, facts.Length);
    }

    [Fact]
    public void A_rule_from_outside_reports_its_own_numbers()
    {
        using var scope = new TensorScope();
        var scene = new AttentionScene(AttentionKind.Joint, _random);
        var rule = new OutsideRule();
        var trace = Trace(scene.Call, rule);
        Assert.Equal(scene.Rows, Of(trace, "outside.tokens").Mean);
        Assert.Equal(0, Of(trace, "attention.change").Maximum);
        Assert.Same(rule, trace.Series.Single(series => series.Quantity == OutsideRule.Tokens).Rule);
    }

    [Fact]
    public void A_trace_takes_one_run()
    {
        var trace = new GuidanceTrace();
        Assert.Throws<InvalidOperationException>(() => trace.Begin(new StepPoint(1, 2, 500, .5)));
        trace.Begin(new StepPoint(0, 2, 1000, 1));
        Assert.Contains(
            "one run", Assert.Throws<InvalidOperationException>(() => trace.Begin(new StepPoint(0, 2, 1000, 1))).Message,
            StringComparison.Ordinal);
        trace.Begin(new StepPoint(1, 2, 500, .5));
        Assert.Equal(2, trace.Steps.Count);
    }

    [Fact]
    public void A_summary_leaves_out_what_is_not_defined()
    {
        Assert.Null(Summary.Of([double.NaN, double.PositiveInfinity]));
        var summary = Summary.Of([4, double.NaN, 1, 2, 3, double.NegativeInfinity])!.Value;
        Assert.Equal(new Summary(4, 2.5, 1, 1.3, 2.5, 3.7, 4), summary);
    }
}
