using Attune.Attention;
using Attune.Latents;
using Attune.Layers;
using Attune.Prompts;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.PixArt;

/// <summary>
/// PixArt-alpha and PixArt-Sigma (PixArtTransformer2DModel of diffusers; Chen et al., arXiv 2310.00426 and 2403.04692). The latents alone
/// are rows of the stream, with fixed positions added to them; all blocks share one modulation, to which each adds a table; the text is
/// read in cross-attention.
/// </summary>
public sealed class PixArtTransformer : Denoiser<PixArtConditioning>
{
    private const int SinusoidChannels = 256;
    private readonly Checkpoint _checkpoint;
    private readonly PixArtConfig _config;
    private readonly Conv2d _patches;
    private readonly EmbeddingMlp _timestepEmbedder;
    private readonly EmbeddingMlp? _resolutionEmbedder;
    private readonly EmbeddingMlp? _aspectRatioEmbedder;
    private readonly Linear _modulation;
    private readonly Linear _caption1;
    private readonly Linear _caption2;
    private readonly BlockLoop<PixArtPass> _blocks;
    private readonly ModulationTable _table;
    private readonly Linear _projOut;

    private PixArtTransformer(Checkpoint checkpoint, PixArtConfig config)
    {
        var root = checkpoint.Root;
        var (width, patch) = (config.Width, config.PatchSize);
        var embedders = root.At("adaln_single.emb");
        (_checkpoint, _config) = (checkpoint, config);
        _patches = new Conv2d(root.At("pos_embed.proj"), config.InChannels, width, patch, Conv2dGeometry.Same(0, stride: patch));
        _timestepEmbedder = new EmbeddingMlp(embedders.At("timestep_embedder"), SinusoidChannels, width);
        if (config.UseAdditionalConditions)
        {
            _resolutionEmbedder = new EmbeddingMlp(embedders.At("resolution_embedder"), SinusoidChannels, width / 3);
            _aspectRatioEmbedder = new EmbeddingMlp(embedders.At("aspect_ratio_embedder"), SinusoidChannels, width / 3);
        }
        _modulation = new Linear(root.At("adaln_single.linear"), width, 6 * width);
        _caption1 = new Linear(root.At("caption_projection.linear_1"), config.CaptionChannels, width);
        _caption2 = new Linear(root.At("caption_projection.linear_2"), width, width);
        _blocks = new BlockLoop<PixArtPass>(
            [.. Enumerable.Range(0, config.NumLayers).Select(i => new PixArtBlock(root.At("transformer_blocks", i), config))]);
        _table = new ModulationTable(root, width, ModulationForm.ShiftScale);
        _projOut = new Linear(root.At("proj_out"), width, patch * patch * config.OutChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public PixArtConfig Config => _config;

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
    public static PixArtTransformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static PixArtTransformer Load(ComponentSource source) => source.Build(
        (checkpoint, config) => new PixArtTransformer(checkpoint, PixArtConfig.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>
    /// The predicted noise, [batch, height, width, channels]. A variance that the model predicts too is left out, as no sampler of the
    /// reference reads it; what watches sees it.
    /// </summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, PixArtConditioning positive, PixArtConditioning? negative, Steering steering, CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        var embedded = Embed(input, positive);
        var modulation = _modulation.Apply(embedded.Activate(Activation.Silu));
        input.Watch?.Invoke("adaln_single.0", modulation);
        input.Watch?.Invoke("adaln_single.1", embedded);
        input.Watch?.Invoke("caption_projection", Caption(positive));
        var pass = new PixArtPass(
            modulation.Reshape(modulation.Shape[0], 6, _config.Width),
            new PromptTexts(steering.Attention, input.Memo, positive, negative, Caption));
        using var stream = new TokenStream(steering.Attention, _config.AttentionHeadDim, _config.Epsilon, null, Latents(input));
        _blocks.Run(stream, pass, steering, cancellation);
        var last = _table.Over(embedded.Reshape(embedded.Shape[0], 1, _config.Width));
        var rows = _projOut.Apply(stream.NormOf(TokenKind.Latent, last.Attention).Tensor);
        if (input.Watch != null)
        {
            input.Watch("proj_out", rows);
            input.Watch("sample", LatentPatches.FromRows(rows, input.Grid, _config.PatchSize));
        }
        return scope.Keep(LatentPatches.FromRows(rows, input.Grid, _config.PatchSize, _config.InChannels));
    }

    /// <summary>The timestep, and the size where the model is told it, [batch, width].</summary>
    private Tensor Embed(DenoiserInput input, PixArtConditioning prompt)
    {
        using var scope = new TensorScope();
        var device = input.Latents.Device;
        float[] timesteps = [.. input.ItemTimesteps];
        var embedded = _timestepEmbedder.Apply(Sinusoid.Of(device, timesteps, SinusoidChannels));
        if (_resolutionEmbedder != null)
        {
            Tensor Numbers(EmbeddingMlp layer, Tensor numbers) =>
                layer.Apply(Sinusoid.Of(device, numbers.ToArray(), SinusoidChannels)).Reshape(1, -1);
            var size = TensorOperations.Concatenate(
                1, Numbers(_resolutionEmbedder, prompt.Resolution!), Numbers(_aspectRatioEmbedder!, prompt.AspectRatio!));
            embedded = embedded.Add(size);
        }
        return scope.Keep(embedded);
    }

    /// <summary>The rows that cross-attention reads, [1 or batch, rows, width]: once for each prompt.</summary>
    private Tensor Caption(Conditioning prompt) =>
        prompt.Once(_caption1, () => _caption2.Apply(_caption1.Apply(prompt.Text, Activation.GeluTanh)));

    private TokenPart Latents(DenoiserInput input)
    {
        var grid = input.Grid;
        Tensor Positions() => GridSinusoid.Of(
            input.Latents.Device, grid, _config.Width, _config.SampleSize / _config.PatchSize, _config.InterpolationScale);
        var rows = _patches.Apply(input.Latents).Reshape(input.Latents.Shape[0], grid.Count, _config.Width);
        rows.Add(input.Memo == null ? Positions() : input.Memo.Once((this, grid), Positions), into: rows);
        input.Watch?.Invoke("pos_embed", rows);
        return new(TokenKind.Latent, rows, TokenIds.Same(grid.Count, 0), grid);
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<PixArtConditioning?> prompts)
    {
        RequirePixels(input, _config.PatchSize, _config.InChannels);
        foreach (var prompt in prompts)
        {
            if (prompt == null)
                continue;
            RequireText(input, prompt, _config.CaptionChannels);
            if (_config.UseAdditionalConditions && (prompt.Resolution?.Shape != [1, 2] || prompt.AspectRatio?.Shape != [1, 1]))
            {
                throw new ArgumentException(
                    $"The resolution {prompt.Resolution?.Shape} and the aspect ratio {prompt.AspectRatio?.Shape} are not [1, 2] and "
                        + "[1, 1], which this model is told.",
                    nameof(input));
            }
        }
    }
}
