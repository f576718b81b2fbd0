using Attune.Attention;
using Attune.Latents;
using Attune.Layers;
using Attune.Prompts;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Sana;

/// <summary>
/// Sana and Sana 1.5 (SanaTransformer2DModel of diffusers; Xie et al., arXiv 2410.10629), and the network inside of Sana-Sprint. The
/// latents alone are rows of the stream; all blocks share one modulation, to which each adds a table; the text is read in cross-attention.
/// </summary>
public sealed class SanaTransformer : Denoiser<SanaConditioning>
{
    private const int SinusoidChannels = 256;
    private readonly Checkpoint _checkpoint;
    private readonly SanaConfig _config;
    private readonly Conv2d _patches;
    private readonly EmbeddingMlp _timestepEmbedder;
    private readonly EmbeddingMlp? _guidanceEmbedder;
    private readonly Linear _modulation;
    private readonly Linear _caption1;
    private readonly Linear _caption2;
    private readonly RmsNorm _captionNorm;
    private readonly BlockLoop<SanaPass> _blocks;
    private readonly ModulationTable _table;
    private readonly Linear _projOut;

    private SanaTransformer(Checkpoint checkpoint, SanaConfig config)
    {
        var root = checkpoint.Root;
        var (width, patch) = (config.Width, config.PatchSize);
        var time = root.At("time_embed");
        (_checkpoint, _config) = (checkpoint, config);
        _patches = new Conv2d(root.At("patch_embed.proj"), config.InChannels, width, patch, Conv2dGeometry.Same(0, stride: patch));
        _timestepEmbedder = new EmbeddingMlp(
            time.At(config.GuidanceEmbeds ? "timestep_embedder" : "emb.timestep_embedder"), SinusoidChannels, width);
        if (config.GuidanceEmbeds)
            _guidanceEmbedder = new EmbeddingMlp(time.At("guidance_embedder"), SinusoidChannels, width);
        _modulation = new Linear(time.At("linear"), width, 6 * width);
        _caption1 = new Linear(root.At("caption_projection.linear_1"), config.CaptionChannels, width);
        _caption2 = new Linear(root.At("caption_projection.linear_2"), width, width);
        _captionNorm = new RmsNorm(root.At("caption_norm"), width, epsilon: 1e-5f);
        _blocks = new BlockLoop<SanaPass>(
            [.. Enumerable.Range(0, config.NumLayers).Select(i => new SanaBlock(root.At("transformer_blocks", i), config))]);
        _table = new ModulationTable(root, width, ModulationForm.ShiftScale);
        _projOut = new Linear(root.At("proj_out"), width, patch * patch * config.OutChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public SanaConfig Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <summary>In the feed-forward network, whose inner channels are five widths, before and after a convolution.</summary>
    private protected override long FloatsPerToken => 14L * _config.Width;

    /// <inheritdoc/>
    internal override int StreamWidth => _config.Width;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <inheritdoc/>
    public override bool EmbedsGuidanceScale => _config.GuidanceEmbeds;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static SanaTransformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static SanaTransformer Load(ComponentSource source) => source.Build(
        (checkpoint, config) => new SanaTransformer(checkpoint, SanaConfig.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>What the network gives, [batch, height, width, channels]: of Sana the predicted velocity.</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, SanaConditioning positive, SanaConditioning? negative, Steering steering, CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        var embedded = Embed(input);
        var modulation = _modulation.Apply(embedded.Activate(Activation.Silu));
        input.Watch?.Invoke("time_embed.0", modulation);
        input.Watch?.Invoke("time_embed.1", embedded);
        input.Watch?.Invoke("caption_norm", Caption(positive));
        var pass = new SanaPass(
            modulation.Reshape(modulation.Shape[0], 6, _config.Width),
            new PromptTexts(steering.Attention, input.Memo, positive, negative, Caption), input.Grid);
        using var stream = new TokenStream(steering.Attention, _config.AttentionHeadDim, _config.Epsilon, null, Latents(input));
        _blocks.Run(stream, pass, steering, cancellation);
        var last = _table.Over(embedded.Reshape(embedded.Shape[0], 1, _config.Width));
        var rows = _projOut.Apply(stream.NormOf(TokenKind.Latent, last.Attention).Tensor);
        input.Watch?.Invoke("proj_out", rows);
        return scope.Keep(LatentPatches.FromRows(rows, input.Grid, _config.PatchSize));
    }

    /// <summary>The timestep, and the guidance scale where the model embeds one, [batch, width].</summary>
    private Tensor Embed(DenoiserInput input)
    {
        using var scope = new TensorScope();
        var device = input.Latents.Device;
        float[] timesteps = [.. input.ItemTimesteps.Select(timestep => timestep * _config.TimestepScale)];
        var embedded = _timestepEmbedder.Apply(Sinusoid.Of(device, timesteps, SinusoidChannels));
        if (_guidanceEmbedder != null)
        {
            float scale = input.GuidanceScale!.Value * _config.GuidanceEmbedsScale;
            embedded = embedded.Add(_guidanceEmbedder.Apply(Sinusoid.Of(device, [scale], SinusoidChannels)));
        }
        return scope.Keep(embedded);
    }

    /// <summary>The rows that cross-attention reads, [1 or batch, rows, width]: once for each prompt.</summary>
    private Tensor Caption(Conditioning prompt) => prompt.Once(
        _caption1, () => _captionNorm.Apply(_caption2.Apply(_caption1.Apply(prompt.Text, Activation.GeluTanh))));

    private TokenPart Latents(DenoiserInput input)
    {
        var grid = input.Grid;
        var rows = _patches.Apply(input.Latents).Reshape(input.Latents.Shape[0], grid.Count, _config.Width);
        if (_config.InterpolationScale is { } scale)
        {
            Tensor Positions() => GridSinusoid.Of(
                input.Latents.Device, grid, _config.Width, _config.SampleSize / _config.PatchSize, scale);
            rows.Add(input.Memo == null ? Positions() : input.Memo.Once((this, grid), Positions), into: rows);
        }
        input.Watch?.Invoke("patch_embed", rows);
        return new(TokenKind.Latent, rows, TokenIds.Same(grid.Count, 0), grid);
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<SanaConditioning?> prompts)
    {
        RequirePixels(input, _config.PatchSize, _config.InChannels);
        foreach (var prompt in prompts)
            RequireText(input, prompt, _config.CaptionChannels);
    }
}
