using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Midpoint steps (DPM2 of Karras et al., arXiv 2206.00364, with the midpoint in the logarithm of sigma), as KDPM2DiscreteScheduler of
/// diffusers: 2 n - 1 evaluations.
/// </summary>
public sealed class KDPM2DiscreteScheduler : SigmaScheduler
{
    internal KDPM2DiscreteScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown, SigmaSpacing.Read(config), betaStart: 0.00085, betaEnd: 0.012, roundsKarras: true)
    {
    }

    /// <inheritdoc/>
    public override int Order => 2;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        var (timesteps, levels) = Schedule(request);
        float[] sigmas = Single([.. levels, 0]);
        var middles = new float[timesteps.Length];
        for (int i = 0; i < middles.Length; i++)
            middles[i] = (float)Math.Sqrt((double)sigmas[i] * sigmas[i + 1]);
        return new MidpointRun(this, timesteps, sigmas, middles, null, request);
    }
}

/// <summary>
/// As <see cref="KDPM2DiscreteScheduler"/>, with ancestral noise at the end of each step but the last; KDPM2AncestralDiscreteScheduler of
/// diffusers.
/// </summary>
public sealed class KDPM2AncestralDiscreteScheduler : SigmaScheduler
{
    internal KDPM2AncestralDiscreteScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown, SigmaSpacing.Read(config), betaStart: 0.00085, betaEnd: 0.012, roundsKarras: true)
    {
    }

    /// <inheritdoc/>
    public override int Order => 2;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        var (timesteps, levels) = Schedule(request);
        float[] sigmas = Single([.. levels, 0]);
        var middles = new float[timesteps.Length];
        var ancestral = new (double Down, double Up)[timesteps.Length];
        for (int i = 0; i < middles.Length; i++)
        {
            ancestral[i] = Split(sigmas[i], sigmas[i + 1]);
            middles[i] = (float)Math.Sqrt(sigmas[i] * ancestral[i].Down);
        }
        return new MidpointRun(this, timesteps, sigmas, middles, ancestral, request);
    }

    /// <summary>
    /// As <see cref="Ancestral.Split"/>, in single precision: for long steps most digits of the lower level cancel, and the model's
    /// timestep follows from what is left of them in the reference. Where nothing is left, the exact value.
    /// </summary>
    private static (double Down, double Up) Split(float from, float to)
    {
        float up = MathF.Sqrt(to * to * ((from * from) - (to * to)) / (from * from));
        float square = (to * to) - (up * up);
        return square >= 0 ? (MathF.Sqrt(square), up) : Ancestral.Split(from, to);
    }
}
