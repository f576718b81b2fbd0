using System.Globalization;
using Attune.Attention;

namespace Attune.Generation;

/// <summary>
/// A step cache: blocks of the denoiser are left out in steps that hardly differ from those before, and what they added then is added
/// again. Faster, and no longer exact. There is one kind, <c>first-block</c> (FirstBlockCache of diffusers, "FBCache" of ParaAttention):
/// the first block always runs, and the others do where mean |r - r'| / mean |r'| is above a threshold, r being what the first block adds
/// to the latents, and r' the same in the last step in which all ran; means run over all images of the request. Each kind of pass remembers
/// its own steps, and forgets them where a rule begins or ceases to act inside it.
/// </summary>
public sealed record StepCacheChoice
{
    private const string FirstBlockName = "first-block";

    private StepCacheChoice(double threshold) => Threshold = threshold;

    /// <summary>Up to which change blocks are left out.</summary>
    public double Threshold { get; }

    /// <summary>First-block cache.</summary>
    /// <param name="threshold">
    /// 0 or more; blocks are left out up to this change. 0.05 is the default of diffusers; ParaAttention takes 0.08 for FLUX.1-dev.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is below 0 or no number.</exception>
    public static StepCacheChoice FirstBlock(double threshold = 0.05) => threshold >= 0
        ? new StepCacheChoice(threshold)
        : throw new ArgumentOutOfRangeException(
            nameof(threshold), $"The threshold of {FirstBlockName} is {threshold}, expected 0 or more.");

    /// <summary>A cache as text: <c>first-block</c>, <c>first-block:threshold=0.08</c>; null for <c>none</c>.</summary>
    /// <exception cref="FormatException">The text is malformed, or names an unknown cache or parameter.</exception>
    public static StepCacheChoice? Parse(string text) => Parse(text, "The cache");

    /// <summary>As the public method; messages call what is read by <paramref name="label"/>.</summary>
    internal static StepCacheChoice? Parse(string text, string label)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "none")
            return null;
        const string Start = FirstBlockName + ":threshold=";
        if (text == FirstBlockName)
            return FirstBlock();
        return text.StartsWith(Start, StringComparison.Ordinal)
            && double.TryParse(text.AsSpan(Start.Length), NumberStyles.Float, CultureInfo.InvariantCulture, out double threshold)
            && threshold >= 0
                ? FirstBlock(threshold)
                : throw new FormatException($"{label} is '{text}', expected {Start}NUMBER, 0 or more, or none.");
    }

    /// <summary>The text form.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{FirstBlockName}:threshold={Threshold}");

    /// <summary>A cache for one kind of pass of one run.</summary>
    internal FirstBlockCache Begin() => new(Threshold);
}
