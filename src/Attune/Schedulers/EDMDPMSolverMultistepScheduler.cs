using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Multistep DPM-Solver++ in the formulation of Karras et al. (arXiv 2206.00364, table 1), as EDMDPMSolverMultistepScheduler of diffusers
/// (Playground v2.5).
/// </summary>
public sealed class EDMDPMSolverMultistepScheduler : Scheduler
{
    private readonly EdmScale _scale;
    private readonly DpmSettings _settings;
    private readonly CleanLimits _limits;

    internal EDMDPMSolverMultistepScheduler(ModelConfig config)
        : base(config)
    {
        _scale = new EdmScale(config);
        _settings = DpmSettings.Read(config, config.Int("solver_order", 2), lowersFinalOrder: true);
        if (_settings.Order < 1 || _settings.Order > 3 || !_settings.ExtrapolatesClean)
            throw new CheckpointException(
                $"'{config.Path}': expected an algorithm_type dpmsolver++ or sde-dpmsolver++ of solver_order 1 to 3.");
        _limits = CleanLimits.Read(config, clips: null);
    }

    /// <inheritdoc/>
    public override NoiseKind? Noise => NoiseKind.Edm;

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        float[] sigmas = _scale.Sigmas(request.Steps!.Value);
        return new DpmMultistepRun(
            ClassName, EdmScale.Timesteps(sigmas), sigmas, request.BeginIndex, new EdmSpace(_scale), _limits, _settings);
    }
}
