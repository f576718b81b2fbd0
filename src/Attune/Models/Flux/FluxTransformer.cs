using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>The inputs of one forward pass of <see cref="FluxTransformer"/>.</summary>
/// <param name="Latents">Packed latents, [batch, latents, in_channels].</param>
/// <param name="LatentIds">[latents, axes]: the position of each latent token on each rotary axis (0, row, column).</param>
/// <param name="Timesteps">The noise level t of each batch item, from 0 to 1 (the scheduler's timestep / 1000).</param>
/// <param name="Positive">The prompt.</param>
/// <param name="Negative">The negative prompt, for rules that read it in attention; null leaves it out. Any length.</param>
/// <param name="GuidanceScale">The embedded guidance scale, for models with <c>guidance_embeds</c>.</param>
public sealed record FluxInput(
    Tensor Latents, Tensor LatentIds, IReadOnlyList<float> Timesteps, Conditioning Positive, Conditioning? Negative = null,
    float? GuidanceScale = null);

/// <summary>
/// FLUX.1 (FluxTransformer2DModel of diffusers): double-stream blocks in which text and latents have weights of their own, then
/// single-stream blocks over one sequence. Tokens are packed [negative text, text, latents, negative latents]; see
/// <see cref="TokenLayout"/>.
/// </summary>
public sealed class FluxTransformer : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly FluxConfig _config;
    private readonly Linear _xEmbedder;
    private readonly Linear _contextEmbedder;
    private readonly TimeTextEmbedding _timeTextEmbed;
    private readonly DoubleStreamBlock[] _transformerBlocks;
    private readonly SingleStreamBlock[] _singleTransformerBlocks;
    private readonly Linear _normOut;
    private readonly Linear _projOut;

    private FluxTransformer(Checkpoint checkpoint, FluxConfig config)
    {
        var root = checkpoint.Root;
        int width = config.Width;
        (_checkpoint, _config) = (checkpoint, config);
        _xEmbedder = new Linear(root.At("x_embedder"), config.InChannels, width);
        _contextEmbedder = new Linear(root.At("context_embedder"), config.JointAttentionDim, width);
        _timeTextEmbed = new TimeTextEmbedding(root.At("time_text_embed"), config);
        _transformerBlocks = [
            .. Enumerable.Range(0, config.NumLayers).Select(i => new DoubleStreamBlock(root.At("transformer_blocks", i), config))];
        _singleTransformerBlocks = [
            .. Enumerable.Range(0, config.NumSingleLayers)
                .Select(i => new SingleStreamBlock(root.At("single_transformer_blocks", i), config))];
        _normOut = new Linear(root.At("norm_out.linear"), width, 2 * width);
        _projOut = new Linear(root.At("proj_out"), width, config.PatchSize * config.PatchSize * config.OutChannels);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public FluxConfig Config => _config;

    /// <summary>The attention layers, in the order in which a forward pass calls them.</summary>
    public IEnumerable<AttentionSite> Sites =>
        _transformerBlocks.Select(block => block.Site).Concat(_singleTransformerBlocks.Select(block => block.Site));

    /// <summary>The names of the blocks, in the order in which a forward pass runs them.</summary>
    public IEnumerable<string> Blocks =>
        _transformerBlocks.Select(block => block.Path).Concat(_singleTransformerBlocks.Select(block => block.Path));

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static FluxTransformer Load(string folder) => Load(ComponentSource.Folder(folder));

    internal static FluxTransformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new FluxTransformer(checkpoint, FluxConfig.Read(config)));

    /// <summary>One forward pass.</summary>
    /// <returns>The predicted velocity, [batch, latents, out channels]; owned by the current scope.</returns>
    /// <exception cref="ArgumentException">An input has the wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; checked before every block.</exception>
    public Tensor Predict(FluxInput input, Steering steering, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(steering);
        Check(input);
        using var scope = new TensorScope();

        // After the last layer that reads it, the negative text is gone; in that layer it gives keys and values alone.
        int lastNegative = input.Negative == null ? -1
            : Sites.Select((site, i) => steering.Attention.ReadsNegativeText(site) ? i : -1).DefaultIfEmpty(-1).Max();
        bool negative = lastNegative >= 0;

        int batch = input.Latents.Shape[0];
        var timesteps = input.Timesteps.Count == batch ? [.. input.Timesteps] : Enumerable.Repeat(input.Timesteps[0], batch).ToArray();
        var positiveEmbedding = _timeTextEmbed.Apply(timesteps, input.GuidanceScale, input.Positive.Pooled!);
        var negativeEmbedding = negative ? _timeTextEmbed.Apply(timesteps, input.GuidanceScale, input.Negative!.Pooled!) : null;

        var sequence = Pack(input, negative);
        int layer = 0;
        foreach (var block in _transformerBlocks)
        {
            cancellation.ThrowIfCancellationRequested();
            if (steering.Blocks?.Skips(block.Path) != true)
                block.Apply(sequence, positiveEmbedding, negativeEmbedding, steering.Attention, keepNegative: layer < lastNegative);
            if (layer++ == lastNegative)
                sequence.DropNegative();
        }
        if (steering.ForkLatents && layer <= lastNegative)
            sequence.Fork();
        foreach (var block in _singleTransformerBlocks)
        {
            cancellation.ThrowIfCancellationRequested();
            bool last = block == _singleTransformerBlocks[^1];
            if (steering.Blocks?.Skips(block.Path) != true)
                block.Apply(
                    sequence, positiveEmbedding, negativeEmbedding, steering.Attention, keepNegative: layer < lastNegative,
                    keepText: !last);
            if (layer++ == lastNegative && !last)
                sequence.DropNegative();
        }

        var latents = sequence.Rows(TokenKind.Latent);
        var modulation = _normOut.Apply(positiveEmbedding);
        var (scale, shift) = (modulation.Slice(1, 0, _config.Width), modulation.Slice(1, _config.Width, _config.Width));
        return scope.Keep(_projOut.Apply(latents.ModulatedLayerNorm(scale, shift, FluxConfig.Epsilon)));
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    private Sequence Pack(FluxInput input, bool negative)
    {
        var (batch, latents) = (input.Latents.Shape[0], input.Latents.Shape[1]);
        int text = input.Positive.Text.Shape[1];
        int negativeText = negative ? input.Negative!.Text.Shape[1] : 0;
        var hidden = Tensor.Empty([batch, negativeText + text + latents, _config.Width]);
        if (negative)
            _contextEmbedder.Apply(input.Negative!.Text).Expand(0, batch).CopyTo(hidden.Slice(1, 0, negativeText));
        _contextEmbedder.Apply(input.Positive.Text).Expand(0, batch).CopyTo(hidden.Slice(1, negativeText, text));
        _xEmbedder.Apply(input.Latents, into: hidden.Slice(1, negativeText + text, latents));
        return new Sequence(hidden, negativeText, text, latents, _config, input.LatentIds);
    }

    private void Check(FluxInput input)
    {
        var latents = input.Latents.Shape;
        if (latents.Rank != 3 || latents[2] != _config.InChannels)
            throw new ArgumentException($"Latents {latents} are not [batch, latents, {_config.InChannels}].", nameof(input));
        if (input.LatentIds.Shape != Shape.Create([latents[1], _config.AxesDimsRope.Length]))
            throw new ArgumentException(
                $"Latent ids {input.LatentIds.Shape} are not [{latents[1]}, {_config.AxesDimsRope.Length}].", nameof(input));
        if (input.Timesteps.Count != 1 && input.Timesteps.Count != latents[0])
            throw new ArgumentException($"{input.Timesteps.Count} timesteps do not fit a batch of {latents[0]}.", nameof(input));
        foreach (var conditioning in new[] { input.Positive, input.Negative })
        {
            if (conditioning == null)
                continue;
            if (conditioning.Text.Shape is not { Rank: 3 } text
                || text[2] != _config.JointAttentionDim || (text[0] != 1 && text[0] != latents[0]))
                throw new ArgumentException(
                    $"Text embeddings {conditioning.Text.Shape} are not [1, tokens, {_config.JointAttentionDim}].", nameof(input));
            if (conditioning.Pooled?.Shape is not { Rank: 2 } pooled || pooled[1] != _config.PooledProjectionDim)
                throw new ArgumentException(
                    $"The pooled embedding {conditioning.Pooled?.Shape} is not [1, {_config.PooledProjectionDim}].", nameof(input));
        }
        if (_config.GuidanceEmbeds && input.GuidanceScale == null)
            throw new ArgumentException("This model embeds a guidance scale; none was given.", nameof(input));
    }

    /// <summary>
    /// The hidden states of all tokens, packed [negative text, text, latents, negative latents], and where each kind lies.
    /// </summary>
    internal sealed class Sequence
    {
        private readonly FluxConfig _config;
        private readonly Tensor _latentIds;
        private readonly int _latents;
        private readonly int _text;
        private readonly LatentGrid? _grid;
        private int _negativeText;
        private bool _forked;

        public Sequence(Tensor hidden, int negativeText, int text, int latents, FluxConfig config, Tensor latentIds)
        {
            (Hidden, _negativeText, _text, _latents, _config, _latentIds) = (hidden, negativeText, text, latents, config, latentIds);
            _grid = GridOf(latentIds);
            (Layout, Rotary) = Describe();
        }

        /// <summary>[batch, tokens, width].</summary>
        public Tensor Hidden { get; private set; }

        public TokenLayout Layout { get; private set; }

        public RotaryEmbedding Rotary { get; private set; }

        /// <summary>The number of text tokens of both prompts, which come first.</summary>
        public int TextLength => _negativeText + _text;

        public int NegativeTextLength => _negativeText;

        /// <summary>The rows of one kind.</summary>
        public Tensor Rows(TokenKind kind)
        {
            var span = Layout.Spans.Single(span => span.Kind == kind);
            return Hidden.Slice(1, span.Start, span.Length);
        }

        /// <summary>The layout of the packed tokens from a position on.</summary>
        public TokenLayout From(int start) =>
            new([.. Layout.Spans.Where(span => span.Start >= start).Select(span => span with { Start = span.Start - start })]);

        /// <summary>Copies the latents into negative latents.</summary>
        public void Fork()
        {
            Hidden = TensorOperations.Concatenate(1, Hidden, Rows(TokenKind.Latent));
            _forked = true;
            (Layout, Rotary) = Describe();
        }

        /// <summary>Drops the negative text and the negative latents.</summary>
        public void DropNegative()
        {
            Hidden = Hidden.Slice(1, _negativeText, _text + _latents).Contiguous();
            _negativeText = 0;
            _forked = false;
            (Layout, Rotary) = Describe();
        }

        /// <summary>The latents' rows and columns, when their ids run over a whole grid in row-major order.</summary>
        private static LatentGrid? GridOf(Tensor ids)
        {
            int count = ids.Shape[0];
            if (count == 0 || ids.Shape[1] < 3)
                return null;
            int columns = (int)ids.Row(count - 1)[2] + 1;
            for (int i = 0; i < count; i++)
            {
                if (columns <= 0 || ids.Row(i)[1] != i / columns || ids.Row(i)[2] != i % columns)
                    return null;
            }
            return count % columns == 0 ? new LatentGrid(count / columns, columns) : null;
        }

        private (TokenLayout Layout, RotaryEmbedding Rotary) Describe()
        {
            int copies = _forked ? _latents : 0;
            int text = _negativeText + _text;
            var layout = new TokenLayout(
                new(TokenKind.NegativeText, 0, _negativeText), new(TokenKind.Text, _negativeText, _text),
                new(TokenKind.Latent, text, _latents, _grid), new(TokenKind.NegativeLatent, text + _latents, copies));
            return (layout, _config.Rotary(_latentIds, text, copies > 0 ? 2 : 1));
        }
    }
}

/// <summary>What FluxTransformer2DModel's config.json states.</summary>
public sealed record FluxConfig
{
    internal const float Epsilon = 1e-6f;

    /// <summary>Channels of a packed latent.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of a predicted latent.</summary>
    public int OutChannels { get; private init; }

    /// <summary>The patch size; 1 in all released models, whose pipeline packs 2 x 2 pixels.</summary>
    public int PatchSize { get; private init; }

    /// <summary>The number of double-stream blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>The number of single-stream blocks.</summary>
    public int NumSingleLayers { get; private init; }

    /// <summary>Channels of a head.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int JointAttentionDim { get; private init; }

    /// <summary>Channels of the pooled embedding.</summary>
    public int PooledProjectionDim { get; private init; }

    /// <summary>Whether a guidance scale is embedded (dev) or not (schnell).</summary>
    public bool GuidanceEmbeds { get; private init; }

    /// <summary>Channels of a head that each position axis turns.</summary>
    public IReadOnlyList<int> RotaryAxes => AxesDimsRope;

    internal int[] AxesDimsRope { get; private init; } = [];

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    /// <summary>The released models: what the configuration's defaults say.</summary>
    internal static FluxConfig Real { get; } = Read(ModelConfig.Parse("defaults", "{}"u8.ToArray()));

    internal static FluxConfig Read(ModelConfig json)
    {
        int inputs = json.Int("in_channels", 64);
        var config = new FluxConfig
        {
            InChannels = inputs,
            OutChannels = json.Int("out_channels", inputs),
            PatchSize = json.Int("patch_size", 1),
            NumLayers = json.Int("num_layers", 19),
            NumSingleLayers = json.Int("num_single_layers", 38),
            AttentionHeadDim = json.Int("attention_head_dim", 128),
            NumAttentionHeads = json.Int("num_attention_heads", 24),
            JointAttentionDim = json.Int("joint_attention_dim", 4096),
            PooledProjectionDim = json.Int("pooled_projection_dim", 768),
            GuidanceEmbeds = json.Bool("guidance_embeds", false),
            AxesDimsRope = json.Ints("axes_dims_rope", 16, 56, 56),
        };
        if (config.AxesDimsRope.Sum() != config.AttentionHeadDim || config.AttentionHeadDim % 8 != 0)
            throw new CheckpointException(
                $"'{json.Path}': axes_dims_rope [{string.Join(", ", config.AxesDimsRope)}] must add up to attention_head_dim "
                    + $"{config.AttentionHeadDim}, a multiple of 8.");
        return config;
    }

    /// <summary>
    /// The rotary table of some text tokens at position 0 and the latents at theirs, these repeated. Angles are computed in double
    /// precision and rounded once, as the reference does.
    /// </summary>
    internal RotaryEmbedding Rotary(Tensor latentIds, int text, int repeats)
    {
        const double Theta = 10000;
        int half = AttentionHeadDim / 2;
        int latents = latentIds.Shape[0];
        int tokens = text + repeats * latents;
        var (cosine, sine) = (Tensor.Empty([tokens, half]), Tensor.Empty([tokens, half]));
        cosine.Slice(0, 0, text).Fill(1);
        sine.Slice(0, 0, text).Fill(0);
        for (int token = 0; token < latents; token++)
        {
            var cos = cosine.Row(text + token);
            var sin = sine.Row(text + token);
            int at = 0;
            for (int axis = 0; axis < AxesDimsRope.Length; axis++)
            {
                double position = latentIds.Row(token)[axis];
                for (int i = 0; i < AxesDimsRope[axis] / 2; i++, at++)
                {
                    var (s, c) = Math.SinCos(position / Math.Pow(Theta, 2.0 * i / AxesDimsRope[axis]));
                    (cos[at], sin[at]) = ((float)c, (float)s);
                }
            }
        }
        for (int copy = 1; copy < repeats; copy++)
        {
            cosine.Slice(0, text, latents).CopyTo(cosine.Slice(0, text + copy * latents, latents));
            sine.Slice(0, text, latents).CopyTo(sine.Slice(0, text + copy * latents, latents));
        }
        return new RotaryEmbedding(cosine, sine);
    }
}

/// <summary>time_text_embed: the sum of the embeddings of timestep, guidance scale and pooled text.</summary>
internal sealed class TimeTextEmbedding(WeightCursor at, FluxConfig config)
{
    private const int TimestepChannels = 256;
    private readonly EmbeddingMlp _timestepEmbedder = new(at.At("timestep_embedder"), TimestepChannels, config.Width);
    private readonly EmbeddingMlp? _guidanceEmbedder = config.GuidanceEmbeds
        ? new(at.At("guidance_embedder"), TimestepChannels, config.Width)
        : null;
    private readonly EmbeddingMlp _textEmbedder = new(at.At("text_embedder"), config.PooledProjectionDim, config.Width);

    /// <summary>
    /// SiLU of the embedding, [batch, width]: every modulation of the model begins with that SiLU.
    /// Timesteps and guidance are scaled by 1000, as in training.
    /// </summary>
    public Tensor Apply(float[] timesteps, float? guidanceScale, Tensor pooled)
    {
        using var scope = new TensorScope();
        var embedding = _timestepEmbedder.Apply(Sinusoid.Of([.. timesteps.Select(t => t * 1000)], TimestepChannels));
        if (_guidanceEmbedder != null)
            embedding = embedding.Add(_guidanceEmbedder.Apply(Sinusoid.Of([guidanceScale!.Value * 1000], TimestepChannels)));
        return scope.Keep(embedding.Add(_textEmbedder.Apply(pooled)).Activate(Activation.Silu));
    }
}

/// <summary>A block in which text and latents have weights of their own and meet in attention.</summary>
internal sealed class DoubleStreamBlock(WeightCursor at, FluxConfig config)
{
    private readonly Linear _norm1 = new(at.At("norm1.linear"), config.Width, 6 * config.Width);
    private readonly Linear _norm1Context = new(at.At("norm1_context.linear"), config.Width, 6 * config.Width);
    private readonly Linear _toQ = new(at.At("attn.to_q"), config.Width, config.Width);
    private readonly Linear _toK = new(at.At("attn.to_k"), config.Width, config.Width);
    private readonly Linear _toV = new(at.At("attn.to_v"), config.Width, config.Width);
    private readonly Linear _addQProj = new(at.At("attn.add_q_proj"), config.Width, config.Width);
    private readonly Linear _addKProj = new(at.At("attn.add_k_proj"), config.Width, config.Width);
    private readonly Linear _addVProj = new(at.At("attn.add_v_proj"), config.Width, config.Width);
    private readonly RmsNorm _normQ = new(at.At("attn.norm_q"), config.AttentionHeadDim, FluxConfig.Epsilon);
    private readonly RmsNorm _normK = new(at.At("attn.norm_k"), config.AttentionHeadDim, FluxConfig.Epsilon);
    private readonly RmsNorm _normAddedQ = new(at.At("attn.norm_added_q"), config.AttentionHeadDim, FluxConfig.Epsilon);
    private readonly RmsNorm _normAddedK = new(at.At("attn.norm_added_k"), config.AttentionHeadDim, FluxConfig.Epsilon);
    private readonly Linear _toOut = new(at.At("attn.to_out.0"), config.Width, config.Width);
    private readonly Linear _toAddOut = new(at.At("attn.to_add_out"), config.Width, config.Width);
    private readonly FeedForward _ff = new(at.At("ff"), config.Width, 4 * config.Width, Activation.GeluTanh);
    private readonly FeedForward _ffContext = new(at.At("ff_context"), config.Width, 4 * config.Width, Activation.GeluTanh);

    public string Path { get; } = at.Path;

    public AttentionSite Site { get; } = new(at.Path + ".attn", AttentionKind.Joint);

    /// <summary>
    /// Applies the block in place. Without <paramref name="keepNegative"/> the negative text only gives keys and values, and is dropped
    /// afterwards.
    /// </summary>
    public void Apply(FluxTransformer.Sequence sequence, Tensor positive, Tensor? negative, IAttention attention, bool keepNegative)
    {
        using var scope = new TensorScope();
        var hidden = sequence.Hidden;
        var (tokens, text, negativeText) = (hidden.Shape[1], sequence.TextLength, sequence.NegativeTextLength);
        int first = keepNegative ? 0 : negativeText;              // the first row that lives on
        var latents = hidden.Slice(1, text, tokens - text);
        var modulation = new Modulation(_norm1.Apply(positive), config.Width);
        var textModulation = new Modulation(_norm1Context.Apply(positive), config.Width);
        var negativeModulation = negativeText > 0 ? new Modulation(_norm1Context.Apply(negative!), config.Width) : null;

        var normed = Tensor.Empty(hidden.Shape);
        if (negativeModulation != null)
            negativeModulation.Norm(hidden.Slice(1, 0, negativeText), 0, normed.Slice(1, 0, negativeText));
        textModulation.Norm(hidden.Slice(1, negativeText, text - negativeText), 0, normed.Slice(1, negativeText, text - negativeText));
        modulation.Norm(latents, 0, normed.Slice(1, text, tokens - text));

        var q = Project(normed, first, text, _addQProj, _toQ, _normAddedQ, _normQ);
        var k = Project(normed, 0, text, _addKProj, _toK, _normAddedK, _normK);
        var v = Project(normed, 0, text, _addVProj, _toV, null, null);
        var rotary = sequence.Rotary;
        var attended = attention.Attend(new AttentionCall(
            q, k, v, 1 / MathF.Sqrt(config.AttentionHeadDim), sequence.From(first), sequence.Layout, Site,
            rotary.Slice(first, tokens - first), rotary))
            .Reshape(hidden.Shape[0], tokens - first, config.Width);

        Finish(latents, attended.Slice(1, text - first, tokens - text), _toOut, _ff, modulation);
        if (first < negativeText)
            Finish(hidden.Slice(1, 0, negativeText), attended.Slice(1, 0, negativeText), _toAddOut, _ffContext, negativeModulation!);
        Finish(
            hidden.Slice(1, negativeText, text - negativeText), attended.Slice(1, negativeText - first, text - negativeText), _toAddOut,
            _ffContext, textModulation);
    }

    /// <summary>
    /// Text rows from <paramref name="first"/> on through one layer, latent rows through the other: [batch, rows, heads, channels].
    /// </summary>
    private Tensor Project(Tensor normed, int first, int text, Linear added, Linear own, RmsNorm? addedNorm, RmsNorm? ownNorm)
    {
        var (batch, tokens) = (normed.Shape[0], normed.Shape[1]);
        var result = Tensor.Empty([batch, tokens - first, config.Width]);
        added.Apply(normed.Slice(1, first, text - first), into: result.Slice(1, 0, text - first));
        own.Apply(normed.Slice(1, text, tokens - text), into: result.Slice(1, text - first, tokens - text));
        var heads = result.Reshape(batch, tokens - first, config.NumAttentionHeads, config.AttentionHeadDim);
        if (addedNorm != null)
        {
            var (textRows, latentRows) = (heads.Slice(1, 0, text - first), heads.Slice(1, text - first, tokens - text));
            addedNorm.Apply(textRows, textRows);
            ownNorm!.Apply(latentRows, latentRows);
        }
        return heads;
    }

    private static void Finish(Tensor rows, Tensor attended, Linear output, FeedForward feedForward, Modulation modulation)
    {
        rows.AddGated(modulation[2], output.Apply(attended), rows);
        rows.AddGated(modulation[5], feedForward.Apply(modulation.Norm(rows, 3)), rows);
    }
}

/// <summary>A block over one sequence, in which attention and feed-forward run side by side.</summary>
internal sealed class SingleStreamBlock(WeightCursor at, FluxConfig config)
{
    private readonly Linear _norm = new(at.At("norm.linear"), config.Width, 3 * config.Width);
    private readonly Linear _toQ = new(at.At("attn.to_q"), config.Width, config.Width);
    private readonly Linear _toK = new(at.At("attn.to_k"), config.Width, config.Width);
    private readonly Linear _toV = new(at.At("attn.to_v"), config.Width, config.Width);
    private readonly RmsNorm _normQ = new(at.At("attn.norm_q"), config.AttentionHeadDim, FluxConfig.Epsilon);
    private readonly RmsNorm _normK = new(at.At("attn.norm_k"), config.AttentionHeadDim, FluxConfig.Epsilon);
    private readonly Linear _projMlp = new(at.At("proj_mlp"), config.Width, 4 * config.Width);
    private readonly Linear _projOut = new(at.At("proj_out"), 5 * config.Width, config.Width);

    public string Path { get; } = at.Path;

    public AttentionSite Site { get; } = new(at.Path + ".attn", AttentionKind.Joint);

    /// <summary>
    /// Applies the block in place. Rows that nobody reads afterwards (the negative text without <paramref name="keepNegative"/>, the text
    /// without
    /// <paramref name="keepText"/>) only give keys and values.
    /// </summary>
    public void Apply(
        FluxTransformer.Sequence sequence, Tensor positive, Tensor? negative, IAttention attention, bool keepNegative, bool keepText)
    {
        using var scope = new TensorScope();
        var hidden = sequence.Hidden;
        var (batch, tokens) = (hidden.Shape[0], hidden.Shape[1]);
        var modulation = new Modulation(_norm.Apply(positive), config.Width);
        var negativeModulation = sequence.NegativeTextLength > 0 ? new Modulation(_norm.Apply(negative!), config.Width) : null;
        Modulation Of(TokenKind kind) => kind is TokenKind.NegativeText or TokenKind.NegativeLatent ? negativeModulation! : modulation;

        var normed = Tensor.Empty(hidden.Shape);
        foreach (var span in sequence.Layout.Spans)
            Of(span.Kind).Norm(hidden.Slice(1, span.Start, span.Length), 0, normed.Slice(1, span.Start, span.Length));

        int first = !keepText ? sequence.TextLength : !keepNegative ? sequence.NegativeTextLength : 0;
        var rows = normed.Slice(1, first, tokens - first);
        var q = Heads(_toQ.Apply(rows));
        var k = Heads(_toK.Apply(normed));
        var v = Heads(_toV.Apply(normed));
        _normQ.Apply(q, q);
        _normK.Apply(k, k);
        var queries = sequence.From(first);
        var attended = attention.Attend(new AttentionCall(
            q, k, v, 1 / MathF.Sqrt(config.AttentionHeadDim), queries, sequence.Layout, Site, sequence.Rotary.Slice(first, tokens - first),
            sequence.Rotary));

        // Negative latents that nobody reads afterwards are the last rows.
        int count = tokens - first - (keepNegative && keepText ? 0 : sequence.Layout.CountOf(TokenKind.NegativeLatent));
        var both = Tensor.Empty([batch, count, 5 * config.Width]);
        attended.Reshape(batch, tokens - first, config.Width).Slice(1, 0, count).CopyTo(both.Slice(2, 0, config.Width));
        _projMlp.Apply(rows.Slice(1, 0, count), Activation.GeluTanh, both.Slice(2, config.Width, 4 * config.Width));
        var update = _projOut.Apply(both);
        foreach (var span in queries.Spans)
        {
            if (span.End > count)
                break;
            var residual = hidden.Slice(1, first + span.Start, span.Length);
            residual.AddGated(Of(span.Kind)[2], update.Slice(1, span.Start, span.Length), residual);
        }
    }

    private Tensor Heads(Tensor x) => x.Reshape(x.Shape[0], x.Shape[1], config.NumAttentionHeads, config.AttentionHeadDim);
}

/// <summary>The vectors of an adaptive layer norm: shift, scale, gate, and the same again where a block has a second norm.</summary>
internal sealed class Modulation(Tensor vectors, int width)
{
    /// <summary>Vector <paramref name="index"/>, [batch, width].</summary>
    public Tensor this[int index] => vectors.Slice(1, index * width, width);

    /// <summary>Normalised rows, scaled and shifted by the vectors from <paramref name="first"/> on.</summary>
    public Tensor Norm(Tensor x, int first, Tensor? into = null) =>
        x.ModulatedLayerNorm(this[first + 1], this[first], FluxConfig.Epsilon, into);
}
