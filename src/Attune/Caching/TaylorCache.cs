using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Caching;

/// <summary>What a <see cref="TaylorCache"/> predicts.</summary>
internal enum TaylorSubject
{
    /// <summary>The denoiser's prediction: in the steps between nothing of it runs. The "lite" mode of diffusers.</summary>
    Prediction,

    /// <summary>The outputs of all attention layers; norms, feed-forward networks and the last layers run.</summary>
    Attention,

    /// <summary>The same of the layers in which latents attend to latents, alone or together with text.</summary>
    SelfAttention,
}

/// <summary>
/// TaylorSeer (Liu et al., arXiv 2503.06923; diffusers' TaylorSeerCacheConfig): what is computed in every so manyth step is extrapolated
/// in the steps between.
/// </summary>
/// <param name="subject">What is extrapolated.</param>
/// <param name="interval">1 or more: of so many steps one is computed.</param>
/// <param name="order">0 or more: the highest derivative.</param>
/// <param name="before">0 or more: so many steps at the beginning are all computed.</param>
/// <param name="after">From this step on all are computed, counted from 0.</param>
/// <param name="rounds">Whether what is kept is rounded to bfloat16.</param>
internal sealed class TaylorCache(TaylorSubject subject, int interval, int order, int before, int after, bool rounds)
    : StepCache, IAttentionOutputs
{
    /// <summary>Of each layer; the whole prediction has the empty name.</summary>
    private readonly Dictionary<string, TaylorSeries> _series = new(StringComparer.Ordinal);

    private int _step;
    private int _age;

    /// <inheritdoc/>
    public override IAttentionOutputs? Outputs => subject == TaylorSubject.Prediction ? null : this;

    /// <inheritdoc/>
    public override void Begin(StepPoint at)
    {
        Computed = _age < before || at.Index >= after || (_age - before - 1) % interval == 0 || _series.Count == 0;
        _step = at.Index;
        _age++;
    }

    /// <inheritdoc/>
    public override Tensor? Recall() => subject == TaylorSubject.Prediction && !Computed ? _series[""].At(_step) : null;

    /// <inheritdoc/>
    public override void Keep(Tensor prediction)
    {
        if (subject == TaylorSubject.Prediction)
            Update("", prediction);
    }

    /// <inheritdoc/>
    public Tensor? Recall(AttentionSite site) => Acts(site) && !Computed ? _series[site.Path].At(_step) : null;

    /// <inheritdoc/>
    public void Keep(AttentionSite site, Tensor output)
    {
        if (Acts(site))
            Update(site.Path, output);
    }

    /// <summary>Predictions are small; of each layer there is a value and each derivative.</summary>
    /// <inheritdoc/>
    public override int KeptOf(IReadOnlyList<AttentionSite> sites) =>
        subject == TaylorSubject.Prediction ? 0 : (order + 1) * sites.Count(Acts);

    /// <inheritdoc/>
    public override void Reset()
    {
        Dispose();
        _series.Clear();
        _age = 0;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var series in _series.Values)
            series.Dispose();
    }

    private bool Acts(AttentionSite site) => subject == TaylorSubject.Attention || IsOfLatents(site);

    private static bool IsOfLatents(AttentionSite site) =>
        site.Kind is AttentionKind.Self or AttentionKind.Joint or AttentionKind.Linear;

    private void Update(string name, Tensor value)
    {
        if (!_series.TryGetValue(name, out var series))
            _series[name] = series = new TaylorSeries(order, rounds);
        series.Update(value, _step);
    }
}
