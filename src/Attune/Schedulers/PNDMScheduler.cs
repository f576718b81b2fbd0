using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Pseudo numerical methods for diffusion models (Liu et al., arXiv 2202.09778), as PNDMScheduler of diffusers: linear multistep of order
/// 4, started by one repeated step (skip_prk_steps; n steps are n + 1 evaluations) or by Runge-Kutta steps of four evaluations each. It
/// counts calls, not timesteps: image to image begins its start-up anew.
/// </summary>
public sealed class PNDMScheduler : Scheduler
{
    private readonly AlphaBars _bars;
    private readonly TimestepSpacing _spacing;
    private readonly Prediction _prediction;
    private readonly double _finalBar;
    private readonly bool _skipsRungeKutta;

    internal PNDMScheduler(ModelConfig config)
        : base(config)
    {
        _bars = AlphaBars.Read(config, ZeroSnr.Unknown);
        _spacing = TimestepSpacing.Read(config, "leading");
        _prediction = Predictions.Read(config, Prediction.Epsilon, Prediction.Velocity);
        _finalBar = config.Bool("set_alpha_to_one", false) ? 1 : _bars[0];
        _skipsRungeKutta = config.Bool("skip_prk_steps", false);
    }

    private protected override int MaxSteps => _bars.Count;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        int steps = request.Steps!.Value;
        int stride = _bars.Count / steps;
        double[] spaced = _spacing.Space(steps, whole: true);
        if (_skipsRungeKutta)
        {
            double[] timesteps = steps == 1 ? spaced : [spaced[0], spaced[1], .. spaced[1..]];
            return new Run(this, timesteps, 0, stride, request.BeginIndex);
        }
        if (steps < 4)
            throw new ArgumentException(
                $"{ClassName} does 4 steps or more when it starts with Runge-Kutta steps, not {steps}.", nameof(request));
        if (request.BeginIndex != 0)
            throw new ArgumentException($"{ClassName} cannot begin within its Runge-Kutta steps; set skip_prk_steps.", nameof(request));

        // Evaluations of three steps: at the step, twice half a step on, and at the next.
        var list = new List<double>();
        for (int i = 0; i < 3; i++)
            list.AddRange([spaced[i], spaced[i + 1] + (stride / 2), spaced[i + 1] + (stride / 2), spaced[i + 1]]);
        int rungeKutta = list.Count;
        list.AddRange(spaced[3..]);
        return new Run(this, [.. list], rungeKutta, stride, 0);
    }

    private sealed class Run(PNDMScheduler owner, double[] timesteps, int rungeKutta, int stride, int begin)
        : AlphaBarRun(owner.ClassName, timesteps, owner._bars, owner._finalBar, owner._prediction, CleanLimits.None, begin)
    {
        private readonly TensorHistory _predictions = new(4);
        private readonly TensorHistory _start = new(1);
        private readonly TensorHistory _average = new(1);

        protected override bool KeepsHistory => true;

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            int call = index - First;
            if (details != null)
                details.CleanSample = CleanSample(index, prediction, latents);
            return call < rungeKutta ? RungeKutta(call, index, prediction, latents) : Multistep(call, index, prediction, latents);
        }

        protected override void Release()
        {
            _predictions.Dispose();
            _start.Dispose();
            _average.Dispose();
        }

        private Tensor RungeKutta(int call, int index, Tensor prediction, Tensor latents)
        {
            int stage = call % 4;
            int timestep = At(index - stage);
            int next = At(index) - (call % 2 == 1 ? 0 : stride / 2);
            if (stage == 0)
            {
                _predictions.Push(prediction);
                _start.Push(latents);
                _average.Push(prediction.Affine(1f / 6));
            }
            else if (stage < 3)
            {
                _average.Push(Mix.Of((1, _average[0]), (1.0 / 3, prediction)));
            }
            else
            {
                prediction = Mix.Of((1, _average[0]), (1.0 / 6, prediction));
            }
            return Transfer(_start[0], prediction, timestep, next);
        }

        private Tensor Multistep(int call, int index, Tensor prediction, Tensor latents)
        {
            int timestep = At(index);
            int next = timestep - stride;
            if (call == 1)
            {
                // The repeated step: the first one again, with the average of the predictions at both its ends.
                (timestep, next) = (timestep + stride, timestep);
                return Transfer(_start[0], Mix.Of((0.5, prediction), (0.5, _predictions[0])), timestep, next);
            }
            _predictions.Push(prediction);
            if (call == 0)
                _start.Push(latents);
            var p = _predictions;
            return Transfer(latents, p.Count switch
            {
                1 => prediction,
                2 => Mix.Of((1.5, p[0]), (-0.5, p[1])),
                3 => Mix.Of((23.0 / 12, p[0]), (-16.0 / 12, p[1]), (5.0 / 12, p[2])),
                _ => Mix.Of((55.0 / 24, p[0]), (-59.0 / 24, p[1]), (37.0 / 24, p[2]), (-9.0 / 24, p[3])),
            }, timestep, next);
        }

        /// <summary>Equation 11 of the paper.</summary>
        private Tensor Transfer(Tensor latents, Tensor prediction, int timestep, int nextTimestep)
        {
            double bar = Bar(timestep);
            double next = Bar(nextTimestep);
            double factor = -(next - bar) / ((bar * Math.Sqrt(1 - next)) + Math.Sqrt(bar * (1 - bar) * next));
            var (ofLatents, ofPrediction) = owner._prediction.ToNoise(Math.Sqrt(bar), Math.Sqrt(1 - bar));
            return Mix.Of((Math.Sqrt(next / bar) + (factor * ofLatents), latents), (factor * ofPrediction, prediction));
        }
    }
}
