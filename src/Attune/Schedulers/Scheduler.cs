using System.Text;
using System.Text.Json.Nodes;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>A scheduler as its configuration describes it. Immutable: a run holds all state, so requests share a scheduler.</summary>
public abstract class Scheduler
{
    private static readonly Dictionary<string, Func<ModelConfig, Scheduler>> Classes = new(StringComparer.Ordinal)
    {
        ["DDIMScheduler"] = config => new DDIMScheduler(config),
        ["DDPMScheduler"] = config => new DDPMScheduler(config),
        ["DEISMultistepScheduler"] = config => new DEISMultistepScheduler(config),
        ["DPMSolverMultistepScheduler"] = config => new DPMSolverMultistepScheduler(config),
        ["DPMSolverSDEScheduler"] = config => new DPMSolverSDEScheduler(config),
        ["DPMSolverSinglestepScheduler"] = config => new DPMSolverSinglestepScheduler(config),
        ["EDMDPMSolverMultistepScheduler"] = config => new EDMDPMSolverMultistepScheduler(config),
        ["EDMEulerScheduler"] = config => new EDMEulerScheduler(config),
        ["EulerAncestralDiscreteScheduler"] = config => new EulerAncestralDiscreteScheduler(config),
        ["EulerDiscreteScheduler"] = config => new EulerDiscreteScheduler(config),
        ["FlowMatchEulerDiscreteScheduler"] = config => new FlowMatchEulerDiscreteScheduler(config),
        ["FlowMatchHeunDiscreteScheduler"] = config => new FlowMatchHeunDiscreteScheduler(config),
        ["FlowMatchLCMScheduler"] = config => new FlowMatchLCMScheduler(config),
        ["HeunDiscreteScheduler"] = config => new HeunDiscreteScheduler(config),
        ["KDPM2AncestralDiscreteScheduler"] = config => new KDPM2AncestralDiscreteScheduler(config),
        ["KDPM2DiscreteScheduler"] = config => new KDPM2DiscreteScheduler(config),
        ["LCMScheduler"] = config => new LCMScheduler(config),
        ["LMSDiscreteScheduler"] = config => new LMSDiscreteScheduler(config),
        ["PNDMScheduler"] = config => new PNDMScheduler(config),
        ["SCMScheduler"] = config => new SCMScheduler(config),
        ["TCDScheduler"] = config => new TCDScheduler(config),
        ["UniPCMultistepScheduler"] = config => new UniPCMultistepScheduler(config),
    };

    private protected Scheduler(ModelConfig config) => Config = config;

    /// <summary>The class names of the schedulers that can be loaded.</summary>
    public static IReadOnlyCollection<string> SupportedClasses => Classes.Keys;

    /// <summary>The configuration as it was read: only what it states, without defaults.</summary>
    public ModelConfig Config { get; }

    /// <summary>The class name, as diffusers has it.</summary>
    public string ClassName => GetType().Name;

    /// <summary>How many evaluations of the model a step of the schedule takes: 2 for Heun and KDPM2, else 1.</summary>
    public virtual int Order => 1;

    /// <summary>
    /// The kind of noise that the scheduler undoes under its configuration; null where the configuration mixes two kinds, so that it fits
    /// no model.
    /// </summary>
    public virtual NoiseKind? Noise => NoiseKind.Diffusion;

    /// <summary>Whether the scheduler samples models that were distilled to few steps, by consistency.</summary>
    internal virtual bool IsForFewSteps => false;

    /// <summary>Whether <see cref="SchedulerRequest.Sigmas"/> may be given.</summary>
    public virtual bool AcceptsSigmas => false;

    /// <summary>Whether <see cref="SchedulerRequest.Timesteps"/> may be given.</summary>
    public virtual bool AcceptsTimesteps => false;

    /// <summary>Whether <see cref="SchedulerRequest.Eta"/> may be given.</summary>
    private protected virtual bool AcceptsEta => false;

    /// <summary>The most steps that a run may have.</summary>
    private protected virtual int MaxSteps => int.MaxValue;

    /// <summary>Whether image to image rounds the number of steps that are done up (flow matching) or down (Stable Diffusion).</summary>
    private protected virtual bool RoundsStrengthUp => false;

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
            : throw new CheckpointException(
                $"'{config.Path}': the scheduler {name} is not supported; supported are "
                    + $"{string.Join(", ", Classes.Keys.Order(StringComparer.Ordinal))}.");
    }

    /// <summary>
    /// Makes a scheduler of another class from a configuration, as from_config of diffusers: what the configuration states is kept, what it
    /// does not state takes the default of the new class.
    /// </summary>
    /// <param name="config">Usually <see cref="Config"/> of a checkpoint's scheduler.</param>
    /// <param name="className">The class, or null for the one that the configuration names.</param>
    /// <param name="overrides">Values that replace or add to those of the configuration, such as timestep_spacing = "trailing"; null
    /// removes one.</param>
    /// <exception cref="CheckpointException">A value is malformed, the class is not supported, or it does not know a key of
    /// <paramref name="overrides"/>.</exception>
    public static Scheduler From(ModelConfig config, string? className, IReadOnlyDictionary<string, JsonNode?>? overrides = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        var json = new JsonObject();
        foreach (string key in config.Keys())
        {
            if (config.Find(key) is { } value)
                json[key] = JsonNode.Parse(value.GetRawText());
        }
        overrides ??= new Dictionary<string, JsonNode?>();
        foreach (var (key, value) in overrides)
            json[key] = value?.DeepClone();
        json["_class_name"] = className ?? config.ClassName;
        string name = overrides.Count == 0 ? config.Path
            : $"{config.Path} with "
                + $"{string.Join(", ", overrides.Select(change => $"{change.Key}={change.Value?.ToJsonString() ?? "null"}"))}";
        var changed = ModelConfig.Parse(name, Encoding.UTF8.GetBytes(json.ToJsonString()));

        // Checkpoints may state what a class does not know; what someone asks for must not go unheard.
        var known = new HashSet<string>(StringComparer.Ordinal);
        changed.Asked = known;
        var scheduler = From(changed);
        changed.Asked = null;
        return overrides.FirstOrDefault(change => change.Value != null && !known.Contains(change.Key)).Key is { } unheard
            ? throw new CheckpointException(
                $"{scheduler.ClassName} does not read '{unheard}'; it reads "
                    + $"{string.Join(", ", known.Where(key => key[0] != '_' && key != "architectures").Order(StringComparer.Ordinal))}.")
            : scheduler;
    }

    /// <summary>
    /// Where image to image begins: n - int(n s) for the schedulers of Stable Diffusion, int(n - n s) for flow matching, times
    /// <see cref="Order"/>. It counts entries of the list of timesteps. A pipeline whose rule differs gives
    /// <see cref="SchedulerRequest.BeginIndex"/> itself.
    /// </summary>
    /// <param name="steps">The number of steps of the whole schedule.</param>
    /// <param name="strength">The part that is done, from 0 to 1.</param>
    public int BeginIndexOf(int steps, double strength)
    {
        if (!(strength >= 0 && strength <= 1))
            throw new ArgumentOutOfRangeException(nameof(strength), $"Strength is {strength}, expected 0 to 1.");
        return Order * (RoundsStrengthUp ? (int)(steps - steps * strength) : steps - (int)(steps * strength));
    }

    /// <summary>Begins a run.</summary>
    /// <exception cref="ArgumentException">A value of the request is missing or out of range, or the scheduler does not take
    /// it.</exception>
    public ISchedulerRun Begin(SchedulerRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if ((request.Steps == null ? 0 : 1) + (request.Sigmas == null ? 0 : 1) + (request.Timesteps == null ? 0 : 1) != 1)
            throw new ArgumentException("A run needs exactly one of Steps, Sigmas and Timesteps.", nameof(request));
        if (request.Sigmas != null && !AcceptsSigmas)
            throw new ArgumentException($"{ClassName} takes no Sigmas.", nameof(request));
        if (request.Sigmas is { } sigmas)
            CheckSigmas(sigmas);
        if (request.Timesteps != null && !AcceptsTimesteps)
            throw new ArgumentException($"{ClassName} takes no Timesteps.", nameof(request));
        if (request.Eta != null && !AcceptsEta)
            throw new ArgumentException($"{ClassName} takes no Eta.", nameof(request));
        if (request.Eta is { } eta && !(eta >= 0 && eta <= 1))
            throw new ArgumentException(FormattableString.Invariant($"Eta is {eta}, expected 0 to 1."), nameof(request));
        int steps = StepsOf(request);
        if (steps < 1 || steps > MaxSteps)
            throw new ArgumentException(
                $"{ClassName} does {(MaxSteps == int.MaxValue ? "1 step or more" : $"1 to {MaxSteps} steps")}, not {steps}.",
                nameof(request));
        if (request.Strength is { } strength)
        {
            if (request.BeginIndex != 0)
                throw new ArgumentException(
                    $"Strength decides where the run begins; BeginIndex is {request.BeginIndex}, expected 0.", nameof(request));
            if (!(strength > 0 && strength <= 1))
                throw new ArgumentException(
                    FormattableString.Invariant($"Strength is {strength}, expected above 0 and at most 1."), nameof(request));
            request = request with { BeginIndex = BeginIndexOf(steps, strength) };
        }
        if (request.BeginIndex < 0)
            throw new ArgumentException($"BeginIndex is {request.BeginIndex}, expected 0 or more.", nameof(request));
        var run = Start(request);
        if (run.Steps >= 1)
            return run;
        int entries = run.Steps + request.BeginIndex;
        run.Dispose();
        throw new ArgumentException(
            request.Strength == null ? $"BeginIndex is {request.BeginIndex}, expected less than {entries}, the number of steps."
            : FormattableString.Invariant($"Strength {request.Strength} leaves no step of {steps}."), nameof(request));
    }

    /// <summary>The shift mu for a number of latent tokens, for schedulers that shift by the size of the image; else null.</summary>
    public virtual double? ShiftFor(int tokens) => null;

    /// <summary>Which of two values a key has: false for the first, which is the default.</summary>
    internal static bool Choice(ModelConfig config, string key, string first, string second)
    {
        string value = config.String(key, first);
        return value == second
            || (
                value == first ? false
                    : throw new CheckpointException($"'{config.Path}': {key} is '{value}', expected {first} or {second}."));
    }

    /// <summary>Noise levels are finite and fall; those of flow matching are parts of a whole, and the 0 behind them is added.</summary>
    private void CheckSigmas(IReadOnlyList<double> sigmas)
    {
        bool parts = Noise == NoiseKind.FlowMatching;
        for (int i = 0; i < sigmas.Count; i++)
        {
            double sigma = sigmas[i];
            if (!double.IsFinite(sigma) || sigma < 0 || (parts && (sigma > 1 || sigma == 0)))
            {
                throw new ArgumentException(
                    FormattableString.Invariant($"Sigmas[{i}] is {sigma}, expected ")
                        + (parts ? $"a noise level above 0 and at most 1 ({ClassName} ends at 0 by itself)." : "a finite level from 0."),
                    nameof(sigmas));
            }
            if (i > 0 && sigma >= sigmas[i - 1])
                throw new ArgumentException(
                    FormattableString.Invariant($"Sigmas must fall, but {sigmas[i - 1]} is followed by {sigma}."), nameof(sigmas));
        }
    }

    /// <summary>Checks that given timesteps fall.</summary>
    internal static double[] Falling(IReadOnlyList<int> timesteps)
    {
        for (int i = 1; i < timesteps.Count; i++)
        {
            if (timesteps[i] >= timesteps[i - 1])
                throw new ArgumentException(
                    $"Timesteps must fall, but {timesteps[i - 1]} is followed by {timesteps[i]}.", nameof(timesteps));
        }
        return [.. timesteps.Select(t => (double)t)];
    }

    /// <summary>The number of steps of a request's whole schedule.</summary>
    private protected virtual int StepsOf(SchedulerRequest request) => request.Steps ?? request.Timesteps?.Count ?? request.Sigmas!.Count;

    private protected abstract ISchedulerRun Start(SchedulerRequest request);
}
