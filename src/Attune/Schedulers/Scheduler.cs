using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>What a run of a scheduler needs. Exactly one of <see cref="Steps"/> and <see cref="Sigmas"/> is given.</summary>
public sealed record SchedulerRequest
{
    /// <summary>The number of steps; the scheduler chooses the noise levels.</summary>
    public int? Steps { get; init; }

    /// <summary>Noise levels, from high to low, before the scheduler's own shift.</summary>
    public IReadOnlyList<double>? Sigmas { get; init; }

    /// <summary>The exponent or factor of a dynamic shift, which depends on the size of the image (<see cref="Scheduler.ShiftFor"/>).</summary>
    public double? Mu { get; init; }

    /// <summary>The first step that is done, for image to image.</summary>
    public int BeginIndex { get; init; }
}

/// <summary>The noise schedule of one run. Indices count the steps that are done, from 0.</summary>
public interface ISchedulerRun : IDisposable
{
    /// <summary>The timesteps of all steps, those before the first that is done included.</summary>
    IReadOnlyList<float> Timesteps { get; }

    /// <summary>The noise levels: one more than timesteps.</summary>
    IReadOnlyList<float> Sigmas { get; }

    /// <summary>The number of steps that are done.</summary>
    int Steps { get; }

    /// <summary>The timestep of a step.</summary>
    float TimestepOf(int step);

    /// <summary>The latents after a step.</summary>
    /// <param name="prediction">What the denoiser predicted, after guidance.</param>
    /// <param name="step">Counted from 0.</param>
    /// <param name="latents">The latents before the step.</param>
    /// <returns>A new tensor of the current scope.</returns>
    Tensor Step(Tensor prediction, int step, Tensor latents);

    /// <summary>A clean sample with the noise of the first step, for image to image.</summary>
    Tensor AddNoise(Tensor clean, Tensor noise);
}

/// <summary>A scheduler as its configuration describes it. Immutable: a run holds all state, so requests share a scheduler.</summary>
public abstract class Scheduler
{
    private static readonly Dictionary<string, Func<ModelConfig, Scheduler>> Classes = new(StringComparer.Ordinal)
    {
        ["FlowMatchEulerDiscreteScheduler"] = config => new FlowMatchEulerDiscreteScheduler(config),
    };

    /// <summary>Reads scheduler_config.json of a folder.</summary>
    /// <exception cref="CheckpointException">The file is missing or malformed, or the class is not supported.</exception>
    public static Scheduler Load(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return From(ModelConfig.Read(Path.Combine(folder, "scheduler_config.json")));
    }

    /// <summary>Makes the scheduler that a configuration names.</summary>
    /// <exception cref="CheckpointException">A value is malformed, or the class is not supported.</exception>
    public static Scheduler From(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        string name = config.ClassName ?? throw new CheckpointException($"'{config.Path}' has no _class_name.");
        return Classes.TryGetValue(name, out var make) ? make(config)
            : throw new CheckpointException($"'{config.Path}': the scheduler {name} is not supported; supported are {string.Join(", ", Classes.Keys.Order(StringComparer.Ordinal))}.");
    }

    /// <summary>Begins a run.</summary>
    /// <exception cref="ArgumentException">A value of the request is missing or out of range.</exception>
    public abstract ISchedulerRun Begin(SchedulerRequest request);

    /// <summary>The shift mu for a number of latent tokens, for schedulers that shift by the size of the image; else null.</summary>
    public virtual double? ShiftFor(int tokens) => null;
}
