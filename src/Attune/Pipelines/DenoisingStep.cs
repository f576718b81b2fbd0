using Attune.Autoencoders;
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
    private readonly AutoencoderTiny? _previewVae;

    internal DenoisingStep(PipelineRun run, int index, AutoencoderTiny? previewVae) =>
        (_run, Index, _previewVae) = (run, index, previewVae);

    /// <summary>Counted from 0.</summary>
    public int Index { get; }

    /// <summary>The number of steps of the run.</summary>
    public int Count => _run.Steps;

    /// <summary>Whether the latents are final.</summary>
    public bool IsLast => Index == Count - 1;

    /// <summary>What step ranges of rules are compared with.</summary>
    internal StepPoint Point => _run.PointOf(Index);

    /// <summary>How long this step and those before it took, without the encoding of prompts and what the caller did in between.</summary>
    internal TimeSpan Denoising => _run.Denoising;

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

    /// <summary>The clean latents of the initial image, [count, height / 8, width / 8, latent channels]; null without one.</summary>
    public Tensor? ImageLatents => _run.ImageLatents;

    /// <summary>The latents with which the run began, in the form the denoiser takes.</summary>
    public Tensor StartLatents => _run.StartLatents;

    /// <summary>The noise that the scheduler drew in this step, as the latents; null where it drew none.</summary>
    public Tensor? StepNoise => _run.StepNoise;

    /// <summary>The timesteps of the steps that are done.</summary>
    public IReadOnlyList<float> TimestepsDone => [.. Enumerable.Range(0, Count).Select(_run.Schedule.TimestepOf)];

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

    /// <summary>
    /// A picture of the step: what the prediction says the image will be, decoded by the small autoencoder of
    /// <see cref="LoadOptions.PreviewVae"/>, or, without one, by the full autoencoder, which takes as long as decoding the result.
    /// </summary>
    public Task<IReadOnlyList<Image>> DecodePreviewAsync(CancellationToken cancellation = default) => Task.Run(
        () =>
        {
            using var pixels = DecodePreview(cancellation);
            return Image.FromTensor(pixels);
        },
        cancellation);

    /// <summary>As <see cref="DecodePreviewAsync"/>: [count, height, width, 3], values from 0 to 1; the caller disposes it.</summary>
    public Tensor DecodePreview(CancellationToken cancellation = default) => _run.DecodePreview(_previewVae, cancellation);
}
