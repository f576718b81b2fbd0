using System.Text.RegularExpressions;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Prompts;
using Attune.Schedulers;

namespace Attune.Generation;

/// <summary>What a request says that is allowed and probably not meant. Each is a sentence; nothing is changed.</summary>
internal static partial class RequestWarnings
{
    /// <summary>The warnings of a request.</summary>
    /// <param name="asked">The request as it was given.</param>
    /// <param name="guidance">Its guidance.</param>
    /// <param name="scheduler">Its scheduler.</param>
    /// <param name="noise">The kind of noise that the model was trained with.</param>
    /// <param name="own">What is published for the model, or null.</param>
    /// <param name="named">The preset that the request names, or null.</param>
    public static IEnumerable<string> Of(
        GenerationRequest asked, GuidanceSchedule guidance, Scheduler scheduler, NoiseKind noise, ModelPreset? own, ModelPreset? named)
    {
        if (own != null && named != null && own.Form != named.Form)
        {
            yield return $"The preset {named.Family} is for {named.Title}, whose form ({named.Form}) is not that of the model "
                + $"({own.Form}): its numbers were not made for this model.";
        }
        if (asked.Scheduler is { } choice && !choice.Equals(choice.For(noise)))
            yield return $"On a model of flow matching the scheduler {choice} is {scheduler.ClassName}.";
        if (!string.IsNullOrEmpty(asked.NegativePrompt) && !guidance.NeedsNegativePrompt)
            yield return "No guidance rule reads the negative prompt, as nag and cfg do.";
        var acting = guidance.Rules.Where(rule => !rule.IsNeutral).ToArray();
        if ((own != null && named?.Form != own.Form ? own : named ?? own) is { FewStep: true } distilled)
        {
            foreach (var rule in acting.Where(rule => rule is IPredictionRule { Stage: PredictionStage.Contrast }))
            {
                yield return $"{rule.Form.Name} on {distilled.Title}, which was distilled to few steps: classifier-free guidance is off "
                    + "there by its preset, and usually spoils the picture; nag reads a negative prompt.";
            }
        }
        foreach (var twice in acting.GroupBy(rule => rule.Form.Name).Where(rules => rules.Count() > 1))
        {
            yield return $"{twice.Key} is given {twice.Count()} times: what each of them adds is summed, none replaces another. Two that "
                + "are to act in different steps or layers need steps= or layers= on both.";
        }
        foreach (var (name, prompt) in new[] { ("prompt", asked.Prompt), ("negative prompt", asked.NegativePrompt) })
        {
            string[] found =
            [
                .. Syntax().Matches(prompt ?? "").Where(match => !IsRead(match, asked.PromptWeights)).Select(match => match.Value)
                    .Distinct(StringComparer.Ordinal).Take(4),
            ];
            if (found.Length > 0)
            {
                yield return $"The {name} holds '{string.Join("', '", found)}', which is read as plain text. Weights and breaks of web "
                    + "interfaces are read with PromptWeights, by models that take it; LoRA and embedding files are given as such, not in "
                    + "the prompt.";
            }
        }
    }

    /// <summary>A mask that says nothing.</summary>
    public static IEnumerable<string> OfMask(Image? mask)
    {
        if (mask == null)
            yield break;
        float[] white = ImageMasks.Binary(mask);
        if (!white.Contains(1))
            yield return "Images.Mask is black: nothing of the initial image is made anew. White is what is made anew.";
        else if (!white.Contains(0))
            yield return "Images.Mask is white: nothing of the initial image is kept. Black is what is kept.";
    }

    /// <summary>Rules that act in no step of a run.</summary>
    public static IEnumerable<string> Idle(GuidanceSchedule guidance, IReadOnlyList<StepPoint> points) =>
        guidance.Rules.Where(rule => !points.Any(rule.ActsIn))
            .Select(rule => $"{RuleCatalog.Format(rule)} acts in none of the {points.Count} steps.");

    /// <summary>Whether something means what it does in web interfaces.</summary>
    private static bool IsRead(Match match, PromptWeighting weighting) => match.Value[0] switch
    {
        '(' => weighting != PromptWeighting.None,
        'B' => weighting is PromptWeighting.A1111 or PromptWeighting.A1111NoNorm,
        _ => false,
    };

    /// <summary><c>(cat:1.5)</c>, <c>BREAK</c>, <c>&lt;lora:style:0.8&gt;</c>, <c>embedding:name</c>.</summary>
    [GeneratedRegex(
        @"\([^():]+:\s*[0-9]*\.?[0-9]+\s*\)|(?<![A-Za-z])BREAK(?![A-Za-z])|<(?:lora|lyco|hypernet|embedding)\s*:[^<>]*>"
            + @"|\bembedding:[^\s,()]+",
        RegexOptions.CultureInvariant)]
    private static partial Regex Syntax();
}
