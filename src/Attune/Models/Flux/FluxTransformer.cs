using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>
/// FLUX.1 (FluxTransformer2DModel of diffusers): double-stream blocks in which text and latents have weights of their own, then
/// single-stream blocks over one sequence. Tokens are packed [negative text, text, latents, references, negative latents]; see
/// <see cref="TokenLayout"/>. A picture beside the latents adds channels to their rows.
/// </summary>
public sealed class FluxTransformer : Denoiser<FluxConditioning>
{
    private readonly Checkpoint _checkpoint;
    private readonly FluxConfig _config;
    private readonly Linear _xEmbedder;
    private readonly Linear _contextEmbedder;
    private readonly TimeTextEmbedding _timeTextEmbed;
    private readonly BlockLoop<TimeEmbeddings> _blocks;
    private readonly Linear _normOut;
    private readonly Linear _projOut;

    private FluxTransformer(Checkpoint checkpoint, FluxConfig config)
    {
        var root = checkpoint.Root;
        int width = config.Width;
        (_checkpoint, _config) = (checkpoint, config);
        _xEmbedder = new Linear(root.At("x_embedder"), config.InChannels, width);
        _contextEmbedder = new Linear(root.At("context_embedder"), config.JointAttentionDim, width);
        _timeTextEmbed = new TimeTextEmbedding(root.At("time_text_embed"), config);
        var doubles = Enumerable.Range(0, config.NumLayers).Select(i => new DoubleStreamBlock(root.At("transformer_blocks", i), config));
        var singles = Enumerable.Range(0, config.NumSingleLayers)
            .Select(i => new SingleStreamBlock(root.At("single_transformer_blocks", i), config));
        _blocks = new BlockLoop<TimeEmbeddings>([.. doubles, .. singles]);
        _normOut = new Linear(root.At("norm_out.linear"), width, 2 * width);
        _projOut = new Linear(root.At("proj_out"), width, config.PatchSize * config.PatchSize * config.OutChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public FluxConfig Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    internal override int StreamWidth => _config.Width;

    /// <summary>
    /// In a single block: the stream, what is normed, queries, keys and values, what the network has within, both side by side.
    /// </summary>
    private protected override long FloatsPerToken => 14L * _config.Width;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <inheritdoc/>
    public override bool EmbedsGuidanceScale => _config.GuidanceEmbeds;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static FluxTransformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static FluxTransformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new FluxTransformer(checkpoint, FluxConfig.Read(config)));

    /// <summary>(time, row, column): time is 0 for latents, 1 for the first reference, 2 for the second.</summary>
    /// <inheritdoc/>
    public override IReadOnlyList<int[]> PositionsOf(LatentGrid latents, IReadOnlyList<LatentGrid> references)
    {
        ArgumentNullException.ThrowIfNull(references);
        return [.. references.Select((grid, i) => TokenIds.Of(grid, i + 1)).Prepend(TokenIds.Of(latents)).SelectMany(ids => ids.All())];
    }

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity.</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, FluxConditioning positive, FluxConditioning? negative, Steering steering, CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;

        // The scheduler's timestep is divided and multiplied by 1000 on its way, as in the reference: float32 rounds it twice.
        float[] timesteps = [.. input.ItemTimesteps.Select(timestep => timestep / 1000)];
        Tensor Embed(FluxConditioning prompt) => _timeTextEmbed.Apply(timesteps, input.GuidanceScale, prompt.Pooled);
        var time = new TimeEmbeddings(Embed(positive), negative == null || steering.PromptPooled ? null : Embed(negative));

        using var stream = Pack(input, positive, negative, steering.Attention);
        _blocks.Run(stream, time, steering, cancellation);
        var modulation = _normOut.Apply(time.For(TokenKind.Latent));
        var (scale, shift) = (modulation.Slice(1, 0, _config.Width), modulation.Slice(1, _config.Width, _config.Width));
        return scope.Keep(_projOut.Apply(stream.RowsOf(TokenKind.Latent).ModulatedLayerNorm(scale, shift, FluxConfig.Epsilon)));
    }

    private TokenStream Pack(DenoiserInput input, FluxConditioning positive, FluxConditioning? negative, IAttention attention)
    {
        using var scope = new TensorScope();
        var parts = new List<TokenPart>();
        if (negative != null)
            parts.Add(Text(TokenKind.NegativeText, negative));
        parts.Add(Text(TokenKind.Text, positive));
        var latents = input.Beside == null ? input.Latents
            : TensorOperations.Concatenate(2, input.Latents, input.Beside.Expand(0, input.Latents.Shape[0]));
        parts.Add(new TokenPart(TokenKind.Latent, _xEmbedder.Apply(latents), TokenIds.Of(input.Grid), input.Grid));
        for (int i = 0; i < input.References.Count; i++)
        {
            var reference = input.References[i];
            var rows = input.Memo == null ? _xEmbedder.Apply(reference.Latents)
                : input.Memo.Once((_xEmbedder, i), () => _xEmbedder.Apply(reference.Latents));
            parts.Add(new TokenPart(TokenKind.Reference, rows, TokenIds.Of(reference.Grid, i + 1), reference.Grid));
        }
        return new TokenStream(attention, _config.AttentionHeadDim, FluxConfig.Epsilon, _config.Rotary, [.. parts]);
    }

    private TokenPart Text(TokenKind kind, FluxConditioning conditioning)
    {
        var rows = conditioning.Once(_contextEmbedder, () => _contextEmbedder.Apply(conditioning.Text));
        return new(kind, rows, TokenIds.Same(rows.Shape[1], 0, 0, 0));
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<FluxConditioning?> conditionings)
    {
        RequireRows(input, _config.InChannels - RequireBeside(input));
        RequireReferences(input, _config.InChannels);
        foreach (var conditioning in conditionings)
        {
            if (conditioning == null)
                continue;
            RequireText(input, conditioning, _config.JointAttentionDim);
            if (conditioning.Pooled.Shape is not { Rank: 2 } pooled || pooled[1] != _config.PooledProjectionDim)
            {
                throw new ArgumentException(
                    $"The pooled embedding {conditioning.Pooled.Shape} is not [1, {_config.PooledProjectionDim}].", nameof(input));
            }
        }
    }
}
