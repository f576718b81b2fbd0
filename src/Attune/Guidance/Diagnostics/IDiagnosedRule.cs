using Attune.Attention;

namespace Attune.Guidance.Diagnostics;

/// <summary>
/// A rule that reports numbers of its own about the attention layers where it acts, when a request asks for a <see cref="GuidanceTrace"/>.
/// </summary>
public interface IDiagnosedRule
{
    /// <summary>Measures one layer. Called after the layer's output is computed, and never without a trace.</summary>
    /// <param name="facts">The plain facts of the call.</param>
    /// <param name="to">Takes the numbers.</param>
    void Measure(AttentionFacts facts, IMeasurements to);
}
