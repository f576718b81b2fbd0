using Attune.Tensors;

namespace Attune.Attention;

/// <summary>
/// Remembers what attention layers gave, behind their output projections where a layer has one of its own, so that they need not be
/// computed in every step.
/// </summary>
public interface IAttentionOutputs
{
    /// <summary>What stands for a layer's output, [batch, rows, channels]; null where the layer is computed. It is only read.</summary>
    Tensor? Recall(AttentionSite site);

    /// <summary>Receives what a layer gave, which is only read and only during the call.</summary>
    void Keep(AttentionSite site, Tensor output);
}
