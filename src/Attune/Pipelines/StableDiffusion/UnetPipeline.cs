using Attune.Attention;
using Attune.Autoencoders;
using Attune.Models;
using Attune.Models.Unet;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Pipelines.StableDiffusion;

/// <summary>
/// What Stable Diffusion and SDXL have in common: a UNet that predicts in an autoencoder's latents, any scheduler, from noise or from an
/// image.
/// </summary>
public abstract class UnetPipeline : DiffusionPipeline
{
    private readonly Unet2DConditionModel _unet;
    private readonly AutoencoderKl _vae;
    private readonly bool _consistency;

    private protected UnetPipeline(Components owned, ModelSource source)
    {
        ClassName = source.Index.ClassName!;
        _consistency = ClassName.StartsWith("LatentConsistencyModel", StringComparison.Ordinal);
        var unet = source.Component("unet");
        Scheduler = Scheduler.From(source.Scheduler);
        _unet = owned.Add(Unet2DConditionModel.Load(unet));
        _vae = owned.Add(AutoencoderKl.Load(source.Component("vae")));
        if (_unet.Config.InChannels != _vae.LatentChannels || _unet.Config.OutChannels != _vae.LatentChannels)
        {
            throw new CheckpointException(
                $"'{unet.Config.Path}': in_channels {_unet.Config.InChannels} and out_channels {_unet.Config.OutChannels}, expected "
                    + $"{_vae.LatentChannels}, the channels of the latents; models for inpainting and editing are not supported.");
        }
    }

    /// <inheritdoc/>
    public override string ClassName { get; }

    /// <inheritdoc/>
    public override int SizeMultiple => _vae.PixelsPerLatent;

    /// <summary>The size that the UNet was trained for.</summary>
    public override int DefaultSize => (_unet.Config.SampleSize ?? 64) * _vae.PixelsPerLatent;

    /// <summary>4 for latent consistency models, else 50.</summary>
    public override int DefaultSteps => _consistency ? 4 : 50;

    /// <inheritdoc/>
    public override Scheduler Scheduler { get; }

    /// <inheritdoc/>
    public override IEnumerable<AttentionSite> Sites => _unet.Sites;

    /// <inheritdoc/>
    public override IEnumerable<string> Blocks => _unet.Blocks;

    /// <inheritdoc/>
    public override bool HasSkipConnections => true;

    internal override int LatentChannels => _vae.LatentChannels;

    private protected override RequestOptions Takes =>
        RequestOptions.InitialImage | RequestOptions.Timesteps | RequestOptions.Sigmas | RequestOptions.Eta | RequestOptions.ClipSkip
        | RequestOptions.LongPrompts
        | (Unet.TimeCondProjDim == null ? RequestOptions.None : RequestOptions.GuidanceScale);

    private protected UnetConfig Unet => _unet.Config;

    /// <summary>The strength of image to image when the request does not say.</summary>
    private protected abstract float DefaultStrength { get; }

    /// <summary>The embedded guidance scale, for models that have one, when the request does not say.</summary>
    private protected abstract float DefaultGuidanceScale { get; }

    internal override PipelineRun Begin(GenerationRequest request, CancellationToken cancellation)
    {
        request = Resolve(request);
        using var scope = new TensorScope();
        var schedule = SchedulerOf(request).Begin(ScheduleOf(request));
        try
        {
            var positive = Encode(request, request.Prompt, negative: false, cancellation);
            var negative = request.Guidance.NeedsNegativePrompt ? Encode(request, request.NegativePrompt, negative: true, cancellation)
                : null;
            var empty = request.Guidance.NeedsEmptyPrompt
                ? Encode(request with { NegativeMaxSequenceLength = null }, "", negative: true, cancellation)
                : null;
            var random = new TorchRandom(request.Seed);
            var image = EncodeImage(request, random, cancellation);
            var (height, width) = (request.Height!.Value / _vae.PixelsPerLatent, request.Width!.Value / _vae.PixelsPerLatent);
            var noise = DrawNoise(request, random, _vae.LatentChannels, height, width);
            var latents = image == null ? noise.Affine(schedule.InitialNoiseSigma) : schedule.AddNoise(image, noise);
            return new Run(this, request, schedule)
            {
                Random = random,
                Positive = Detach(positive)!,
                Negative = Detach(negative),
                Empty = Detach(empty),
                Noise = TensorScope.Detach(noise),
                ImageLatents = image == null ? null : TensorScope.Detach(image),
                Latents = TensorScope.Detach(latents),
            };
        }
        catch
        {
            schedule.Dispose();
            throw;
        }
    }

    /// <summary>The embeddings of a prompt; null stands for a negative prompt that was not given. Tensors of the current scope.</summary>
    private protected abstract Conditioning Encode(
        GenerationRequest request, string? prompt, bool negative, CancellationToken cancellation);

    /// <summary>The numbers that a UNet with text-time conditioning gets, or none.</summary>
    private protected virtual float[]? TimeIds(GenerationRequest request, bool negative) => null;

    private protected override void DisposeComponents()
    {
        _unet.Dispose();
        _vae.Dispose();
    }

    private SchedulerRequest ScheduleOf(GenerationRequest request)
    {
        // As written: 0.7 of 10 steps are 7, but 0.7f is a little less than 0.7. Decimals round to what a float states.
        double? strength = request.InitialImage == null && request.InitialImageTensor == null ? null
            : (double)(decimal)(request.Strength ?? DefaultStrength);
        bool given = request.Timesteps != null || request.Sigmas != null;
        return new SchedulerRequest
        {
            Steps = given ? null : request.Steps,
            Timesteps = request.Timesteps,
            Sigmas = request.Sigmas,
            Eta = request.Eta,
            Strength = _consistency ? null : strength,
            ScheduleStrength = _consistency ? strength : null,
        };
    }

    /// <summary>
    /// The clean latents of the initial image, [count, height, width, channels], or null without one. They are drawn from the encoder's
    /// distribution, before the noise is drawn, once for each image that was given, as the reference does.
    /// </summary>
    private Tensor? EncodeImage(GenerationRequest request, TorchRandom random, CancellationToken cancellation)
    {
        if (request.InitialImage == null && request.InitialImageTensor == null)
            return null;
        var (height, width) = (request.Height!.Value, request.Width!.Value);
        using var scope = new TensorScope();
        var pixels = request.InitialImageTensor ?? request.InitialImage!.Resize(width, height).ToTensor();
        if (pixels.Shape[1] != height || pixels.Shape[2] != width)
            throw new ArgumentException(
                $"InitialImageTensor is {pixels.Shape}, expected a height of {height} and a width of {width}.", nameof(request));
        var posterior = _vae.Encode(pixels.Affine(2, -1), cancellation);
        var mean = posterior.Mean.Shape;
        var drawn = Tensor.Empty([mean[0], mean[3], mean[1], mean[2]]);
        random.Normal(drawn.Span);
        var latents = _vae.Normalize(posterior.Sample(drawn.Permute(0, 2, 3, 1)));
        return scope.Keep(mean[0] == request.Count ? latents : latents.Expand(0, request.Count).Clone());
    }

    private sealed class Run : PipelineRun
    {
        private readonly UnetPipeline _pipeline;
        private readonly Tensor? _timeIds;
        private readonly Tensor? _negativeTimeIds;
        private readonly float? _guidanceScale;

        public Run(UnetPipeline pipeline, GenerationRequest request, ISchedulerRun schedule)
            : base(request, schedule)
        {
            _pipeline = pipeline;
            _timeIds = Row(pipeline.TimeIds(request, negative: false));
            _negativeTimeIds = Row(pipeline.TimeIds(request, negative: true));
            _guidanceScale = pipeline._unet.Config.TimeCondProjDim == null ? null : request.GuidanceScale ?? pipeline.DefaultGuidanceScale;
        }

        public override void Dispose()
        {
            _timeIds?.Dispose();
            _negativeTimeIds?.Dispose();
            base.Dispose();
        }

        protected override Tensor Predict(
            int step, Conditioning positive, Conditioning? negative, Steering steering, CancellationToken cancellation)
        {
            var ids = ReferenceEquals(positive, Positive) ? _timeIds : _negativeTimeIds;
            var input = new UnetInput(
                Schedule.ScaleInput(Latents, step), [Schedule.TimestepOf(step)], positive, negative, ids, _guidanceScale);
            return _pipeline._unet.Predict(input, steering, cancellation);
        }

        /// <summary>Channels first, as the reference has latents.</summary>
        protected override Tensor DrawStepNoise()
        {
            using var scope = new TensorScope();
            var shape = Latents.Shape;
            var drawn = Tensor.Empty([shape[0], shape[3], shape[1], shape[2]]);
            Random.Normal(drawn.Span);
            return scope.Keep(drawn.Permute(0, 2, 3, 1));
        }

        protected override Tensor DecodeLatents(Tensor latents, CancellationToken cancellation) =>
            _pipeline._vae.Decode(_pipeline._vae.Denormalize(latents), cancellation);

        private static Tensor? Row(float[]? values) => values == null ? null : TensorScope.Detach(Tensor.From(values, [1, values.Length]));
    }
}
