using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.ErnieImage;

/// <summary>
/// ERNIE-Image (ErnieImageTransformer2DModel of diffusers): blocks over one sequence, packed [negative text, latents, text]. Latents stand
/// at the length of their text, and what turns queries and keys is no rotation: attention among latents depends on the text beside them, so
/// that for texts of unequal length they have queries and keys of their own for each.
/// </summary>
public sealed class ErnieImageTransformer : Denoiser<ErnieImageConditioning>
{
    private readonly Checkpoint _checkpoint;
    private readonly ErnieImageConfig _config;
    private readonly Linear _xEmbedder;
    private readonly Linear? _textProj;
    private readonly EmbeddingMlp _timeEmbedding;
    private readonly ModulationLayer _modulation;
    private readonly BlockLoop<Modulation> _blocks;
    private readonly ModulationLayer _finalNorm;
    private readonly Linear _finalLinear;

    private ErnieImageTransformer(Checkpoint checkpoint, ErnieImageConfig config)
    {
        var (root, width) = (checkpoint.Root, config.HiddenSize);
        (_checkpoint, _config) = (checkpoint, config);
        _xEmbedder = new Linear(root.At("x_embedder.proj"), config.InChannels, width);
        _textProj = config.TextInDim == width ? null : new Linear(root.At("text_proj"), config.TextInDim, width, bias: false);
        _timeEmbedding = new EmbeddingMlp(root.At("time_embedding"), width, width);
        _modulation = new ModulationLayer(root.At("adaLN_modulation.1"), width, ModulationForm.ShiftScaleGate(branches: 2));
        _blocks = new BlockLoop<Modulation>(
            [.. Enumerable.Range(0, config.NumLayers).Select(i => new ErnieImageBlock(root.At("layers", i), config))]);
        _finalNorm = new ModulationLayer(root.At("final_norm.linear"), width, ModulationForm.ScaleShift);
        _finalLinear = new Linear(root.At("final_linear"), width, config.InChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public ErnieImageConfig Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    internal override int StreamWidth => _config.HiddenSize;

    /// <summary>In attention as others, or in the gated network: the stream, what is normed, and both products.</summary>
    private protected override long FloatsPerToken => Math.Max(base.FloatsPerToken, 2L * (_config.HiddenSize + _config.FfnHiddenSize));

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ErnieImageTransformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ErnieImageTransformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new ErnieImageTransformer(checkpoint, ErnieImageConfig.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity, [batch, height, width, channels].</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, ErnieImageConditioning positive, ErnieImageConditioning? negative, Steering steering,
        CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;
        float[] timesteps = [.. input.ItemTimesteps];
        var sinusoid = Sinusoid.Of(input.Latents.Device, timesteps, _config.HiddenSize, cosineFirst: false);
        var embedding = _timeEmbedding.Apply(sinusoid);
        input.Watch?.Invoke("time_embedding", embedding);
        var modulation = new TimeEmbeddings(embedding.Activate(Activation.Silu)).Through(_modulation).Make(TokenKind.Latent);
        using var stream = Pack(input, positive, negative, steering.Attention);
        _blocks.Run(stream, modulation, steering, cancellation);
        var last = new TimeEmbeddings(embedding).Through(_finalNorm).Attention;
        return scope.Keep(_finalLinear.Apply(stream.NormOf(TokenKind.Latent, last).Tensor).Reshape(input.Latents.Shape));
    }

    private TokenStream Pack(
        DenoiserInput input, ErnieImageConditioning positive, ErnieImageConditioning? negative, IAttention attention)
    {
        using var scope = new TensorScope();
        var latents = input.Latents.Reshape(input.Latents.Shape[0], input.Grid.Count, _config.InChannels);
        var text = Text(positive, input.Watch);
        int length = text.Shape[1];
        var embedded = _xEmbedder.Apply(latents);
        input.Watch?.Invoke("x_embedder", embedded);
        var image = new TokenPart(TokenKind.Latent, embedded, TokenIds.Of(input.Grid, length), input.Grid);
        var parts = new List<TokenPart>();
        if (negative != null)
        {
            var rows = Text(negative, null);
            int other = rows.Shape[1];
            parts.Add(new(TokenKind.NegativeText, rows, TokenIds.Along(other, axes: 3, axis: 0)));
            if (other != length)
                image = image with { BesideNegative = TokenIds.Of(input.Grid, other) };
        }
        parts.Add(image);
        parts.Add(new(TokenKind.Text, text, TokenIds.Along(length, axes: 3, axis: 0)));
        return new TokenStream(attention, _config.HeadChannels, _config.Epsilon, _config.Rotary, [.. parts]);
    }

    private Tensor Text(ErnieImageConditioning prompt, Action<string, Tensor>? watch)
    {
        if (_textProj == null)
            return prompt.Text;
        var rows = prompt.Once(_textProj, () => _textProj.Apply(prompt.Text));
        watch?.Invoke("text_proj", rows);
        return rows;
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<ErnieImageConditioning?> prompts)
    {
        RequirePixels(input, patch: 1, _config.InChannels);
        foreach (var prompt in prompts)
            RequireText(input, prompt, _config.TextInDim);
    }
}
