using System.Globalization;
using System.Text.RegularExpressions;

namespace Attune.Guidance;

/// <summary>Where a run stands when a step begins.</summary>
/// <param name="Index">The step, counted from 0.</param>
/// <param name="Count">The number of steps of the run.</param>
/// <param name="Timestep">The scheduler's timestep, 0 to 1000 for nearly all models.</param>
/// <param name="Sigma">The noise level on the scheduler's scale: sqrt((1 - alpha-bar) / alpha-bar) for diffusion, 0 to 1 for flow
/// matching.</param>
public readonly record struct StepPoint(int Index, int Count, double Timestep, double Sigma);

/// <summary>What the bounds of a <see cref="StepRange"/> count.</summary>
public enum StepUnit
{
    /// <summary>Iterations, from 0: first &lt;= i &lt; end.</summary>
    Iteration,

    /// <summary>The part of the run that is done, from 0 to 1: first &lt;= i / n &lt; end.</summary>
    Part,

    /// <summary>The scheduler's timestep: low &lt;= t &lt;= high.</summary>
    Timestep,

    /// <summary>
    /// The noise level: low &lt; sigma &lt;= high, as in "Applying guidance in a limited interval" (Kynkaanniemi et al., arXiv 2404.07724).
    /// </summary>
    Sigma,
}

/// <summary>Some of a run's steps: iterations, a part of the run, or an interval of timesteps or noise levels.</summary>
public readonly partial record struct StepRange
{
    private StepRange(double first, double end, StepUnit unit) => (First, End, Unit) = (first, end, unit);

    /// <summary>Every step.</summary>
    public static StepRange All { get; } = new(0, double.PositiveInfinity, StepUnit.Iteration);

    /// <summary>The lower bound.</summary>
    public double First { get; }

    /// <summary>The upper bound.</summary>
    public double End { get; }

    /// <summary>What the bounds count, and which of them belong to the range.</summary>
    public StepUnit Unit { get; }

    /// <summary>Iterations first, first + 1, ..., end - 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound is negative or the range ends before it begins.</exception>
    public static StepRange Iterations(int first, int end)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfLessThan(end, first);
        return new StepRange(first, end, StepUnit.Iteration);
    }

    /// <summary>Steps i of n with first &lt;= i / n &lt; end.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound is outside of 0 to 1 or the range ends before it begins.</exception>
    public static StepRange Part(double first, double end)
    {
        if (!(first >= 0 && end <= 1 && first <= end))
            throw new ArgumentOutOfRangeException(
                nameof(first), FormattableString.Invariant($"The part {first} to {end} does not lie within 0 to 1."));
        return new StepRange(first, end, StepUnit.Part);
    }

    /// <summary>Steps whose timestep is no less than <paramref name="low"/> and no more than <paramref name="high"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound is negative or the range ends before it begins.</exception>
    public static StepRange Timesteps(double low, double high) => Interval(low, high, StepUnit.Timestep);

    /// <summary>Steps whose noise level is more than <paramref name="low"/> and no more than <paramref name="high"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound is negative or the range ends before it begins.</exception>
    public static StepRange Sigmas(double low, double high) => Interval(low, high, StepUnit.Sigma);

    /// <summary>Whether a step lies in the range.</summary>
    public bool Contains(StepPoint point) => Unit switch
    {
        StepUnit.Iteration => point.Index >= First && point.Index < End,
        // quotients: 7 of 100 is 7 % to the bit, 7 % of 100 is not 7
        StepUnit.Part => (double)point.Index / point.Count is var done && done >= First && done < End,
        StepUnit.Timestep => point.Timestep >= First && point.Timestep <= End,
        _ => point.Sigma > First && point.Sigma <= End,
    };

    /// <summary>
    /// Reads <c>0-2</c> (iterations 0 and 1), <c>2-</c>, <c>0%-50%</c>, <c>t:250-1000</c>, <c>sigma:0.2-1.6</c> or <c>all</c>.
    /// </summary>
    /// <exception cref="FormatException">The text is none of these.</exception>
    public static StepRange Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "all")
            return All;
        if (Pattern().Match(text) is { Success: true } match)
        {
            string prefix = match.Groups["unit"].Value;
            bool percent = match.Groups["percent"].Success;
            double first = Number(match.Groups["first"].Value, 0);
            double end = Number(match.Groups["end"].Value, percent ? 100 : double.PositiveInfinity);
            bool whole = first == Math.Floor(first) && (end == Math.Floor(end) || double.IsInfinity(end));
            if (first <= end && (prefix.Length > 0 ? !percent : percent ? end <= 100 : whole && match.Groups["first"].Length > 0))
            {
                return prefix switch
                {
                    "t:" => new StepRange(first, end, StepUnit.Timestep),
                    "sigma:" => new StepRange(first, end, StepUnit.Sigma),
                    _ => percent ? new StepRange(first / 100, end / 100, StepUnit.Part) : new StepRange(first, end, StepUnit.Iteration),
                };
            }
        }
        throw new FormatException(
            $"'{text}' is no range of steps; expected FIRST-END (as 0-2), FIRST-, P%-Q%, t:LOW-HIGH, sigma:LOW-HIGH or all.");
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        if (this == All)
            return "all";
        string prefix = Unit switch { StepUnit.Timestep => "t:", StepUnit.Sigma => "sigma:", _ => "" };
        string end = double.IsPositiveInfinity(End) ? "" : FormattableString.Invariant($"{End}");
        return Unit == StepUnit.Part ? FormattableString.Invariant($"{First * 100}%-{End * 100}%")
            : FormattableString.Invariant($"{prefix}{First}-{end}");
    }

    private static StepRange Interval(double low, double high, StepUnit unit)
    {
        if (!(low >= 0 && low <= high))
            throw new ArgumentOutOfRangeException(
                nameof(low), FormattableString.Invariant($"The interval {low} to {high} is negative or ends before it begins."));
        return new StepRange(low, high, unit);
    }

    private static double Number(string text, double missing) =>
        text.Length == 0 ? missing : double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);

    [GeneratedRegex(
        @"^(?<unit>t:|sigma:)?(?<first>[0-9]*\.?[0-9]*(?:[eE]-?[0-9]+)?)(?<percent>%)?"
            + @"-(?<end>[0-9]*\.?[0-9]*(?:[eE]-?[0-9]+)?)(?(percent)%?|)$",
        RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
