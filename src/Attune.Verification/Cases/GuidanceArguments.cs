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
        return rules;
    }
}
