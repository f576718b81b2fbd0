using System.Runtime.CompilerServices;
using Attune.Attention;
using Attune.Autoencoders;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Models;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Pipelines;

/// <summary>
/// A diffusion model with everything around it, from an ordinary diffusers folder or a single file. Thread-safe: concurrent requests with
/// different guidance share one set of weights.
/// </summary>
public abstract class DiffusionPipeline : IDisposable
{
    private readonly Lock _gate = new();
    private int _running;
    private bool _disposed;
    private AutoencoderTiny? _previewVae;
    private ModelPreset? _stated;

    /// <summary>
    /// What a model_index.json may say beyond diffusers' keys; diffusers itself ignores keys that begin with an underscore.
    /// </summary>
    private const string FamilyKey = "_attune_family";

    /// <summary>The pipelines by the <c>_class_name</c> of model_index.json.</summary>
    private static readonly Dictionary<string, Func<ModelSource, DiffusionPipeline>> Pipelines = new(StringComparer.Ordinal)
    {
        ["FluxPipeline"] = Flux.FluxPipeline.Open,
        ["StableDiffusionPipeline"] = StableDiffusion.StableDiffusionPipeline.Open,
        ["StableDiffusionImg2ImgPipeline"] = StableDiffusion.StableDiffusionPipeline.Open,
        ["LatentConsistencyModelPipeline"] = StableDiffusion.StableDiffusionPipeline.Open,
        ["LatentConsistencyModelImg2ImgPipeline"] = StableDiffusion.StableDiffusionPipeline.Open,
        ["StableDiffusionXLPipeline"] = StableDiffusion.StableDiffusionXLPipeline.Open,
        ["StableDiffusionXLImg2ImgPipeline"] = StableDiffusion.StableDiffusionXLPipeline.Open,
    };

    /// <summary>The <c>_class_name</c> of the checkpoint.</summary>
    public abstract string ClassName { get; }

    /// <summary>
    /// The family of models whose published parameters suit the checkpoint (<see cref="GuidancePresets"/>), or null when none is known. A
    /// folder may name it as <c>_attune_family</c> in model_index.json; then its sampling counts for requests too. Otherwise class and
    /// configuration decide alone: a form that was distilled to few steps counts as the model that it comes from.
    /// </summary>
    public string? Family => _stated?.Family ?? ClassFamily;

    /// <summary>What is known of <see cref="Family"/>, or null.</summary>
    public ModelPreset? Preset => Family == null ? null : GuidancePresets.For(Family);

    /// <summary>Width and height are multiples of this many pixels.</summary>
    public abstract int SizeMultiple { get; }

    /// <summary>The size, in pixels, of images when the request does not say.</summary>
    public abstract int DefaultSize { get; }

    /// <summary>The number of steps when neither the request nor the sampling of a family that the folder names says it.</summary>
    public abstract int DefaultSteps { get; }

    /// <summary>The class names of the pipelines that can be loaded.</summary>
    public static IReadOnlyCollection<string> SupportedClasses => Pipelines.Keys;

    /// <summary>
    /// Opens a diffusers folder, or a .safetensors file that holds a whole model. Weights stay on disk, mapped into memory.
    /// </summary>
    /// <param name="path">The folder that holds model_index.json, or a single file of Stable Diffusion 1.x, 2.x or XL with the names of the
    /// original code.</param>
    /// <param name="options">LoRA files and other changes; null for the model as it is.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed or does not fit the model, or the pipeline's class is not
    /// supported.</exception>
    /// <exception cref="ArgumentException">An option for single files is given with a folder.</exception>
    public static DiffusionPipeline Load(string path, LoadOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        options ??= new LoadOptions();
        var pipeline = Open(options.Open(path));
        try
        {
            if (options.PreviewVae is { } preview)
                pipeline.LoadPreviewVae(preview);
            return pipeline;
        }
        catch
        {
            pipeline.Dispose();
            throw;
        }
    }

    private static DiffusionPipeline Open(ModelSource source)
    {
        var index = source.Index;
        string name = index.ClassName ?? throw new CheckpointException($"'{index.Path}' has no _class_name.");
        if (!Pipelines.TryGetValue(name, out var open))
            throw new CheckpointException(
                $"'{index.Path}': the pipeline {name} is not supported; supported are "
                    + $"{string.Join(", ", Pipelines.Keys.Order(StringComparer.Ordinal))}.");
        string? family = index.Has(FamilyKey) ? index.String(FamilyKey, "") : null;
        if (family != null && !GuidancePresets.Families.Contains(family))
            throw new CheckpointException(
                $"'{index.Path}': {FamilyKey} is '{family}', which is no family that has presets; there are: "
                    + $"{string.Join(", ", GuidancePresets.Families)}.");
        var pipeline = open(source);
        pipeline._stated = family == null ? null : GuidancePresets.For(family);
        return pipeline;
    }

    /// <summary>
    /// The denoising loop: yields after every step. The work runs on the thread pool, not on the caller's thread. Stopping the enumeration,
    /// or cancelling (checked in every block), frees everything the run holds.
    /// </summary>
    /// <exception cref="ArgumentException">A value of the request is out of range; the message names it.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async IAsyncEnumerable<DenoisingStep> DenoiseAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        Check(request);
        request.Guidance.CheckLayers(Sites, Blocks, HasSkipConnections);
        Enter();
        try
        {
            using var run = await Task.Run(() => Begin(request, cancellation), cancellation).ConfigureAwait(false);
            for (int i = 0; i < run.Steps; i++)
            {
                int step = i;
                await Task.Run(() => run.Step(step, cancellation), cancellation).ConfigureAwait(false);
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
    /// <param name="progress">Told of every step when it is done; its tensors may be read during the call alone.</param>
    /// <param name="cancellation">Stops the work within a block.</param>
    /// <returns>As many images as the request asks for.</returns>
    /// <inheritdoc cref="DenoiseAsync" path="/exception"/>
    public async Task<IReadOnlyList<Image>> GenerateAsync(
        GenerationRequest request, Action<DenoisingStep>? progress = null, CancellationToken cancellation = default)
    {
        IReadOnlyList<Image> images = [];
        await foreach (var step in DenoiseAsync(request, cancellation).ConfigureAwait(false))
        {
            progress?.Invoke(step);
            if (step.IsLast)
                images = await step.DecodeAsync(cancellation).ConfigureAwait(false);
        }
        return images;
    }

    /// <summary>The request with this pipeline's defaults filled in.</summary>
    public virtual GenerationRequest Resolve(GenerationRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        request = With(request, _stated?.Sampling);
        return request with
        {
            Width = request.Width ?? request.InitialImageTensor?.Shape[2] ?? Fitting(request.InitialImage?.Width) ?? DefaultSize,
            Height = request.Height ?? request.InitialImageTensor?.Shape[1] ?? Fitting(request.InitialImage?.Height) ?? DefaultSize,
            Steps = request.Timesteps?.Count ?? request.Sigmas?.Count ?? request.Steps ?? DefaultSteps,
        };
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
                throw new InvalidOperationException(
                    "The pipeline cannot be disposed while it generates: cancel the runs and await them first.");
            _disposed = true;
        }
        _previewVae?.Dispose();
        DisposeComponents();
        GC.SuppressFinalize(this);
    }

    /// <summary>The attention layers of the denoiser.</summary>
    public abstract IEnumerable<AttentionSite> Sites { get; }

    /// <summary>The blocks of the denoiser that rules can leave out (<see cref="IBlockPolicy"/>).</summary>
    public abstract IEnumerable<string> Blocks { get; }

    /// <summary>Whether the denoiser has skip connections that rules can change (<see cref="ISkipConnection"/>).</summary>
    public virtual bool HasSkipConnections => false;

    /// <summary>The scheduler of requests that name none.</summary>
    public abstract Scheduler Scheduler { get; }

    /// <summary>The channels of latents as an autoencoder has them.</summary>
    internal abstract int LatentChannels { get; }

    /// <summary>Whether the model embeds a guidance scale (<see cref="GenerationRequest.GuidanceScale"/>).</summary>
    internal bool EmbedsGuidanceScale => Takes.HasFlag(RequestOptions.GuidanceScale);

    /// <summary>The family that class and configuration tell.</summary>
    private protected virtual string? ClassFamily => null;

    /// <summary>
    /// A request with what a family's sampling says and the request does not. A preset for a model that embeds a guidance scale may serve
    /// for one that embeds none.
    /// </summary>
    internal GenerationRequest With(GenerationRequest request, SamplingPreset? sampling)
    {
        var filled = request.With(sampling);
        return EmbedsGuidanceScale ? filled : filled with { GuidanceScale = request.GuidanceScale };
    }

    /// <summary>The options of a request that are not for all pipelines and that this one takes.</summary>
    private protected virtual RequestOptions Takes => RequestOptions.None;

    /// <summary>Encodes the prompts, draws the noise and begins the scheduler.</summary>
    internal abstract PipelineRun Begin(GenerationRequest request, CancellationToken cancellation);

    /// <summary>Disposes the components.</summary>
    private protected abstract void DisposeComponents();

    private protected DiffusionPipeline()
    {
    }

    /// <summary>The scheduler of a request.</summary>
    private protected Scheduler SchedulerOf(GenerationRequest request) => request.Scheduler?.For(Scheduler.Config) ?? Scheduler;

    /// <summary>
    /// The noise of a request, [count, height, width, channels], owned by the current scope: drawn channels first, as the reference draws
    /// it.
    /// </summary>
    private protected static Tensor DrawNoise(GenerationRequest request, TorchRandom random, int channels, int height, int width)
    {
        using var scope = new TensorScope();
        if (request.InitialNoise is { } given)
        {
            Shape expected = [request.Count, height, width, channels];
            if (given.Shape != expected)
                throw new ArgumentException($"InitialNoise is {given.Shape}, expected {expected}.", nameof(request));
            return scope.Keep(given.Clone());
        }
        var drawn = Tensor.Empty([request.Count, channels, height, width]);
        random.Normal(drawn.Span);
        return scope.Keep(drawn.Permute(0, 2, 3, 1));
    }

    /// <summary>The conditioning with tensors that belong to no scope any more.</summary>
    private protected static Conditioning? Detach(Conditioning? conditioning)
    {
        if (conditioning == null)
            return null;
        TensorScope.Detach(conditioning.Text);
        if (conditioning.Pooled is { } pooled)
            TensorScope.Detach(pooled);
        return conditioning;
    }

    private void Check(GenerationRequest request)
    {
        foreach (
            var (name, value) in new[] {
                ("Steps", request.Steps), ("Count", request.Count), ("MaxSequenceLength", request.MaxSequenceLength),
                ("NegativeMaxSequenceLength", request.NegativeMaxSequenceLength) })
        {
            if (value is <= 0)
                throw new ArgumentException($"{name} is {value}, expected 1 or more.", nameof(request));
        }
        if (request.Steps > 1000)
            throw new ArgumentException($"Steps is {request.Steps}, expected at most 1000.", nameof(request));
        foreach (var (option, given) in new[]
        {
            (RequestOptions.InitialImage, request.InitialImage != null || request.InitialImageTensor != null),
            (RequestOptions.Timesteps, request.Timesteps != null), (RequestOptions.Sigmas, request.Sigmas != null),
            (RequestOptions.Eta, request.Eta != null), (RequestOptions.ClipSkip, request.ClipSkip != null),
            (RequestOptions.LongPrompts, request.LongPrompts), (RequestOptions.SizeConditioning, request.SizeConditioning != null),
            (RequestOptions.GuidanceScale, request.GuidanceScale != null),
        })
        {
            if (given && !Takes.HasFlag(option))
            {
                throw new ArgumentException(
                    $"{option}: {ClassName} does not take it"
                        + (option == RequestOptions.GuidanceScale
                            ? ", since the model embeds no guidance scale; the rule cfg is classifier-free guidance." : "."),
                    nameof(request));
            }
        }
        if (request.InitialImage != null && request.InitialImageTensor != null)
            throw new ArgumentException("InitialImage and InitialImageTensor are given; expected one of them.", nameof(request));
        if (request.InitialImageTensor?.Shape is { } image
            && (image.Rank != 4 || image[3] != 3 || (image[0] != 1 && image[0] != request.Count)))
            throw new ArgumentException(
                $"InitialImageTensor is {image}, expected [1 or {request.Count}, height, width, 3].", nameof(request));
        if (request.Strength is { } strength)
        {
            if (request.InitialImage == null && request.InitialImageTensor == null)
                throw new ArgumentException("Strength is given without an initial image.", nameof(request));
            if (!(strength > 0 && strength <= 1))
                throw new ArgumentException(
                    FormattableString.Invariant($"Strength is {strength}, expected above 0 and at most 1."), nameof(request));
        }
        if (request.Timesteps != null && request.Sigmas != null)
            throw new ArgumentException("Timesteps and Sigmas are given; expected one of them.", nameof(request));
        if (request.Timesteps is { } timesteps && request.Steps is { } steps && steps != timesteps.Count)
            throw new ArgumentException($"Steps is {steps}, but there are {timesteps.Count} Timesteps.", nameof(request));
        if (request.ClipSkip < 0)
            throw new ArgumentException($"ClipSkip is {request.ClipSkip}, expected 0 or more.", nameof(request));
        var resolved = Resolve(request);
        foreach (var (name, value) in new[] { ("Width", resolved.Width), ("Height", resolved.Height) })
        {
            if (value is { } size && (size <= 0 || size % SizeMultiple != 0))
                throw new ArgumentException($"{name} is {size} pixels, expected a positive multiple of {SizeMultiple}.", nameof(request));
        }
    }

    /// <summary>The largest size that fits into an image.</summary>
    private int? Fitting(int? pixels) => pixels is { } size ? Math.Max(size / SizeMultiple, 1) * SizeMultiple : null;

    private void LoadPreviewVae(string folder)
    {
        _previewVae = AutoencoderTiny.Load(folder);
        if (_previewVae.LatentChannels != LatentChannels)
            throw new CheckpointException(
                $"'{folder}': the autoencoder for previews has latent_channels {_previewVae.LatentChannels}, expected {LatentChannels} as "
                    + $"{ClassName} has.");
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
            _running--;
    }
}

/// <summary>Options of a request that only some pipelines take; named as the properties are.</summary>
[Flags]
internal enum RequestOptions
{
    None = 0,
    InitialImage = 1,
    Timesteps = 2,
    Sigmas = 4,
    Eta = 8,
    ClipSkip = 16,
    LongPrompts = 32,
    SizeConditioning = 64,
    GuidanceScale = 128,
}
