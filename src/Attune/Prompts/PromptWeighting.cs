namespace Attune.Prompts;

/// <summary>How brackets and numbers in prompts of CLIP models are read: as weights of words, or as text.</summary>
public enum PromptWeighting
{
    /// <summary>As text, as diffusers reads them.</summary>
    None,

    /// <summary>
    /// As AUTOMATIC1111's web interface does: <c>(a)</c> counts 1.1 times, <c>[a]</c> 1 / 1.1 times, <c>(a:1.3)</c> 1.3 times, and nested
    /// ones multiply; BREAK begins a new piece of a long prompt. Hidden states are multiplied, and then all brought to the mean that they
    /// had, in each encoder and piece.
    /// </summary>
    A1111,

    /// <summary>As <see cref="A1111"/>, and the mean is left as it comes out (its option "No norm").</summary>
    A1111NoNorm,

    /// <summary>
    /// As ComfyUI does: <c>(a)</c> is 1.1 times what is around, <c>(a:1.3)</c> is 1.3 whatever is around, square brackets are text. Hidden
    /// states go from those of the empty prompt to the text's, and beyond.
    /// </summary>
    ComfyUi,

    /// <summary>
    /// ComfyUI's brackets, of which weights below zero act as in NegPip: keys of cross-attention are weighted by the amount, and values
    /// are those with the other sign, so that what is found there is taken away.
    /// </summary>
    NegPip,
}

/// <summary>The text forms of <see cref="PromptWeighting"/>.</summary>
internal static class PromptWeightings
{
    private static readonly (string Name, PromptWeighting Value)[] Names =
    [
        ("none", PromptWeighting.None), ("a1111", PromptWeighting.A1111), ("a1111-no-norm", PromptWeighting.A1111NoNorm),
        ("comfyui", PromptWeighting.ComfyUi), ("negpip", PromptWeighting.NegPip),
    ];

    /// <summary>The name.</summary>
    public static string Format(PromptWeighting weighting) => Array.Find(Names, entry => entry.Value == weighting).Name;

    /// <summary>Reads a name.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static PromptWeighting Parse(string text, string label)
    {
        int at = Array.FindIndex(Names, entry => entry.Name.Equals(text, StringComparison.OrdinalIgnoreCase));
        return at >= 0 ? Names[at].Value
            : throw new FormatException($"{label} is '{text}', expected {string.Join(", ", Names.Select(entry => entry.Name))}.");
    }
}
