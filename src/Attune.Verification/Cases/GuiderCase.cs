using System.Globalization;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>
/// Prediction rules on given predictions: one step, several with one state (inputs conditional.i), or one at several noise levels (outputs
/// at_sigma_S).
/// </summary>
internal sealed class GuiderCase : CaseKind
{
    /// <summary>A step late enough for rules that treat the first ones apart.</summary>
    private const int GuiderStep = 5;

    public override string Kind => "guider";

    public override IReadOnlyCollection<string> Arguments { get; } = ["guidance"];

    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["conditional", "conditional.i", "unconditional", "unconditional.i", "negative", "perturbed", "x0"];

    public override void Run(GoldenCase golden, Comparison results)
    {
        var schedule = new GuidanceSchedule(GuidanceArguments.Rules(golden));
        using var state = new GuidanceState();
        if (golden.HasInput("conditional.0"))
        {
            for (int i = 0; golden.HasInput(FormattableString.Invariant($"conditional.{i}")); i++)
                Check(FormattableString.Invariant($"prediction.{i}"), FormattableString.Invariant($".{i}"), GuiderStep + i, 1);
            return;
        }
        foreach (string output in golden.Outputs.Keys)
            Check(
                output, "", GuiderStep,
                output.StartsWith("at_sigma_", StringComparison.Ordinal)
                    ? double.Parse(output["at_sigma_".Length..], CultureInfo.InvariantCulture)
                    : 1);

        void Check(string output, string suffix, int step, double sigma)
        {
            Tensor? Input(string name) => golden.OptionalInput(name + suffix);
            var point = new StepPoint(step, 4 * GuiderStep, 1000 * sigma, sigma);
            var positive = Input("conditional") ?? golden.Input("x0");
            bool threeWay = golden.HasInput("negative" + suffix);
            var facts = new PredictionFacts(point, positive, positive, state)
            {
                Negative = threeWay ? Input("negative") : Input("unconditional"),
                Empty = threeWay ? Input("unconditional") : null,
            };
            var guidance = schedule.At(point with { Index = IndexFor(schedule, point) });
            foreach (var pass in guidance.Passes.Where(pass => pass.Rule != null))
                facts.SetPerturbed(pass.Rule!, golden.Input("perturbed" + suffix));
            results.Check(output, guidance.Combine(facts));
        }
    }

    /// <summary>The values are those of rules that act: the first step in which all of them do, if there is one.</summary>
    private static int IndexFor(GuidanceSchedule schedule, StepPoint point) =>
        Enumerable.Range(0, point.Count)
            .Where(i => schedule.Rules.All(rule => rule.ActsIn(point with { Index = i })))
            .DefaultIfEmpty(point.Index)
            .First();
}
