using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Clip;

/// <summary>
/// CLIP's text encoder (CLIPTextModel and CLIPTextModelWithProjection of transformers; Radford et al., "Learning Transferable Visual Models
/// From Natural Language Supervision", 2021): a causal pre-norm transformer with learned positions.
/// </summary>
public sealed class ClipTextModel : IDisposable
{
    /// <summary>
    /// Older configurations state this end-of-text token, which no vocabulary has; the reference then pools at the largest id.
    /// </summary>
    private const int LegacyEndOfText = 2;

    /// <summary>What files of a whole CLIP hold besides; a projection that nobody asks for too.</summary>
    private static readonly string[] OtherParts = ["vision_model.*", "visual_projection.*", "logit_scale", "text_projection.*"];

    private readonly Checkpoint _checkpoint;
    private readonly int _endOfText;
    private readonly int _firstAdded;
    private readonly ClipTextEmbeddings _embeddings;
    private readonly ClipEncoderLayer[] _layers;
    private readonly LayerNorm _finalLayerNorm;
    private readonly Linear? _textProjection;

    private ClipTextModel(Checkpoint checkpoint, ModelConfig config)
    {
        _checkpoint = checkpoint;
        var settings = ClipTextConfig.Read(config);
        var root = checkpoint.Root;
        var textModel = root.Contains("text_model") ? root.At("text_model") : root;
        (Channels, MaxLength) = (settings.HiddenSize, settings.MaxPositionEmbeddings);
        (_endOfText, _firstAdded) = (settings.EosTokenId, settings.FirstAddedToken);
        _embeddings = new ClipTextEmbeddings(textModel.At("embeddings"), settings);
        _layers = [
            .. Enumerable.Range(0, settings.NumHiddenLayers)
                .Select(i => new ClipEncoderLayer(textModel.At("encoder.layers", i), settings.Layer))];
        _finalLayerNorm = new LayerNorm(textModel.At("final_layer_norm"), Channels, settings.LayerNormEps);
        ProjectionChannels = config.ClassName == "CLIPTextModelWithProjection" ? settings.ProjectionDim
            : root.ShapeOf("text_projection.weight") is { Rank: 2 } shape && shape[1] == Channels ? shape[0] : null;
        if (ProjectionChannels is { } projection)
            _textProjection = new Linear(root.At("text_projection"), Channels, projection, bias: false);
        checkpoint.RequireAllUsed(OtherParts);
    }

    /// <summary>The number of layers; hidden states are numbered from 0 (the embedding) to this.</summary>
    public int Layers => _layers.Length;

    /// <summary>The channels of hidden states and of the pooled output.</summary>
    public int Channels { get; }

    /// <summary>The channels of the projection, or null for a model without one.</summary>
    public int? ProjectionChannels { get; }

    /// <summary>The largest number of tokens.</summary>
    public int MaxLength { get; }

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ClipTextModel Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ClipTextModel Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new ClipTextModel(checkpoint, config));

    /// <summary>
    /// Encodes token ids. Only what is asked for is computed: layers after the last hidden state that someone reads do not run.
    /// </summary>
    /// <param name="ids">Rows of token ids of one length, at most <see cref="MaxLength"/>, start and end of text included. Pads are
    /// attended to, as in the reference.</param>
    /// <param name="hiddenStates">Which hidden states to return, 0 to <see cref="Layers"/>, or negative from the end: -2 is the output of
    /// the last layer but one.</param>
    /// <param name="lastHiddenState">Whether to return the last hidden state.</param>
    /// <param name="pooled">Whether to return the pooled output and, from a model that has one, its projection.</param>
    /// <param name="cancellation">Checked before every layer.</param>
    /// <returns>Tensors of the current scope.</returns>
    /// <exception cref="ArgumentException">The rows are empty, of unequal length, or too long.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the vocabulary, or there is no such hidden state.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public ClipTextOutput Encode(
        IReadOnlyList<int[]> ids, IReadOnlyList<int>? hiddenStates = null, bool lastHiddenState = true, bool pooled = true,
        CancellationToken cancellation = default)
    {
        int[] tokens = TokenBatch.Flatten(ids);
        int length = ids[0].Length;
        if (length > MaxLength)
            throw new ArgumentException($"'{_checkpoint.Path}' takes {MaxLength} tokens at most, not {length}.", nameof(ids));
        int[] wanted = TokenBatch.HiddenStates(hiddenStates, Layers);
        int depth = lastHiddenState || pooled ? Layers : wanted.DefaultIfEmpty(0).Max();

        using var scope = new TensorScope();
        var hidden = _embeddings.Apply(tokens, ids.Count);
        var states = new Tensor[wanted.Length];
        for (int layer = 0; ; layer++)
        {
            for (int i = 0; i < wanted.Length; i++)
            {
                if (wanted[i] == layer)
                    states[i] = scope.Keep(hidden.Clone());
            }
            if (layer == depth)
                break;
            cancellation.ThrowIfCancellationRequested();
            _layers[layer].AddTo(hidden);
        }

        Tensor? pooledOutput = null;
        if (pooled)
            pooledOutput = scope.Keep(_finalLayerNorm.Apply(AtEndOfText(hidden, ids)));
        return new ClipTextOutput
        {
            HiddenStates = states,
            PooledOutput = pooledOutput,
            TextEmbeds = pooledOutput != null && _textProjection != null ? scope.Keep(_textProjection.Apply(pooledOutput)) : null,
            LastHiddenState = lastHiddenState ? scope.Keep(_finalLayerNorm.Apply(hidden)) : null,
        };
    }

    /// <summary>
    /// The final layer norm, for pipelines that skip the last layers ("clip skip") and still want a normalised embedding.
    /// </summary>
    /// <param name="hiddenState">[batch, tokens, channels].</param>
    /// <returns>As the hidden state; a tensor of the current scope.</returns>
    public Tensor FinalLayerNorm(Tensor hiddenState) => _finalLayerNorm.Apply(hiddenState);

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    /// <summary>The rows of the tokens that end the texts: [batch, channels].</summary>
    private Tensor AtEndOfText(Tensor hidden, IReadOnlyList<int[]> ids)
    {
        using var scope = new TensorScope();
        var result = hidden.Like([ids.Count, Channels]);
        for (int item = 0; item < ids.Count; item++)
        {
            int[] row = ids[item];
            // The first of equal ids; a text without an end pools at its start, as the reference's argmax does.
            // Tokens of embeddings, whose ids are larger, are no end.
            int at = _endOfText == LegacyEndOfText ? Array.IndexOf(row, row.Where(id => id < _firstAdded).DefaultIfEmpty(row[0]).Max())
                : Math.Max(0, Array.IndexOf(row, _endOfText));
            hidden.Slice(0, item, 1).Slice(1, at, 1).Reshape(1, Channels).CopyTo(result.Slice(0, item, 1));
        }
        return scope.Keep(result);
    }
}

/// <summary>Token and position embeddings.</summary>
internal sealed class ClipTextEmbeddings
{
    private readonly Embedding _tokenEmbedding;
    private readonly Embedding _positionEmbedding;

    public ClipTextEmbeddings(WeightCursor at, ClipTextConfig config)
    {
        _tokenEmbedding = new Embedding(at.At("token_embedding"), config.VocabSize, config.HiddenSize);
        _positionEmbedding = new Embedding(at.At("position_embedding"), config.MaxPositionEmbeddings, config.HiddenSize);
        at.Ignore("position_ids");
    }

    /// <summary>Ids of a batch to [batch, tokens, channels].</summary>
    public Tensor Apply(ReadOnlySpan<int> ids, int batch)
    {
        int length = ids.Length / batch;
        var tokens = _tokenEmbedding.Apply(ids);
        var hidden = tokens.Reshape(batch, length, tokens.Shape[1]);
        return hidden.Add(_positionEmbedding.First(length), into: hidden);
    }
}

/// <summary>The keys of config.json that shape the text encoder, with CLIPTextConfig's defaults.</summary>
internal sealed record ClipTextConfig(
    int VocabSize, int HiddenSize, int IntermediateSize, int ProjectionDim, int NumHiddenLayers, int NumAttentionHeads,
    int MaxPositionEmbeddings,
    Activation HiddenAct, float LayerNormEps, int EosTokenId, int FirstAddedToken)
{
    /// <summary>What its layers are made by.</summary>
    public ClipLayerConfig Layer => new(HiddenSize, IntermediateSize, NumAttentionHeads, HiddenAct, LayerNormEps, Causal: true);

    /// <summary>Of a text encoder's configuration, or of a whole CLIP's, which holds the text encoder's as <c>text_config</c>.</summary>
    public static ClipTextConfig Read(ModelConfig config)
    {
        config = config.Object("text_config") ?? config;
        var result = new ClipTextConfig(
            config.Length("vocab_size", 49408), config.Size("hidden_size", 512), config.Size("intermediate_size", 2048),
            config.Size("projection_dim", 512),
            config.Layers("num_hidden_layers", 12), config.Heads("num_attention_heads", 8), config.Length("max_position_embeddings", 77),
            config.Activation("hidden_act", "quick_gelu"), config.Epsilon("layer_norm_eps", 1e-5), config.Int("eos_token_id", 49407),
            config.Int("first_added_token", int.MaxValue));
        if (result.NumAttentionHeads <= 0 || result.HiddenSize % result.NumAttentionHeads != 0)
            throw new CheckpointException(
                $"'{config.Path}': num_attention_heads {result.NumAttentionHeads} does not divide hidden_size {result.HiddenSize}.");
        return result;
    }
}
