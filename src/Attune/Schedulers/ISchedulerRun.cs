using Attune.Tensors;

namespace Attune.Schedulers;

/// <summary>
/// The noise schedule of one run. Steps count the evaluations of the model that are done, from 0. A run that keeps history owns its
/// tensors: dispose it. Steps are done in order where that matters; a step out of order is an error then.
/// </summary>
public interface ISchedulerRun : IDisposable
{
    /// <summary>The timesteps of the whole schedule, those before the first that is done included.</summary>
    IReadOnlyList<float> Timesteps { get; }

    /// <summary>
    /// The noise levels of the whole schedule, on the scale of <see cref="SigmaOf"/>; usually one more than timesteps, the last being where
    /// the last step ends.
    /// </summary>
    IReadOnlyList<float> Sigmas { get; }

    /// <summary>
    /// The number of evaluations of the model that are done: n for most schedulers, n + 1 for PNDM, 2 n - 1 for Heun; less what image to
    /// image leaves out.
    /// </summary>
    int Steps { get; }

    /// <summary>The entry of the timesteps with which the first step begins: those before it are left out (image to image).</summary>
    int First { get; }

    /// <summary>The factor on standard normal noise that makes the latents of the first step; init_noise_sigma of diffusers.</summary>
    float InitialNoiseSigma { get; }

    /// <summary>The timestep of a step, which the model gets.</summary>
    float TimestepOf(int step);

    /// <summary>The noise level of a step: sqrt((1 - abar) / abar) for diffusion, from 0 to 1 for flow matching.</summary>
    float SigmaOf(int step);

    /// <summary>What the model gets for the latents; the latents themselves when the scheduler scales nothing.</summary>
    Tensor ScaleInput(Tensor latents, int step);

    /// <summary>The latents after a step.</summary>
    /// <param name="prediction">What the denoiser predicted, after guidance: of the latents' shape, or with twice the channels (the last
    /// axis) where the variance is learned.</param>
    /// <param name="step">Counted from 0.</param>
    /// <param name="latents">The latents before the step, batch first.</param>
    /// <param name="noise">Asked exactly when, and in the order in which, diffusers draws noise; may be null for steps that draw
    /// none.</param>
    /// <param name="details">Filled with what the step computed on its way.</param>
    /// <returns>A new tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, or the step needs noise and there is none.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such step.</exception>
    /// <exception cref="InvalidOperationException">The scheduler keeps history and the step is out of order.</exception>
    Tensor Step(Tensor prediction, int step, Tensor latents, NoiseSource? noise = null, StepDetails? details = null);

    /// <summary>
    /// The clean sample (x0) that a prediction means at these latents, for the scheduler's prediction type; neither clipped nor
    /// thresholded.
    /// </summary>
    /// <returns>A new tensor of the current scope.</returns>
    Tensor ToCleanSample(Tensor prediction, int step, Tensor latents);

    /// <summary>The inverse of <see cref="ToCleanSample"/>: the prediction that means this clean sample.</summary>
    /// <returns>A new tensor of the current scope.</returns>
    /// <exception cref="InvalidOperationException">At this step the clean sample does not depend on the prediction.</exception>
    Tensor FromCleanSample(Tensor clean, int step, Tensor latents);

    /// <summary>
    /// A clean sample with the noise of a step, for image to image: at the first step that is done unless another is named.
    /// </summary>
    /// <returns>A new tensor of the current scope.</returns>
    Tensor AddNoise(Tensor clean, Tensor noise, int step = 0);
}
