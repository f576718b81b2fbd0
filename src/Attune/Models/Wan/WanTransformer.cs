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
    private readonly WanImageEmbedding? _image;
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
        if (config.ImageDim is { } channels)
            _image = new WanImageEmbedding(embedders.At("image_embedder"), channels, width);
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
    internal override int StreamWidth => _config.Width;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <summary>
    /// Of each row: in attention its stream, what is normed, queries, keys and values, the former two turned, and what is found; in the
    /// feed-forward network its stream, what goes in, comes out and is within. Beside these the angles, latents and the prediction.
    /// </summary>
    /// <inheritdoc/>
    public override long ActivationBytes(LatentGrid grid, int count)
    {
        int block = Math.Max(8 * _config.Width, 3 * _config.Width + _config.FfnDim);
        int beside = _config.AttentionHeadDim + 3 * _config.InChannels * _config.PatchSize * _config.PatchSize;
        return sizeof(float) * (long)grid.Count * count * (block + beside);
    }

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
        var (embedded, modulation) = Embed(input.Latents.Device, [.. input.ItemTimesteps]);
        input.Watch?.Invoke("condition_embedder.0", embedded);
        input.Watch?.Invoke("condition_embedder.1", modulation);
        input.Watch?.Invoke("condition_embedder.2", Caption(positive));
        (Tensor Embedded, Tensor Modulation)? given = input.CleanFrames > 0 ? Embed(input.Latents.Device, [0]) : null;
        var pass = new WanPass(
            Vectors(modulation, 6), given is { } clean ? Vectors(clean.Modulation, 6) : null,
            new PromptTexts(steering.Attention, input.Memo, positive, negative, Caption), Seen(input), input.Watch);
        using var stream = Pack(input, steering.Attention);
        _blocks.Run(stream, pass, steering, cancellation);
        var last = _table.Over(Vectors(embedded, 1), given is { } first ? Vectors(first.Embedded, 1) : null);
        var rows = _projOut.Apply(stream.Norm(last.Attention).Tensor);
        input.Watch?.Invoke("proj_out", rows);
        return scope.Keep(LatentPatches.FramesFromRows(rows, input.Grid, _config.PatchSize));
    }

    /// <summary>The embedding of timesteps 0 to 1000, [timesteps, width], and six vectors beside each other for all blocks.</summary>
    private (Tensor Embedded, Tensor Modulation) Embed(Device device, float[] timesteps)
    {
        var embedded = _timeEmbedder.Apply(Sinusoid.Of(device, timesteps, _config.FreqDim));
        return (embedded, _timeProj.Apply(embedded.Activate(Activation.Silu)));
    }

    private Tensor Vectors(Tensor vectors, int count) => vectors.Reshape(vectors.Shape[0], count, _config.Width);

    /// <summary>What the blocks read of the picture, [1, rows, width], once for a request; null for models that read none.</summary>
    private WanPicture? Seen(DenoiserInput input)
    {
        if (_image == null)
            return null;
        Tensor Make() => _image.Apply(input.Picture!);
        return new WanPicture(input.Memo == null ? Make() : input.Memo.Once((_image, input.Picture!), Make), input.Memo);
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
        var (grid, clean) = (input.Grid, input.CleanFrames);
        var (given, noisy) = (grid with { Frames = clean }, grid with { Frames = grid.Frames - clean });
        var part = new TokenPart(
            TokenKind.Latent, rows.Slice(1, given.Count, noisy.Count), TokenIds.OfFrames(noisy, first: clean), noisy);
        return new TokenStream(
            attention, _config.AttentionHeadDim, _config.Epsilon, _rotary,
            clean == 0 ? [part]
                : [new TokenPart(TokenKind.Reference, rows.Slice(1, 0, given.Count), TokenIds.OfFrames(given), given), part]);
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
        if (input.CleanFrames < 0 || input.CleanFrames >= grid.Frames)
        {
            throw new ArgumentException(
                $"{input.CleanFrames} of {grid.Frames} latent frames are given, expected fewer than there are.", nameof(input));
        }
        if (_config.ImageDim != (input.Picture?.Shape is { Rank: 3 } picture && picture[0] == 1 ? picture[2] : null))
        {
            throw new ArgumentException(
                $"What was seen of the picture is {input.Picture?.Shape.ToString() ?? "missing"}, expected "
                    + $"{(_config.ImageDim is { } wanted ? $"[1, rows, {wanted}]" : "nothing")}.",
                nameof(input));
        }
    }
}
