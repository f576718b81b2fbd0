using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Diffusion exponential integrator sampler (Zhang and Chen, arXiv 2204.13902) in log(rho), as DEISMultistepScheduler of diffusers. When
/// the configuration spaces sigmas, the last of them is repeated instead of followed by a lower one, so the last step changes nothing, as
/// in the reference.
/// </summary>
public sealed class DEISMultistepScheduler : SolverScheduler
{
    private readonly bool _lowersFinalOrder;

    internal DEISMultistepScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown)
    {
        _lowersFinalOrder = config.Bool("lower_order_final", true);
        foreach (
            var (key, known) in new[] {
                ("algorithm_type", (string[])["deis", "dpmsolver", "dpmsolver++"]),
                ("solver_type", ["logrho", "midpoint", "heun", "bh1", "bh2"]) })
        {
            // The names of related solvers stand for this one, as configurations are handed on between them.
            if (!known.Contains(config.String(key, known[0])))
                throw new CheckpointException($"'{config.Path}': {key} is '{config.String(key, "")}', expected {known[0]}.");
        }
    }

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        int steps = request.Steps!.Value;
        double[] timesteps;
        double[] sigmas;
        if (!Spacing.FollowsTimesteps)
        {
            sigmas = Spacing.Space(Bars.Sigmas[^1], Bars.Sigmas[0], steps);
            timesteps = TimestepsOf(sigmas, rounded: Spacing.Kind == SigmaSpacingKind.Karras);
        }
        else if (IsFlow)
        {
            sigmas = FlowSigmas(request);
            timesteps = Array.ConvertAll(sigmas, sigma => sigma * Bars.Count);
        }
        else
        {
            timesteps = Spaced(steps, Bars.Count);
            sigmas = Array.ConvertAll(timesteps, Bars.SigmaAt);
        }
        return new Run(
            this, Whole(timesteps), Single(sigmas, Spacing.FollowsTimesteps && !IsFlow ? Bars.Sigmas[0] : sigmas[^1]), request.BeginIndex);
    }

    private sealed class Run(DEISMultistepScheduler owner, float[] timesteps, float[] sigmas, int begin)
        : SolverRun(owner.ClassName, timesteps, sigmas, begin, owner.Space, owner.Limits)
    {
        private readonly TensorHistory _noises = new(owner.SolverOrder);

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            _noises.Push(Convert(index, prediction, latents, toClean: false, details));
            var (s, t) = (Point(index), Point(index + 1));
            int left = Timesteps.Count - index;
            bool lowers = owner._lowersFinalOrder && Timesteps.Count < 15;
            int order = Math.Min(_noises.Count, lowers ? left : 3);
            var terms = new (double, Tensor)[order + 1];
            terms[0] = (t.Alpha / s.Alpha, latents);
            for (int age = 0; age < order; age++)
                terms[age + 1] = (t.Alpha * Weight(index, age, order, s.Rho, t.Rho), _noises[age]);
            return Mix.Of(terms);
        }

        protected override void Release() => _noises.Dispose();

        /// <summary>
        /// The integral over rho, from this level to the next, of the polynomial in log(rho) that is 1 at one earlier level and 0 at the
        /// others. With u = log(rho) and nodes relative to this level, the integral of rho u^k follows by parts.
        /// </summary>
        private double Weight(int index, int age, int order, double from, double to)
        {
            double a = Relative(index - age, from);
            double end = Math.Log(to / from);
            double constant = to - from;
            if (order == 1)
                return constant;
            double linear = (to * (end - 1)) + from;
            if (order == 2)
            {
                double b = Relative(index - 1 + age, from);
                return (linear - (b * constant)) / (a - b);
            }
            double square = (to * ((end * end) - (2 * end) + 2)) - (2 * from);
            double p = Relative(index - ((age + 1) % 3), from);
            double q = Relative(index - ((age + 2) % 3), from);
            return (square - ((p + q) * linear) + (p * q * constant)) / ((a - p) * (a - q));
        }

        private double Relative(int index, double from) => Math.Log(Point(index).Rho / from);
    }
}
