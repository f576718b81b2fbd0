using Attune.Guidance;
using Attune.Pipelines;
using Attune.Tensors;

namespace Attune.Cli.Verification;

internal static partial class CaseRunner
{
    private static readonly HashSet<string> PipelineArguments =
    [
        "prompt", "negative_prompt", "steps", "height", "width", "seed", "count", "max_sequence_length", "negative_max_sequence_length", "guidance_scale", "guidance",
    ];

    private static void RunPipeline(GoldenCase golden, CaseResults results)
    {
        if (!DiffusionPipeline.SupportedClasses.Contains(golden.Class ?? ""))
            throw new UnsupportedCaseException($"class {golden.Class}");
        if (golden.Arguments.EnumerateObject().Select(argument => argument.Name).FirstOrDefault(name => !PipelineArguments.Contains(name)) is { } unknown)
            throw new UnsupportedCaseException($"argument {unknown}");
        using var pipeline = DiffusionPipeline.Load(golden.Checkpoint);
        var request = new GenerationRequest
        {
            Prompt = golden.Text("prompt"),
            NegativePrompt = golden.OptionalText("negative_prompt"),
            Steps = golden.Int("steps", 1),
            Height = golden.Int("height", 0),
            Width = golden.Int("width", 0),
            Seed = golden.Arguments.GetProperty("seed").GetInt64(),
            Count = golden.Int("count", 1),
            MaxSequenceLength = golden.Int("max_sequence_length", 512),
            NegativeMaxSequenceLength = golden.OptionalDouble("negative_max_sequence_length") is { } length ? (int)length : null,
            GuidanceScale = (float?)golden.OptionalDouble("guidance_scale"),
            Guidance = new GuidanceSchedule(Rules(golden)),
        };
        RunAsync(golden, results, pipeline, request).GetAwaiter().GetResult();
    }

    private static async Task RunAsync(GoldenCase golden, CaseResults results, DiffusionPipeline pipeline, GenerationRequest request)
    {
        await foreach (var step in pipeline.DenoiseAsync(request).ConfigureAwait(false))
        {
            using var scope = new TensorScope();
            if (step.Index == 0)
                CheckStart(golden, results, step);
            results.Check(FormattableString.Invariant($"prediction.{step.Index}"), step.Prediction);
            results.Check(FormattableString.Invariant($"positive_prediction.{step.Index}"), step.PositivePrediction);
            if (step.NegativePrediction is { } negative)
                results.Check(FormattableString.Invariant($"negative_prediction.{step.Index}"), negative);
            results.Check(FormattableString.Invariant($"latents.{step.Index}"), step.Latents);
            if (step.IsLast)
            {
                using var image = step.DecodeTensor();
                results.Check("image", image.Permute(0, 3, 1, 2));
            }
        }
    }

    private static void CheckStart(GoldenCase golden, CaseResults results, DenoisingStep step)
    {
        results.Check("timesteps", step.Timesteps.ToArray());
        results.Check("sigmas", step.Sigmas.ToArray());
        Embedding("prompt_embeds", step.Positive.Text);
        Embedding("pooled_prompt_embeds", step.Positive.Pooled);
        Embedding("negative_prompt_embeds", step.Negative?.Text);
        Embedding("negative_pooled_prompt_embeds", step.Negative?.Pooled);

        // The noise is drawn from the seed, not taken from the case: it must be the same.
        var noise = golden.Input("noise").Span;
        var drawn = step.Noise.Permute(0, 3, 1, 2).Span;
        float largest = 0;
        for (int i = 0; i < noise.Length && noise.Length == drawn.Length; i++)
            largest = Math.Max(largest, Math.Abs(noise[i] - drawn[i]));
        results.Require(noise.Length == drawn.Length && largest <= 1e-6f, $"the noise of the seed differs by {largest}");

        // Conditionings are computed once for all images of a request.
        void Embedding(string name, Tensor? value)
        {
            if (value != null && results.Wants(name))
                results.Check(name, TensorOperations.Concatenate(0, [.. Enumerable.Repeat(value, golden.ExpectedShape(name)[0])]));
        }
    }
}
