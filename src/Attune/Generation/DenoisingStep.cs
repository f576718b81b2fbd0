using Attune.Autoencoders;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Generation;

/// <summary>
/// One turn of the denoising loop. It lives until the next step is asked for or the run ends: what reads it later gets an
/// <see cref="ObjectDisposedException"/>, since its tensors belong to the run.
/// </summary>
public sealed class DenoisingStep
{
    private readonly Run _run;
    private readonly AutoencoderTiny? _previewVae;

    internal DenoisingStep(Run run, int index, AutoencoderTiny? previewVae) => (_run, Index, _previewVae) = (run, index, previewVae);

    /// <summary>What is generated.</summary>
    public ResolvedRequest Resolved => _run.Resolved;

    /// <summary>Counted from 0.</summary>
    public int Index { get; }

    /// <summary>The number of steps of the run: evaluations of the denoiser for the prompt.</summary>
    public int Count => _run.Steps;

    /// <summary>Whether the latents are final.</summary>
    public bool IsLast => Index == Count - 1;

    /// <summary>Where the run stood when the step began: what step ranges of rules are compared with.</summary>
    public StepPoint Point => _run.PointOf(Index);

    /// <summary>
    /// How long this step and those before it took, without encoding prompts and without what the caller did in between.
    /// </summary>
    public TimeSpan Denoising => _run.Denoising;

    /// <summary>The latents after the step, in the form the denoiser takes.</summary>
    /// <exception cref="ObjectDisposedException">The next step was asked for, or the run has ended.</exception>
    public Tensor Latents
    {
        get
        {
            _run.RequireTurn(Index);
            return _run.Latents;
        }
    }

    /// <summary>
    /// What the autoencoder's decoder would be given, for a decoder of one's own: [count, height, width, channels], without the scaling
    /// that the denoiser works with; the caller disposes it.
    /// </summary>
    public Tensor DecoderInput() => _run.DecoderInput();

    /// <summary>
    /// Decodes the latents to images, of videos to all frames, one video after the other. At any step; before the last one they are still
    /// noisy.
    /// </summary>
    /// <exception cref="NotFiniteException">The autoencoder gives values that are NaN or infinite.</exception>
    /// <inheritdoc cref="Latents" path="/exception"/>
    public Task<IReadOnlyList<Image>> DecodeAsync(CancellationToken cancellation = default) => Task.Run(
        () =>
        {
            using var pixels = DecodeTensor(cancellation);
            return ImagesOf(pixels);
        },
        cancellation);

    /// <summary>
    /// Decodes the latents to videos, or to pictures, which are one frame. Of long videos no more than some frames are held as numbers.
    /// </summary>
    /// <param name="decoded">Receives how many frames are decoded, and of how many; null for nobody.</param>
    /// <param name="cancellation">Stops the work within a block.</param>
    /// <inheritdoc cref="DecodeAsync" path="/exception"/>
    public Task<IReadOnlyList<Frames>> DecodeFramesAsync(Action<int, int>? decoded = null, CancellationToken cancellation = default) =>
        Task.Run(
            () =>
            {
                _run.RequireTurn(Index);
                int count = Resolved.Request.Frames ?? 1;
                var videos = Enumerable.Range(0, Resolved.Request.Count).Select(_ => new List<Image>(count)).ToArray();
                _run.DecodeFrames(
                    frames =>
                    {
                        var images = ImagesOf(frames);
                        int fresh = images.Count / videos.Length;
                        for (int i = 0; i < images.Count; i++)
                            videos[i / fresh].Add(images[i]);
                        decoded?.Invoke(videos[0].Count, count);
                    },
                    cancellation);
                return (IReadOnlyList<Frames>)[.. videos.Select(images => new Frames(images, _run.FrameRate))];
            },
            cancellation);

    /// <summary>
    /// Decodes the latents to [count, height, width, 3], of videos [count, frames, height, width, 3], values from 0 to 1; the caller
    /// disposes it.
    /// </summary>
    /// <inheritdoc cref="DecodeAsync" path="/exception"/>
    public Tensor DecodeTensor(CancellationToken cancellation = default)
    {
        _run.RequireTurn(Index);
        return _run.Decode(cancellation);
    }

    /// <summary>
    /// A picture of the step: what the prediction says the image will be, decoded by the small autoencoder of
    /// <see cref="LoadOptions.PreviewVae"/>, or, without one, by the full autoencoder, which takes as long as decoding the result. Of a
    /// video up to eight of its latent frames, at even distances, each decoded as a picture of its own.
    /// </summary>
    /// <inheritdoc cref="DecodeAsync" path="/exception"/>
    public Task<IReadOnlyList<Image>> DecodePreviewAsync(CancellationToken cancellation = default) => Task.Run(
        () =>
        {
            using var pixels = DecodePreview(cancellation);
            return ImagesOf(pixels);
        },
        cancellation);

    /// <summary>
    /// As <see cref="DecodePreviewAsync"/>, shaped as by <see cref="DecodeTensor"/>, values from 0 to 1; the caller disposes it.
    /// </summary>
    /// <inheritdoc cref="DecodeAsync" path="/exception"/>
    public Tensor DecodePreview(CancellationToken cancellation = default)
    {
        _run.RequireTurn(Index);
        return _run.DecodePreview(_previewVae, cancellation);
    }

    private static IReadOnlyList<Image> ImagesOf(Tensor pixels)
    {
        using var scope = new TensorScope();
        var s = pixels.Shape;
        return Image.FromTensor(s.Rank == 5 ? pixels.Reshape(s[0] * s[1], s[2], s[3], s[4]) : pixels);
    }
}
