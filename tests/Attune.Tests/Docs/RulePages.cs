using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Attune.Attention;
using Attune.Guidance;

namespace Attune.Tests.Docs;

/// <summary>The generated parts of docs/guidance: what the rules' forms, docstrings and presets say of a rule.</summary>
internal static partial class RulePages
{
    private static readonly Lazy<Dictionary<string, XElement>> Docstrings = new(() =>
        XDocument.Load(Path.ChangeExtension(typeof(RuleCatalog).Assembly.Location, ".xml"))
            .Descendants("member")
            .ToDictionary(member => member.Attribute("name")!.Value));

    /// <summary>The rules of the library, by name.</summary>
    public static IEnumerable<GuidanceRule> Rules =>
        RuleCatalog.Rules.Where(rule => rule.GetType().Assembly == typeof(RuleCatalog).Assembly);

    /// <summary>A generated part of a page about rules, or null when there is none of that name.</summary>
    /// <param name="part">Which part.</param>
    /// <param name="name">The rule that the page is about; empty for pages about all.</param>
    public static string? Part(string part, string name) => part switch
    {
        "facts" => Facts(RuleCatalog.Find(name)),
        "parameters" => Parameters(RuleCatalog.Find(name)),
        "presets" => Presets(name),
        "rules" => Index(),
        "families" => Families(),
        "sampling" => Sampling(),
        _ => null,
    };

    /// <summary>What the server tells clients of rules in words, as JSON.</summary>
    public static string Texts()
    {
        var texts = new JsonObject();
        foreach (var rule in Rules)
        {
            string page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "guidance", rule.Form.Name + ".md"));
            texts[rule.Form.Name] = new JsonObject
            {
                ["title"] = page.Split('\n')[0].TrimStart('#').Trim(), ["about"] = Plain(Short(rule.Form.Name)), ["acts"] = Place(rule),
                ["parameters"] = new JsonObject(rule.Form.Parameters.Select(parameter => KeyValuePair.Create(
                    parameter.Name, (JsonNode?)Plain(Docstring(rule.GetType().GetProperty(parameter.Property)!))))),
            };
        }
        var options = new JsonSerializerOptions { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        return texts.ToJsonString(options).ReplaceLineEndings("\n") + "\n";
    }

    /// <summary>A text of a page without its markup.</summary>
    private static string Plain(string text) => Link().Replace(text, "$1").Replace("`", "", StringComparison.Ordinal)
        .Replace("\\|", "|", StringComparison.Ordinal).Replace("&lt;", "<", StringComparison.Ordinal);

    private static string Facts(GuidanceRule rule)
    {
        string[] neutral = [
            .. rule.Form.Parameters.Where(parameter => parameter.Neutral != null)
                .Select(parameter => $"`{parameter.Name}={parameter.Neutral}`")];
        return GeneratedParts.Table(
            ["", ""],
            [
                ["name", string.Join(", ", rule.Form.Names.Select(known => $"`{known}`"))],
                ["acts", Place(rule)],
                ["more passes", Passes(rule)],
                [
                    "reads a negative prompt",
                    rule.ReadsNegativeText ? "in attention" : rule.Needs.HasFlag(PassKinds.Negative) ? "in a pass of its own" : "no"],
                ["off", neutral.Length == 0 ? "no parameters: leave the rule out" : string.Join(", ", neutral)],
                ["class", $"`{rule.GetType().Name}`"],
            ]);
    }

    private static string Place(GuidanceRule rule)
    {
        string kinds = string.Join(
            " and ", Enum.GetValues<AttentionKind>().Where(rule.ActsAt).Select(kind => kind.ToString().ToLowerInvariant()));
        bool perturbs = rule.Needs.HasFlag(PassKinds.Perturbed);
        return rule switch
        {
            IAttentionCorrection => $"in {kinds} attention: added to the plain output",
            IAttentionBase when !perturbs => $"in {kinds} attention: in the place of the plain output",
            IAttentionBase => $"on predictions, as a term; in its own pass in {kinds} attention",
            IBlockPolicy => "on predictions, as a term; its own pass leaves blocks out",
            ISkipConnection => "on the skip connections of UNets",
            IPredictionRule { Stage: PredictionStage.Contrast } => "on predictions, as the contrast",
            IPredictionRule { Stage: PredictionStage.Term } => "on predictions, as a term",
            _ => "on predictions, as the normalisation",
        };
    }

    private static string Passes(GuidanceRule rule)
    {
        string[] passes = [
            .. Enum.GetValues<PassKinds>()
                .Where(kind => kind != PassKinds.None && rule.Needs.HasFlag(kind))
                .Select(kind => kind.ToString().ToLowerInvariant())];
        return passes.Length == 0 ? "none" : $"{passes.Length}: {string.Join(", ", passes)}";
    }

    private static string Parameters(GuidanceRule rule)
    {
        var rows = rule.Form.Parameters.Select(parameter => new[]
        {
            string.Join(", ", parameter.Names.Select(known => $"`{known}`")),
            parameter.Choices.Count > 0 ? string.Join(", ", parameter.Choices.Select(value => $"`{value}`"))
                : parameter.Range?.ToString() ?? "see below",
            $"`{parameter.TextOf(rule)}`",
            Docstring(rule.GetType().GetProperty(parameter.Property)!),
        });
        var text = new StringBuilder(GeneratedParts.Table(["name", "values", "default", "meaning"], rows));
        foreach (var alias in rule.Form.Aliases.OrderBy(alias => alias.Name, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n`{alias.Name}=x` of other tools is understood as `{alias.Parameter}=");
            text.AppendFormat(CultureInfo.InvariantCulture, alias.Form, alias.Form == "{0}" ? Linear(alias) : $"({Linear(alias)})");
            text.Append("`.\n");
        }
        return text.Append("\nForms of `steps` and `layers`: [where rules act](README.md#where-rules-act).\n").ToString();
    }

    private static string Linear(ParameterAlias alias)
    {
        string product = alias.Factor == 1 ? "x" : FormattableString.Invariant($"{alias.Factor} x");
        return alias.Offset == 0
            ? product
            : alias.Factor < 0 ? FormattableString.Invariant($"{alias.Offset} - {-alias.Factor} x")
            : FormattableString.Invariant($"{product} {(alias.Offset < 0 ? '-' : '+')} {Math.Abs(alias.Offset)}");
    }

    private static string Presets(string name)
    {
        string[][] rows = [.. GuidancePresets.Families
            .Select(family => (Family: family, Entry: GuidancePresets.Rule(family, name)))
            .Where(pair => pair.Entry != null)
            .Select(
                pair => new[] {
                    $"`{pair.Family}`", Changed(pair.Entry!.Rule), pair.Entry.Origin.ToString().ToLowerInvariant(), pair.Entry.Source })];
        return rows.Length == 0 ? "None are known for any model: the defaults hold.\n"
            : GeneratedParts.Table(["model", "values", "origin", "source"], rows);
    }

    private static string Changed(GuidanceRule rule)
    {
        string text = string.Join(
            ", ",
            rule.Form.Parameters
                .Where(parameter => parameter.TextOf(rule) != parameter.Omitted)
                .Where(parameter => parameter.Choices.Count == 0)
                .Select(parameter => $"{parameter.Name} {parameter.TextOf(rule)}"));
        return text.Length == 0 ? "as it is" : text.Replace("|", "\\|", StringComparison.Ordinal);
    }

    private static string Index() => GeneratedParts.Table(
        ["rule", "acts", "more passes", "in short"],
        Rules.Select(
            rule => new[] { $"[`{rule.Form.Name}`]({rule.Form.Name}.md)", Place(rule), Passes(rule), Short(rule.Form.Name) }));

    private static string Families() => GeneratedParts.Table(
        ["family", "model", "rules"],
        GuidancePresets.Families.Select(GuidancePresets.For)
            .Select(
                preset => new[] {
                    $"`{preset.Family}`", preset.Title,
                    string.Join(", ", preset.Rules.Select(rule => $"[{rule.Name}]({rule.Name}.md)")) }));

    private static string Sampling() => GeneratedParts.Table(
        ["family", "scheduler", "steps", "origin", "source"],
        GuidancePresets.Families.Select(GuidancePresets.For).Where(preset => preset.Sampling != null).Select(preset =>
        {
            var sampling = preset.Sampling!;
            string steps = sampling.Timesteps is { } timesteps ? $"timesteps {string.Join(", ", timesteps)}"
                : sampling.Sigmas is { } sigmas
                    ? "sigmas " + string.Join(", ", sigmas.Select(sigma => sigma.ToString(CultureInfo.InvariantCulture)))
                : FormattableString.Invariant($"{sampling.Steps}");
            if (sampling.Eta is { } eta)
                steps += FormattableString.Invariant($", eta {eta}");
            if (sampling.GuidanceScale is { } scale)
                steps += FormattableString.Invariant($", embedded guidance {scale}");
            return new[] {
                $"`{preset.Family}`", sampling.Scheduler == null ? "the checkpoint's" : $"`{sampling.Scheduler}`", steps,
                sampling.Origin.ToString().ToLowerInvariant(), sampling.Source };
        }));

    /// <summary>The first sentence of what a rule's page says that it does.</summary>
    private static string Short(string name)
    {
        string page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "guidance", name + ".md"));
        string text = Space().Replace(page.Split("## What it does")[1].Split("\n\n")[1], " ").Trim();
        int end = text.IndexOf(". ", StringComparison.Ordinal);
        return end < 0 ? text : text[..(end + 1)];
    }

    private static string Docstring(PropertyInfo property) =>
        Render(Docstrings.Value[$"P:{property.DeclaringType!.FullName}.{property.Name}"].Element("summary")!)
            .Replace("|", "\\|", StringComparison.Ordinal);

    private static string Render(XElement summary)
    {
        var text = new StringBuilder();
        foreach (var node in summary.Nodes())
        {
            text.Append(node switch
            {
                XText plain => plain.Value,
                XElement { Name.LocalName: "c" } code => $"`{code.Value}`",
                XElement element when element.Attribute("cref") is { } cref => $"`{cref.Value[(cref.Value.LastIndexOf('.') + 1)..]}`",
                XElement element => element.Value,
                _ => "",
            });
        }
        return Space().Replace(text.ToString(), " ").Trim().Replace("<", "&lt;", StringComparison.Ordinal);
    }

    [GeneratedRegex(@"\[([^\]]+)\]\([^)]+\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}
