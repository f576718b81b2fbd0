using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Caching;

/// <summary>
/// Keeps the outputs of attention layers for some steps. Pyramid attention broadcast (Zhao et al., arXiv 2408.12588) takes the last output
/// again, each kind of layer for a number of steps of its own; FasterCache (Lyu et al., arXiv 2410.19355), its part for attention, goes on
/// from the last two. Unlike in diffusers each kind of pass has its own.
/// </summary>
/// <param name="self">Layers in which latents attend to latents are computed in every so manyth step; null for every step.</param>
/// <param name="cross">The same of layers in which latents attend to text alone.</param>
/// <param name="above">Between these timesteps alone; what is outside is computed.</param>
/// <param name="below">As <paramref name="above"/>.</param>
/// <param name="weight">How much of the difference of the last two outputs is added to the last one; null for none.</param>
internal sealed class AttentionOutputCache(int? self, int? cross, double above, double below, double? weight)
    : StepCache, IAttentionOutputs
{
    private readonly Dictionary<string, (Tensor Last, Tensor? Before)> _outputs = new(StringComparer.Ordinal);
    private StepPoint _at;

    /// <inheritdoc/>
    public override IAttentionOutputs Outputs => this;

    /// <inheritdoc/>
    public override void Begin(StepPoint at)
    {
        _at = at;
        Computed = _outputs.Count == 0 || Computes(self ?? cross);
    }

    /// <inheritdoc/>
    public Tensor? Recall(AttentionSite site)
    {
        if (Computes(Every(site)) || !_outputs.TryGetValue(site.Path, out var known))
            return null;
        if (weight is not { } more)
            return known.Last;
        using var scope = new TensorScope();
        var next = known.Last.Add(known.Last.Subtract(known.Before ?? known.Last).Affine((float)more));
        Remember(site, TensorScope.Detach(next));
        return next;
    }

    /// <inheritdoc/>
    public void Keep(AttentionSite site, Tensor output)
    {
        if (Every(site) != null)
            Remember(site, TensorScope.Detach(output.Clone()));
    }

    /// <inheritdoc/>
    public override int KeptOf(IReadOnlyList<AttentionSite> sites) =>
        (weight == null ? 1 : 2) * sites.Count(site => Every(site) != null);

    /// <inheritdoc/>
    public override void Reset()
    {
        Dispose();
        _outputs.Clear();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var (last, before) in _outputs.Values)
        {
            last.Dispose();
            before?.Dispose();
        }
    }

    private int? Every(AttentionSite site) => site.Kind switch
    {
        AttentionKind.Cross => cross,
        AttentionKind.Self or AttentionKind.Joint or AttentionKind.Linear => self,
        _ => null,
    };

    private bool Computes(int? every) =>
        every is not { } steps || !(_at.Timestep > above && _at.Timestep < below)
            || (_at.Index % steps == 0 && (weight == null || _at.Index > 0));

    /// <summary>Takes an output; the one before it stays where something goes on from both.</summary>
    private void Remember(AttentionSite site, Tensor output)
    {
        Tensor? before = null;
        if (_outputs.TryGetValue(site.Path, out var known))
        {
            known.Before?.Dispose();
            if (weight != null)
                before = known.Last;
            else
                known.Last.Dispose();
        }
        _outputs[site.Path] = (output, before);
    }
}
