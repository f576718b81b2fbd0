using System.Runtime.CompilerServices;
using Attune.Autoencoders;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Models;
using Attune.Prompts;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Generation;

/// <summary>
/// A diffusion model with everything around it, from an ordinary diffusers folder or a single file. Thread-safe: concurrent requests with
/// different guidance share one set of weights.
/// </summary>
public sealed class DiffusionPipeline : IDisposable, IAsyncDisposable
{
    /// <summary>
    /// What a model_index.json may say beyond diffusers' keys; diffusers itself ignores keys that begin with an underscore.
    /// </summary>
    private const string FamilyKey = "_attune_family";

    /// <summary>Bytes of memory that stay for the next request when nothing runs.</summary>
    private const long KeptWhenIdle = 256 << 20;

    private readonly ModelVariants _models;
    private readonly ModelPreset? _stated;
    private readonly AutoencoderTiny? _previewVae;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _running;
    private bool _disposed;

    private DiffusionPipeline(ModelVariants models, ModelPreset? stated, AutoencoderTiny? previewVae) =>
        (_models, _stated, _previewVae) = (models, stated, previewVae);

    /// <summary>The model as it was loaded.</summary>
    private Model Model => _models.Loaded;

    /// <summary>The class names of the models that can be loaded.</summary>
    public static IReadOnlyCollection<string> SupportedClasses { get; } = [.. Family.All.SelectMany(family => family.ClassNames)];

    /// <summary>What the model is and what requests may ask of it.</summary>
    public FamilyFacts Facts => Model.Facts;

    /// <summary>
    /// What is published for the model (<see cref="GuidancePresets"/>), or null when nothing is known. A folder may name its family as
    /// <c>_attune_family</c> in model_index.json; then its sampling counts for requests too. Otherwise class and configuration decide
    /// alone: a form that was distilled to few steps counts as the model that it comes from.
    /// </summary>
    public ModelPreset? Preset => _stated ?? (Facts.Preset is { } family ? GuidancePresets.For(family) : null);

    /// <summary>Width and height are multiples of this many pixels.</summary>
    public int SizeMultiple => Model.Latents.SizeMultiple;

    /// <summary>Numbers of frames are one more than a multiple of this; 1 for models of pictures.</summary>
    public int FrameMultiple => Model.Latents.FrameMultiple;

    /// <summary>The denoiser: its attention layers and blocks are what rules act on.</summary>
    public Denoiser Denoiser => Model.Denoiser;

    /// <summary>Where the model's tensors live, and which kernels act on them.</summary>
    public Device Device => Model.Latents.Device;

    /// <summary>The scheduler of requests that name none.</summary>
    public Scheduler Scheduler => Model.Scheduler;

    /// <summary>
    /// Opens a diffusers folder, or a .safetensors file that holds a whole model. Weights stay on disk, mapped into memory.
    /// </summary>
    /// <param name="path">The folder that holds model_index.json, or a single file of Stable Diffusion 1.x, 2.x or XL with the names of the
    /// original code.</param>
    /// <param name="options">LoRA files and other changes; null for the model as it is.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed or does not fit the model, or the model's class is not
    /// supported.</exception>
    /// <exception cref="ArgumentException">An option for single files is given with a folder.</exception>
    public static DiffusionPipeline Load(string path, LoadOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        options ??= new LoadOptions();
        var source = options.Open(path);
        var index = source.Index;
        string name = index.ClassName ?? throw new CheckpointException($"'{index.Path}' has no _class_name.");
        var family = Family.Of(name) ?? throw new CheckpointException(
            $"'{index.Path}': the pipeline {name} is not supported; supported are "
                + $"{string.Join(", ", SupportedClasses.Order(StringComparer.Ordinal))}.");
        var stated = StatedPreset(index);
        return Components.Build(owned =>
        {
            var models = owned.Add(new ModelVariants(ModelVariants.Keep(family.Open(source), options), path, options, family));
            return new DiffusionPipeline(
                models, stated, options.PreviewVae is { } vae ? owned.Add(OpenPreviewVae(vae, models.Loaded)) : null);
        });
    }

    /// <summary>
    /// Fills in what the request leaves open: from the preset that it names, from the one that the folder names, then from the model's
    /// defaults. Ranges are checked, and that the model takes every value. This is the only place where that happens.
    /// </summary>
    /// <exception cref="ArgumentException">A value of the request is out of range, or the model does not take it; the message names
    /// it.</exception>
    public ResolvedRequest Resolve(GenerationRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        RequestChecks.Check(request, Facts);
        _models.Check(request.LoraScales);
        var asked = request;
        var named = request.Preset == null ? null : GuidancePresets.For(request.Preset);
        bool takesGuidanceScale = Facts.Takes(ModelOption.GuidanceScale);
        request = request.With(named?.Sampling, takesGuidanceScale).With(_stated?.Sampling, takesGuidanceScale);
        var images = request.Images;
        var fitting = images.MaskPadding != null ? null
            : (images.Initial ?? (images.Control.Count > 0 ? images.Control[0] : null)) is { } image ? Fitting(image)
            : images.References.Count > 0 ? Model.Latents.SizeLike(images.References[^1], images.ReferenceSize) : null;
        request = request with
        {
            Width = request.Width ?? images.InitialTensor?.Shape[2] ?? fitting?.Width ?? Facts.DefaultSize,
            Height = request.Height ?? images.InitialTensor?.Shape[1] ?? fitting?.Height ?? Facts.DefaultHeight ?? Facts.DefaultSize,
            FrameRate = request.FrameRate ?? (float?)Facts.FrameRate,
            Frames = request.Frames ?? (Facts.Takes(ModelOption.Frames) ? Facts.DefaultFrames : null),
            Steps = request.Timesteps?.Count ?? request.Sigmas?.Count ?? request.Steps ?? Facts.DefaultSteps,
            GuidanceScale = request.GuidanceScale ?? Facts.DefaultGuidanceScale,
            Images = images.HasInitial ? images with { Strength = images.Strength ?? DefaultStrength(images) } : images,
        };
        RequestChecks.CheckSize(request, SizeMultiple);
        RequestChecks.CheckFrames(request, Facts, FrameMultiple);
        var scheduler = SchedulerOf(request);
        var guidance = request.Guidance.For(named ?? Preset, !string.IsNullOrEmpty(request.NegativePrompt), scheduler.IsForFewSteps);
        guidance.CheckLayers(Denoiser.Sites, Denoiser.Blocks, Denoiser.HasSkipConnections);
        RequestChecks.CheckExperts(guidance, Denoiser.Experts);
        request.Cache?.Check(Denoiser, Facts.ClassName);
        var size = new PixelSize(request.Height!.Value, request.Width!.Value);
        return new ResolvedRequest(
            request with { Guidance = guidance, Scheduler = request.Scheduler?.For(Noise) }, guidance, scheduler, size,
            Model.Latents.GridOf(size, request.Frames ?? 1))
        {
            Warnings = [.. RequestWarnings.Of(asked, guidance, scheduler, Noise, Preset, named), .. RequestWarnings.OfMask(images.Mask)],
        };
    }

    /// <summary>How much of an initial image is changed when the request does not say.</summary>
    private float? DefaultStrength(InputImages images) =>
        (images.Mask == null ? null : Facts.DefaultMaskStrength) ?? Facts.DefaultStrength;

    /// <summary>The kind of noise that the model was trained with: that of its own scheduler.</summary>
    private NoiseKind Noise => Scheduler.Noise!.Value;

    /// <summary>The scheduler of a request, which must fit the model.</summary>
    private Scheduler SchedulerOf(GenerationRequest request)
    {
        if (request.Scheduler is not { } choice)
            return Scheduler;
        choice = choice.For(Noise);

        // A whole configuration says by itself what the model was trained with; a change of the checkpoint's does not.
        IReadOnlyList<NoiseKind> kinds = choice.IsWhole ? Family.Of(Facts.ClassName)!.NoiseKinds : [Noise];
        string? refusal = SchedulerFit.RefusalOf(choice.ClassName, kinds, Facts.ClassName);
        var scheduler = refusal == null ? choice.For(Scheduler.Config) : Scheduler;
        refusal ??= SchedulerFit.Refusal(scheduler, kinds, Facts.ClassName);
        return refusal == null ? scheduler : throw new ArgumentException($"Scheduler: {refusal}", nameof(request));
    }

    /// <summary>
    /// About how many bytes a request takes at its peak beside weights and what waits for reuse: that of decoding, whose feature maps at
    /// full size outgrow the denoiser's for few pictures, or of denoising many, and what is kept of the prompts and by a cache. It grows
    /// with the number of pixels of all pictures, and in some families with the length of prompts.
    /// </summary>
    public long EstimateActivations(ResolvedRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        int count = request.Request.Count;
        return Math.Max(Model.Latents.DecodingBytes(request.Size, count), Denoiser.ActivationBytes(request.Grid, count))
            + KeptBytes(request) + CachedBytes(request);
    }

    /// <summary>What a cache keeps of each kind of pass until the request has ended.</summary>
    private long CachedBytes(ResolvedRequest resolved)
    {
        if (resolved.Request.Cache is not { } cache)
            return 0;
        var needs = resolved.Guidance.Rules.Where(rule => !rule.IsNeutral).Select(rule => rule.Needs).ToList();
        int passes = 1 + needs.Count(need => need.HasFlag(PassKinds.Perturbed));
        passes += new[] { PassKinds.Negative, PassKinds.Empty }.Count(kind => needs.Exists(need => need.HasFlag(kind)));
        long stream = sizeof(float) * (long)resolved.Grid.Count * resolved.Request.Count * Denoiser.StreamWidth;
        return stream * passes * cache.KeptOf(Denoiser.Sites);
    }

    /// <summary>What is kept of the prompts of a request until it has ended.</summary>
    private long KeptBytes(ResolvedRequest resolved)
    {
        if (Denoiser.KeptBytesPerTextRow == 0)
            return 0;
        var request = resolved.Request;
        long Rows(string? text, PromptRole role) => Model.Prompts.RowsOf(
            new PromptInput(text, role, resolved.Size, request.PromptSettings)
            {
                Images = [.. request.Images.References.Select(image => Model.Latents.FitReference(image, request.Images.ReferenceSize))],
            });
        long rows = Rows(request.Prompt, PromptRole.Prompt);
        if (resolved.Guidance.NeedsNegativePrompt)
            rows += Rows(request.NegativePrompt, PromptRole.NegativePass);
        if (resolved.Guidance.NeedsEmptyPrompt)
            rows += Rows("", PromptRole.Empty);
        return rows * Denoiser.KeptBytesPerTextRow;
    }

    /// <summary>
    /// The denoising loop: yields after every step. The work runs on the thread pool, not on the caller's thread. Stopping the
    /// enumeration, or cancelling (checked in every block), frees everything the run holds.
    /// </summary>
    /// <param name="request">What to generate.</param>
    /// <param name="observer">Watches the run; null for none.</param>
    /// <param name="cancellation">Stops the work within a block.</param>
    /// <exception cref="ArgumentException">A value of the request is out of range; the message names it.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, or the pipeline is being disposed.</exception>
    /// <exception cref="NotFiniteException">Something between weights and latents is NaN or infinite; the message says what, and after
    /// which step.</exception>
    public IAsyncEnumerable<DenoisingStep> DenoiseAsync(
        GenerationRequest request, RunObserver? observer = null, CancellationToken cancellation = default) =>
        DenoiseAsync(Resolve(request), observer, cancellation);

    /// <summary>The denoising loop of a request that this pipeline has resolved.</summary>
    /// <inheritdoc cref="DenoiseAsync(GenerationRequest, RunObserver?, CancellationToken)"/>
    public async IAsyncEnumerable<DenoisingStep> DenoiseAsync(
        ResolvedRequest request, RunObserver? observer = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        Enter();
        try
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
            var token = either.Token;
            using var variant = await Task.Run(() => _models.Take(request.Request.LoraScales), token).ConfigureAwait(false);
            using var run = await Task.Run(() => Run.Begin(variant.Model, request, observer ?? RunObserver.None, token), token)
                .ConfigureAwait(false);
            for (int i = 0; i < run.Steps; i++)
            {
                int step = i;
                await Task.Run(() => run.Step(step, token), token).ConfigureAwait(false);
                yield return new DenoisingStep(run, step, _previewVae);
            }
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>Generates images.</summary>
    /// <param name="request">What to generate.</param>
    /// <param name="observer">Watches the run; null for none.</param>
    /// <param name="progress">Receives every step when it is done; its tensors may be read only during the call.</param>
    /// <param name="cancellation">Stops the work within a block.</param>
    /// <returns>As many images as the request asks for; of videos all frames, one video after the other.</returns>
    /// <inheritdoc cref="DenoiseAsync(GenerationRequest, RunObserver?, CancellationToken)" path="/exception"/>
    public Task<IReadOnlyList<Image>> GenerateAsync(
        GenerationRequest request, RunObserver? observer = null, Action<DenoisingStep>? progress = null,
        CancellationToken cancellation = default) =>
        GenerateAsync(request, step => step.DecodeAsync(cancellation), observer, progress, cancellation);

    /// <summary>Generates videos, or pictures, which are one frame.</summary>
    /// <param name="request">What to generate.</param>
    /// <param name="observer">Watches the run; null for none.</param>
    /// <param name="progress">Receives every step when it is done; its tensors may be read only during the call.</param>
    /// <param name="decoded">Receives how many frames are decoded, and of how many.</param>
    /// <param name="cancellation">Stops the work within a block.</param>
    /// <returns>As many as the request asks for.</returns>
    /// <inheritdoc cref="DenoiseAsync(GenerationRequest, RunObserver?, CancellationToken)" path="/exception"/>
    public Task<IReadOnlyList<Frames>> GenerateFramesAsync(
        GenerationRequest request, RunObserver? observer = null, Action<DenoisingStep>? progress = null,
        Action<int, int>? decoded = null, CancellationToken cancellation = default) =>
        GenerateAsync(request, step => step.DecodeFramesAsync(decoded, cancellation), observer, progress, cancellation);

    private async Task<IReadOnlyList<T>> GenerateAsync<T>(
        GenerationRequest request, Func<DenoisingStep, Task<IReadOnlyList<T>>> decode, RunObserver? observer,
        Action<DenoisingStep>? progress, CancellationToken cancellation)
    {
        IReadOnlyList<T> results = [];
        await foreach (var step in DenoiseAsync(request, observer, cancellation).ConfigureAwait(false))
        {
            progress?.Invoke(step);
            if (step.IsLast)
                results = await decode(step).ConfigureAwait(false);
        }
        return results;
    }

    /// <summary>Unmaps the weights.</summary>
    /// <exception cref="InvalidOperationException">A run is still going on.</exception>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            if (_running > 0)
            {
                throw new InvalidOperationException(
                    "The pipeline cannot be disposed while it generates: cancel the runs and await them, or use DisposeAsync, which does.");
            }
            _disposed = true;
        }
        Release();
    }

    /// <summary>Cancels all runs, waits until they have ended, and unmaps the weights.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            _disposed = true;
            if (_running == 0)
                _idle.SetResult();
        }
        await _closing.CancelAsync().ConfigureAwait(false);
        await _idle.Task.ConfigureAwait(false);
        Release();
    }

    private static ModelPreset? StatedPreset(ModelConfig index)
    {
        if (!index.Has(FamilyKey))
            return null;
        string family = index.String(FamilyKey, "");
        return GuidancePresets.Families.Contains(family) ? GuidancePresets.For(family)
            : throw new CheckpointException(
                $"'{index.Path}': {FamilyKey} is '{family}', which is no family that has presets; there are: "
                    + $"{string.Join(", ", GuidancePresets.Families)}.");
    }

    private static AutoencoderTiny OpenPreviewVae(string folder, Model model)
    {
        var vae = AutoencoderTiny.Load(folder, model.Latents.Device);
        if (vae.LatentChannels == model.Latents.Channels)
            return vae;
        vae.Dispose();
        throw new CheckpointException(
            $"'{folder}': the autoencoder for previews has latent_channels {vae.LatentChannels}, expected {model.Latents.Channels} as "
                + $"{model.Facts.ClassName} has.");
    }

    /// <summary>
    /// The largest size that fits into an image; of a video's first frame one of its form, with as many pixels as the model's own size.
    /// </summary>
    private PixelSize? Fitting(Image image)
    {
        double scale = !Facts.ImageIsFirstFrame ? 1
            : Math.Sqrt((double)Facts.DefaultSize * (Facts.DefaultHeight ?? Facts.DefaultSize) / ((double)image.Width * image.Height));
        int Whole(int pixels) => Math.Max((int)(scale * pixels) / SizeMultiple, 1) * SizeMultiple;
        return new PixelSize(Whole(image.Height), Whole(image.Width));
    }

    private void Enter()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _running++;
        }
    }

    private void Leave()
    {
        lock (_gate)
        {
            if (--_running > 0)
                return;
            TensorMemory.Trim(KeptWhenIdle);
            if (_disposed)
                _idle.TrySetResult();
        }
    }

    private void Release()
    {
        _previewVae?.Dispose();
        _models.Dispose();
        _closing.Dispose();
    }
}
