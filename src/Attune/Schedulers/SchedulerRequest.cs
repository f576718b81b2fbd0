using Attune.Tensors;

namespace Attune.Schedulers;

/// <summary>
/// What a run of a scheduler needs. Exactly one of <see cref="Steps"/>, <see cref="Sigmas"/> and <see cref="Timesteps"/> is given.
/// Options that a scheduler does not know are ignored, as in the reference, unless they say otherwise.
/// </summary>
public sealed record SchedulerRequest
{
    /// <summary>The number of steps, 1 or more; the scheduler chooses the noise levels.</summary>
    public int? Steps { get; init; }

    /// <summary>
    /// Noise levels, from high to low. Flow matching: one for each step, before the scheduler's own shift. Euler, Heun: on the scale of
    /// sqrt((1 - abar) / abar), and one more than steps, the last of which is usually 0.
    /// </summary>
    public IReadOnlyList<double>? Sigmas { get; init; }

    /// <summary>
    /// The same run with the noise levels that pipelines of flow matching give: n equal steps from 1 to 1 / n, unless others are asked
    /// for. A scheduler that takes no sigmas spaces n steps by itself.
    /// </summary>
    /// <param name="scheduler">The scheduler.</param>
    /// <param name="mu">The shift.</param>
    internal SchedulerRequest OnEqualSteps(Scheduler scheduler, double? mu)
    {
        if (Sigmas == null && !scheduler.AcceptsSigmas)
            return this with { Mu = mu };
        int steps = Steps ?? Sigmas!.Count;
        return this with
        {
            Steps = null,
            Sigmas = Sigmas ?? [.. Enumerable.Range(0, steps).Select(i => 1 - i * (1 - 1.0 / steps) / Math.Max(steps - 1, 1))],
            Mu = mu,
        };
    }

    /// <summary>Timesteps of the training schedule, from high to low, each below its length.</summary>
    public IReadOnlyList<int>? Timesteps { get; init; }

    /// <summary>
    /// The exponent or factor of a dynamic shift, which depends on the size of the image (<see cref="Scheduler.ShiftFor"/>).
    /// </summary>
    public double? Mu { get; init; }

    /// <summary>
    /// Image to image: the part of the schedule that is done, above 0 and at most 1. It decides where the run begins
    /// (<see cref="Scheduler.BeginIndexOf"/>), so
    /// <see cref="BeginIndex"/> must be 0.
    /// </summary>
    public double? Strength { get; init; }

    /// <summary>The first entry of the list of timesteps that is done.</summary>
    public int BeginIndex { get; init; }

    /// <summary>
    /// LCM: the part of the distillation's own schedule, from its low end, from which the steps are chosen; above 0 and at most 1. This is
    /// what LCM's own image to image does instead of cutting the list.
    /// </summary>
    public double? ScheduleStrength { get; init; }

    /// <summary>LCM, TCD: the number of steps of the schedule that was distilled; null is the configuration's.</summary>
    public int? OriginalSteps { get; init; }

    /// <summary>SCM: the angle of the first step, above 0 and at most pi / 2; null is 1.5708.</summary>
    public double? MaxTimestep { get; init; }

    /// <summary>
    /// SCM: the angle of the second of two steps (Sana-Sprint: 1.3); null spaces them evenly. An error for another number of steps.
    /// </summary>
    public double? IntermediateTimestep { get; init; }

    /// <summary>
    /// DDIM, TCD: how much of the noise is drawn anew, 0 (none) to 1; null is 0 for DDIM and 0.3 for TCD. An error for other schedulers.
    /// </summary>
    public float? Eta { get; init; }

    /// <summary>DDIM: derives the noise direction from the clipped clean sample.</summary>
    public bool UseClippedModelOutput { get; init; }

    /// <summary>Euler, Heun, EDM: the stochasticity of Karras et al. (arXiv 2206.00364, algorithm 2); 0 is deterministic.</summary>
    public double SChurn { get; init; }

    /// <summary>Noise levels below this are not churned.</summary>
    public double STmin { get; init; }

    /// <summary>Noise levels above this are not churned.</summary>
    public double STmax { get; init; } = double.PositiveInfinity;

    /// <summary>A factor on the noise that churning adds, and on all noise of DPMSolverSDE.</summary>
    public double SNoise { get; init; } = 1;
}

/// <summary>Gives the standard normal noise of one draw, in the layout of the latents; owned by the current scope.</summary>
public delegate Tensor NoiseSource();

/// <summary>
/// What a step computes on its way. The tensors belong to the scope in which the step was done; those that a scheduler does not compute are
/// null.
/// </summary>
public sealed class StepDetails
{
    /// <summary>
    /// The clean sample that the prediction means, after the configuration's clipping or thresholding; pred_original_sample of diffusers.
    /// </summary>
    public Tensor? CleanSample { get; internal set; }

    /// <summary>
    /// LCM: the output of the consistency function, which is the image once the last step is done; denoised of diffusers.
    /// </summary>
    public Tensor? Denoised { get; internal set; }

    /// <summary>TCD: the sample before noise is added; pred_noised_sample of diffusers.</summary>
    public Tensor? NoisedSample { get; internal set; }
}
