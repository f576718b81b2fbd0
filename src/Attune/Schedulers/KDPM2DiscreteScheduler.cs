using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Midpoint steps (DPM2 of Karras et al., arXiv 2206.00364, with the midpoint in the logarithm of sigma), as KDPM2DiscreteScheduler of diffusers: 2 n - 1 evaluations.
/// </summary>
public sealed class KDPM2DiscreteScheduler : SigmaScheduler
{
    internal KDPM2DiscreteScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown, betaStart: 0.00085, betaEnd: 0.012, roundsKarras: true)
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

/// <summary>As <see cref="KDPM2DiscreteScheduler"/>, with ancestral noise at the end of each step but the last; KDPM2AncestralDiscreteScheduler of diffusers.</summary>
public sealed class KDPM2AncestralDiscreteScheduler : SigmaScheduler
{
    internal KDPM2AncestralDiscreteScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown, betaStart: 0.00085, betaEnd: 0.012, roundsKarras: true)
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
            ancestral[i] = Ancestral.Split(sigmas[i], sigmas[i + 1]);
            middles[i] = (float)Math.Sqrt(sigmas[i] * ancestral[i].Down);
        }
        return new MidpointRun(this, timesteps, sigmas, middles, ancestral, request);
    }
}
