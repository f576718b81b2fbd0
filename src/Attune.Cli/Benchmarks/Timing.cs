using System.Diagnostics;

namespace Attune.Cli.Benchmarks;

/// <summary>Times of actions that are run in turn, so that whatever the machine does meets all of them; samples at whose begin or end it ran far below its peak do not count.</summary>
internal static class Timing
{
    /// <summary>A sample counts when the probes before and after it reach so much of the best.</summary>
    private const double Good = 0.85;

    /// <summary>The shortest sample: quicker actions are repeated within it.</summary>
    private const double ShortestSample = 4e-3;

    /// <summary>Samples of one action.</summary>
    /// <param name="Seconds">The median of those that count; of the faster half when none does.</param>
    /// <param name="Counted">How many count.</param>
    /// <param name="Taken">How many there were.</param>
    public readonly record struct Result(double Seconds, int Counted, int Taken);

    /// <summary>Runs each action once to warm up, then all of them in turn.</summary>
    public static Result[] Interleave(IReadOnlyList<Action> actions, int rounds, double peak)
    {
        int[] repeats = new int[actions.Count];
        for (int i = 0; i < repeats.Length; i++)
        {
            actions[i]();
            repeats[i] = (int)Math.Clamp(ShortestSample / Time(actions[i], 1), 1, 1000);
        }
        var samples = actions.Select(_ => new List<(double Seconds, double Probe)>()).ToArray();
        double before = PeakProbe.Sample();
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < repeats.Length; i++)
            {
                double seconds = Time(actions[i], repeats[i]);
                double after = PeakProbe.Sample();
                samples[i].Add((seconds, Math.Min(before, after)));
                before = after;
            }
        }
        return [.. samples.Select(list => Evaluate(list, peak))];
    }

    /// <summary>The median of the samples that count.</summary>
    public static Result Evaluate(IReadOnlyList<(double Seconds, double Probe)> samples, double peak)
    {
        double[] good = [.. samples.Where(sample => sample.Probe >= Good * peak).Select(sample => sample.Seconds).Order()];
        if (good.Length > 0)
            return new Result(Median(good), good.Length, samples.Count);
        double[] all = [.. samples.Select(sample => sample.Seconds).Order()];
        return new Result(Median(all[..((all.Length + 1) / 2)]), 0, samples.Count);
    }

    private static double Median(double[] sorted) => sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;

    private static double Time(Action action, int repeats)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < repeats; i++)
            action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / repeats;
    }
}
