using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.QwenImage;

/// <summary>
/// Qwen-Image (QwenImageTransformer2DModel of diffusers; arXiv 2508.02324): double-stream blocks alone. Tokens are packed [negative text,
/// text, latents, references]. Latents stand around the middle of the picture, references around their own at a time of their own; both
/// texts begin where the largest side of all pictures ends.
/// </summary>
public sealed class QwenImageTransformer : Denoiser<QwenImageConditioning>
{
    private const int SinusoidChannels = 256;

    /// <summary>A tensor without a meaning of its own, with which files say that <see cref="QwenImageConfig.ZeroCondT"/> holds.</summary>
    private const string ZeroMark = "__index_timestep_zero__";

    private readonly Checkpoint _checkpoint;
    private readonly QwenImageConfig _config;
    private readonly Linear _imgIn;
    private readonly RmsNorm _txtNorm;
    private readonly Linear _txtIn;
    private readonly EmbeddingMlp _timestepEmbedder;
    private readonly BlockLoop<TimeEmbeddings> _blocks;
    private readonly ModulationLayer _normOut;
    private readonly Linear _projOut;

    private QwenImageTransformer(Checkpoint checkpoint, QwenImageConfig config)
    {
        var root = checkpoint.Root;
        int width = config.Width;
        (_checkpoint, _config) = (checkpoint, config);
        _imgIn = new Linear(root.At("img_in"), config.InChannels, width);
        _txtNorm = new RmsNorm(root.At("txt_norm"), config.JointAttentionDim, QwenImageConfig.Epsilon);
        _txtIn = new Linear(root.At("txt_in"), config.JointAttentionDim, width);
        _timestepEmbedder = new EmbeddingMlp(root.At("time_text_embed.timestep_embedder"), SinusoidChannels, width);
        _blocks = new BlockLoop<TimeEmbeddings>(
            [.. Enumerable.Range(0, config.NumLayers).Select(i => new QwenImageBlock(root.At("transformer_blocks", i), config))]);
        _normOut = new ModulationLayer(root.At("norm_out.linear"), width, ModulationForm.ScaleShift);
        _projOut = new Linear(root.At("proj_out"), width, config.PatchSize * config.PatchSize * config.OutChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed(ZeroMark);
    }

    /// <summary>The configuration that was read.</summary>
    public QwenImageConfig Config => _config;

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
    public static QwenImageTransformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static QwenImageTransformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new QwenImageTransformer(checkpoint, QwenImageConfig.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity.</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, QwenImageConditioning positive, QwenImageConditioning? negative, Steering steering,
        CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;
        float[] timesteps = [.. input.ItemTimesteps.Select(timestep => timestep / 1000)];
        Tensor Embed(float[] at) => _timestepEmbedder.Apply(Sinusoid.Of(input.Latents.Device, at, SinusoidChannels, scale: 1000))
            .Activate(Activation.Silu);
        var time = new TimeEmbeddings(
            Embed(timesteps),
            references: _config.ZeroCondT && input.References.Count > 0 ? Embed(new float[timesteps.Length]) : null);
        using var stream = Pack(input, positive, negative, steering.Attention);
        _blocks.Run(stream, time, steering, cancellation);
        return scope.Keep(_projOut.Apply(stream.NormOf(TokenKind.Latent, time.Through(_normOut).Attention).Tensor));
    }

    private TokenStream Pack(
        DenoiserInput input, QwenImageConditioning positive, QwenImageConditioning? negative, IAttention attention)
    {
        using var scope = new TensorScope();
        var parts = new List<TokenPart>();
        if (negative != null)
            parts.Add(Text(TokenKind.NegativeText, negative, input));
        parts.Add(Text(TokenKind.Text, positive, input));
        var ids = TokenIds.Centred(input.Grid);
        parts.Add(new TokenPart(TokenKind.Latent, _imgIn.Apply(input.Latents), ids, input.Grid));
        for (int i = 0; i < input.References.Count; i++)
        {
            var reference = input.References[i];
            var rows = input.Memo == null ? _imgIn.Apply(reference.Latents)
                : input.Memo.Once((_imgIn, i), () => _imgIn.Apply(reference.Latents));
            var own = TokenIds.Centred(reference.Grid, time: i + 1);
            parts.Add(new TokenPart(TokenKind.Reference, rows, own, reference.Grid));
            ids = ids.Then(own);
        }
        if (input.Watch is { } watch)
        {
            watch("rope.image", Turns(input.Latents.Device, ids));
            watch("rope.text", Turns(input.Latents.Device, parts.Last(part => part.Kind == TokenKind.Text).Ids));
        }
        return new TokenStream(attention, _config.AttentionHeadDim, QwenImageConfig.Epsilon, _config.Rotary, [.. parts]);
    }

    private TokenPart Text(TokenKind kind, QwenImageConditioning conditioning, DenoiserInput input)
    {
        var rows = conditioning.Once(_txtIn, () =>
        {
            var normed = _txtNorm.Apply(conditioning.Text);
            input.Watch?.Invoke("txt_norm", normed);
            return _txtIn.Apply(normed);
        });
        int first = input.References.Select(reference => reference.Grid).Append(input.Grid)
            .Max(grid => Math.Max(grid.Height / 2, grid.Width / 2));
        return new(kind, rows, TokenIds.Diagonal(rows.Shape[1], axes: 3, first));
    }

    /// <summary>Cosines and sines of the positions, [tokens, pairs, 2].</summary>
    private Tensor Turns(Device device, TokenIds ids)
    {
        var table = _config.Rotary.Table(device, ids);
        Shape shape = [table.Tokens, table.Cosine.Shape[1], 1];
        return TensorOperations.Concatenate(2, table.Cosine.Reshape(shape), table.Sine.Reshape(shape));
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<QwenImageConditioning?> conditionings)
    {
        RequireRows(input, _config.InChannels);
        RequireReferences(input, _config.InChannels);
        foreach (var conditioning in conditionings)
            RequireText(input, conditioning, _config.JointAttentionDim);
    }
}
