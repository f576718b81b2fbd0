using Attune.Tensors;

namespace Attune.Attention;

/// <summary>Replaces the plain attention of the latent rows at a layer (PAG, SEG, VSF). At most one acts in a pass at a layer.</summary>
public interface IAttentionBase
{
    /// <summary>The output of the guided rows, [batch, latent rows, heads, channels]; owned by the current scope.</summary>
    Tensor Evaluate(AttentionFacts facts);
}

/// <summary>
/// Adds a term to the latent rows of an attention output (NAG, NASA, PLADIS, GAG). Corrections read plain facts, never each other, and add
/// up.
/// </summary>
public interface IAttentionCorrection
{
    /// <summary>Adds the correction.</summary>
    /// <param name="output">[batch, latent rows, heads, channels]: the rows so far.</param>
    /// <param name="facts">The plain facts of the call.</param>
    void AddTo(Tensor output, AttentionFacts facts);
}

/// <summary>What one rule does to attention layers in a pass.</summary>
/// <param name="Acts">At which layers.</param>
/// <param name="Base">What replaces the plain output, or null.</param>
/// <param name="Correction">What is added, or null.</param>
/// <param name="NeedsNegativeText">Whether it reads the negative text.</param>
public sealed record AttentionEffect(
    Func<AttentionSite, bool> Acts, IAttentionBase? Base, IAttentionCorrection? Correction, bool NeedsNegativeText);

/// <summary>Plain attention, with the effects of guidance rules on the latent rows. Text rows are never touched.</summary>
public sealed class GuidedAttention : IAttention
{
    private readonly AttentionEffect[] _effects;

    /// <summary>Attention with effects, whose corrections are added in the given order.</summary>
    public GuidedAttention(params IReadOnlyList<AttentionEffect> effects) => _effects = [.. effects];

    /// <summary>What watches the layers, or null. Without one, nothing is done for it.</summary>
    public IAttentionProbe? Probe { get; init; }

    /// <inheritdoc/>
    public bool ReadsNegativeText(AttentionSite site) =>
        ActsAt(site) && _effects.Any(effect => effect.NeedsNegativeText && effect.Acts(site));

    /// <inheritdoc/>
    public Tensor Attend(AttentionCall call)
    {
        ArgumentNullException.ThrowIfNull(call);
        var effects = ActsAt(call.Site) ? Array.FindAll(_effects, effect => effect.Acts(call.Site)) : [];
        if (effects.Length == 0)
            return Probe != null && call.Site.Kind is AttentionKind.Cross or AttentionKind.Joint ? AttendWatched(call, Probe)
                : PlainAttention.Instance.Attend(call);

        using var scope = new TensorScope();
        var output = call.Query.Like(call.Query.Shape);
        using var facts = new AttentionFacts(call)
        {
            NeedsParts = effects.Any(effect => effect.Correction != null),
            ExpectedEntmax = effects.Select(effect => effect.Correction).OfType<ISparseTextReader>().FirstOrDefault()?.Entmax,
        };
        PlainAttention.AttendRows(facts, output, kind => kind is TokenKind.Text or TokenKind.NegativeText);
        var guided = output.Slice(1, facts.Start, facts.Length);
        var replaced = effects.FirstOrDefault(effect => effect.Base != null)?.Base;
        (replaced == null ? facts.Latents : replaced.Evaluate(facts)).CopyTo(guided);
        foreach (var effect in effects)
            effect.Correction?.AddTo(guided, facts);
        Probe?.Observe(facts, guided, effects);

        // Both copies of the latents go on with the guided rows, so that they differ only in how they are modulated.
        foreach (var (start, length) in call.Queries.Runs(TokenKind.NegativeLatent))
            guided.CopyTo(output.Slice(1, start, length));
        return scope.Keep(output);
    }

    /// <summary>
    /// Plain attention, and facts beside it that are the probe's alone: the output is computed as without a probe, to the bit.
    /// </summary>
    private static Tensor AttendWatched(AttentionCall call, IAttentionProbe probe)
    {
        using var scope = new TensorScope();
        var output = PlainAttention.Instance.Attend(call);
        using var facts = new AttentionFacts(call) { NeedsParts = true };
        probe.Observe(facts, output.Slice(1, facts.Start, facts.Length), []);
        return scope.Keep(output);
    }

    private static bool ActsAt(AttentionSite site) => site.Kind is not (AttentionKind.ImagePrompt or AttentionKind.Linear);
}
