using Attune.Attention;
using Attune.Latents;
using Attune.Layers;
using Attune.Prompts;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Wan;

/// <summary>
/// Wan 2.1 and one network of Wan 2.2 (WanTransformer3DModel of diffusers; Wan team, arXiv 2503.20314). The latents of all frames are the
/// rows of the stream; all blocks share one modulation, to which each adds a table; the text is read in cross-attention.
/// </summary>
public sealed class WanTransformer : Denoiser<WanConditioning>
{
    internal const double RotaryTheta = 10000;

    private readonly Checkpoint _checkpoint;
    private readonly WanConfig _config;
    private readonly FramePatches _patches;
    private readonly EmbeddingMlp _timeEmbedder;
    private readonly Linear _timeProj;
    private readonly Linear _text1;
    private readonly Linear _text2;
    private readonly RotaryAxes _rotary;
    private readonly BlockLoop<WanPass> _blocks;
    private readonly ModulationTable _table;
    private readonly Linear _projOut;

    private WanTransformer(Checkpoint checkpoint, WanConfig config)
    {
        var root = checkpoint.Root;
        var (width, patch) = (config.Width, config.PatchSize);
        var embedders = root.At("condition_embedder");
        (_checkpoint, _config) = (checkpoint, config);
        _patches = new FramePatches(root.At("patch_embedding"), config.InChannels, width, patch);
        _timeEmbedder = new EmbeddingMlp(embedders.At("time_embedder"), config.FreqDim, width);
        _timeProj = new Linear(embedders.At("time_proj"), width, 6 * width);
        _text1 = new Linear(embedders.At("text_embedder.linear_1"), config.TextDim, width);
        _text2 = new Linear(embedders.At("text_embedder.linear_2"), width, width);
        _rotary = new RotaryAxes(config.RotaryChannels, RotaryTheta);
        _blocks = new BlockLoop<WanPass>(
            [.. Enumerable.Range(0, config.NumLayers).Select(i => new WanBlock(root.At("blocks", i), config))]);
        _table = new ModulationTable(root, width, ModulationForm.ShiftScale);
        _projOut = new Linear(root.At("proj_out"), width, patch * patch * config.OutChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public WanConfig Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static WanTransformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static WanTransformer Load(ComponentSource source) => source.Build(
        (checkpoint, config) => new WanTransformer(checkpoint, WanConfig.Read(config)));

    /// <inheritdoc/>
    public override IReadOnlyList<int[]> PositionsOf(LatentGrid latents, IReadOnlyList<LatentGrid> references) =>
        [.. TokenIds.OfFrames(latents).All()];

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity, [batch, frames, height, width, channels].</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, WanConditioning positive, WanConditioning? negative, Steering steering, CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        float[] timesteps = [.. input.ItemTimesteps];
        var embedded = _timeEmbedder.Apply(Sinusoid.Of(input.Latents.Device, timesteps, _config.FreqDim));
        var modulation = _timeProj.Apply(embedded.Activate(Activation.Silu));
        input.Watch?.Invoke("condition_embedder.0", embedded);
        input.Watch?.Invoke("condition_embedder.1", modulation);
        input.Watch?.Invoke("condition_embedder.2", Caption(positive));
        var pass = new WanPass(
            modulation.Reshape(modulation.Shape[0], 6, _config.Width),
            new PromptTexts(steering.Attention, input.Memo, positive, negative, Caption), input.Watch);
        using var stream = Pack(input, steering.Attention);
        _blocks.Run(stream, pass, steering, cancellation);
        var last = _table.Over(embedded.Reshape(embedded.Shape[0], 1, _config.Width));
        var rows = _projOut.Apply(stream.NormOf(TokenKind.Latent, last.Attention).Tensor);
        input.Watch?.Invoke("proj_out", rows);
        return scope.Keep(LatentPatches.FramesFromRows(rows, input.Grid, _config.PatchSize));
    }

    /// <summary>The rows that cross-attention reads, [1 or batch, rows, width]: once for each prompt.</summary>
    private Tensor Caption(Conditioning prompt) =>
        prompt.Once(_text1, () => _text2.Apply(_text1.Apply(prompt.Text, Activation.GeluTanh)));

    private TokenStream Pack(DenoiserInput input, IAttention attention)
    {
        using var scope = new TensorScope();
        var latents = input.Beside == null ? input.Latents
            : TensorOperations.Concatenate(4, input.Latents, input.Beside.Expand(0, input.Latents.Shape[0]));
        var rows = _patches.Apply(latents);
        input.Watch?.Invoke("patch_embedding", rows);
        var part = new TokenPart(TokenKind.Latent, rows, TokenIds.OfFrames(input.Grid), input.Grid);
        return new TokenStream(attention, _config.AttentionHeadDim, _config.Epsilon, _rotary, part);
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<WanConditioning?> prompts)
    {
        var (s, grid, patch) = (input.Latents.Shape, input.Grid, _config.PatchSize);
        int beside = input.Beside?.Shape[4] ?? 0;
        if (s.Rank != 5 || s[1] != grid.Frames || s[2] != patch * grid.Height || s[3] != patch * grid.Width
            || s[4] + beside != _config.InChannels || (beside > 0 && input.Beside!.Shape.With(0, s[0]).With(4, s[4]) != s))
        {
            throw new ArgumentException(
                $"Latents {s} with {input.Beside?.Shape.ToString() ?? "nothing"} beside them are not [batch, {grid.Frames}, "
                    + $"{patch * grid.Height}, {patch * grid.Width}, {_config.InChannels}] together, as the grid {grid} says.",
                nameof(input));
        }
        foreach (var prompt in prompts)
            RequireText(input, prompt, _config.TextDim);
    }
}
