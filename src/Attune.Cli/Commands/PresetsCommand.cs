using System.CommandLine;
using System.Globalization;
using Attune.Guidance;
using Attune.Models;
using Spectre.Console;

namespace Attune.Cli.Commands;

/// <summary><c>attune presets [FAMILY]</c>: lists the published parameters of guidance rules with their sources.</summary>
internal static class PresetsCommand
{
    public static Command Create()
    {
        var family = new Argument<string?>("family") {
            Description = "A family of models, as sdxl-dmd2. Default: all, without sources.", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command(
            "presets",
            "List the published parameters of guidance rules, and how few-step models are sampled, with their sources.") { family };
        command.SetAction(result => Run(result.GetValue(family), AnsiConsole.Console));
        return command;
    }

    internal static int Run(string? family, IAnsiConsole console)
    {
        if (family == null)
        {
            var all = Table("family", "model", "runs", "guidance", "with a negative prompt", "rules", "sampling");
            foreach (var preset in GuidancePresets.Families.Select(GuidancePresets.For))
                all.AddRow(
                    new Text(preset.Family), new Text(preset.Title), new Text(Runs(preset) ? "yes" : "no"), new Text(preset.Guidance),
                    new Text(preset.NegativeGuidance), new Text(string.Join(", ", preset.Rules.Select(rule => rule.Name))),
                    new Text(Describe(preset)));
            console.Write(all);
            console.WriteLine("runs: whether this version runs models of the family; the others are published numbers alone.");
            return 0;
        }
        var chosen = GuidancePresets.For(family);
        console.WriteLine($"{chosen.Title}{(chosen.FewStep ? "; distilled to few steps: CFG is off" : "")}");
        console.WriteLine(
            $"guidance by default: {chosen.Guidance}, with a negative prompt {chosen.NegativeGuidance}"
                + (Runs(chosen) ? "" : "; this version does not run the model"));
        var table = Table("what", "value", "origin", "source");
        if (chosen.Sampling is { } sampling)
            table.AddRow(new Text("sampling"), new Text(Describe(chosen)), new Text(Name(sampling.Origin)), new Text(sampling.Source));
        foreach (var rule in chosen.Rules)
            table.AddRow(new Text(rule.Name), new Text(RuleCatalog.Format(rule.Rule)), new Text(Name(rule.Origin)), new Text(rule.Source));
        console.Write(table);
        return 0;
    }

    /// <summary>How a family is sampled, in one line.</summary>
    internal static string Describe(ModelPreset preset)
    {
        if (preset.Sampling is not { } sampling)
            return "";
        var parts = new List<string>();
        if (sampling.Scheduler != null)
            parts.Add(sampling.Scheduler);
        if (sampling.Steps is { } steps)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{steps} {(steps == 1 ? "step" : "steps")}"));
        if (sampling.Timesteps is { } timesteps)
            parts.Add("timesteps " + string.Join(", ", timesteps));
        if (sampling.Sigmas is { } sigmas)
            parts.Add("sigmas " + string.Join(", ", sigmas.Select(sigma => sigma.ToString(CultureInfo.InvariantCulture))));
        if (sampling.Eta is { } eta)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"eta {eta}"));
        if (sampling.GuidanceScale is { } scale)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"embedded guidance {scale}"));
        return string.Join("; ", parts);
    }

    /// <summary>Whether this version runs models of a family.</summary>
    internal static bool Runs(ModelPreset preset) => Family.All.Any(family => family.PresetForms.Contains(preset.Form));

    private static string Name(PresetOrigin origin) => origin.ToString().ToLowerInvariant();

    private static Table Table(params string[] headings)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (string heading in headings)
            table.AddColumn(new TableColumn(heading));
        return table;
    }
}
