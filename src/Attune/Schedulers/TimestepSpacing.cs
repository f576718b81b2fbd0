using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>Which timesteps of the training schedule a run visits (Lin et al., arXiv 2305.08891, table 2), from high to low.</summary>
internal sealed class TimestepSpacing
{
    private readonly string _kind;
    private readonly int _offset;
    private readonly int _count;

    private TimestepSpacing(string kind, int offset, int count) => (_kind, _offset, _count) = (kind, offset, count);

    /// <summary>Whether both ends are visited.</summary>
    public bool IsLeading => _kind == "leading";

    /// <summary>Reads timestep_spacing and steps_offset.</summary>
    public static TimestepSpacing Read(ModelConfig config, string missing)
    {
        string kind = config.String("timestep_spacing", missing);
        return kind is "linspace" or "leading" or "trailing" ? new(
            kind, config.Int("steps_offset", 0), config.Length("num_train_timesteps", 1000))
            : throw new CheckpointException($"'{config.Path}': timestep_spacing is '{kind}', expected linspace, leading or trailing.");
    }

    /// <summary>n timesteps; linspace reaches 0. With <paramref name="whole"/> they are rounded, half to even.</summary>
    public double[] Space(int n, bool whole) => _kind switch
    {
        "linspace" => Reversed(Even.Linspace(0, _count - 1, n), whole),
        "leading" => Leading(n, _count / n, n),
        _ => Trailing(n, _count),
    };

    /// <summary>
    /// n timesteps of n + 1, of which the lowest is left out: the solvers end at noise level 0 instead. The last of
    /// <paramref name="count"/> training steps comes first.
    /// </summary>
    public double[] SpaceWithoutLast(int n, int count) => _kind switch
    {
        "linspace" => Linspace(n, count),
        "leading" => Leading(n + 1, count / (n + 1), n),
        _ => Trailing(n, count),
    };

    /// <summary>The linspace of <see cref="SpaceWithoutLast"/>.</summary>
    public static double[] Linspace(int n, int count) => Reversed(Even.Linspace(0, count - 1, n + 1), whole: true)[..^1];

    private static double[] Reversed(double[] values, bool whole)
    {
        Array.Reverse(values);
        return whole ? Array.ConvertAll(values, Math.Round) : Array.ConvertAll(values, value => (double)(float)value);
    }

    private double[] Leading(int all, int ratio, int n)
    {
        var values = new double[n];
        for (int i = 0; i < n; i++)
            values[i] = ((all - 1 - i) * ratio) + _offset;
        return values;
    }

    /// <summary>
    /// Counted down from the end in steps of num_train_timesteps / n. The reference's arithmetic makes n + 1 of them for some n, the last
    /// being -1, which is no timestep: it is left out here.
    /// </summary>
    private double[] Trailing(int n, int start)
    {
        double ratio = _count / (double)n;
        double step = start - ratio - start;
        var values = new List<double>(n);
        for (int i = 0; i < Math.Ceiling(start / ratio); i++)
        {
            double value = Math.Round(start + (i * step)) - 1;
            if (value >= 0)
                values.Add(value);
        }
        return [.. values];
    }
}

/// <summary>Evenly spaced numbers.</summary>
internal static class Even
{
    /// <summary>As numpy.linspace computes them; both ends are included.</summary>
    public static double[] Linspace(double start, double end, int count)
    {
        var values = new double[count];
        double step = count == 1 ? 0 : (end - start) / (count - 1);
        for (int i = 0; i < count; i++)
            values[i] = (i * step) + start;
        if (count > 1)
            values[^1] = end;
        return values;
    }
}
