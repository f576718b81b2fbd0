using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>The timesteps of distilled models (LCM, TCD): an even choice of those of the schedule that was distilled.</summary>
internal sealed class ConsistencySpacing
{
    private readonly string _name;
    private readonly int _count;
    private readonly int _original;

    private ConsistencySpacing(string name, int count, int original) => (_name, _count, _original) = (name, count, original);

    public static ConsistencySpacing Read(ModelConfig config)
    {
        int count = config.Length("num_train_timesteps", 1000);
        int original = config.Int("original_inference_steps", 50);
        return original >= 1 && original <= count ? new ConsistencySpacing(config.ClassName!, count, original)
            : throw new CheckpointException($"'{config.Path}': original_inference_steps is {original}, expected 1 to {count}.");
    }

    /// <summary>
    /// The timesteps of a request, falling. <paramref name="overrideSpansAll"/>: a given number of original steps stands for every training
    /// step, as TCD has it.
    /// </summary>
    public double[] Space(SchedulerRequest request, bool overrideSpansAll)
    {
        double strength = request.ScheduleStrength ?? 1;
        if (!(strength > 0 && strength <= 1))
            throw new ArgumentException($"ScheduleStrength is {strength}, expected above 0 and at most 1.", nameof(request));
        int original = request.OriginalSteps ?? _original;
        if (original < 1 || original > _count)
            throw new ArgumentException($"OriginalSteps is {original}, expected 1 to {_count}.", nameof(request));
        if (request.Timesteps is { } given)
        {
            double[] list = Scheduler.Falling(given);
            int kept = (int)(list.Length * strength);
            return kept > 0 ? list[^kept..]
                : throw new ArgumentException($"ScheduleStrength {strength} leaves no step of {list.Length}.", nameof(request));
        }
        bool all = overrideSpansAll && request.OriginalSteps != null;
        int available = all ? (int)(_count * strength) : (int)(original * strength);
        int steps = request.Steps!.Value;
        if (steps > Math.Min(available, original))
            throw new ArgumentException(
                $"{_name} does at most {Math.Min(available, original)} steps (original steps times ScheduleStrength), not {steps}.",
                nameof(request));
        int stride = _count / original;
        var timesteps = new double[steps];
        for (int i = 0; i < steps; i++)
        {
            int fromTop = (int)Math.Floor(i * (available / (double)steps));
            timesteps[i] = all ? available - 1 - fromTop : ((available - fromTop) * stride) - 1;
        }
        return timesteps;
    }
}
