using Attune.Attention;
using Attune.Autoencoders;
using Attune.Models;
using Attune.Models.Flux;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.TextEncoders.T5;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Pipelines.Flux;

/// <summary>
/// FLUX.1 (schnell, dev): CLIP gives the pooled embedding, T5 the text tokens; latents are packed two by two pixels to a token.
/// </summary>
public sealed class FluxPipeline : DiffusionPipeline
{
    /// <summary>The length of T5's prompts in diffusers, where the tokenizer states no shorter one.</summary>
    private const int LongestDefaultSequence = 512;
    private readonly Tokenizer _tokenizer;
    private readonly Tokenizer _tokenizer2;
    private readonly ClipTextModel _textEncoder;
    private readonly T5EncoderModel _textEncoder2;
    private readonly FluxTransformer _transformer;
    private readonly AutoencoderKl _vae;
    private readonly int _size;

    private FluxPipeline(Components owned, ModelSource source)
    {
        var vae = source.Component("vae");
        _tokenizer = Tokenizer.Load(source.Tokenizer("tokenizer"));
        _tokenizer2 = Tokenizer.Load(source.Tokenizer("tokenizer_2"));
        Scheduler = Scheduler.From(source.Scheduler);
        _textEncoder = owned.Add(ClipTextModel.Load(source.Component("text_encoder")));
        _textEncoder2 = owned.Add(T5EncoderModel.Load(source.Component("text_encoder_2")));
        _transformer = owned.Add(FluxTransformer.Load(source.Component("transformer")));
        _vae = owned.Add(AutoencoderKl.Load(vae));
        _size = vae.Config.Int("sample_size", 1024);
    }

    /// <inheritdoc/>
    public override string ClassName => "FluxPipeline";

    /// <summary>flux-schnell embeds no guidance scale, flux-dev does.</summary>
    private protected override string ClassFamily => _transformer.Config.GuidanceEmbeds ? "flux-dev" : "flux-schnell";

    /// <inheritdoc/>
    public override int SizeMultiple => 2 * _vae.PixelsPerLatent;

    /// <inheritdoc/>
    public override int DefaultSize => _size;

    /// <summary>4 for schnell, which embeds no guidance; 28 for dev.</summary>
    public override int DefaultSteps => _transformer.Config.GuidanceEmbeds ? 28 : 4;

    /// <inheritdoc/>
    public override IEnumerable<AttentionSite> Sites => _transformer.Sites;

    /// <inheritdoc/>
    public override IEnumerable<string> Blocks => _transformer.Blocks;

    /// <inheritdoc/>
    public override Scheduler Scheduler { get; }

    internal override int LatentChannels => _vae.LatentChannels;

    private protected override RequestOptions Takes =>
        RequestOptions.Sigmas | (_transformer.Config.GuidanceEmbeds ? RequestOptions.GuidanceScale : RequestOptions.None);

    internal static FluxPipeline Open(ModelSource source) => Components.Build(owned => new FluxPipeline(owned, source));

    internal override PipelineRun Begin(GenerationRequest request, CancellationToken cancellation)
    {
        request = Resolve(request);
        var (height, width) = (request.Height!.Value / _vae.PixelsPerLatent, request.Width!.Value / _vae.PixelsPerLatent);
        int channels = _transformer.Config.InChannels / 4;
        using var scope = new TensorScope();
        var random = new TorchRandom(request.Seed);
        var noise = DrawNoise(request, random, channels, height, width);
        int length = request.MaxSequenceLength ?? Math.Min(LongestDefaultSequence, _tokenizer2.ModelMaxLength);
        var positive = Encode(request, request.Prompt, length, cancellation);
        var negative = request.Guidance.NeedsNegativePrompt
            ? Encode(request, request.NegativePrompt ?? "", request.NegativeMaxSequenceLength ?? length, cancellation)
            : null;
        var empty = request.Guidance.NeedsEmptyPrompt ? Encode(request, "", length, cancellation) : null;
        int steps = request.Steps!.Value;
        var sigmas = request.Sigmas ?? [.. Enumerable.Range(0, steps).Select(i => 1 - i * (1 - 1.0 / steps) / Math.Max(steps - 1, 1))];
        var scheduler = SchedulerOf(request);
        var schedule = scheduler.Begin(new SchedulerRequest { Sigmas = sigmas, Mu = scheduler.ShiftFor(height / 2 * (width / 2)) });
        return new Run(this, request, schedule, Packing.Ids(height / 2, width / 2))
        {
            Random = random,
            Empty = Detach(empty),
            Positive = Detach(positive)!,
            Negative = Detach(negative),
            Noise = TensorScope.Detach(noise),
            Latents = TensorScope.Detach(Packing.Pack(noise)),
        };
    }

    private protected override void DisposeComponents()
    {
        _textEncoder.Dispose();
        _textEncoder2.Dispose();
        _transformer.Dispose();
        _vae.Dispose();
    }

    /// <summary>The embeddings of a prompt; tensors of the current scope.</summary>
    private Conditioning Encode(GenerationRequest request, string prompt, int length, CancellationToken cancellation)
    {
        // CLIP gives no more than a summary: only what T5 does not read is lost.
        int[] clip = PromptTokens.Of(_tokenizer, prompt, _textEncoder.MaxLength, null);
        int[] t5 = PromptTokens.Of(_tokenizer2, prompt, length, request.Warning);
        using var scope = new TensorScope();
        var pooled = _textEncoder.Encode([clip], cancellation: cancellation).PooledOutput!;
        var text = _textEncoder2.Encode([t5], cancellation: cancellation);
        return new Conditioning(scope.Keep(text), scope.Keep(pooled));
    }

    private sealed class Run : PipelineRun
    {
        private readonly FluxPipeline _pipeline;
        private readonly Tensor _ids;

        public Run(FluxPipeline pipeline, GenerationRequest request, ISchedulerRun schedule, Tensor ids)
            : base(request, schedule) => (_pipeline, _ids) = (pipeline, TensorScope.Detach(ids));

        protected override Tensor Unpack(Tensor latents) =>
            Packing.Unpack(
                latents, Request.Height!.Value / _pipeline._vae.PixelsPerLatent, Request.Width!.Value / _pipeline._vae.PixelsPerLatent);

        protected override Tensor DecodeLatents(Tensor latents, CancellationToken cancellation) =>
            _pipeline._vae.Decode(_pipeline._vae.Denormalize(latents), cancellation);

        public override void Dispose()
        {
            _ids.Dispose();
            base.Dispose();
        }

        protected override Tensor Predict(
            int step, Conditioning positive, Conditioning? negative, Steering steering, CancellationToken cancellation)
        {
            float? guidance = _pipeline._transformer.Config.GuidanceEmbeds ? Request.GuidanceScale ?? 3.5f : null;
            return _pipeline._transformer.Predict(
                new FluxInput(Latents, _ids, [Schedule.TimestepOf(step) / 1000], positive, negative, guidance), steering, cancellation);
        }
    }
}

/// <summary>How FLUX.1 turns latents into tokens: two by two pixels each, channels in the order (channel, row, column).</summary>
internal static class Packing
{
    /// <summary>[batch, height, width, channels] to [batch, height / 2 width / 2, 4 channels].</summary>
    public static Tensor Pack(Tensor latents)
    {
        var (batch, height, width, channels) = (latents.Shape[0], latents.Shape[1], latents.Shape[2], latents.Shape[3]);
        using var scope = new TensorScope();
        var packed = latents.Reshape(batch, height / 2, 2, width / 2, 2, channels).Permute(0, 1, 3, 5, 2, 4);
        return scope.Keep(packed.Reshape(batch, height / 2 * (width / 2), 4 * channels));
    }

    /// <summary>The inverse of <see cref="Pack"/>; height and width are those of the latents.</summary>
    public static Tensor Unpack(Tensor tokens, int height, int width)
    {
        var (batch, channels) = (tokens.Shape[0], tokens.Shape[2] / 4);
        using var scope = new TensorScope();
        var latents = tokens.Reshape(batch, height / 2, width / 2, channels, 2, 2).Permute(0, 1, 4, 2, 5, 3);
        return scope.Keep(latents.Reshape(batch, height, width, channels));
    }

    /// <summary>[tokens, 3]: 0, row, column of each token.</summary>
    public static Tensor Ids(int rows, int columns)
    {
        var ids = Tensor.Empty([rows * columns, 3]);
        for (int i = 0; i < rows * columns; i++)
        {
            var id = ids.Row(i);
            (id[0], id[1], id[2]) = (0, i / columns, i % columns);
        }
        return ids;
    }
}
