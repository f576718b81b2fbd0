using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>
/// FLUX.1 (FluxTransformer2DModel of diffusers): double-stream blocks in which text and latents have weights of their own, then
/// single-stream blocks over one sequence. Tokens are packed [negative text, text, latents, negative latents]; see
/// <see cref="TokenLayout"/>.
/// </summary>
public sealed class FluxTransformer : IDisposable
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
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public FluxConfig Config => _config;

    /// <summary>The attention layers, in the order in which a forward pass calls them.</summary>
    public IEnumerable<AttentionSite> Sites => _blocks.Sites;

    /// <summary>The names of the blocks, in the order in which a forward pass runs them.</summary>
    public IEnumerable<string> Blocks => _blocks.Paths;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static FluxTransformer Load(string folder) => Load(ComponentSource.Folder(folder));

    internal static FluxTransformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new FluxTransformer(checkpoint, FluxConfig.Read(config)));

    /// <summary>One forward pass.</summary>
    /// <returns>The predicted velocity, [batch, latents, out channels]; owned by the current scope.</returns>
    /// <exception cref="ArgumentException">An input has the wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; checked before every block.</exception>
    public Tensor Predict(FluxInput input, Steering steering, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(steering);
        Check(input);
        using var scope = new TensorScope();

        bool negative = input.Negative != null && _blocks.ReadsNegativeText(steering.Attention);
        int batch = input.Latents.Shape[0];
        float[] timesteps = input.Timesteps.Count == batch ? [.. input.Timesteps] : [.. Enumerable.Repeat(input.Timesteps[0], batch)];
        Tensor Embed(Conditioning prompt) => _timeTextEmbed.Apply(timesteps, input.GuidanceScale, prompt.Pooled!);
        var time = new TimeEmbeddings(Embed(input.Positive), negative ? Embed(input.Negative!) : null);

        using var stream = Pack(input, negative, steering.Attention);
        _blocks.Run(stream, time, steering, cancellation);
        var modulation = _normOut.Apply(time.For(TokenKind.Latent));
        var (scale, shift) = (modulation.Slice(1, 0, _config.Width), modulation.Slice(1, _config.Width, _config.Width));
        return scope.Keep(_projOut.Apply(stream.RowsOf(TokenKind.Latent).ModulatedLayerNorm(scale, shift, FluxConfig.Epsilon)));
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    private TokenStream Pack(FluxInput input, bool negative, IAttention attention)
    {
        using var scope = new TensorScope();
        var parts = new List<TokenPart>();
        if (negative)
            parts.Add(Text(TokenKind.NegativeText, input.Negative!));
        parts.Add(Text(TokenKind.Text, input.Positive));
        var ids = TokenIds.From(input.LatentIds);
        parts.Add(new TokenPart(TokenKind.Latent, _xEmbedder.Apply(input.Latents), ids, GridOf(ids)));
        return new TokenStream(attention, _config.AttentionHeadDim, FluxConfig.Epsilon, _config.Rotary, [.. parts]);
    }

    private TokenPart Text(TokenKind kind, Conditioning conditioning) =>
        new(kind, _contextEmbedder.Apply(conditioning.Text), TokenIds.Same(conditioning.Text.Shape[1], 0, 0, 0));

    /// <summary>The latents' rows and columns, when their ids run over a whole grid in row-major order.</summary>
    private static LatentGrid? GridOf(TokenIds ids)
    {
        int columns = ids.Count == 0 ? 0 : ids[ids.Count - 1, 2] + 1;
        if (columns <= 0 || ids.Count % columns != 0)
            return null;
        for (int i = 0; i < ids.Count; i++)
        {
            if (ids[i, 1] != i / columns || ids[i, 2] != i % columns)
                return null;
        }
        return new LatentGrid(ids.Count / columns, columns);
    }

    private void Check(FluxInput input)
    {
        var latents = input.Latents.Shape;
        if (latents.Rank != 3 || latents[2] != _config.InChannels)
            throw new ArgumentException($"Latents {latents} are not [batch, latents, {_config.InChannels}].", nameof(input));
        if (input.LatentIds.Shape != Shape.Create([latents[1], _config.AxesDimsRope.Length]))
            throw new ArgumentException(
                $"Latent ids {input.LatentIds.Shape} are not [{latents[1]}, {_config.AxesDimsRope.Length}].", nameof(input));
        if (input.Timesteps.Count != 1 && input.Timesteps.Count != latents[0])
            throw new ArgumentException($"{input.Timesteps.Count} timesteps do not fit a batch of {latents[0]}.", nameof(input));
        foreach (var conditioning in new[] { input.Positive, input.Negative })
        {
            if (conditioning == null)
                continue;
            if (conditioning.Text.Shape is not { Rank: 3 } text
                || text[2] != _config.JointAttentionDim || (text[0] != 1 && text[0] != latents[0]))
                throw new ArgumentException(
                    $"Text embeddings {conditioning.Text.Shape} are not [1, tokens, {_config.JointAttentionDim}].", nameof(input));
            if (conditioning.Pooled?.Shape is not { Rank: 2 } pooled || pooled[1] != _config.PooledProjectionDim)
                throw new ArgumentException(
                    $"The pooled embedding {conditioning.Pooled?.Shape} is not [1, {_config.PooledProjectionDim}].", nameof(input));
        }
        if (_config.GuidanceEmbeds && input.GuidanceScale == null)
            throw new ArgumentException("This model embeds a guidance scale; none was given.", nameof(input));
    }
}
