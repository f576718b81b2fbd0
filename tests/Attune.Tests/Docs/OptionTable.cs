using Attune.Generation;

namespace Attune.Tests.Docs;

/// <summary>The generated part of docs/options.md: what the catalogue says of every option.</summary>
internal static class OptionTable
{
    /// <summary>The table, or null for parts of other names.</summary>
    public static string? Part(string part)
    {
        if (part != "options")
            return null;
        var models = Models();
        return GeneratedParts.Table(
            ["option", "JSON key", "value", "models", "meaning"],
            OptionCatalog.All.Select(option => new[]
            {
                string.Join(", ", option.Aliases.Select(alias => $"`-{alias}`").Prepend(Named(option))),
                option.IsShorthand ? "" : $"`{option.Key}`",
                Value(option),
                option.ModelOption is not { } taken ? "all" : Taking(models, taken),
                option.Description.Replace("<", "&lt;", StringComparison.Ordinal).Replace("|", "\\|", StringComparison.Ordinal),
            }));
    }

    private static string Named(RequestOption option) => option.Name == "prompt" ? "`PROMPT`" : $"`--{option.Name}`";

    private static string Value(RequestOption option)
    {
        string kind = option.Kind switch
        {
            OptionKind.Integer => "integer",
            OptionKind.Number => "number",
            OptionKind.Flag => "true, false",
            OptionKind.File => "file",
            _ => "text",
        };
        return option.Range is { } range ? $"{kind}, {range}" : kind;
    }

    private static string Taking(IReadOnlyList<(string Name, IReadOnlySet<string> Options)> models, string option)
    {
        string[] names = [.. models.GroupBy(model => model.Name)
            .Where(group => group.Any(model => model.Options.Contains(option)))
            .Select(group => group.All(model => model.Options.Contains(option)) ? $"`{group.Key}`" : $"some `{group.Key}`")];
        return models.All(model => model.Options.Contains(option)) ? "all" : names.Length == 0 ? "none yet" : string.Join(", ", names);
    }

    /// <summary>What the small checkpoints take, which have the configurations of real ones.</summary>
    private static List<(string Name, IReadOnlySet<string> Options)> Models()
    {
        var models = new List<(string, IReadOnlySet<string>)>();
        foreach (string folder in Directory.GetDirectories(Repository.Golden("checkpoints")).Order(StringComparer.Ordinal))
        {
            if (!File.Exists(Path.Combine(folder, "model_index.json")))
                continue;
            using var pipeline = DiffusionPipeline.Load(folder);
            models.Add((pipeline.Facts.ClassName, pipeline.Facts.Options));
        }
        return models;
    }
}
