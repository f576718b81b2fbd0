using Attune.Attention;
using Attune.Layers;
using Attune.Prompts;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Unet;

/// <summary>
/// The UNet of Stable Diffusion 1.x, 2.x and SDXL (UNet2DConditionModel of diffusers; Rombach et al., "High-Resolution Image Synthesis with
/// Latent Diffusion Models", 2022; Podell et al., arXiv 2307.01952): an encoder whose feature maps the decoder reads again, with
/// transformers that attend to the text in cross-attention. Feature maps have their channels last, so that their pixels are the
/// transformers' tokens without a copy.
/// </summary>
public sealed class Unet2DConditionModel : Denoiser<UnetConditioning>
{
    private readonly Checkpoint _checkpoint;
    private readonly UnetConfig _config;
    private readonly UnetEmbedding _embedding;
    private readonly Conv2d _convIn;
    private readonly UnetDownBlock[] _downBlocks;
    private readonly UnetMidBlock _midBlock;
    private readonly UnetUpBlock[] _upBlocks;
    private readonly GroupNorm _convNormOut;
    private readonly Conv2d _convOut;

    internal Unet2DConditionModel(Checkpoint checkpoint, UnetConfig config)
    {
        var root = checkpoint.Root;
        int width = config.BlockOutChannels[0];
        (_checkpoint, _config) = (checkpoint, config);
        _embedding = new UnetEmbedding(root, config);
        _convIn = new Conv2d(root.At("conv_in"), config.InChannels, width, config.ConvInKernel);
        _downBlocks = [.. config.Down.Select((level, i) => new UnetDownBlock(root.At("down_blocks", i), config, i))];
        _midBlock = new UnetMidBlock(root.At("mid_block"), config);
        _upBlocks = [.. config.Up.Select((level, i) => new UnetUpBlock(root.At("up_blocks", i), config, i))];
        _convNormOut = new GroupNorm(root.At("conv_norm_out"), config.NormNumGroups, width, config.NormEps);
        _convOut = new Conv2d(root.At("conv_out"), width, config.OutChannels, config.ConvOutKernel);
        Sites = [.. Transformers.SelectMany(transformer => transformer.Sites)];
        Blocks = [.. Transformers.SelectMany(transformer => transformer.Blocks)];
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public UnetConfig Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    internal override int StreamWidth => _config.BlockOutChannels[0];

    /// <summary>Of the maps at full size, those that wait for the way up among them: measured, 15 (SD1.5) to 22 (SDXL).</summary>
    private protected override long FloatsPerToken => 22L * _config.BlockOutChannels[0];

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <inheritdoc/>
    public override bool HasSkipConnections => true;

    /// <inheritdoc/>
    public override bool EmbedsGuidanceScale => _config.TimeCondProjDim != null;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static Unet2DConditionModel Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static Unet2DConditionModel Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new Unet2DConditionModel(checkpoint, UnetConfig.Read(config)));

    /// <summary>A forward pass that shows what submodules give, by name, to find a fault.</summary>
    /// <param name="input">As for <see cref="Denoiser.Predict"/>.</param>
    /// <param name="steering">As for <see cref="Denoiser.Predict"/>.</param>
    /// <param name="probe">Receives the checkpoint's name of a submodule and its result, valid during the call alone.</param>
    /// <returns>The prediction; a tensor of the current scope.</returns>
    public Tensor Watch(DenoiserInput input, Steering steering, Action<string, Tensor> probe) =>
        Pass(input, (UnetConditioning)input.Positive, (UnetConditioning?)input.Negative, steering, probe, CancellationToken.None);

    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, UnetConditioning positive, UnetConditioning? negative, Steering steering, CancellationToken cancellation) =>
        Pass(input, positive, negative, steering, null, cancellation);

    private Tensor Pass(
        DenoiserInput input, UnetConditioning positive, UnetConditioning? negative, Steering steering, Action<string, Tensor>? probe,
        CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        var embedding = _embedding.Apply(input, positive, probe);
        var pass = new UnetPass(input.Memo, positive, negative, embedding, Blocks.Count, steering, cancellation);
        var read = input.Beside == null ? input.Latents
            : TensorOperations.Concatenate(3, input.Latents, input.Beside.Expand(0, input.Latents.Shape[0]));
        var hidden = _convIn.Apply(_config.CenterInputSample ? read.Affine(2, -1) : read);
        probe?.Invoke("conv_in", hidden);
        var skips = new Stack<Tensor>([hidden]);
        foreach (var block in _downBlocks)
        {
            hidden = block.Apply(hidden, skips, pass);
            probe?.Invoke(block.Path, hidden);
        }
        hidden = _midBlock.Apply(hidden, pass);
        probe?.Invoke("mid_block", hidden);
        foreach (var block in _upBlocks)
        {
            hidden = block.Apply(hidden, skips, pass);
            probe?.Invoke(block.Path, hidden);
        }
        probe?.Invoke("conv_norm_out", _convNormOut.Apply(hidden));
        return scope.Keep(_convOut.Apply(_convNormOut.Apply(hidden, Activation.Silu, into: hidden)));
    }

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    private IEnumerable<UnetTransformer> Transformers =>
        _downBlocks.SelectMany(block => block.Transformers)
            .Concat(_midBlock.Transformers)
            .Concat(_upBlocks.SelectMany(block => block.Transformers));

    private void Check(DenoiserInput input, UnetConditioning positive, UnetConditioning? negative)
    {
        var latents = input.Latents.Shape;
        int beside = input.Beside?.Shape[^1] ?? 0;
        if (latents.Rank != 4 || latents[3] + beside != _config.InChannels || latents.Count == 0
            || (beside > 0 && input.Beside!.Shape.With(0, latents[0]).With(3, latents[3]) != latents))
        {
            throw new ArgumentException(
                $"Latents {latents} with {input.Beside?.Shape.ToString() ?? "nothing"} beside them are not [batch, height, width, "
                    + $"{_config.InChannels}].",
                nameof(input));
        }
        foreach (var conditioning in new[] { positive, negative })
            RequireText(input, conditioning, _config.CrossAttentionDim);
        if (!_config.HasTextTime)
            return;
        bool FitsBatch(int rows) => rows == 1 || rows == latents[0];
        if (positive.Pooled?.Shape is not { Rank: 2 } pooled || positive.TimeIds?.Shape is not { Rank: 2 } ids
            || !FitsBatch(pooled[0]) || !FitsBatch(ids[0])
            || pooled[1] + ids[1] * _config.AdditionTimeEmbedDim != _config.ProjectionClassEmbeddingsInputDim)
        {
            throw new ArgumentException(
                $"The pooled embedding {positive.Pooled?.Shape} and the time ids {positive.TimeIds?.Shape}, {_config.AdditionTimeEmbedDim} "
                    + $"channels for each number, do not make [1, {_config.ProjectionClassEmbeddingsInputDim}].",
                nameof(input));
        }
    }
}

/// <summary>What all blocks of one forward pass share.</summary>
internal sealed class UnetPass(
    Memo? memo, Conditioning positive, Conditioning? negative, Tensor embedding, int blocks, Steering steering,
    CancellationToken cancellation)
{
    private int _block;

    /// <summary>The prompts' texts, as cross-attention reads them.</summary>
    public PromptTexts Texts { get; } = new(
        steering.Attention, memo, positive, negative, valuesOf: prompt => prompt is UnetConditioning own ? own.Values : prompt.Text);

    /// <summary>
    /// SiLU of the embedding of timestep, sizes and guidance, [1 or batch, channels]: every residual block begins with that SiLU.
    /// </summary>
    public Tensor Embedding => embedding;

    public Steering Steering => steering;

    public CancellationToken Cancellation => cancellation;

    /// <summary>The transformer block that comes next.</summary>
    public BlockPoint NextBlock(string path) => new(path, _block++, blocks);

    /// <summary>Whether a transformer block is left out.</summary>
    /// <exception cref="InvalidOperationException">
    /// The policy would finish the pass, which a UNet cannot: its blocks do not share their rows.
    /// </exception>
    public bool Skips(BlockPoint at, Tensor hidden) => steering.Blocks?.Before(at, hidden) is { } decision
        && (decision.Residual == null ? decision.IsSkipped
            : throw new InvalidOperationException($"{at.Path}: a UNet has no stack of equal blocks that a step cache could leave out."));
}

/// <summary>
/// time_embedding and add_embedding: the embeddings of the timestep and, where the model has them, of pooled text and sizes and of a
/// guidance scale.
/// </summary>
internal sealed class UnetEmbedding
{
    private readonly UnetConfig _config;
    private readonly Linear _linear1;
    private readonly Linear _linear2;
    private readonly Linear? _condProj;
    private readonly EmbeddingMlp? _addEmbedding;

    public UnetEmbedding(WeightCursor root, UnetConfig config)
    {
        _config = config;
        var at = root.At("time_embedding");
        int inputs = config.BlockOutChannels[0];
        _linear1 = new Linear(at.At("linear_1"), inputs, config.TimeEmbedDim);
        _linear2 = new Linear(at.At("linear_2"), config.TimeEmbedDim, config.TimeEmbedDim);
        _condProj = config.TimeCondProjDim is { } channels ? new Linear(at.At("cond_proj"), channels, inputs, bias: false) : null;
        _addEmbedding = config.HasTextTime
            ? new EmbeddingMlp(root.At("add_embedding"), config.ProjectionClassEmbeddingsInputDim, config.TimeEmbedDim)
            : null;
    }

    /// <summary>SiLU of the sum of the embeddings, [1 or batch, channels].</summary>
    public Tensor Apply(DenoiserInput input, UnetConditioning positive, Action<string, Tensor>? probe)
    {
        using var scope = new TensorScope();
        var features = Sinusoid.Of(
            input.Latents.Device, [.. input.Timesteps], _config.BlockOutChannels[0], _config.FlipSinToCos, _config.FreqShift);
        if (_condProj != null)
        {
            // As get_guidance_scale_embedding of diffusers: sines first, the last frequency being 1 / 10000.
            float w = (input.GuidanceScale!.Value - 1) * 1000;
            features = features.Add(
                _condProj.Apply(
                    Sinusoid.Of(features.Device, [w], _config.TimeCondProjDim!.Value, cosineFirst: false, frequencyShift: 1)));
        }
        var embedding = _linear2.Apply(_linear1.Apply(features, Activation.Silu));
        probe?.Invoke("time_embedding", embedding);
        if (_addEmbedding != null)
        {
            var added = _addEmbedding.Apply(TextAndSizes(positive.Pooled!, positive.TimeIds!));
            probe?.Invoke("add_embedding", added);
            embedding = embedding.Add(added);
        }
        return scope.Keep(embedding.Activate(Activation.Silu));
    }

    /// <summary>The pooled text, then the sinusoids of the sizes: [1 or batch, channels].</summary>
    private Tensor TextAndSizes(Tensor pooled, Tensor ids)
    {
        var sizes = Sinusoid.Of(ids.Device, ids.ToArray(), _config.AdditionTimeEmbedDim, _config.FlipSinToCos, _config.FreqShift)
            .Reshape(ids.Shape[0], -1);
        int rows = Math.Max(pooled.Shape[0], ids.Shape[0]);
        return TensorOperations.Concatenate(1, pooled.Expand(0, rows), sizes.Expand(0, rows));
    }
}

/// <summary>
/// A level of the encoder: residual blocks, each with transformers behind it where the level has them, then a convolution that halves
/// height and width (CrossAttnDownBlock2D, DownBlock2D).
/// </summary>
internal sealed class UnetDownBlock
{
    private readonly ResnetBlock[] _resnets;
    private readonly UnetTransformer[] _attentions;
    private readonly Conv2d? _downsampler;

    public UnetDownBlock(WeightCursor at, UnetConfig config, int index)
    {
        Path = at.Path;
        var level = config.Down[index];
        int inputs = config.Down[Math.Max(index - 1, 0)].Channels;
        _resnets = [
            .. Enumerable.Range(0, level.Resnets)
                .Select(i => UnetLayers.Resnet(at.At("resnets", i), config, i == 0 ? inputs : level.Channels, level.Channels))];
        _attentions = [
            .. level.TransformerLayers.Select((layers, i) => new UnetTransformer(at.At("attentions", i), config, level, layers))];

        // Without padding on all sides, the reference pads a row below and a column on the right.
        var halving = config.DownsamplePadding == 1 ? Conv2dGeometry.Same(1, stride: 2)
            : new Conv2dGeometry(Stride: 2, Top: 0, Left: 0, Bottom: 1, Right: 1);
        _downsampler = index < config.Down.Length - 1
            ? new Conv2d(at.At("downsamplers.0.conv"), level.Channels, level.Channels, kernel: 3, halving)
            : null;
    }

    public string Path { get; }

    public IEnumerable<UnetTransformer> Transformers => _attentions;

    /// <summary>Leaves the input as it is, since it is a skip too, and adds what it makes to the skips.</summary>
    public Tensor Apply(Tensor hidden, Stack<Tensor> skips, UnetPass pass)
    {
        for (int i = 0; i < _resnets.Length; i++)
        {
            pass.Cancellation.ThrowIfCancellationRequested();
            hidden = _resnets[i].Apply(hidden, pass.Embedding);
            if (_attentions.Length > 0)
                hidden = hidden.Then(_attentions[i].Apply(hidden, pass));
            skips.Push(hidden);
        }
        if (_downsampler != null)
            skips.Push(hidden = _downsampler.Apply(hidden));
        return hidden;
    }
}

/// <summary>
/// The middle: a residual block, and transformers and a second one behind it (UNetMidBlock2DCrossAttn, UNetMidBlock2D), or nothing.
/// </summary>
internal sealed class UnetMidBlock
{
    private readonly ResnetBlock[] _resnets;
    private readonly UnetTransformer[] _attentions;

    public UnetMidBlock(WeightCursor at, UnetConfig config)
    {
        var level = config.Down[^1];
        int resnets = config.Middle switch { UnetMiddle.None => 0, UnetMiddle.Resnet => 1, _ => 2 };
        _resnets = [
            .. Enumerable.Range(0, resnets).Select(i => UnetLayers.Resnet(at.At("resnets", i), config, level.Channels, level.Channels))];
        _attentions = config.Middle == UnetMiddle.CrossAttention
            ? [new UnetTransformer(at.At("attentions.0"), config, level, config.MiddleLayers)]
            : [];
    }

    public IEnumerable<UnetTransformer> Transformers => _attentions;

    /// <summary>Leaves the input as it is: it is the last of the skips.</summary>
    public Tensor Apply(Tensor hidden, UnetPass pass)
    {
        for (int i = 0; i < _resnets.Length; i++)
        {
            pass.Cancellation.ThrowIfCancellationRequested();
            if (i > 0)
                hidden = hidden.Then(_attentions[i - 1].Apply(hidden, pass));
            var next = _resnets[i].Apply(hidden, pass.Embedding);
            hidden = i > 0 ? hidden.Then(next) : next;
        }
        return hidden;
    }
}

/// <summary>
/// A level of the decoder: residual blocks that read a skip each, with transformers behind them where the level has them, then a doubling
/// of height and width and a convolution (CrossAttnUpBlock2D, UpBlock2D).
/// </summary>
internal sealed class UnetUpBlock
{
    private readonly ResnetBlock[] _resnets;
    private readonly UnetTransformer[] _attentions;
    private readonly Conv2d? _upsampler;

    public UnetUpBlock(WeightCursor at, UnetConfig config, int index)
    {
        Path = at.Path;
        var level = config.Up[index];
        int below = config.Up[Math.Max(index - 1, 0)].Channels;                             // of what comes in
        // of the last skip, which the encoder's level before made
        int above = config.Up[Math.Min(index + 1, config.Up.Length - 1)].Channels;
        _resnets = [.. Enumerable.Range(0, level.Resnets).Select(i => UnetLayers.Resnet(
            at.At("resnets", i), config, (i == 0 ? below : level.Channels) + (i == level.Resnets - 1 ? above : level.Channels),
            level.Channels))];
        _attentions = [
            .. level.TransformerLayers.Select((layers, i) => new UnetTransformer(at.At("attentions", i), config, level, layers))];
        _upsampler = index < config.Up.Length - 1 ? new Conv2d(at.At("upsamplers.0.conv"), level.Channels, level.Channels, kernel: 3)
            : null;
    }

    public string Path { get; }

    public IEnumerable<UnetTransformer> Transformers => _attentions;

    /// <summary>Consumes the input and the skips that it reads.</summary>
    public Tensor Apply(Tensor hidden, Stack<Tensor> skips, UnetPass pass)
    {
        for (int i = 0; i < _resnets.Length; i++)
        {
            pass.Cancellation.ThrowIfCancellationRequested();
            var joined = Join(hidden, skips.Pop(), pass.Steering.Skips);
            hidden = joined.Then(_resnets[i].Apply(joined, pass.Embedding));
            if (_attentions.Length > 0)
                hidden = hidden.Then(_attentions[i].Apply(hidden, pass));
        }
        if (_upsampler == null)
            return hidden;

        // To the size of the next skip, which is odd where halving rounded up.
        var next = skips.Peek().Shape;
        hidden = hidden.Then(hidden.ResizeNearest(next[1], next[2]));
        return hidden.Then(_upsampler.Apply(hidden));
    }

    /// <summary>Both feature maps side by side, after what steering does to them. They end here.</summary>
    private Tensor Join(Tensor hidden, Tensor skip, ISkipConnection? steering)
    {
        using var scope = new TensorScope();
        var (left, right) = steering?.Adjust(Path, hidden, skip) ?? (hidden, skip);
        var joined = scope.Keep(TensorOperations.Concatenate(3, left, right));
        hidden.Dispose();
        skip.Dispose();
        return joined;
    }
}

/// <summary>Transformer blocks over the pixels of a feature map (Transformer2DModel), added to it.</summary>
internal sealed class UnetTransformer(WeightCursor at, UnetConfig config, UnetLevel level, int layers)
{
    private readonly GroupNorm _norm = new(at.At("norm"), config.NormNumGroups, level.Channels, UnetConfig.TransformerNormEpsilon);
    // linear or a 1 x 1 convolution: over channels that are last, the same
    private readonly Linear _projIn = new(at.At("proj_in"), level.Channels, level.Channels);
    private readonly UnetTransformerBlock[] _transformerBlocks =
        [
            .. Enumerable.Range(0, layers)
                .Select(i => new UnetTransformerBlock(at.At("transformer_blocks", i), level.Channels, level.Heads, level.TextChannels))];
    private readonly Linear _projOut = new(at.At("proj_out"), level.Channels, level.Channels);

    public IEnumerable<AttentionSite> Sites => _transformerBlocks.SelectMany(block => block.Sites);

    public IEnumerable<string> Blocks => _transformerBlocks.Select(block => block.Path);

    /// <summary>[batch, height, width, channels]; leaves x as it is.</summary>
    public Tensor Apply(Tensor x, UnetPass pass)
    {
        using var scope = new TensorScope();
        var (height, width) = (x.Shape[1], x.Shape[2]);
        var normed = _norm.Apply(x);
        var hidden = normed.Then(_projIn.Apply(normed)).Reshape(x.Shape[0], height * width, level.Channels);
        var layout = new TokenLayout(new TokenSpan(TokenKind.Latent, 0, height * width, new LatentGrid(1, height, width)));
        foreach (var block in _transformerBlocks)
        {
            pass.Cancellation.ThrowIfCancellationRequested();
            block.AddTo(hidden, layout, pass);
        }
        return scope.Keep(_projOut.AddTo(x, hidden.Reshape(x.Shape)));
    }
}

/// <summary>
/// Self-attention, cross-attention and a feed-forward network, each after a norm and added to the tokens (BasicTransformerBlock).
/// </summary>
internal sealed class UnetTransformerBlock(WeightCursor at, int channels, int heads, int textChannels)
{
    private readonly LayerNorm _norm1 = new(at.At("norm1"), channels);
    private readonly UnetSelfAttention _attn1 = new(at.At("attn1"), channels, heads);
    private readonly LayerNorm _norm2 = new(at.At("norm2"), channels);
    private readonly UnetCrossAttention _attn2 = new(at.At("attn2"), channels, heads, textChannels);
    private readonly LayerNorm _norm3 = new(at.At("norm3"), channels);
    private readonly UnetFeedForward _ff = new(at.At("ff"), channels);

    public string Path { get; } = at.Path;

    public AttentionSite[] Sites => [_attn1.Site, _attn2.Site];

    /// <summary>Updates [batch, tokens, channels] in place.</summary>
    public void AddTo(Tensor hidden, TokenLayout layout, UnetPass pass)
    {
        var at = pass.NextBlock(Path);
        if (pass.Skips(at, hidden))
            return;
        using var scope = new TensorScope();
        var normed = _norm1.Apply(hidden);
        _attn1.AddTo(hidden, normed, layout, pass);
        _norm2.Apply(hidden, into: normed);
        _attn2.AddTo(hidden, normed, layout, pass);
        _norm3.Apply(hidden, into: normed);
        _ff.AddTo(hidden, normed);
        pass.Steering.Blocks?.After(at, hidden);
    }
}

/// <summary>Attention of the latents to each other.</summary>
internal sealed class UnetSelfAttention(WeightCursor at, int channels, int heads)
{
    private readonly Linear _toQ = new(at.At("to_q"), channels, channels, bias: false);
    private readonly Linear _toK = new(at.At("to_k"), channels, channels, bias: false);
    private readonly Linear _toV = new(at.At("to_v"), channels, channels, bias: false);
    private readonly Linear _toOut = new(at.At("to_out.0"), channels, channels);

    public AttentionSite Site { get; } = new(at.Path, AttentionKind.Self);

    /// <summary>Updates [batch, tokens, channels] in place by the attention of x, which is as large.</summary>
    public void AddTo(Tensor hidden, Tensor x, TokenLayout layout, UnetPass pass)
    {
        using var scope = new TensorScope();
        var (q, k, v) = (
            UnetLayers.Heads(_toQ.Apply(x), heads), UnetLayers.Heads(_toK.Apply(x), heads), UnetLayers.Heads(_toV.Apply(x), heads));
        var attended = pass.Steering.Attention.Attend(new AttentionCall(q, k, v, 1 / MathF.Sqrt(channels / heads), layout, layout, Site));
        _toOut.AddTo(hidden, attended.Reshape(x.Shape), into: hidden);
    }
}

/// <summary>
/// Attention of the latents to the text. Its keys and values depend on the prompts alone: they are computed once for a request.
/// </summary>
internal sealed class UnetCrossAttention(WeightCursor at, int channels, int heads, int textChannels)
{
    private readonly Linear _toQ = new(at.At("to_q"), channels, channels, bias: false);
    private readonly Linear _toK = new(at.At("to_k"), textChannels, channels, bias: false);
    private readonly Linear _toV = new(at.At("to_v"), textChannels, channels, bias: false);
    private readonly Linear _toOut = new(at.At("to_out.0"), channels, channels);

    public AttentionSite Site { get; } = new(at.Path, AttentionKind.Cross);

    /// <summary>Updates [batch, tokens, channels] in place by the attention of x, which is as large.</summary>
    public void AddTo(Tensor hidden, Tensor x, TokenLayout layout, UnetPass pass)
    {
        using var scope = new TensorScope();
        var texts = pass.Texts.For(Site, _toK, _toV);
        var q = UnetLayers.Heads(_toQ.Apply(x), heads);
        var (k, v) = (UnetLayers.Heads(texts.Key, heads), UnetLayers.Heads(texts.Value, heads));
        var attended = pass.Steering.Attention.Attend(
            new AttentionCall(q, k, v, 1 / MathF.Sqrt(channels / heads), layout, texts.Layout, Site));
        _toOut.AddTo(hidden, attended.Reshape(x.Shape), into: hidden);
    }
}

/// <summary>
/// A linear layer whose one half is multiplied with GELU of the other, and a linear layer (GEGLU; Shazeer, arXiv 2002.05202).
/// </summary>
internal sealed class UnetFeedForward(WeightCursor at, int channels)
{
    private readonly Linear _proj = new(at.At("net.0.proj"), channels, 8 * channels);
    private readonly Linear _out = new(at.At("net.2"), 4 * channels, channels);

    /// <summary>Updates [batch, tokens, channels] in place.</summary>
    public void AddTo(Tensor residual, Tensor x)
    {
        using var scope = new TensorScope();
        var hidden = _proj.Apply(x, 0, 4 * channels);
        var gate = _proj.Apply(x, 4 * channels, 4 * channels, Activation.Gelu);
        hidden.Multiply(gate, into: hidden);
        gate.Dispose();
        _out.AddTo(residual, hidden, into: residual);
    }
}

/// <summary>What the blocks have in common.</summary>
internal static class UnetLayers
{
    public static ResnetBlock Resnet(WeightCursor at, UnetConfig config, int inputs, int outputs) =>
        new(at, inputs, outputs, config.NormNumGroups, config.NormEps, Activation.Silu, config.TimeEmbedDim);

    /// <summary>[batch, tokens, channels] to [batch, tokens, heads, channels of a head].</summary>
    public static Tensor Heads(Tensor x, int heads) => x.Reshape(x.Shape[0], x.Shape[1], heads, -1);
}
