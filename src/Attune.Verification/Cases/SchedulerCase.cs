using System.Globalization;
using System.Text.Json;
using Attune.Schedulers;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>The timesteps of a scheduler, and one step for each stored prediction of a model.</summary>
internal sealed class SchedulerCase : CaseKind
{
    public override string Kind => "scheduler";

    /// <summary>The last two tell where <c>begin_index</c> and <c>mu</c> are from.</summary>
    public override IReadOnlyCollection<string> Arguments { get; } =
        ["set_timesteps", "step", "strength", "begin_index", "strength_rule", "image_tokens"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["sample", "original", "noise", "model_output.i", "step_noise.i"];

    public override void Run(GoldenCase golden, Comparison results)
    {
        var scheduler = Supported(() => Scheduler.Load(golden.Checkpoint));
        var request = StepArguments(golden, TimestepArguments(golden));
        using var run = scheduler.Begin(request);
        if (golden.OptionalDouble("strength") is { } strength)
        {
            int steps = request.Steps ?? request.Timesteps?.Count ?? request.Sigmas!.Count;
            int begin = scheduler.BeginIndexOf(steps, strength);
            results.Require(
                begin == request.BeginIndex, $"strength {strength} of {steps} steps begins at {begin}, expected {request.BeginIndex}");
        }
        results.Check("timesteps", run.Timesteps.ToArray());
        results.Check("sigmas", run.Sigmas.ToArray());
        results.Check("init_noise_sigma", [run.InitialNoiseSigma]);
        results.Check("timesteps_used", Enumerable.Range(0, run.Steps).Select(run.TimestepOf).ToArray());

        // The values are channels first, as in diffusers; the library's latents have their channels last.
        Tensor sample;
        if (golden.HasInput("original"))
        {
            sample = run.AddNoise(ChannelsLast(golden.Input("original")), ChannelsLast(golden.Input("noise")));
            results.Check("noised", ChannelsFirst(sample));
        }
        else
        {
            sample = ChannelsLast(golden.Input("sample"));
        }
        int i = 0;
        for (; i < run.Steps && golden.HasInput(Numbered("model_output", i)); i++)
        {
            int step = i;
            int draws = 0;
            NoiseSource? noise = !golden.HasInput(Numbered("step_noise", step)) ? null : () =>
            {
                draws++;
                return ChannelsLast(golden.Input(Numbered("step_noise", step)));
            };
            var details = new StepDetails();
            results.Check(Numbered("scaled_input", i), ChannelsFirst(run.ScaleInput(sample, i)));
            sample = run.Step(ChannelsLast(golden.Input(Numbered("model_output", i))), i, sample, noise, details);
            results.Require(draws == (noise == null ? 0 : 1), $"step {i} drew noise {draws} times");
            results.Check(Numbered("sample", i), ChannelsFirst(sample));
            foreach (
                var (name, value) in new[] {
                    ("pred_original_sample", details.CleanSample), ("denoised", details.Denoised),
                    ("pred_noised_sample", details.NoisedSample) })
            {
                if (value != null)
                    results.Check(Numbered(name, i), ChannelsFirst(value));
            }
        }
        results.Require(
            i == run.Steps && !golden.HasInput(Numbered("model_output", i)), $"{run.Steps} evaluations, expected another number");
    }

    private static SchedulerRequest TimestepArguments(GoldenCase golden)
    {
        var request = new SchedulerRequest { BeginIndex = golden.Int("begin_index", 0) };
        foreach (var argument in golden.Arguments.GetProperty("set_timesteps").EnumerateObject())
        {
            var value = argument.Value;
            request = argument.Name switch
            {
                _ when value.ValueKind == JsonValueKind.Null => request,
                "num_inference_steps" => request with { Steps = value.GetInt32() },
                "sigmas" => request with { Sigmas = [.. value.EnumerateArray().Select(sigma => sigma.GetDouble())] },
                "timesteps" => request with { Timesteps = [.. value.EnumerateArray().Select(timestep => timestep.GetInt32())] },
                "mu" => request with { Mu = value.GetDouble() },
                "strength" => request with { ScheduleStrength = value.GetDouble() },
                "original_inference_steps" => request with { OriginalSteps = value.GetInt32() },
                "max_timesteps" => request with { MaxTimestep = value.GetDouble() },
                "intermediate_timesteps" => request with { IntermediateTimestep = value.GetDouble() },
                _ => throw new UnsupportedCaseException($"set_timesteps({argument.Name})"),
            };
        }
        return request;
    }

    private static SchedulerRequest StepArguments(GoldenCase golden, SchedulerRequest request)
    {
        if (!golden.Arguments.TryGetProperty("step", out var arguments))
            return request;
        foreach (var argument in arguments.EnumerateObject())
        {
            var value = argument.Value;
            request = argument.Name switch
            {
                "eta" => request with { Eta = value.GetSingle() },
                "use_clipped_model_output" => request with { UseClippedModelOutput = value.GetBoolean() },
                "s_churn" => request with { SChurn = value.GetDouble() },
                "s_tmin" => request with { STmin = value.GetDouble() },
                "s_tmax" => request with { STmax = value.GetDouble() },
                "s_noise" => request with { SNoise = value.GetDouble() },
                _ => throw new UnsupportedCaseException($"step({argument.Name})"),
            };
        }
        return request;
    }

    private static string Numbered(string name, int step) => string.Create(CultureInfo.InvariantCulture, $"{name}.{step}");

    private static Tensor ChannelsLast(Tensor x) => x.Shape.Rank == 5 ? x.Permute(0, 2, 3, 4, 1) : x.Permute(0, 2, 3, 1);

    private static Tensor ChannelsFirst(Tensor x) => x.Shape.Rank == 5 ? x.Permute(0, 4, 1, 2, 3) : x.Permute(0, 3, 1, 2);
}
