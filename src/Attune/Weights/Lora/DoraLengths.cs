namespace Attune.Weights.Lora;

/// <summary>
/// DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024): the rows of the changed weight V get stored lengths,
/// m V / |V|, as peft has it; files of LyCORIS may have a length for each input channel instead. V is the weight with the whole change, the
/// user's scale in it.
/// </summary>
internal static class DoraLengths
{
    /// <summary>Gives every row its length, or every one of <paramref name="inputs"/> input channels if that is not 0.</summary>
    public static void Set(AdapterTarget target, TensorEntry magnitude, int inputs)
    {
        float[] lengths = target.Numbers(magnitude);
        var rows = target.Rows;
        using var before = rows.Read();
        using var after = rows.Write();
        if (inputs == 0)
        {
            for (int row = 0; row < rows.Shape[0]; row++)
                Scale(before.Row(row), lengths[target.First + row] / Math.Sqrt(Squares(before.Row(row))), after.Row(row));
            return;
        }
        int size = rows.Shape[1] / inputs;
        for (int group = 0; group < inputs; group++)
        {
            double squares = 0;
            for (int row = 0; row < rows.Shape[0]; row++)
                squares += Squares(before.Row(row).Slice(group * size, size));
            for (int row = 0; row < rows.Shape[0]; row++)
                Scale(
                    before.Row(row).Slice(group * size, size), lengths[group] / Math.Sqrt(squares),
                    after.Row(row).Slice(group * size, size));
        }
    }

    private static double Squares(ReadOnlySpan<float> values)
    {
        double sum = 0;
        foreach (float value in values)
            sum += (double)value * value;
        return sum;
    }

    /// <summary>A row of zeros has no direction: it stays.</summary>
    private static void Scale(ReadOnlySpan<float> values, double factor, Span<float> scaled)
    {
        for (int i = 0; i < values.Length; i++)
            scaled[i] = double.IsFinite(factor) ? (float)(values[i] * factor) : values[i];
    }
}
