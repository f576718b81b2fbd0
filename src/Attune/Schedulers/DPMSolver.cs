using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>The forms of DPM-Solver.</summary>
internal enum DpmAlgorithm
{
    /// <summary>Extrapolates the noise (Lu et al., arXiv 2206.00927).</summary>
    Noise,

    /// <summary>Extrapolates the clean sample (Lu et al., arXiv 2211.01095).</summary>
    Clean,

    /// <summary>As <see cref="Noise"/>, with new noise in each step.</summary>
    StochasticNoise,

    /// <summary>As <see cref="Clean"/>, with new noise in each step.</summary>
    StochasticClean,
}

/// <summary>How a configuration solves.</summary>
internal sealed record DpmSettings(
    DpmAlgorithm Algorithm, int Order, bool IsHeun, bool LowersFinalOrder, bool EndsWithEuler, bool EndsAtZero)
{
    public bool ExtrapolatesClean => Algorithm is DpmAlgorithm.Clean or DpmAlgorithm.StochasticClean;

    public bool IsStochastic => Algorithm is DpmAlgorithm.StochasticNoise or DpmAlgorithm.StochasticClean;

    public static DpmSettings Read(ModelConfig config, int order, bool lowersFinalOrder)
    {
        string name = config.String("algorithm_type", "dpmsolver++");
        var algorithm = name switch
        {
            "dpmsolver" => DpmAlgorithm.Noise,
            "dpmsolver++" or "deis" => DpmAlgorithm.Clean,
            "sde-dpmsolver" => DpmAlgorithm.StochasticNoise,
            "sde-dpmsolver++" => DpmAlgorithm.StochasticClean,
            _ =>
                throw new CheckpointException(
                    $"'{config.Path}': algorithm_type is '{name}', expected dpmsolver, dpmsolver++, sde-dpmsolver or sde-dpmsolver++."),
        };
        string solver = config.String("solver_type", "midpoint");
        if (solver is not ("midpoint" or "heun" or "logrho" or "bh1" or "bh2"))
            throw new CheckpointException($"'{config.Path}': solver_type is '{solver}', expected midpoint or heun.");
        var settings = new DpmSettings(
            algorithm, order, solver == "heun", config.Bool("lower_order_final", lowersFinalOrder), config.Bool("euler_at_final", false),
            !Scheduler.Choice(config, "final_sigmas_type", "zero", "sigma_min"));
        if (settings.EndsAtZero && !settings.ExtrapolatesClean)
            throw new CheckpointException(
                $"'{config.Path}': algorithm_type {name} cannot end without noise; set final_sigmas_type to sigma_min.");
        return settings;
    }
}

/// <summary>
/// The weights of a step from s to t: x' = Latents x + Value D0 + First D1 + Second D2 + Noise z, where D0 is the value at s, and D1 and D2
/// are its divided differences.
/// <see cref="First"/> is exact (Heun), half of <see cref="Value"/> is the midpoint rule.
/// </summary>
internal readonly record struct DpmWeights(double Latents, double Value, double First, double Second, double Noise)
{
    public static DpmWeights Between(DpmAlgorithm algorithm, SolverPoint s, SolverPoint t)
    {
        double h = t.Lambda - s.Lambda;
        switch (algorithm)
        {
            case DpmAlgorithm.Clean:
            {
                double phi = Math.Exp(-h) - 1;
                return new(t.Sigma / s.Sigma, -t.Alpha * phi, t.Alpha * ((phi / h) + 1), -t.Alpha * (((phi + h) / (h * h)) - 0.5), 0);
            }
            case DpmAlgorithm.Noise:
            {
                double phi = Math.Exp(h) - 1;
                return new(t.Alpha / s.Alpha, -t.Sigma * phi, -t.Sigma * ((phi / h) - 1), -t.Sigma * (((phi - h) / (h * h)) - 0.5), 0);
            }
            case DpmAlgorithm.StochasticClean:
            {
                double phi = 1 - Math.Exp(-2 * h);
                double k = 2 * h;
                return new(
                    t.Sigma / s.Sigma * Math.Exp(-h), t.Alpha * phi, t.Alpha * (1 - (phi / k)), t.Alpha * (((phi - k) / (k * k)) - 0.5),
                    t.Sigma * Math.Sqrt(phi));
            }
            default:
            {
                double phi = Math.Exp(h) - 1;
                return new(
                    t.Alpha / s.Alpha, -2 * t.Sigma * phi, -2 * t.Sigma * ((phi / h) - 1), double.NaN,
                    t.Sigma * Math.Sqrt(Math.Exp(2 * h) - 1));
            }
        }
    }
}
