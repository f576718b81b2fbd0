using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;
using Attune.Attention;
using Attune.Evaluation.Tracing;
using Attune.Evaluation.Reports;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Generation;
using Attune.Schedulers;
using Attune.Weights;
using Attune.Tensors;

namespace Attune.Cli.Tests;

/// <summary>Traces as documents and as pages.</summary>
public class TraceTests
{
    private const string Hostile = "<b>\"a panda\"</b> & </style><script>alert(1)</script> ]]> \u00e9\u732b";

    /// <summary>A report of random attention calls, for a model with the given layers.</summary>
    private static TraceReport Report(
        string rules, IReadOnlyList<AttentionSite> layers, int steps, string prompt = "a panda", bool image = true)
    {
        var schedule = new GuidanceSchedule(RuleCatalog.Parse(rules));
        var trace = new GuidanceTrace();
        var random = new Random(4);
        for (int step = 0; step < steps; step++)
        {
            var point = new StepPoint(step, steps, 1000.0 * (steps - step) / steps, (steps - step) / (double)steps);
            trace.Begin(point);
            foreach (var (site, index) in layers.Select((site, index) => (site, index)))
            {
                using var scope = new TensorScope();
                Tensor Noise(int tokens, double scale)
                {
                    var x = Tensor.Empty(Host, [1, tokens, 2, 16]);
                    foreach (ref float value in x.Span)
                        value = (float)(scale * (random.NextDouble() * 2 - 1));
                    return x;
                }

                var text = TokenLayout.Of((TokenKind.NegativeText, 5), (TokenKind.Text, 7));
                var (queries, keys) = site.Kind == AttentionKind.Cross
                    ? (TokenLayout.Of((TokenKind.Latent, 12)), text)
                    : (
                        TokenLayout.Of((TokenKind.NegativeText, 5), (TokenKind.Text, 7), (TokenKind.Latent, 12)),
                        TokenLayout.Of((TokenKind.NegativeText, 5), (TokenKind.Text, 7), (TokenKind.Latent, 12)));
                double scale = 1 + 2 * Math.Sin(index * .2) * Math.Sin(index * .2) + (double)step / steps;
                var call = new AttentionCall(
                    Noise(queries.Length, scale), Noise(keys.Length, scale), Noise(keys.Length, 1), .25f, queries, keys, site);
                _ = schedule.At(point, trace).Steering.Attention.Attend(call);
            }
        }
        var request = new GenerationRequest {
            Prompt = prompt, NegativePrompt = prompt, Guidance = schedule, Width = 64, Height = 32, Steps = steps, Seed = 3 };
        Image[] images = image ? [new Image(2, 1, [1, 2, 3, 4, 5, 6])] : [];
        var resolved = new ResolvedRequest(
            request, schedule, Scheduler.From(ModelConfig.Parse("scheduler", """{"_class_name": "DDIMScheduler"}"""u8.ToArray())),
            new PixelSize(32, 64), new LatentGrid(1, 2, 4));
        return new TraceReport("FluxPipeline", "model", resolved, $"{{\"prompt\":{JsonSerializer.Serialize(prompt)}}}", trace, images);
    }

    private static AttentionSite[] Flux(int count, int singles) =>
    [
        .. Enumerable.Range(0, count).Select(i => new AttentionSite($"transformer_blocks.{i}.attn", AttentionKind.Joint)),
        .. Enumerable.Range(0, singles).Select(i => new AttentionSite($"single_transformer_blocks.{i}.attn", AttentionKind.Joint)),
    ];

    private static string Text(Action<TraceReport, Stream> write, TraceReport report)
    {
        using var stream = new MemoryStream();
        write(report, stream);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static XDocument Parse(string page)
    {
        using var reader = XmlReader.Create(new StringReader(page), new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore });
        return XDocument.Load(reader);
    }

    public static TheoryData<string, int, int, int> Runs => new()
    {
        { "nag+gag", 2, 2, 4 }, { "none", 1, 0, 1 }, { "vsf", 3, 0, 1 }, { "nag:layers=double.0,steps=1-2+pladis+gag:entmax=2", 2, 1, 3 },
        { "nag+gag:lambda=10", 19, 38, 28 },
    };

    [Theory]
    [MemberData(nameof(Runs))]
    public void Pages_are_well_formed_and_need_nothing_from_outside(string rules, int doubles, int singles, int steps)
    {
        var report = Report(rules, Flux(doubles, singles), steps, Hostile);
        string page = Text(TracePage.Write, report);
        if (Environment.GetEnvironmentVariable("ATTUNE_TRACE_PAGES") is { } folder)
            File.WriteAllText(Path.Combine(folder, FormattableString.Invariant($"{doubles}-{singles}-{steps}.html")), page);
        Assert.StartsWith("<!DOCTYPE html", page, StringComparison.Ordinal);
        var document = Parse(page);

        // Nothing is loaded: addresses occur in images alone, which are written out, and no script runs.
        string[] loading = ["script", "link", "iframe", "object", "embed", "base", "form", "use", "foreignObject"];
        Assert.DoesNotContain(document.Descendants(), element => loading.Contains(element.Name.LocalName));
        var attributes = document.Descendants().Attributes().ToList();
        Assert.DoesNotContain(
            attributes,
            attribute => attribute.Name.LocalName.StartsWith("on", StringComparison.OrdinalIgnoreCase)
                || attribute.Name.LocalName is "href" or "style");
        Assert.All(
            attributes.Where(attribute => attribute.Name.LocalName == "src"),
            source => Assert.StartsWith("data:image/png;base64,", source.Value, StringComparison.Ordinal));
        Assert.DoesNotMatch(new Regex(@"https?:|url\(|@import"), page);

        // A reader of HTML sees the same elements: style sheets hold nothing that is escaped, and only elements that may be are closed at
        // once.
        Assert.DoesNotMatch("[<>&]", Assert.Single(document.Descendants("style")).Value);
        Assert.All(
            document.Descendants().Where(element => element.IsEmpty),
            element => Assert.Contains(element.Name.LocalName, new[] { "meta", "img", "rect", "line", "circle", "polygon", "polyline" }));
        Assert.Equal(Hostile, Assert.Single(document.Descendants("h1")).Value);
        Assert.DoesNotContain(
            attributes,
            attribute => attribute.Value.Contains("NaN", StringComparison.Ordinal)
                || attribute.Value.Contains('\u221e', StringComparison.Ordinal));
    }

    /// <summary>Every number that was measured is a cell of a map, coloured, with its value where the pointer rests.</summary>
    [Fact]
    public void Maps_show_every_value()
    {
        var report = Report("nag+gag", Flux(2, 3), 4);
        var document = Parse(Text(TracePage.Write, report));
        var cards = document.Descendants("article").ToList();
        Assert.Equal(report.Trace.Series.Count, cards.Count);
        foreach (var series in report.Trace.Series)
        {
            var card = cards.Single(card => card.Element("h3")!.Nodes().OfType<XText>().First().Value == series.Quantity.Title);
            string[] titles = [
                .. card.Descendants("g").Where(group => group.Element("rect") != null).Select(group => group.Element("title")!.Value)];
            Assert.Equal(series.Entries.Count, titles.Length);
            foreach (var entry in series.Entries)
            {
                string path = report.Trace.Layers[entry.Layer!.Value].Path;
                string title = titles.Single(
                    title => title.Contains($"({path})", StringComparison.Ordinal)
                        && title.Contains($"step {entry.Step + 1} of 4", StringComparison.Ordinal));
                Assert.Contains(Scale.Format(entry.Values.Mean, series.Quantity), title, StringComparison.Ordinal);
            }
            Assert.Contains(series.Quantity.Definition, card.Value, StringComparison.Ordinal);
            Assert.Contains(
                Scale.Format(series.Entries.Average(entry => entry.Values.Mean), series.Quantity), card.Value, StringComparison.Ordinal);
        }
        Assert.Contains("tau clips", document.Root!.Value, StringComparison.Ordinal);
        Assert.Contains("lambda = 5", document.Root!.Value, StringComparison.Ordinal);
    }

    /// <summary>The names of the document's members, in order: scripts rely on them.</summary>
    [Fact]
    public void The_document_has_its_form()
    {
        var report = Report("nag:layers=double.0+pladis", Flux(1, 1), 2, Hostile);
        using var document = JsonDocument.Parse(Text(TraceJson.Write, report));
        var root = document.RootElement;
        static string[] Names(JsonElement element) => [.. element.EnumerateObject().Select(member => member.Name)];
        Assert.Equal(["format", "version", "request", "model", "rules", "steps", "layers", "quantities", "series", "places"], Names(root));
        Assert.Equal("attune-trace", root.GetProperty("format").GetString());
        Assert.Equal(1, root.GetProperty("version").GetInt32());
        Assert.Equal(Hostile, root.GetProperty("request").GetProperty("prompt").GetString());
        Assert.Equal(["pipeline", "name"], Names(root.GetProperty("model")));
        Assert.Equal(["name", "text", "parameters"], Names(root.GetProperty("rules")[0]));
        Assert.Equal("double.0", root.GetProperty("rules")[0].GetProperty("parameters").GetProperty("layers").GetString());
        Assert.Equal(["index", "timestep", "sigma"], Names(root.GetProperty("steps")[0]));
        Assert.Equal(["path", "kind"], Names(root.GetProperty("layers")[0]));
        Assert.Equal(["name", "title", "definition", "unit", "minimum", "maximum"], Names(root.GetProperty("quantities")[0]));
        Assert.Equal(["quantity", "rule", "says", "values"], Names(root.GetProperty("series")[0]));
        Assert.All(root.GetProperty("series").EnumerateArray(), series => Assert.EndsWith(".", series.GetProperty("says").GetString()));
        Assert.Equal(
            ["step", "layer", "count", "mean", "min", "p10", "median", "p90", "max"],
            Names(root.GetProperty("series")[0].GetProperty("values")[0]));

        var series = root.GetProperty("series").EnumerateArray().ToList();
        Assert.Equal(report.Trace.Series.Count, series.Count);
        var ratio = series.Single(one => one.GetProperty("quantity").GetString() == "nag.ratio");
        Assert.Equal("nag", root.GetProperty("rules")[ratio.GetProperty("rule").GetInt32()].GetProperty("name").GetString());
        var entries = report.Trace.Series.Single(one => one.Quantity.Name == "nag.ratio").Entries;
        Assert.Equal(
            entries.Select(entry => entry.Values.Mean),
            ratio.GetProperty("values").EnumerateArray().Select(value => value.GetProperty("mean").GetDouble()));
        Assert.All(ratio.GetProperty("values").EnumerateArray(), value => Assert.Equal(0, value.GetProperty("layer").GetInt32()));
        Assert.Equal(
            JsonValueKind.Null,
            series.Single(one => one.GetProperty("quantity").GetString() == "attention.change").GetProperty("rule").ValueKind);
    }

    [Fact]
    public void Layers_have_short_names_as_long_as_they_differ()
    {
        static string[] Names(params string[] paths) =>
            HeatMap.ShortNames([.. paths.Select(path => new AttentionSite(path, AttentionKind.Cross))]);
        Assert.Equal(["double.3", "single.0"], Names("transformer_blocks.3.attn", "single_transformer_blocks.0.attn"));
        Assert.Equal(["block.3"], Names("transformer_blocks.3.attn2"));
        Assert.Equal(
            ["down.1.0.1", "mid.0.0", "up.2.1.0"],
            Names(
                "down_blocks.1.attentions.0.transformer_blocks.1.attn2", "mid_block.attentions.0.transformer_blocks.0.attn2",
                "up_blocks.2.attentions.1.transformer_blocks.0.attn2"));
        Assert.Equal(
            ["transformer_blocks.0.attn", "transformer_blocks.0.attn2"], Names("transformer_blocks.0.attn", "transformer_blocks.0.attn2"));
    }

    [Theory]
    [InlineData(0.6312, QuantityUnit.Share, "63.1 %")]
    [InlineData(1, QuantityUnit.Share, "100 %")]
    [InlineData(1.8449, QuantityUnit.Number, "1.84")]
    [InlineData(-16.74, QuantityUnit.Number, "\u221216.7")]
    [InlineData(0.00002, QuantityUnit.Number, "2e\u22125")]
    [InlineData(0, QuantityUnit.Number, "0")]
    public void Numbers_have_three_digits(double value, QuantityUnit unit, string expected) =>
        Assert.Equal(expected, Scale.Format(value, new Quantity("a.b", "", "", "") { Unit = unit }));

    [Theory]
    [InlineData(0.13, 0.87)]
    [InlineData(-5, 1000)]
    [InlineData(3, 3)]
    [InlineData(0, 0)]
    [InlineData(1e-9, 2e-9)]
    [InlineData(-1e7, -1e6)]
    public void Scales_hold_their_values_between_few_round_ticks(double low, double high)
    {
        var scale = Scale.Around(low, high, new Quantity("a.b", "", "", ""));
        Assert.True(scale.Low <= low && scale.High >= high, $"{scale.Low} to {scale.High}");
        Assert.InRange(scale.Ticks.Count(), 2, 9);
        Assert.Equal(
            scale.Ticks.Count(), scale.Ticks.Select(tick => scale.FormatTick(tick, new Quantity("a.b", "", "", ""))).Distinct().Count());
    }

    [Fact]
    public void Colours_run_over_the_values_and_are_grey_at_0_where_signs_differ()
    {
        var map = new ColorMap(-2, 1);
        Assert.Equal((-2, 2), (map.Low, map.High));
        string middle = map.Of(0).Color;
        int[] parts = [
            .. new[] { 1, 3, 5 }.Select(at => int.Parse(middle.AsSpan(at, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
        Assert.True(parts.Max() - parts.Min() < 12, middle);
        var sequential = new ColorMap(1, 3);
        Assert.Equal(("#2b1e66", false), sequential.Of(1));
        Assert.Equal(("#f2e34c", true), sequential.Of(3));
    }
}
