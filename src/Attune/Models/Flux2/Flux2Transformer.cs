using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>
/// FLUX.2 (Flux2Transformer2DModel of diffusers): double-stream blocks, then single-stream blocks, as in FLUX.1, with gated feed-forward
/// networks, without biases, and with modulations that all blocks of a kind share. Tokens are packed [negative text, text, latents,
/// references].
/// </summary>
public sealed class Flux2Transformer : Denoiser<Flux2Conditioning>
{
    /// <summary>The time between a picture and the next reference.</summary>
    private const int ReferenceTime = 10;

    private readonly Checkpoint _checkpoint;
    private readonly Flux2Config _config;
    private readonly Linear _xEmbedder;
    private readonly Linear _contextEmbedder;
    private readonly Flux2Time _time;
    private readonly BlockLoop<Flux2Modulations> _blocks;
    private readonly Linear _projOut;

    private Flux2Transformer(Checkpoint checkpoint, Flux2Config config)
    {
        var root = checkpoint.Root;
        (_checkpoint, _config) = (checkpoint, config);
        _xEmbedder = new Linear(root.At("x_embedder"), config.InChannels, config.Width, bias: false);
        _contextEmbedder = new Linear(root.At("context_embedder"), config.JointAttentionDim, config.Width, bias: false);
        _time = new Flux2Time(root, config);
        var doubles = Enumerable.Range(0, config.NumLayers).Select(i => new Flux2DoubleBlock(root.At("transformer_blocks", i), config));
        var singles = Enumerable.Range(0, config.NumSingleLayers)
            .Select(i => new Flux2SingleBlock(root.At("single_transformer_blocks", i), config));
        _blocks = new BlockLoop<Flux2Modulations>([.. doubles, .. singles]);
        _projOut = new Linear(root.At("proj_out"), config.Width, config.OutChannels, bias: false);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public Flux2Config Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    internal override int StreamWidth => _config.Width;

    /// <summary>
    /// In a single block: the stream, what is normed, queries, keys and values, what the gated network has within, both side by side.
    /// </summary>
    private protected override long FloatsPerToken => 15L * _config.Width;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <inheritdoc/>
    public override bool EmbedsGuidanceScale => _config.GuidanceEmbeds;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static Flux2Transformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static Flux2Transformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new Flux2Transformer(checkpoint, Flux2Config.Read(config)));

    /// <summary>(time, row, column, 0): time is 0 for latents, 10 for the first reference, 20 for the second.</summary>
    /// <inheritdoc/>
    public override IReadOnlyList<int[]> PositionsOf(LatentGrid latents, IReadOnlyList<LatentGrid> references)
    {
        ArgumentNullException.ThrowIfNull(references);
        return [.. references.Select((grid, i) => IdsOf(grid, i + 1)).Prepend(IdsOf(latents, 0)).SelectMany(ids => ids.All())];
    }

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity.</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, Flux2Conditioning positive, Flux2Conditioning? negative, Steering steering, CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;
        var time = _time.Embed(input);
        using var stream = Pack(input, positive, negative, steering.Attention);
        _blocks.Run(stream, _time.Blocks(time), steering, cancellation);
        return scope.Keep(_projOut.Apply(stream.NormOf(TokenKind.Latent, _time.Out(time)).Tensor));
    }

    private static TokenIds IdsOf(LatentGrid grid, int picture) => TokenIds.Of(grid, ReferenceTime * picture, axes: 4);

    private TokenStream Pack(DenoiserInput input, Flux2Conditioning positive, Flux2Conditioning? negative, IAttention attention)
    {
        using var scope = new TensorScope();
        var parts = new List<TokenPart>();
        if (negative != null)
            parts.Add(Text(TokenKind.NegativeText, negative));
        parts.Add(Text(TokenKind.Text, positive));
        parts.Add(new TokenPart(TokenKind.Latent, _xEmbedder.Apply(input.Latents), IdsOf(input.Grid, 0), input.Grid));
        for (int i = 0; i < input.References.Count; i++)
        {
            var reference = input.References[i];
            var rows = input.Memo == null ? _xEmbedder.Apply(reference.Latents)
                : input.Memo.Once((_xEmbedder, i), () => _xEmbedder.Apply(reference.Latents));
            parts.Add(new TokenPart(TokenKind.Reference, rows, IdsOf(reference.Grid, i + 1), reference.Grid));
        }
        return new TokenStream(attention, _config.AttentionHeadDim, _config.Epsilon, _config.Rotary, [.. parts]);
    }

    private TokenPart Text(TokenKind kind, Flux2Conditioning conditioning)
    {
        var rows = conditioning.Once(_contextEmbedder, () => _contextEmbedder.Apply(conditioning.Text));
        return new(kind, rows, TokenIds.Along(rows.Shape[1], axes: 4, axis: 3));
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<Flux2Conditioning?> conditionings)
    {
        RequireRows(input, _config.InChannels);
        RequireReferences(input, _config.InChannels);
        foreach (var conditioning in conditionings)
            RequireText(input, conditioning, _config.JointAttentionDim);
    }
}
