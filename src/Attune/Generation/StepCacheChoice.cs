using System.Globalization;
using Attune.Attention;
using Attune.Caching;
using Attune.Models;

namespace Attune.Generation;

/// <summary>
/// A step cache: work is left out in steps that hardly differ from those before. Faster, and no longer exact. Each kind of pass remembers
/// its own steps, and forgets them where a rule begins or ceases to act inside it; nothing stays for the next request. The kinds, with
/// their parameters, are in docs/caching.md:
/// <list type="bullet">
/// <item><c>first-block</c> or <c>fb</c> (FirstBlockCache of diffusers, "FBCache" of ParaAttention): the first block always runs, and the
/// others do where mean |r - r'| / mean |r'| is above a threshold, r being what the first block adds to the latents, and r' the same in the
/// last step in which all ran; means run over all images of the request.</item>
/// <item><c>taylor</c> (TaylorSeer, arXiv 2503.06923): one step of an interval is computed, those between are extrapolated.</item>
/// <item><c>mag</c> (MagCache, arXiv 2506.09045): the blocks run where the ratios of what they add have gone too far from 1.</item>
/// <item><c>static</c>: the blocks run in every so manyth step.</item>
/// <item><c>broadcast</c> (pyramid attention broadcast, arXiv 2408.12588) and <c>faster</c> (FasterCache, arXiv 2410.19355): outputs of
/// attention layers are taken again, or extrapolated from the last two.</item>
/// </list>
/// </summary>
public sealed record StepCacheChoice
{
    /// <summary>Ratios that were measured on a model, by its name (MagCache's repository, FLUX.1-dev at 28 steps).</summary>
    private static readonly Dictionary<string, float[]> MagnitudeRatios = new(StringComparer.Ordinal)
    {
        ["flux-dev"] =
        [
            1, 1.21094f, 1.11719f, 1.07812f, 1.0625f, 1.03906f, 1.03125f, 1.03906f, 1.02344f, 1.03125f, 1.02344f, 0.98047f, 1.01562f,
            1.00781f, 1, 1.00781f, 1, 1.00781f, 1, 1, 0.99609f, 0.99609f, 0.98047f, 0.98828f, 0.96484f, 0.95703f, 0.93359f, 0.89062f,
        ],
    };

    private static readonly Dictionary<string, Func<CacheParameters, StepCache>> Kinds = new(StringComparer.Ordinal)
    {
        ["first-block"] = p => new FirstBlockCache(p.Number("threshold", 0.05)),
        ["taylor"] = p => new TaylorCache(
            p.Word("of", TaylorSubject.Prediction, ("prediction", TaylorSubject.Prediction), ("attention", TaylorSubject.Attention),
                ("self-attention", TaylorSubject.SelfAttention)),
            p.Integer("interval", 3, 1), p.Integer("order", 1, 0, 4), p.Integer("before", 3, 0), p.Integer("after", int.MaxValue, 0),
            p.Word("factors", false, ("f32", false), ("bf16", true))),
        ["mag"] = p => new MagCache(
            p.Number("threshold", 0.06), p.Integer("skips", 3, 0), p.Number("retention", 0.2, high: 1),
            p.Numbers("ratios", MagnitudeRatios, "calibrate"), p.IsWord("ratios", "calibrate")),
        ["static"] = p => new StaticCache(p.Integer("every", 2, 1), p.Integer("before", 3, 0), p.Integer("after", int.MaxValue, 0)),
        ["broadcast"] = p => new AttentionOutputCache(
            p.Integer("self", 2, 1), p.OptionalInteger("cross", 1), p.Number("above", 100, low: -1), p.Number("below", 800), weight: null),
        ["faster"] = p => new AttentionOutputCache(
            p.Integer("self", 2, 1), cross: null, p.Number("above", -1, low: -1), p.Number("below", 681), p.Number("weight", 0.5)),
    };

    private static readonly Dictionary<string, string> Aliases = new(StringComparer.Ordinal) { ["fb"] = "first-block" };

    private readonly string _text;

    private StepCacheChoice(string text) => _text = text;

    /// <summary>First-block cache.</summary>
    /// <param name="threshold">
    /// 0 or more; blocks are left out up to this change. 0.05 is the default of diffusers; ParaAttention takes 0.08 for FLUX.1-dev.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is below 0 or no number.</exception>
    public static StepCacheChoice FirstBlock(double threshold = 0.05) => threshold >= 0
        ? Parse(string.Create(CultureInfo.InvariantCulture, $"first-block:threshold={threshold:R}"))!
        : throw new ArgumentOutOfRangeException(
            nameof(threshold), $"The threshold of first-block is {threshold}, expected 0 or more.");

    /// <summary>
    /// A cache as text: <c>first-block</c>, <c>first-block:threshold=0.08</c>, <c>fb:0.08</c>, <c>taylor:interval=3,order=1</c>; null for
    /// <c>none</c>. The name of the first parameter may be left out.
    /// </summary>
    /// <exception cref="FormatException">The text is malformed, names an unknown cache or parameter, or a value is out of
    /// range.</exception>
    public static StepCacheChoice? Parse(string text) => Parse(text, "The cache");

    /// <summary>As the public method; messages call what is read by <paramref name="label"/>.</summary>
    internal static StepCacheChoice? Parse(string text, string label)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "none")
            return null;
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string name = colon < 0 ? text : text[..colon];
        name = Aliases.GetValueOrDefault(name, name);
        if (!Kinds.TryGetValue(name, out var kind))
            throw new FormatException($"{label} is '{text}', expected none or {string.Join(", ", Kinds.Keys)}, with parameters.");
        try
        {
            var parameters = new CacheParameters(name, colon < 0 ? null : text[(colon + 1)..]);
            kind(parameters).Dispose();
            return new StepCacheChoice(parameters.Written());
        }
        catch (FormatException exception)
        {
            throw new FormatException($"{label} is '{text}': {exception.Message}", exception);
        }
    }

    /// <summary>The text form, with every parameter.</summary>
    public override string ToString() => _text;

    /// <summary>A cache for one kind of pass of one run.</summary>
    internal StepCache Begin()
    {
        int colon = _text.IndexOf(':', StringComparison.Ordinal);
        return Kinds[_text[..colon]](new CacheParameters(_text[..colon], _text[(colon + 1)..]));
    }

    /// <summary>How many tensors as large as the stream of the latents a kind of pass keeps at most.</summary>
    internal int KeptOf(IReadOnlyList<AttentionSite> sites)
    {
        using var cache = Begin();
        return cache.KeptOf(sites);
    }

    /// <summary>Fails where the cache leaves out what a model has not.</summary>
    /// <exception cref="ArgumentException">The cache is of blocks, which are no stack in a UNet, or of attention layers there.</exception>
    internal void Check(Denoiser denoiser, string className)
    {
        using var cache = Begin();
        if (denoiser.HasSkipConnections && (cache.Blocks != null || cache.Outputs != null))
        {
            throw new ArgumentException(
                $"Cache is {_text}, which needs a model whose blocks are one stack; {className} has a UNet, and takes taylor alone, of the "
                    + "whole prediction.");
        }
    }
}
