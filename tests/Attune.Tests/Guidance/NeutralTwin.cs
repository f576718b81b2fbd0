using Attune.Guidance;

namespace Attune.Tests.Guidance;

internal static class NeutralTwin
{
    extension(GuidanceRule rule)
    {
        /// <summary>The rule with the parameters under which it gives exactly the plain result, or null when it has none.</summary>
        public GuidanceRule? Neutral
        {
            get
            {
                RuleParameter[] parameters = [.. rule.Form.Parameters.Where(parameter => parameter.Neutral != null)];
                return parameters.Length == 0 ? null
                    : parameters.Aggregate(rule, (twin, parameter) => parameter.Set(twin, parameter.Neutral!));
            }
        }
    }
}
