using System.Diagnostics;

namespace Attune.Bench;

/// <summary>
/// Times of actions that are run in turn, so that whatever the machine does meets all of them; samples at whose begin or end it ran far
/// below its peak do not count.
/// </summary>
internal static class Timing
{
    /// <summary>A sample counts when the probes before and after it reach so much of the best.</summary>
    private const double Good = 0.8;

    /// <summary>The shortest sample: quicker actions are repeated within it.</summary>
    private const double ShortestSample = 4e-3;

    /// <summary>When too few samples count, more are taken: up to so many times as were asked for.</summary>
    private const int MostTries = 4;

    /// <summary>Samples of one action.</summary>
    /// <param name="Seconds">The median of those that count; the shortest when none does.</param>
    /// <param name="Best">The shortest of those that count, or of all.</param>
    /// <param name="Counted">How many count.</param>
    /// <param name="Taken">How many there were.</param>
    public readonly record struct Result(double Seconds, double Best, int Counted, int Taken);

    /// <summary>Runs each action to warm up, then all of them in turn until each has enough samples that count.</summary>
    /// <param name="actions">What is compared.</param>
    /// <param name="rounds">How many samples of each should count.</param>
    public static Result[] Interleave(IReadOnlyList<Action> actions, int rounds)
    {
        int[] repeats = new int[actions.Count];
        for (int i = 0; i < repeats.Length; i++)
        {
            WarmUp(actions[i]);
            repeats[i] = (int)Math.Clamp(ShortestSample / Time(actions[i], 1), 1, 1000);
        }
        var samples = actions.Select(_ => new List<(double Seconds, double Probe)>()).ToArray();
        double before = PeakProbe.Sample();
        for (int round = 0; round < MostTries * rounds; round++)
        {
            for (int i = 0; i < repeats.Length; i++)
            {
                double seconds = Time(actions[i], repeats[i]);
                double after = PeakProbe.Sample();
                samples[i].Add((seconds, Math.Min(before, after)));
                before = after;
            }
            if (round + 1 >= rounds && samples.All(list => Evaluate(list).Counted >= rounds))
                break;
        }
        return [.. samples.Select(Evaluate)];
    }

    /// <summary>The median of the samples that count.</summary>
    public static Result Evaluate(IReadOnlyList<(double Seconds, double Probe)> samples)
    {
        double[] good = [.. samples.Where(sample => sample.Probe >= Good * PeakProbe.Highest).Select(sample => sample.Seconds).Order()];
        if (good.Length > 0)
            return new Result(Median(good), good[0], good.Length, samples.Count);
        double best = samples.Min(sample => sample.Seconds);
        return new Result(best, best, 0, samples.Count);
    }

    /// <summary>The median of values in ascending order.</summary>
    public static double Median(double[] sorted) =>
        sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;

    /// <summary>
    /// The runtime compiles a method for speed once it has been called some thirty times, and a tenth of a second after it last compiled
    /// anything quickly.
    /// </summary>
    private static void WarmUp(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        for (int calls = 0; calls < 2 || Stopwatch.GetElapsedTime(start).TotalSeconds < 0.25; calls++)
            action();
    }

    private static double Time(Action action, int repeats)
    {
        double start = Clock.Seconds;
        for (int i = 0; i < repeats; i++)
            action();
        return (Clock.Seconds - start) / repeats;
    }
}
