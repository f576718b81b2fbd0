using Attune.Schedulers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Cli.Verification;

internal static partial class CaseRunner
{
    private static void RunScheduler(GoldenCase golden, CaseResults results)
    {
        Scheduler scheduler;
        try
        {
            scheduler = Scheduler.Load(golden.Checkpoint);
        }
        catch (CheckpointException exception) when (exception.Message.Contains("not supported", StringComparison.Ordinal))
        {
            throw new UnsupportedCaseException(exception.Message);
        }
        var arguments = golden.Arguments.GetProperty("set_timesteps");
        var request = new SchedulerRequest { BeginIndex = golden.Int("begin_index", 0) };
        foreach (var argument in arguments.EnumerateObject())
        {
            request = argument.Name switch
            {
                "num_inference_steps" => request with { Steps = argument.Value.GetInt32() },
                "sigmas" => request with { Sigmas = [.. argument.Value.EnumerateArray().Select(sigma => sigma.GetDouble())] },
                "mu" => request with { Mu = argument.Value.GetDouble() },
                _ => throw new UnsupportedCaseException($"set_timesteps({argument.Name})"),
            };
        }
        if (golden.HasInput("step_noise.0") || golden.Arguments.TryGetProperty("step", out _))
            throw new UnsupportedCaseException("arguments of step");

        using var run = scheduler.Begin(request);
        results.Check("timesteps", run.Timesteps.ToArray());
        results.Check("sigmas", run.Sigmas.ToArray());
        results.Check("timesteps_used", Enumerable.Range(0, run.Steps).Select(run.TimestepOf).ToArray());
        Tensor sample;
        if (golden.HasInput("original"))
        {
            sample = run.AddNoise(golden.Input("original"), golden.Input("noise"));
            results.Check("noised", sample);
        }
        else
        {
            sample = golden.Input("sample");
        }
        for (int i = 0; i < run.Steps && golden.HasInput(FormattableString.Invariant($"model_output.{i}")); i++)
        {
            sample = run.Step(golden.Input(FormattableString.Invariant($"model_output.{i}")), i, sample);
            results.Check(FormattableString.Invariant($"sample.{i}"), sample);
        }
    }
}
