using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Continuous-time consistency models in trigonometric flow (Lu and Song, arXiv 2410.11081; Sana-Sprint, arXiv 2503.09641), as SCMScheduler
/// of diffusers: latents are cos(t) clean + sin(t) sigma_data noise, timesteps are angles from pi / 2 to 0. The list has one entry more
/// than there are steps. Noise is drawn in the last step too, where its factor is 0. The noise level is sin / (sin + cos), from 0 to 1.
/// </summary>
public sealed class SCMScheduler : Scheduler
{
    private readonly double _sigmaData;
    private readonly int _trainTimesteps;

    internal SCMScheduler(ModelConfig config)
        : base(config)
    {
        _trainTimesteps = config.Length("num_train_timesteps", 1000);
        _sigmaData = config.Positive("sigma_data", 0.5);
        string prediction = config.String("prediction_type", "trigflow");
        if (prediction != "trigflow")
            throw new CheckpointException($"'{config.Path}': prediction_type is '{prediction}', expected trigflow.");
    }

    /// <inheritdoc/>
    public override NoiseKind? Noise => NoiseKind.Consistency;

    internal override bool IsForFewSteps => true;

    private protected override int MaxSteps => _trainTimesteps;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        int steps = request.Steps!.Value;
        double start = request.MaxTimestep ?? 1.5708;
        if (!(start > 0 && start <= 1.5708))
            throw new ArgumentException($"MaxTimestep is {start}, expected an angle above 0 and at most pi / 2.", nameof(request));
        double[] angles = Even.Linspace(start, 0, steps + 1);
        if (request.IntermediateTimestep is { } middle)
        {
            if (steps != 2)
                throw new ArgumentException($"IntermediateTimestep is for 2 steps, not {steps}.", nameof(request));
            if (!(middle > 0 && middle < start))
                throw new ArgumentException($"IntermediateTimestep is {middle}, expected above 0 and below {start}.", nameof(request));
            angles[1] = middle;
        }
        double[] levels = Array.ConvertAll(angles, angle => Math.Min(1, Math.Sin(angle) / (Math.Sin(angle) + Math.Cos(angle))));
        return new Run(
            this, Array.ConvertAll(angles, angle => (float)angle), Array.ConvertAll(levels, level => (float)level), request.BeginIndex);
    }

    private sealed class Run(
        SCMScheduler owner, float[] angles, float[] levels, int begin) : SchedulerRun(owner.ClassName, angles, levels, begin)
    {
        protected override int Evaluations => Timesteps.Count - 1;

        protected override CleanRule Clean(int index) => new(Math.Cos(Timesteps[index]), -Math.Sin(Timesteps[index]));

        protected override (double Signal, double Level) NoiseScales(int index) =>
            (Math.Cos(Timesteps[index]), owner._sigmaData * Math.Sin(Timesteps[index]));

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            var rule = Clean(index);
            var clean = Mix.Of((rule.Latents, latents), (rule.Prediction, prediction));
            if (details != null)
                details.CleanSample = clean;
            var (signal, level) = NoiseScales(index + 1);
            return Mix.Of((signal, clean), (level, noise.Draw()));
        }
    }
}
