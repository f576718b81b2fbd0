using System.Text.Json;
using Attune.Guidance;
using Attune.Server.Hosting;

namespace Attune.Server.Jobs;

/// <summary>What is said of a rule and its parameters in words: the documentation's own, taken from it by its tests.</summary>
/// <param name="Title">Its name for people.</param>
/// <param name="About">What it does, in a sentence.</param>
/// <param name="Acts">Where it acts.</param>
/// <param name="Parameters">What each parameter means.</param>
internal sealed record RuleText(string Title, string About, string Acts, IReadOnlyDictionary<string, string> Parameters)
{
    private const string Resource = "Attune.Server.Jobs.rules.json";

    private static readonly Lazy<IReadOnlyDictionary<string, RuleText>> All = new(() =>
    {
        using var stream = typeof(RuleText).Assembly.GetManifestResourceStream(Resource)!;
        return JsonSerializer.Deserialize(stream, ServerJson.Answers.IReadOnlyDictionaryStringRuleText)!;
    });

    /// <summary>What is said of a rule; null for one that is none of the library's.</summary>
    public static RuleText? Of(string rule) => All.Value.GetValueOrDefault(rule);
}

/// <summary>A rule of guidance with its parameters.</summary>
internal sealed record RuleAnswer(string Name, string Text, IReadOnlyList<ParameterAnswer> Parameters)
{
    public string? Title { get; init; }

    public string? About { get; init; }

    public string? Acts { get; init; }

    /// <summary>Whether it reads the negative prompt.</summary>
    public bool ReadsNegative { get; init; }

    /// <summary>How many times more the model is computed in each step.</summary>
    public int MorePasses { get; init; }

    public static RuleAnswer Of(GuidanceRule rule)
    {
        var text = RuleText.Of(rule.Form.Name);
        return new RuleAnswer(
            rule.Form.Name, RuleCatalog.Format(rule),
            [
                .. rule.Form.Parameters.Select(
                    parameter => ParameterAnswer.Of(parameter, rule, text?.Parameters.GetValueOrDefault(parameter.Name))),
            ])
        {
            Title = text?.Title,
            About = text?.About,
            Acts = text?.Acts,
            ReadsNegative = rule.ReadsNegativeText || rule.Needs.HasFlag(PassKinds.Negative),
            MorePasses = Enum.GetValues<PassKinds>().Count(kind => kind != PassKinds.None && rule.Needs.HasFlag(kind)),
        };
    }
}

/// <summary>A parameter of a rule, with what it may be.</summary>
internal sealed record ParameterAnswer(string Name, string Kind, string Default, string? Range, IReadOnlyList<string> Choices)
{
    /// <summary>The least number; null where there is none, or it is no number.</summary>
    public double? Minimum { get; init; }

    /// <summary>The greatest number; null where there is none.</summary>
    public double? Maximum { get; init; }

    /// <summary>The value that turns it off.</summary>
    public string? Neutral { get; init; }

    public string? About { get; init; }

    public static ParameterAnswer Of(RuleParameter parameter, GuidanceRule rule, string? about) => new(
        parameter.Name, KindOf(parameter), parameter.TextOf(rule), parameter.Range?.ToString(), parameter.Choices)
    {
        Minimum = parameter.Range is { Minimum: var least } && double.IsFinite(least) ? least : null,
        Maximum = parameter.Range is { Maximum: var most } && double.IsFinite(most) ? most : null,
        Neutral = parameter.Neutral,
        About = about,
    };

    private static string KindOf(RuleParameter parameter) => parameter.Choices.Count > 0 ? "choice"
        : parameter.Type == typeof(float) ? "number" : parameter.Type == typeof(int) ? "integer"
        : parameter.Type == typeof(float?) ? "optional" : parameter.Type == typeof(StepRange) ? "steps"
        : parameter.Type == typeof(LayerSelector) ? "layers" : "text";
}

/// <summary>A family of models, with what is published for it.</summary>
/// <param name="Family">Its name, as requests have it in <c>preset</c>.</param>
/// <param name="Title">Its name for people.</param>
/// <param name="FewStep">Whether it was distilled to few steps.</param>
/// <param name="Guidance">The guidance of requests that say nothing.</param>
/// <param name="NegativeGuidance">The same where there is a negative prompt.</param>
/// <param name="Rules">Parameters of rules, with their sources.</param>
internal sealed record FamilyAnswer(
    string Family, string Title, bool FewStep, string Guidance, string NegativeGuidance, IReadOnlyList<PublishedRule> Rules)
{
    public static FamilyAnswer Of(ModelPreset preset) => new(
        preset.Family, preset.Title, preset.FewStep, preset.Guidance, preset.NegativeGuidance,
        [.. preset.Rules.Select(rule => new PublishedRule(
            rule.Name, RuleCatalog.Format(rule.Rule), rule.Origin.ToString().ToLowerInvariant(), rule.Source))]);
}

/// <summary>A rule as it is published for a family.</summary>
internal sealed record PublishedRule(string Name, string Text, string Origin, string Source);

/// <summary>What would be made of a request.</summary>
internal sealed record CheckAnswer(string Model, int Count, double Seconds)
{
    public string? Size { get; init; }

    public int? Steps { get; init; }

    public string? Scheduler { get; init; }

    /// <summary>The rules with all their parameters; <c>none</c> for none.</summary>
    public string? Guidance { get; init; }

    /// <summary>Whether a rule reads the negative prompt.</summary>
    public bool? ReadsNegative { get; init; }

    /// <summary>What is probably not meant.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}
