using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Chroma;

/// <summary>
/// Chroma (ChromaTransformer2DModel of diffusers): FLUX.1's blocks, whose modulations one network makes from the time, for all blocks
/// together. Tokens are packed [negative text, text, latents]. Pads of the text, but for the first, are left out, as the model was trained;
/// the pipeline of diffusers adds 1 to the logits of the others instead.
/// </summary>
public sealed class ChromaTransformer : Denoiser<ChromaConditioning>
{
    private readonly Checkpoint _checkpoint;
    private readonly ChromaConfig _config;
    private readonly Linear _xEmbedder;
    private readonly Linear _contextEmbedder;
    private readonly ChromaModulations _modulations;
    private readonly BlockLoop<ChromaTime> _blocks;
    private readonly Linear _projOut;

    private ChromaTransformer(Checkpoint checkpoint, ChromaConfig config)
    {
        var root = checkpoint.Root;
        (_checkpoint, _config) = (checkpoint, config);
        _xEmbedder = new Linear(root.At("x_embedder"), config.InChannels, config.Width);
        _contextEmbedder = new Linear(root.At("context_embedder"), config.JointAttentionDim, config.Width);
        _modulations = new ChromaModulations(root.At("distilled_guidance_layer"), config);
        var doubles = Enumerable.Range(0, config.NumLayers).Select(i => new ChromaDoubleBlock(root.At("transformer_blocks", i), config, i));
        var singles = Enumerable.Range(0, config.NumSingleLayers)
            .Select(i => new ChromaSingleBlock(root.At("single_transformer_blocks", i), config, i));
        _blocks = new BlockLoop<ChromaTime>([.. doubles, .. singles]);
        _projOut = new Linear(root.At("proj_out"), config.Width, config.OutChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public ChromaConfig Config => _config;

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

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ChromaTransformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ChromaTransformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new ChromaTransformer(checkpoint, ChromaConfig.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity.</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, ChromaConditioning positive, ChromaConditioning? negative, Steering steering, CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;

        // Divided and multiplied by 1000 on its way, as in the reference: float32 rounds it twice.
        float[] timesteps = [.. input.ItemTimesteps.Select(timestep => timestep / 1000 * 1000)];
        var table = _modulations.Apply(input.Latents.Device, timesteps);
        input.Watch?.Invoke("distilled_guidance_layer", table);
        var time = new ChromaTime(table, _config);
        using var stream = Pack(input, positive, negative, steering.Attention);
        _blocks.Run(stream, time, steering, cancellation);
        return scope.Keep(_projOut.Apply(stream.NormOf(TokenKind.Latent, time.Out.Attention).Tensor));
    }

    private TokenStream Pack(DenoiserInput input, ChromaConditioning positive, ChromaConditioning? negative, IAttention attention)
    {
        using var scope = new TensorScope();
        var parts = new List<TokenPart>();
        if (negative != null)
            parts.Add(Text(TokenKind.NegativeText, negative));
        parts.Add(Text(TokenKind.Text, positive));
        parts.Add(new TokenPart(TokenKind.Latent, _xEmbedder.Apply(input.Latents), TokenIds.Of(input.Grid), input.Grid)
        {
            Marked = positive.IsAdditive ? input.Grid.Count : null,
        });
        return new TokenStream(attention, _config.AttentionHeadDim, ChromaConfig.Epsilon, _config.Rotary, [.. parts]);
    }

    private TokenPart Text(TokenKind kind, ChromaConditioning conditioning)
    {
        int count = conditioning.IsAdditive ? conditioning.Text.Shape[1] : conditioning.CountedRows;
        var rows = conditioning.Once(_contextEmbedder, () => _contextEmbedder.Apply(conditioning.Text.Slice(1, 0, count)));
        return new(kind, rows, TokenIds.Same(rows.Shape[1], 0, 0, 0))
        {
            Marked = conditioning.IsAdditive ? conditioning.CountedRows : null,
        };
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<ChromaConditioning?> conditionings)
    {
        RequireRows(input, _config.InChannels);
        foreach (var conditioning in conditionings)
            RequireText(input, conditioning, _config.JointAttentionDim);
    }
}
