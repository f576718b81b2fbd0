using System.IO.Compression;
using Attune.Evaluation.Tracing;
using Attune.Guidance;

namespace Attune.Server.Engine;

/// <summary>Where guidance acted in a picture.</summary>
/// <param name="Bytes">The whole trace: gzip of the JSON that <c>attune trace</c> writes.</param>
/// <param name="Findings">What it says in short.</param>
internal sealed record PictureTrace(byte[] Bytes, IReadOnlyList<Finding> Findings)
{
    public static PictureTrace Of(TraceReport report)
    {
        var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            TraceJson.Write(report, gzip, indented: false);
        return new PictureTrace(
            packed.ToArray(),
            [
                .. report.Trace.Series.Select(series => (Series: series, Table: new TraceTable(series, report.Trace)))
                    .Select(pair => new Finding(
                        pair.Series.Rule is { } rule ? RuleCatalog.Format(rule) : null, pair.Series.Quantity.Name,
                        pair.Series.Quantity.Title, TraceSummary.Line(pair.Table), pair.Table.Mean)),
            ]);
    }

    /// <summary>The JSON of a kept trace.</summary>
    public static byte[] Unpack(byte[] packed)
    {
        using var gzip = new GZipStream(new MemoryStream(packed), CompressionMode.Decompress);
        var json = new MemoryStream();
        gzip.CopyTo(json);
        return json.ToArray();
    }
}

/// <summary>A number about what a rule did, as a mean over layers and steps.</summary>
/// <param name="Rule">The rule with its parameters; null for what is about all of them.</param>
/// <param name="Quantity">What is measured: <c>nag.clipped</c>.</param>
/// <param name="Title">The same for people.</param>
/// <param name="Text">What it says: <c>tau clips 63 % of the tokens</c>.</param>
/// <param name="Mean">The number.</param>
internal sealed record Finding(string? Rule, string Quantity, string Title, string Text, double Mean);
