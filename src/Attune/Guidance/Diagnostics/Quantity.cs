namespace Attune.Guidance.Diagnostics;

/// <summary>How the values of a <see cref="Quantity"/> are written.</summary>
public enum QuantityUnit
{
    /// <summary>A plain number.</summary>
    Number,

    /// <summary>A part of a whole, 0 to 1, written in percent.</summary>
    Share,
}

/// <summary>
/// What a diagnostic number is. A rule defines its own in its own file, so that reports need to know nothing about rules.
/// </summary>
/// <param name="Name">The group and the number: <c>nag.clipped</c>. Groups are shown together.</param>
/// <param name="Title">A heading: "Tokens clipped by tau".</param>
/// <param name="Definition">What exactly is measured, over what it is taken, and in which units.</param>
/// <param name="Sentence">What a mean says in plain words, with {0} for the number: "tau clips {0} of the tokens".</param>
public sealed record Quantity(string Name, string Title, string Definition, string Sentence)
{
    /// <summary>How values are written.</summary>
    public QuantityUnit Unit { get; init; }

    /// <summary>The least value that is possible.</summary>
    public double Minimum { get; init; } = double.NegativeInfinity;

    /// <summary>The greatest value that is possible.</summary>
    public double Maximum { get; init; } = double.PositiveInfinity;

    /// <summary>A part of a whole.</summary>
    public static Quantity Share(string name, string title, string definition, string sentence) =>
        new(name, title, definition, sentence) { Unit = QuantityUnit.Share, Minimum = 0, Maximum = 1 };
}

/// <summary>Takes the numbers of one attention layer or one prediction.</summary>
public interface IMeasurements
{
    /// <summary>
    /// Adds a number that stands for the whole layer or prediction. One that is not finite means that it is not defined here, and is left
    /// out.
    /// </summary>
    void Add(Quantity quantity, double value);

    /// <summary>
    /// Adds a number for each token, or each token and head. Those that are not finite are not defined, and are left out.
    /// </summary>
    void Add(Quantity quantity, ReadOnlySpan<double> values);
}
