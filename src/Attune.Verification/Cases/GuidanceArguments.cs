using System.Text.Json;
using Attune.Guidance;

namespace Attune.Verification;

/// <summary>The <c>guidance</c> of a case as rules of the library.</summary>
internal static class GuidanceArguments
{
    /// <summary>The rules that a case's guidance lists, in its order.</summary>
    /// <exception cref="UnsupportedCaseException">There is no such rule, or it has no such parameter.</exception>
    public static IReadOnlyList<GuidanceRule> Rules(GoldenCase golden)
    {
        if (!golden.Arguments.TryGetProperty("guidance", out var list))
            return [];
        var rules = new List<GuidanceRule>();
        foreach (var entry in list.EnumerateArray())
        {
            var parameters = new Dictionary<string, string>();
            foreach (var parameter in entry.EnumerateObject())
            {
                var (name, value) = (parameter.Name, parameter.Value);
                if (name == "rescale")
                    rules.Add(
                        value.ValueKind == JsonValueKind.String ? new NormKeeping() : new DeviationRescale { Share = value.GetSingle() });
                else if (name == "steps")
                    parameters[name] = $"{value[0].GetInt32()}-{value[1].GetInt32()}";
                else if (name == "sigma_interval")
                    parameters["steps"] = $"sigma:{value[0].GetRawText()}-{value[1].GetRawText()}";
                else if (name == "layers")
                    parameters[name] = string.Join('|', value.EnumerateArray().Select(layer => layer.ToString()));
                else if (name is not ("rule" or "perturbed" or "kernel_size"))       // what is compared, and informative
                    parameters[name] = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
            }
            try
            {
                rules.Add(RuleCatalog.Create(entry.GetProperty("rule").GetString()!, parameters));
            }
            catch (FormatException exception)
            {
                throw new UnsupportedCaseException(exception.Message);
            }
        }
        Normalise(golden, rules);
        return rules;
    }

    /// <summary>Z-Image's pipeline states these beside its guidance.</summary>
    private static void Normalise(GoldenCase golden, List<GuidanceRule> rules)
    {
        // Guidance ends when the time, from 0 at pure noise, is beyond the number.
        if (golden.OptionalDouble("cfg_truncation") is { } truncation)
        {
            int cfg = rules.FindIndex(rule => rule is ClassifierFreeGuidance);
            rules[cfg] = rules[cfg] with { Steps = StepRange.Timesteps(1000 - 1000 * truncation, 1000) };
        }
        if (golden.OptionalDouble("cfg_normalization") is { } factor and > 0)
            rules.Add(new NormKeeping { Over = NormSpan.Picture, Target = NormTarget.Limit, Factor = (float)factor });
    }
}
