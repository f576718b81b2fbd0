using Attune.Guidance;
using Attune.Imaging;
using Attune.Models;
using Attune.Tensors;

namespace Attune.Pipelines;

/// <summary>
/// One turn of the denoising loop. Its tensors belong to the run: they are valid until the next step is asked for.
/// </summary>
public sealed class DenoisingStep
{
    private readonly PipelineRun _run;

    internal DenoisingStep(PipelineRun run, int index) => (_run, Index) = (run, index);

    /// <summary>Counted from 0.</summary>
    public int Index { get; }

    /// <summary>The number of steps of the run.</summary>
    public int Count => _run.Steps;

    /// <summary>Whether the latents are final.</summary>
    public bool IsLast => Index == Count - 1;

    /// <summary>The latents after the step, in the form the denoiser takes.</summary>
    public Tensor Latents => _run.Latents;

    /// <summary>What the scheduler was given: the prediction after all guidance.</summary>
    public Tensor Prediction => _run.Prediction!;

    /// <summary>The prediction for the prompt, with attention-space guidance, before rules that combine predictions.</summary>
    public Tensor PositivePrediction => _run.PositivePrediction!;

    /// <summary>The plain prediction for the negative prompt, when a rule needed it.</summary>
    public Tensor? NegativePrediction => _run.NegativePrediction;

    /// <summary>The plain prediction for the empty prompt, when a rule needed it.</summary>
    public Tensor? EmptyPrediction => _run.EmptyPrediction;

    /// <summary>The predictions of the passes in which rules took something away, by rule.</summary>
    public IReadOnlyDictionary<GuidanceRule, Tensor> PerturbedPredictions => _run.PerturbedPredictions;

    /// <summary>The embeddings of the prompt.</summary>
    public Conditioning Positive => _run.Positive;

    /// <summary>The embeddings of the negative prompt, when a rule needs them.</summary>
    public Conditioning? Negative => _run.Negative;

    /// <summary>The scheduler's timesteps of the whole run.</summary>
    public IReadOnlyList<float> Timesteps => _run.Schedule.Timesteps;

    /// <summary>The noise levels of the whole run, one more than steps.</summary>
    public IReadOnlyList<float> Sigmas => _run.Schedule.Sigmas;

    /// <summary>The initial noise, [count, height / 8, width / 8, latent channels].</summary>
    public Tensor Noise => _run.Noise;

    /// <summary>Decodes the latents to images. At any step; before the last one they are still noisy.</summary>
    public Task<IReadOnlyList<Image>> DecodeAsync(CancellationToken cancellation = default) => Task.Run(
        () =>
        {
            using var pixels = DecodeTensor(cancellation);
            return Image.FromTensor(pixels);
        },
        cancellation);

    /// <summary>Decodes the latents to [count, height, width, 3], values from 0 to 1; the caller disposes it.</summary>
    public Tensor DecodeTensor(CancellationToken cancellation = default) => _run.Decode(cancellation);
}
