using System.Diagnostics;
using Attune.Tensors;

namespace Attune.Bench;

/// <summary>
/// Hands every primitive to a device and counts calls, time, arithmetic and traffic. Arithmetic is that of products by their definition:
/// two operations for each multiplication with its addition, whatever the algorithm; norms and elementwise operations count none. Traffic
/// is what has to be read and written once.
/// </summary>
/// <param name="device">What computes.</param>
/// <param name="computes">Whether products are computed; otherwise zeros take their places, and a run takes what norms and sums do.</param>
internal sealed class CountingDevice(Device device, bool computes = true) : DelegatingDevice(device)
{
    private readonly Dictionary<string, Entry> _entries = [];

    /// <summary>What was counted since the last call, and a new start.</summary>
    public IReadOnlyDictionary<string, Entry> Take()
    {
        var taken = new Dictionary<string, Entry>(_entries);
        _entries.Clear();
        return taken;
    }

    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        if (computes)
            Inner.Linear(x, weight, bias, activation, output);
        else
            output.Fill(0);
        Count("linear", start, 2.0 * x.Count * weight.Shape[0], Bytes(x, output) + Bytes(weight));
    }

    public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        if (computes)
            Inner.Conv2d(x, weight, bias, geometry, output);
        else
            output.Fill(0);
        Count(
            ConvolutionName(weight, geometry), start, 2.0 * output.Count * weight.Shape[1] * weight.Shape[2] * weight.Shape[3],
            Bytes(x, output) + Bytes(weight));
    }

    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        if (computes)
            Inner.AddLinear(residual, x, weight, bias, output);
        else
            output.Fill(0);
        Count("linear", start, 2.0 * x.Count * weight.Shape[0], Bytes(x, output, residual) + Bytes(weight));
    }

    public override void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        if (computes)
            Inner.AddConv2d(residual, x, weight, bias, geometry, output);
        else
            output.Fill(0);
        Count(
            ConvolutionName(weight, geometry), start, 2.0 * output.Count * weight.Shape[1] * weight.Shape[2] * weight.Shape[3],
            Bytes(x, output, residual) + Bytes(weight));
    }

    public override void Attention(in AttentionArguments arguments)
    {
        long start = Stopwatch.GetTimestamp();
        if (computes)
            Inner.Attention(in arguments);
        else
        {
            arguments.Output.Fill(0);
            arguments.LogSumExp?.Fill(0);
        }
        Count(AttentionName(arguments), start, Operations(arguments), Bytes(arguments));
    }

    public override void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        long start = Stopwatch.GetTimestamp();
        if (computes)
            Inner.EntmaxAttention(in arguments, alpha, dense, support);
        else
        {
            arguments.Output.Fill(0);
            arguments.LogSumExp?.Fill(0);
            dense?.Fill(0);
            support?.Fill(0);
        }
        Count("entmax attention", start, Operations(arguments) * (dense == null ? 1 : 1.5), Bytes(arguments));
    }

    public override void MergeAttention(
        Tensor output1, Tensor logSumExp1, Tensor output2, Tensor logSumExp2, Tensor output, Tensor? logSumExp)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.MergeAttention(output1, logSumExp1, output2, logSumExp2, output, logSumExp);
        Count("merge of partials", start, 0, Bytes(output1, output2, output));
    }

    public override void GroupNorm(
        Tensor x, int groups, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Activation activation, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.GroupNorm(x, groups, weight, bias, epsilon, activation, output);
        Count("group norm", start, 0, Bytes(x, output));
    }

    public override GroupMoments? BeginGroupNorm(long pixels, int channels, int groups) =>
        Inner.BeginGroupNorm(pixels, channels, groups) is { } moments ? new CountedMoments(this, moments) : null;

    public override void LayerNorm(Tensor x, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.LayerNorm(x, weight, bias, epsilon, output);
        Count("layer norm", start, 0, Bytes(x, output));
    }

    public override void ModulatedLayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.ModulatedLayerNorm(x, scale, shift, epsilon, output);
        Count("modulated layer norm", start, 0, Bytes(x, output));
    }

    public override void RmsNorm(Tensor x, PreparedWeight? weight, float epsilon, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.RmsNorm(x, weight, epsilon, output);
        Count("rms norm", start, 0, Bytes(x, output));
    }

    public override void Activate(Tensor x, Activation activation, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Activate(x, activation, output);
        Count("activation", start, 0, Bytes(x, output));
    }

    public override void Softmax(Tensor x, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Softmax(x, output);
        Count("softmax", start, 0, Bytes(x, output));
    }

    public override void Entmax(Tensor x, float alpha, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Entmax(x, alpha, output);
        Count("entmax", start, 0, Bytes(x, output));
    }

    public override void Rotate(Tensor x, RotaryEmbedding rotary, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Rotate(x, rotary, output);
        Count("rotary embedding", start, 0, Bytes(x, output));
    }

    public override void ResizeNearest(Tensor x, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.ResizeNearest(x, output);
        Count("resize", start, 0, Bytes(x, output));
    }

    public override void Embed(PreparedWeight table, ReadOnlySpan<int> ids, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Embed(table, ids, output);
        Count("embedding", start, 0, Bytes(output, output));
    }

    public override void Binary(BinaryOperation operation, Tensor a, Tensor b, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Binary(operation, a, b, output);
        Count("elementwise", start, 0, Bytes(a, b, output));
    }

    public override void Affine(Tensor x, float multiplier, float addend, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Affine(x, multiplier, addend, output);
        Count("elementwise", start, 0, Bytes(x, output));
    }

    public override void Clamp(Tensor x, float minimum, float maximum, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Clamp(x, minimum, maximum, output);
        Count("elementwise", start, 0, Bytes(x, output));
    }

    public override void Combine(float a, Tensor x, float b, Tensor y, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Combine(a, x, b, y, output);
        Count("elementwise", start, 0, Bytes(x, y, output));
    }

    public override void Modulate(Tensor x, Tensor scale, Tensor shift, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Modulate(x, scale, shift, output);
        Count("modulation", start, 0, Bytes(x, output));
    }

    public override void AddGated(Tensor residual, Tensor gate, Tensor update, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.AddGated(residual, gate, update, output);
        Count("gated residual", start, 0, Bytes(residual, update, output));
    }

    public override void RowNorms(Tensor x, float push, Tensor? y, int p, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.RowNorms(x, push, y, p, output);
        Count("sums of rows", start, 0, y == null ? Bytes(x, output) : Bytes(x, y, output));
    }

    public override void RowDots(Tensor x, Tensor y, Tensor? over, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.RowDots(x, y, over, output);
        Count("sums of rows", start, 0, Bytes(x, y, output));
    }

    public override void AddRows(Tensor into, Tensor? a, Tensor x, Tensor? b, Tensor? y)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.AddRows(into, a, x, b, y);
        Count("sums of rows", start, 0, Bytes(into, into) + (y == null ? Bytes(x) : Bytes(x, y)));
    }

    public override void Ratio(Tensor numerator, Tensor denominator, float otherwise, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Ratio(numerator, denominator, otherwise, output);
        Count("elementwise", start, 0, Bytes(numerator, denominator, output));
    }

    public override void Copy(Tensor source, Tensor destination)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Copy(source, destination);
        Count("copy", start, 0, Bytes(source, destination));
    }

    public override void Permute(Tensor x, ReadOnlySpan<int> axes, Tensor output)
    {
        long start = Stopwatch.GetTimestamp();
        Inner.Permute(x, axes, output);
        Count("copy", start, 0, Bytes(x, output));
    }

    private static string ConvolutionName(PreparedWeight weight, Conv2dGeometry geometry)
    {
        string name = $"convolution {weight.Shape[2]}x{weight.Shape[3]}";
        return geometry.Stride == 1 ? name : FormattableString.Invariant($"{name} stride {geometry.Stride}");
    }

    /// <summary>Keys are those of a prompt when they are few and not the queries' own.</summary>
    private static string AttentionName(in AttentionArguments arguments) =>
        arguments.Key.Shape[1] != arguments.Query.Shape[1] && arguments.Key.Shape[1] <= 512 ? "attention over text" : "attention";

    private static double Operations(in AttentionArguments arguments) => 4.0 * arguments.Query.Count * arguments.Key.Shape[1];

    private static double Bytes(in AttentionArguments arguments) =>
        Bytes(arguments.Query, arguments.Key, arguments.Value) + sizeof(float) * (double)arguments.Output.Count;

    private static double Bytes(Tensor a) => sizeof(float) * (double)a.Count;

    private static double Bytes(Tensor a, Tensor b) => sizeof(float) * ((double)a.Count + b.Count);

    private static double Bytes(Tensor a, Tensor b, Tensor c) => Bytes(a, b) + sizeof(float) * (double)c.Count;

    private static double Bytes(PreparedWeight weight) => weight.StoredBytes;

    private void Count(string name, long start, double operations, double bytes)
    {
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var entry = _entries.GetValueOrDefault(name);
        _entries[name] = new Entry(entry.Calls + 1, entry.Seconds + seconds, entry.Operations + operations, entry.Bytes + bytes);
    }

    /// <summary>What a kind of primitive took.</summary>
    public readonly record struct Entry(int Calls, double Seconds, double Operations, double Bytes);

    /// <summary>A group norm in pieces; traffic is counted as that of a whole image's.</summary>
    private sealed class CountedMoments(CountingDevice device, GroupMoments moments) : GroupMoments
    {
        public override void Add(Tensor pixels)
        {
            long start = Stopwatch.GetTimestamp();
            moments.Add(pixels);
            device.Count("group norm in pieces", start, 0, 0);
        }

        public override void Finish(PreparedWeight? weight, PreparedWeight? bias, float epsilon) => moments.Finish(weight, bias, epsilon);

        public override void Apply(Tensor pixels, Activation activation, Tensor output)
        {
            long start = Stopwatch.GetTimestamp();
            moments.Apply(pixels, activation, output);
            device.Count("group norm in pieces", start, 0, Bytes(pixels, output));
        }

        protected override void Dispose(bool disposing) => moments.Dispose();
    }
}
