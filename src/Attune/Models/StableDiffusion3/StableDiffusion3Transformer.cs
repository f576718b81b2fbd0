using Attune.Attention;
using Attune.Latents;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.StableDiffusion3;

/// <summary>
/// Stable Diffusion 3 and 3.5 (SD3Transformer2DModel of diffusers; Esser et al., "Scaling Rectified Flow Transformers for High-Resolution
/// Image Synthesis", arXiv 2403.03206). Tokens are packed [latents, text, negative text]. There is no rotary embedding: positions are added
/// to the latents, cut out of the middle of a table in the file.
/// </summary>
public sealed class StableDiffusion3Transformer : Denoiser<StableDiffusion3Conditioning>
{
    private const int TimestepChannels = 256;
    private readonly Checkpoint _checkpoint;
    private readonly StableDiffusion3Config _config;
    private readonly Conv2d _patches;
    private readonly Embedding _positions;
    private readonly Linear _contextEmbedder;
    private readonly EmbeddingMlp _timestepEmbedder;
    private readonly EmbeddingMlp _textEmbedder;
    private readonly BlockLoop<TimeEmbeddings> _blocks;
    private readonly ModulationLayer _normOut;
    private readonly Linear _projOut;

    private StableDiffusion3Transformer(Checkpoint checkpoint, StableDiffusion3Config config)
    {
        var root = checkpoint.Root;
        var (width, patch, max) = (config.Width, config.PatchSize, config.PosEmbedMaxSize);
        (_checkpoint, _config) = (checkpoint, config);
        _patches = new Conv2d(root.At("pos_embed.proj"), config.InChannels, width, patch, Conv2dGeometry.Same(0, stride: patch));
        _positions = new Embedding(root.At("pos_embed"), max * max, width, "pos_embed");
        _contextEmbedder = new Linear(root.At("context_embedder"), config.JointAttentionDim, width);
        _timestepEmbedder = new EmbeddingMlp(root.At("time_text_embed.timestep_embedder"), TimestepChannels, width);
        _textEmbedder = new EmbeddingMlp(root.At("time_text_embed.text_embedder"), config.PooledProjectionDim, width);
        _blocks = new BlockLoop<TimeEmbeddings>([.. Enumerable.Range(0, config.NumLayers).Select(i => new JointBlock(
            root.At("transformer_blocks", i), config, config.DualAttentionLayers.Contains(i), last: i == config.NumLayers - 1))]);
        _normOut = new ModulationLayer(root.At("norm_out.linear"), width, ModulationForm.ScaleShift);
        _projOut = new Linear(root.At("proj_out"), width, patch * patch * config.OutChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public StableDiffusion3Config Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    internal override int StreamWidth => _config.Width;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static StableDiffusion3Transformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static StableDiffusion3Transformer Load(ComponentSource source) => source.Build(
        (checkpoint, config) => new StableDiffusion3Transformer(checkpoint, StableDiffusion3Config.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity, [batch, height, width, channels].</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, StableDiffusion3Conditioning positive, StableDiffusion3Conditioning? negative, Steering steering,
        CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;
        var timestep = _timestepEmbedder.Apply(Sinusoid.Of(input.Latents.Device, [.. input.ItemTimesteps], TimestepChannels));
        Tensor Embed(StableDiffusion3Conditioning prompt) =>
            timestep.Add(_textEmbedder.Apply(prompt.Pooled)).Activate(Activation.Silu);
        var time = new TimeEmbeddings(Embed(positive), negative == null || steering.PromptPooled ? null : Embed(negative));

        using var stream = Pack(input, positive, negative, steering.Attention);
        _blocks.Run(stream, time, steering, cancellation);
        var latents = _projOut.Apply(stream.NormOf(TokenKind.Latent, time.Through(_normOut).Attention).Tensor);
        return scope.Keep(LatentPatches.FromRows(latents, input.Grid, _config.PatchSize));
    }

    private TokenStream Pack(
        DenoiserInput input, StableDiffusion3Conditioning positive, StableDiffusion3Conditioning? negative, IAttention attention)
    {
        using var scope = new TensorScope();
        var parts = new List<TokenPart> { Latents(input), Text(TokenKind.Text, positive) };
        if (negative != null)
            parts.Add(Text(TokenKind.NegativeText, negative));
        return new TokenStream(attention, _config.AttentionHeadDim, StableDiffusion3Config.Epsilon, null, [.. parts]);
    }

    private TokenPart Text(TokenKind kind, StableDiffusion3Conditioning prompt)
    {
        var rows = prompt.Once(_contextEmbedder, () => _contextEmbedder.Apply(prompt.Text));
        return new(kind, rows, TokenIds.Same(rows.Shape[1], 0));
    }

    private TokenPart Latents(DenoiserInput input)
    {
        int batch = input.Latents.Shape[0];
        var rows = _patches.Apply(input.Latents).Reshape(batch, input.Grid.Count, _config.Width);
        var positions = input.Memo == null ? Positions(input.Grid) : input.Memo.Once((this, input.Grid), () => Positions(input.Grid));
        return new(TokenKind.Latent, rows.Add(positions, into: rows), TokenIds.Same(input.Grid.Count, 0), input.Grid);
    }

    /// <summary>[tokens, width]: the middle of the table.</summary>
    private Tensor Positions(LatentGrid grid)
    {
        int max = _config.PosEmbedMaxSize;
        var (top, left) = ((max - grid.Height) / 2, (max - grid.Width) / 2);
        return _positions.Apply(
            [.. Enumerable.Range(0, grid.Count).Select(i => (top + i / grid.Width) * max + left + i % grid.Width)]);
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<StableDiffusion3Conditioning?> prompts)
    {
        RequirePixels(input, _config.PatchSize, _config.InChannels);
        var grid = input.Grid;
        int max = _config.PosEmbedMaxSize;
        if (grid.Height > max || grid.Width > max)
        {
            throw new ArgumentException(
                $"The picture has {grid.Height} x {grid.Width} tokens; the model's table of positions has {max} x {max}.", nameof(input));
        }
        foreach (var prompt in prompts)
        {
            if (prompt == null)
                continue;
            RequireText(input, prompt, _config.JointAttentionDim);
            if (prompt.Pooled.Shape is not { Rank: 2 } pooled || pooled[1] != _config.PooledProjectionDim)
            {
                throw new ArgumentException(
                    $"The pooled embedding {prompt.Pooled.Shape} is not [1, {_config.PooledProjectionDim}].", nameof(input));
            }
        }
    }
}
