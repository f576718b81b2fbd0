using Attune.Tensors;

namespace Attune.Verification;

/// <summary>
/// Compares what the product computes with a case's reference values: max|value - reference| &lt;= tolerance max|reference|. Keeps the
/// worst ratio of error to tolerance.
/// </summary>
internal sealed class Comparison(GoldenCase golden)
{
    private static readonly string[] Submodules =
    [
        "x_embedder", "pos_embed", "transformer_blocks.", "single_transformer_blocks.", "down_blocks.", "mid_block", "up_blocks.",
        "decoder.",
        "encoder.", "norm_out", "time_text_embed", "context_embedder", "layers.", "text_fusion", "txt_in", "img_in", "time_embed",
        "time_mod_proj", "time_guidance_embed", "adaLN_modulation", "text_proj",
    ];

    private readonly HashSet<string> _seen = [];

    /// <summary>The largest error, as a multiple of its tolerance.</summary>
    public double WorstRatio { get; private set; }

    /// <summary>The output with the largest ratio, or what else is wrong.</summary>
    public string Worst { get; private set; } = "";

    /// <summary>
    /// Which of how many items of a batch is compared from here on; null for whole batches. Items that are shorter than others have zeros
    /// behind them.
    /// </summary>
    public (int Index, int Count)? Item { get; set; }

    /// <summary>Whether the case asks for this output.</summary>
    public bool Wants(string name) => golden.Outputs.ContainsKey(name);

    /// <summary>Compares one output, if the case has it.</summary>
    /// <param name="name">The output.</param>
    /// <param name="value">What was computed.</param>
    /// <param name="exact">Whether it must be equal to the reference, as numbers; else within the tolerance.</param>
    public void Check(string name, Tensor value, bool exact = false)
    {
        if (!golden.Outputs.TryGetValue(name, out double tolerance))
            return;
        _seen.Add(name);
        using var scope = new TensorScope();
        var reference = golden.Expected(name);
        if (Item is { } item && reference.Shape.Rank > 1 && reference.Shape[0] == item.Count)
        {
            reference = reference.Slice(0, item.Index, 1);
            int rows = value.Shape.Rank == 3 ? Math.Min(value.Shape[1], reference.Shape[1]) : reference.Shape[1];
            float[] rest = reference.Slice(1, rows, reference.Shape[1] - rows).ToArray();
            reference = reference.Slice(1, 0, rows).Clone();
            if (rest.Any(pad => pad != 0))
                Note(double.PositiveInfinity, $"{name} of item {item.Index} ends after {rows} rows");
        }
        if (reference.Shape != value.Shape)
        {
            Note(double.PositiveInfinity, $"{name} is {value.Shape}, expected {reference.Shape}");
            return;
        }
        Check(name, value.ToArray(), reference, exact ? 0 : tolerance);
    }

    /// <summary>Compares a mask of ones and then zeros, of one item or the same for all, with how many ones there are.</summary>
    public void CheckLength(string name, int ones)
    {
        if (!golden.Outputs.ContainsKey(name))
            return;
        _seen.Add(name);
        long[] expected = golden.ExpectedIntegers(name);
        int length = golden.ExpectedShape(name)[1];
        if (Item is { } item)
            expected = expected[(item.Index * length)..((item.Index + 1) * length)];
        bool same = expected.Select((one, i) => one == (i % length < ones ? 1 : 0)).All(equal => equal);
        Note(same ? 0 : double.PositiveInfinity, $"{name} differs");
    }

    /// <summary>
    /// Compares the first rows of an output [batch, rows, channels], as many as there are; the tolerance is relative to all of it.
    /// </summary>
    public void CheckRows(string name, Tensor value)
    {
        if (!golden.Outputs.TryGetValue(name, out double tolerance))
            return;
        using var scope = new TensorScope();
        var reference = golden.Expected(name);
        if (reference.Shape.Rank == 2 && value.Shape.Rank == 3)
            reference = reference.Reshape(1, reference.Shape[0], reference.Shape[1]);
        if (value.Shape.Rank != 3 || reference.Shape.Rank != 3 || value.Shape[1] > reference.Shape[1])
        {
            Check(name, value);
            return;
        }
        _seen.Add(name);
        var first = reference.Slice(1, 0, value.Shape[1]).Clone();
        if (first.Shape != value.Shape)
            Note(double.PositiveInfinity, $"{name} is {value.Shape}, expected {first.Shape}");
        else
            Check(name, value.ToArray(), first, tolerance);
    }

    /// <summary>
    /// Compares the first channels of an output [batch, channels, height, width], as many as there are; the tolerance is relative to them.
    /// </summary>
    public void CheckChannels(string name, Tensor value)
    {
        if (!golden.Outputs.TryGetValue(name, out double tolerance))
            return;
        using var scope = new TensorScope();
        var reference = golden.Expected(name);
        if (value.Shape.Rank != 4 || reference.Shape.Rank != 4 || reference.Shape[1] != 2 * value.Shape[1])
        {
            Check(name, value);
            return;
        }
        _seen.Add(name);
        var first = reference.Slice(1, 0, value.Shape[1]).Clone();
        if (first.Shape != value.Shape)
            Note(double.PositiveInfinity, $"{name} is {value.Shape}, expected {first.Shape}");
        else
            Check(name, value.ToArray(), first, tolerance);
    }

    /// <summary>Compares the rows of an output [batch, rows, channels] where a mask is 1; null for all.</summary>
    public void CheckMasked(string name, Tensor value, IReadOnlyList<int[]>? mask)
    {
        if (mask == null || !golden.Outputs.TryGetValue(name, out double tolerance))
        {
            Check(name, value);
            return;
        }
        _seen.Add(name);
        using var scope = new TensorScope();
        var reference = golden.Expected(name);
        float[] counts = [.. mask.SelectMany(row => row.Select(one => (float)one))];
        if (reference.Shape != value.Shape || counts.Length != value.Shape[0] * value.Shape[1])
        {
            Note(double.PositiveInfinity, $"{name} is {value.Shape}, expected {reference.Shape}");
            return;
        }
        var factors = Tensor.From(value.Device, counts, [value.Shape[0], value.Shape[1], 1]);
        Check(name, value.Multiply(factors).ToArray(), reference.Multiply(factors), tolerance);
    }

    /// <summary>Compares a list of numbers, whatever the shape.</summary>
    public void Check(string name, ReadOnlySpan<float> values)
    {
        if (!golden.Outputs.TryGetValue(name, out double tolerance))
            return;
        _seen.Add(name);
        using var scope = new TensorScope();
        var reference = golden.Expected(name);
        if (reference.Count != values.Length)
            Note(double.PositiveInfinity, $"{name} has {values.Length} values, expected {reference.Count}");
        else
            Check(name, values, reference, tolerance);
    }

    /// <summary>Compares integers, which must be equal.</summary>
    public void CheckIntegers(string name, ReadOnlySpan<long> values)
    {
        if (!golden.Outputs.ContainsKey(name))
            return;
        _seen.Add(name);
        bool same = values.SequenceEqual(golden.ExpectedIntegers(name));
        Note(same ? 0 : double.PositiveInfinity, $"{name} differs");
    }

    /// <summary>Compares flags, [items, rows], of one item or the same for all; rows behind the last are pads, which are 0.</summary>
    public void CheckFlags(string name, IReadOnlyList<bool> flags)
    {
        if (!golden.Outputs.ContainsKey(name))
            return;
        _seen.Add(name);
        int length = golden.ExpectedShape(name)[1];
        int items = golden.ExpectedShape(name)[0];
        long[] padded = [.. Enumerable.Range(0, length).Select(row => row < flags.Count && flags[row] ? 1L : 0)];
        long[] expected = golden.ExpectedIntegers(name);
        bool same = flags.Count <= length
            && (Item is { } item ? [item.Index] : Enumerable.Range(0, items))
                .All(i => padded.AsSpan().SequenceEqual(expected.AsSpan(i * length, length)));
        Note(same ? 0 : double.PositiveInfinity, $"{name} differs");
    }

    /// <summary>
    /// Compares rows [1, rows, ...] with those of an output, if the case has it, whose mask is 1, wherever its pads stand.
    /// </summary>
    public void CheckWithoutPads(string name, string maskName, Tensor value)
    {
        _seen.Add(maskName);
        int first = Item?.Index ?? 0;
        int length = golden.ExpectedShape(maskName)[1];
        long[] mask = golden.ExpectedIntegers(maskName)[(first * length)..((first + 1) * length)];
        int[] counted = [.. Enumerable.Range(0, length).Where(i => mask[i] != 0)];
        if (counted.Length != value.Shape[1])
        {
            Note(double.PositiveInfinity, $"{maskName} counts {counted.Length} rows, not {value.Shape[1]}");
            return;
        }
        if (!golden.Outputs.TryGetValue(name, out double tolerance))
            return;
        _seen.Add(name);
        using var scope = new TensorScope();
        var item = golden.Expected(name).Slice(0, first, 1);
        Check(name, value.ToArray(), TensorOperations.Concatenate(1, [.. counted.Select(row => item.Slice(1, row, 1))]), tolerance);
    }

    /// <summary>Compares a number of rows, [items], of one item or the same for all.</summary>
    public void CheckCount(string name, int rows)
    {
        if (!golden.Outputs.ContainsKey(name))
            return;
        _seen.Add(name);
        long[] expected = golden.ExpectedIntegers(name);
        bool same = Item is { } item ? expected[item.Index] == rows : expected.All(count => count == rows);
        Note(same ? 0 : double.PositiveInfinity, $"{name} differs");
    }

    /// <summary>Records a check of another kind.</summary>
    public void Require(bool condition, string message) => Note(condition ? 0 : double.PositiveInfinity, message);

    /// <summary>Fails the case when an output that is not optional was never compared.</summary>
    public void Complete()
    {
        foreach (string name in golden.Outputs.Keys)
        {
            if (!_seen.Contains(name) && !IsOfSubmodule(name))
                Note(double.PositiveInfinity, $"{name} was not computed");
        }
    }

    /// <summary>Such outputs are there for finding a fault.</summary>
    private static bool IsOfSubmodule(string name) =>
        Submodules.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal))
            || name.Contains("_stream_modulation", StringComparison.Ordinal);

    private void Check(string name, ReadOnlySpan<float> values, Tensor expected, double tolerance)
    {
        using var view = expected.Read();
        var reference = view.Span;
        double error = 0;
        double scale = 0;
        for (int i = 0; i < values.Length; i++)
        {
            double difference = values[i] == reference[i] ? 0 : Math.Abs((double)values[i] - reference[i]);
            if (double.IsNaN(difference))
                difference = double.PositiveInfinity;
            error = Math.Max(error, difference);
            if (float.IsFinite(reference[i]))
                scale = Math.Max(scale, Math.Abs(reference[i]));
        }
        double bound = golden.IsIntegerOutput(name) ? 0 : tolerance * scale;
        Note(error == 0 ? 0 : bound == 0 ? double.PositiveInfinity : error / bound, name);
    }

    private void Note(double ratio, string what)
    {
        if (ratio > WorstRatio)
            (WorstRatio, Worst) = (ratio, what);
    }
}
