using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// UniPC (Zhao et al., arXiv 2302.04867): a multistep predictor, and a corrector that costs no further evaluation, for diffusion and flow
/// matching (Wan), as UniPCMultistepScheduler of diffusers.
/// </summary>
public sealed class UniPCMultistepScheduler : SolverScheduler
{
    private readonly bool _predictsClean;
    private readonly bool _bh1;
    private readonly bool _lowersFinalOrder;
    private readonly bool _endsAtZero;
    private readonly bool _linearShift;
    private readonly double? _terminal;
    private readonly int[] _uncorrected;

    internal UniPCMultistepScheduler(ModelConfig config)
        : base(config, ZeroSnr.Floored)
    {
        _predictsClean = config.Bool("predict_x0", true);
        if (!_predictsClean && IsFlow)
            throw new CheckpointException($"'{config.Path}': use_flow_sigmas needs predict_x0.");
        string solver = config.String("solver_type", "bh2");
        _bh1 = solver == "bh1";
        if (solver is not ("bh1" or "bh2" or "midpoint" or "heun" or "logrho"))
            throw new CheckpointException($"'{config.Path}': solver_type is '{solver}', expected bh1 or bh2.");
        _lowersFinalOrder = config.Bool("lower_order_final", true);
        _endsAtZero = !Choice(config, "final_sigmas_type", "zero", "sigma_min");
        _linearShift = Choice(config, "time_shift_type", "exponential", "linear");
        _terminal = FlowMatchScheduler.Terminal(config);
        if (_terminal != null && !IsFlow)
            throw new CheckpointException($"'{config.Path}': shift_terminal needs use_flow_sigmas.");
        _uncorrected = config.Ints("disable_corrector");
    }

    /// <inheritdoc/>
    public override bool AcceptsSigmas => IsFlow && Spacing.FollowsTimesteps;

    private protected override bool SpacesFlow => Spacing.Kind == SigmaSpacingKind.Karras;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        double[] timesteps;
        double[] sigmas;
        double last;
        if (!Spacing.FollowsTimesteps)
        {
            sigmas = Spacing.Space(Bars.Sigmas[^1], Bars.Sigmas[0], request.Steps!.Value);
            bool karras = Spacing.Kind == SigmaSpacingKind.Karras;
            if (karras && IsFlow)
            {
                sigmas = Array.ConvertAll(sigmas, sigma => sigma / (sigma + 1));
                timesteps = Array.ConvertAll(sigmas, sigma => sigma * Bars.Count);
            }
            else
            {
                timesteps = TimestepsOf(sigmas, rounded: karras);
            }
            last = sigmas[^1];
        }
        else if (IsFlow)
        {
            sigmas = FlowSchedule(request);
            timesteps = Array.ConvertAll(sigmas, sigma => sigma * Bars.Count);
            last = sigmas[^1];
        }
        else
        {
            timesteps = Spaced(request.Steps!.Value, Bars.Count);
            sigmas = Array.ConvertAll(timesteps, Bars.SigmaAt);
            last = Bars.Sigmas[0];
        }
        return new Run(this, Whole(timesteps), Single(sigmas, _endsAtZero ? 0 : last), request.BeginIndex);
    }

    private double[] FlowSchedule(SchedulerRequest request)
    {
        if (IsDynamic && request.Mu == null)
            throw new ArgumentException($"{ClassName} shifts by the size of the image: Mu is missing.", nameof(request));
        double[] sigmas = request.Sigmas is { } given ? [.. given] : Even.Linspace(1, 1.0 / Bars.Count, request.Steps!.Value + 1)[..^1];
        for (int i = 0; i < sigmas.Length; i++)
        {
            double factor = _linearShift ? request.Mu ?? 1 : Math.Exp(request.Mu ?? 0);
            sigmas[i] = IsDynamic ? factor / (factor + ((1 / sigmas[i]) - 1)) : Shift(sigmas[i], request);
        }
        if (_terminal is { } terminal && sigmas[^1] != 1)
        {
            double factor = (1 - sigmas[^1]) / (1 - terminal);
            sigmas = Array.ConvertAll(sigmas, sigma => 1 - ((1 - sigma) / factor));
        }

        // At 1 there is no signal, and its logarithm is infinite.
        if (Math.Abs(sigmas[0] - 1) < 1e-6)
            sigmas[0] -= 1e-6;
        return sigmas;
    }

    private sealed class Run(UniPCMultistepScheduler owner, float[] timesteps, float[] sigmas, int begin)
        : SolverRun(owner.ClassName, timesteps, sigmas, begin, owner.Space, owner.Limits)
    {
        private readonly TensorHistory _values = new(owner.SolverOrder);
        private readonly TensorHistory _latents = new(1);
        private int _order;

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            var value = Convert(index, prediction, latents, owner._predictsClean, details);
            if (_latents.Count > 0 && !owner._uncorrected.Contains(index - 1))
                latents = Update(index - 1, _order, _latents[0], value);
            _values.Push(value);
            int order = owner._lowersFinalOrder ? Math.Min(owner.SolverOrder, Timesteps.Count - index) : owner.SolverOrder;

            // Without noise at the end lambda is infinite there, and only the first order has a limit; nor has a step between equal levels
            // differences.
            _order = Sigma(index + 1) == 0 || Sigma(index + 1) == Sigma(index) ? 1 : Math.Min(order, _values.Count);
            _latents.Push(latents);
            return Update(index, _order, latents, null);
        }

        protected override void Release()
        {
            _values.Dispose();
            _latents.Dispose();
        }

        /// <summary>The step from an entry to the next: predicted, or corrected by the value at its end.</summary>
        private Tensor Update(int index, int order, Tensor latents, Tensor? end)
        {
            var (s, t) = (Point(index), Point(index + 1));
            double h = t.Lambda - s.Lambda;
            double hh = owner._predictsClean ? -h : h;
            double phi = Math.Exp(hh) - 1;
            double scale = owner._predictsClean ? t.Alpha : t.Sigma;
            double kept = owner._predictsClean ? t.Sigma / s.Sigma : t.Alpha / s.Alpha;

            // scale phi, in a form that has its limit where the step ends without noise.
            double scaledPhi = owner._predictsClean ? (t.Sigma / s.Rho) - t.Alpha : (t.Alpha * s.Rho) - t.Sigma;
            double b = owner._bh1 ? hh : phi;
            var ratios = new double[order];
            for (int k = 1; k < order; k++)
                ratios[k - 1] = (Point(index - k).Lambda - s.Lambda) / h;
            ratios[order - 1] = 1;
            double[] weights = Weights(ratios, hh, phi, b, corrects: end != null);

            // Differences from the value at the step: over the earlier steps, and for the corrector over this one.
            var terms = new (double, Tensor)[order + 2];
            terms[0] = (kept, latents);
            double ofValue = -scaledPhi;
            for (int k = 1; k < order; k++)
            {
                double weight = -scale * b * weights[k - 1] / ratios[k - 1];
                terms[k + 1] = (weight, _values[k]);
                ofValue -= weight;
            }
            terms[order + 1] = (0, latents);
            if (end != null)
            {
                double weight = -scale * b * weights[order - 1];
                terms[order + 1] = (weight, end);
                ofValue -= weight;
            }
            terms[1] = (ofValue, _values[0]);
            return Mix.Of(terms);
        }

        /// <summary>Equation 9 of the paper, with the exceptions of the reference for the lowest orders.</summary>
        private static double[] Weights(double[] ratios, double hh, double phi, double b, bool corrects)
        {
            int unknowns = corrects ? ratios.Length : ratios.Length - 1;
            if (unknowns == 0)
                return [];
            if (unknowns == 1)
                return [0.5];
            var rows = new double[unknowns][];
            double phiK = (phi / hh) - 1;
            double factorial = 1;
            for (int i = 0; i < unknowns; i++)
            {
                rows[i] = new double[unknowns + 1];
                for (int k = 0; k < unknowns; k++)
                    rows[i][k] = Math.Pow(ratios[k], i);
                rows[i][unknowns] = phiK * factorial / b;
                factorial *= i + 2;
                phiK = (phiK / hh) - (1 / factorial);
            }
            return Solve(rows);
        }

        /// <summary>Gauss elimination with pivots; the last column is the right side.</summary>
        private static double[] Solve(double[][] rows)
        {
            int n = rows.Length;
            for (int column = 0; column < n; column++)
            {
                int pivot = column;
                for (int row = column + 1; row < n; row++)
                {
                    if (Math.Abs(rows[row][column]) > Math.Abs(rows[pivot][column]))
                        pivot = row;
                }
                (rows[column], rows[pivot]) = (rows[pivot], rows[column]);
                for (int row = 0; row < n; row++)
                {
                    if (row == column)
                        continue;
                    double factor = rows[row][column] / rows[column][column];
                    for (int k = column; k <= n; k++)
                        rows[row][k] -= factor * rows[column][k];
                }
            }
            return [.. rows.Select((row, i) => row[n] / row[i])];
        }
    }
}
