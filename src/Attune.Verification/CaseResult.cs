using System.Globalization;

namespace Attune.Verification;

/// <summary>What became of a golden case.</summary>
public enum CaseVerdict
{
    /// <summary>Every output holds.</summary>
    Passed,

    /// <summary>An output is off by more than its tolerance or was not computed, or the computation failed.</summary>
    Failed,

    /// <summary>The case asks for something that this build does not have; nothing is said of its outputs.</summary>
    Unsupported,
}

/// <summary>The result of one golden case.</summary>
/// <param name="Name">GROUP/NAME.</param>
/// <param name="Verdict">Whether it holds.</param>
/// <param name="WorstRatio">The largest error as a multiple of its tolerance: 1 or less where the case passed, infinity where something
/// else than a value is wrong.</param>
/// <param name="Detail">The output with the largest ratio, what is wrong, or what is not supported.</param>
public sealed record CaseResult(string Name, CaseVerdict Verdict, double WorstRatio, string Detail)
{
    /// <summary>One line for people: verdict, name, ratio and detail.</summary>
    public override string ToString() => Verdict switch
    {
        CaseVerdict.Unsupported => $"----  {Name}  unsupported: {Detail}",
        CaseVerdict.Passed => $"pass  {Name}  {Ratio} of the tolerance{Named}",
        _ when double.IsPositiveInfinity(WorstRatio) => $"FAIL  {Name}  {Detail}",
        _ => $"FAIL  {Name}  {Ratio} of the tolerance{Named}",
    };

    private string Ratio => WorstRatio.ToString("0.000", CultureInfo.InvariantCulture);

    private string Named => Detail.Length > 0 ? $" ({Detail})" : "";
}
