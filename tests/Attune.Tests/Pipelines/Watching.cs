using Attune.Generation;

namespace Attune.Tests.Pipelines;

/// <summary>Calls functions with what a run shows.</summary>
internal sealed class Watching : RunObserver
{
    public Action<RunStart>? Started { get; init; }

    public Action<StepObservation>? Stepped { get; init; }

    public List<string> Warnings { get; } = [];

    public override void Warn(string message) => Warnings.Add(message);

    public override void Begin(RunStart start) => Started?.Invoke(start);

    public override void EndStep(StepObservation step) => Stepped?.Invoke(step);

    /// <summary>What <paramref name="read"/> gives of the beginning of a run; the run is left after the first step.</summary>
    public static async Task<T> Start<T>(DiffusionPipeline pipeline, GenerationRequest request, Func<RunStart, T> read)
    {
        T result = default!;
        await foreach (var step in pipeline.DenoiseAsync(request, new Watching { Started = start => result = read(start) }))
            return result;
        throw new InvalidOperationException("There was no step.");
    }

    /// <summary>The predictions of all steps of a run.</summary>
    public static async Task<IReadOnlyList<Predictions>> Steps(DiffusionPipeline pipeline, GenerationRequest request)
    {
        var steps = new List<Predictions>();
        var watch = new Watching { Stepped = step => steps.Add(new Predictions(step)) };
        await foreach (var _ in pipeline.DenoiseAsync(request, watch))
        {
        }
        return steps;
    }
}

/// <summary>What the passes of a step predicted.</summary>
internal sealed class Predictions(StepObservation step)
{
    public int Index { get; } = step.Facts.Point.Index;

    public float[] Positive { get; } = step.Facts.Positive.ToArray();

    public float[]? Negative { get; } = step.Facts.Negative?.ToArray();

    public float[]? Empty { get; } = step.Facts.Empty?.ToArray();

    public float[] Guided { get; } = step.Prediction.ToArray();

    /// <summary>By the name of the rule that took something away.</summary>
    public IReadOnlyDictionary<string, float[]> Perturbed { get; } = step.Guidance.Passes.Where(pass => pass.Rule != null)
        .ToDictionary(pass => pass.Rule!.Form.Name, pass => step.Facts.Perturbed(pass.Rule!).ToArray());
}
