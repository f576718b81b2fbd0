using Attune.Guidance;
using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Generation;

/// <summary>
/// Stops a run whose values are no numbers any more: without it such a run ends in a black picture and says nothing. The checks read what
/// the denoiser and the scheduler hand over, which is little beside what they compute.
/// </summary>
internal static class Finite
{
    /// <summary>Checks what a prompt has become.</summary>
    /// <param name="conditioning">The embeddings.</param>
    /// <param name="prompt">What messages call the prompt, as <c>negative prompt</c>.</param>
    /// <exception cref="NotFiniteException">An embedding holds NaN or infinity.</exception>
    public static void Check(Conditioning conditioning, string prompt)
    {
        foreach (var (part, tensor) in conditioning.Parts)
        {
            if (Count(tensor) is > 0 and var wrong)
            {
                throw new NotFiniteException(
                    $"The text encoders' output is not finite: {Of(wrong, tensor)} of the embedding '{part}' of the {prompt} are NaN "
                        + "or infinite. Likely causes: a damaged weight of a text encoder, or a LoRA file for it that holds NaN.");
            }
        }
    }

    /// <summary>Checks the encoded initial picture.</summary>
    /// <inheritdoc cref="Check(Conditioning, string)" path="/exception"/>
    public static void CheckEncoded(Tensor latents)
    {
        if (Count(latents) is > 0 and var wrong)
        {
            throw new NotFiniteException(
                $"The encoded initial image is not finite: {Of(wrong, latents)} are NaN or infinite. Likely causes: a damaged weight of "
                    + "the autoencoder, or an Images.InitialTensor that is not finite itself.");
        }
    }

    /// <summary>Checks the latents with which a run begins.</summary>
    /// <inheritdoc cref="Check(Conditioning, string)" path="/exception"/>
    public static void CheckStart(Tensor latents)
    {
        if (Count(latents) is > 0 and var wrong)
        {
            throw new NotFiniteException(
                $"The latents are not finite before the first step: {Of(wrong, latents)} are NaN or infinite. Likely causes: an "
                    + "InitialNoise that is not finite, or a configuration of the scheduler that gives no finite noise level.");
        }
    }

    /// <summary>Checks what a step computed: the prediction of each pass, the guided prediction, and the latents after it.</summary>
    /// <param name="facts">The passes.</param>
    /// <param name="guidance">What guidance did.</param>
    /// <param name="prediction">The guided prediction.</param>
    /// <param name="latents">The latents after the step.</param>
    /// <param name="scheduler">The scheduler's class name.</param>
    /// <exception cref="NotFiniteException">The first of these, in the order in which they are computed, that holds NaN or
    /// infinity.</exception>
    public static void CheckStep(
        PredictionFacts facts, StepGuidance guidance, Tensor prediction, Tensor latents, string scheduler)
    {
        const string Weights = "Likely causes: a damaged weight of the denoiser, a LoRA file that holds NaN";
        const string Strength = "or guidance that is far too strong";
        Require(facts.Positive, "the denoiser's prediction for the prompt", $"{Weights}, {Strength}.");
        foreach (var (pass, name) in new[] { (facts.Negative, "negative"), (facts.Empty, "empty") })
        {
            if (pass != null)
                Require(pass, $"the denoiser's prediction for the {name} prompt", $"{Weights}.");
        }
        foreach (var rule in guidance.Passes.Where(pass => pass.Rule != null).Select(pass => pass.Rule!))
            Require(facts.Perturbed(rule), $"the denoiser's prediction in the pass of {rule.Form.Name}", $"{Weights}.");
        string rules = string.Join('+', guidance.Predictions.OfType<GuidanceRule>().Select(RuleCatalog.Format));
        Require(prediction, "the guided prediction", $"It comes from {rules}; a likely cause is a scale that is far too high.");
        Require(
            latents, $"what {scheduler} makes of a finite prediction",
            "Likely causes: values of the scheduler, timesteps or sigmas that do not fit each other or the model.");

        void Require(Tensor tensor, string what, string causes)
        {
            if (Count(tensor) is not (> 0 and var wrong))
                return;
            var point = facts.Point;
            throw new NotFiniteException(
                $"The latents are not finite after step {point.Index + 1} of {point.Count}: {what} is NaN or infinite in "
                    + $"{Of(wrong, tensor)}. {causes}");
        }
    }

    /// <summary>Checks decoded pictures, before they are clamped.</summary>
    /// <inheritdoc cref="Check(Conditioning, string)" path="/exception"/>
    public static void CheckDecoded(Tensor pixels, Tensor latents)
    {
        if (Count(pixels) is > 0 and var wrong)
        {
            float largest = latents.ToArray().Max(MathF.Abs);
            throw new NotFiniteException(
                $"The decoded image is not finite, though its latents are: {Of(wrong, pixels)} are NaN or infinite. Likely causes: a "
                    + "damaged weight of the autoencoder, or latents beyond what it knows, as guidance that is far too strong makes them "
                    + FormattableString.Invariant($"(the largest here is {largest:G3}, usual are about 5)."));
        }
    }

    private static string Of(long wrong, Tensor tensor) => $"{wrong} of {tensor.Count} values";

    private static long Count(Tensor tensor)
    {
        using var view = tensor.Read();
        return view.CountNotFinite();
    }
}
