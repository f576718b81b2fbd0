using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.T5;

/// <summary>
/// The encoder of T5 and UMT5 (T5EncoderModel and UMT5EncoderModel of transformers; Raffel et al., "Exploring the Limits of Transfer
/// Learning with a Unified Text-to-Text Transformer", 2020): pre-norm blocks without biases, whose only notion of position is a learned
/// bias per distance and head. T5 learns it in the first block and uses it in all, UMT5 has one in each.
/// </summary>
public sealed class T5EncoderModel : IDisposable
{
    /// <summary>What files of a whole T5 hold besides.</summary>
    private static readonly string[] OtherParts = ["decoder.*", "lm_head.*"];

    private readonly Checkpoint _checkpoint;
    private readonly Embedding _shared;
    private readonly T5Block[] _blocks;
    private readonly RmsNorm _finalLayerNorm;

    private T5EncoderModel(Checkpoint checkpoint, ModelConfig config)
    {
        _checkpoint = checkpoint;
        var settings = T5Config.Read(config);
        var root = checkpoint.Root;
        var encoder = root.At("encoder");
        Channels = settings.DModel;
        _shared = ReadShared(root, settings);
        _blocks = [
            .. Enumerable.Range(0, settings.NumLayers)
                .Select(i => new T5Block(encoder.At("block", i), settings, hasBias: i == 0 || settings.BiasPerLayer))];
        _finalLayerNorm = new RmsNorm(encoder.At("final_layer_norm"), settings.DModel, settings.LayerNormEpsilon);
        checkpoint.RequireAllUsed(OtherParts);
    }

    /// <summary>The number of layers; hidden states are numbered from 0 (the embedding) to this.</summary>
    public int Layers => _blocks.Length;

    /// <summary>The channels of hidden states.</summary>
    public int Channels { get; }

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static T5EncoderModel Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static T5EncoderModel Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new T5EncoderModel(checkpoint, config));

    /// <summary>Encodes token ids.</summary>
    /// <param name="ids">Rows of token ids of one length.</param>
    /// <param name="mask">Which tokens count, as the tokenizer says: rows of 1 and 0. They are left out as keys only; rows of pads come out
    /// too. Null: all count, as FLUX and SD3 have it.</param>
    /// <param name="cancellation">Checked before every layer.</param>
    /// <returns>The last hidden state, after the final norm, [batch, tokens, channels]; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The rows are empty or of unequal length, or the mask has another shape.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the vocabulary.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Encode(IReadOnlyList<int[]> ids, IReadOnlyList<int[]>? mask = null, CancellationToken cancellation = default) =>
        EncodeHiddenStates(ids, [-1], mask, cancellation)[0];

    /// <summary>Encodes token ids and returns some of the hidden states; layers after the last of them do not run.</summary>
    /// <param name="ids">Rows of token ids of one length.</param>
    /// <param name="hiddenStates">Which: 0 is the embedding, k the output of layer k, the last (or -1) is after the final norm; negative
    /// ones count from the end.</param>
    /// <param name="mask">As in <see cref="Encode"/>.</param>
    /// <param name="cancellation">Checked before every layer.</param>
    /// <returns>In the order of the request, each [batch, tokens, channels]; tensors of the current scope.</returns>
    /// <exception cref="ArgumentException">The rows are empty or of unequal length, or the mask has another shape.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the vocabulary, or there is no such hidden state.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<Tensor> EncodeHiddenStates(
        IReadOnlyList<int[]> ids, IReadOnlyList<int> hiddenStates, IReadOnlyList<int[]>? mask = null,
        CancellationToken cancellation = default)
    {
        int[] tokens = TokenBatch.Flatten(ids);
        int[] wanted = TokenBatch.HiddenStates(hiddenStates, Layers);
        int depth = wanted.DefaultIfEmpty(0).Max();
        int length = ids[0].Length;

        using var scope = new TensorScope();
        var keys = TokenBatch.Keys(_checkpoint.Device, mask, ids);
        var hidden = _shared.Apply(tokens).Reshape(ids.Count, length, Channels);
        var states = new Tensor[wanted.Length];
        Tensor? bias = null;
        for (int layer = 0; ; layer++)
        {
            for (int i = 0; i < wanted.Length; i++)
            {
                if (wanted[i] == layer)
                    states[i] = scope.Keep(layer == Layers ? _finalLayerNorm.Apply(hidden) : hidden.Clone());
            }
            if (layer == depth)
                return states;
            cancellation.ThrowIfCancellationRequested();
            if (_blocks[layer].RelativeBias is { } relative)
            {
                bias?.Dispose();
                bias = relative.Compute(_checkpoint.Device, length);
            }
            _blocks[layer].AddTo(hidden, new AttentionMask { Keys = keys, Bias = bias });
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    /// <summary>The token embedding, which files store under one of two names, or under both.</summary>
    private static Embedding ReadShared(WeightCursor root, T5Config config)
    {
        if (!root.Contains("shared"))
            return new Embedding(root.At("encoder.embed_tokens"), config.VocabSize, config.DModel);
        if (root.Contains("encoder.embed_tokens"))
            root.At("encoder.embed_tokens").Read("weight", [config.VocabSize, config.DModel]).Dispose();
        return new Embedding(root.At("shared"), config.VocabSize, config.DModel);
    }
}

/// <summary>One block: self-attention and a feed-forward network, each added to the residual stream.</summary>
internal sealed class T5Block(WeightCursor at, T5Config config, bool hasBias)
{
    private readonly RmsNorm _attentionNorm = new(at.At("layer.0.layer_norm"), config.DModel, config.LayerNormEpsilon);
    private readonly T5Attention _selfAttention = new(at.At("layer.0.SelfAttention"), config);
    private readonly RmsNorm _feedForwardNorm = new(at.At("layer.1.layer_norm"), config.DModel, config.LayerNormEpsilon);
    private readonly T5FeedForward _denseReluDense = new(at.At("layer.1.DenseReluDense"), config);

    /// <summary>The bias that starts here and holds until a later block has one.</summary>
    public T5RelativeBias? RelativeBias { get; } = hasBias ? new(at.At("layer.0.SelfAttention.relative_attention_bias"), config) : null;

    /// <summary>Updates [batch, tokens, channels] in place.</summary>
    public void AddTo(Tensor hidden, AttentionMask mask)
    {
        using var scope = new TensorScope();
        hidden.Add(_selfAttention.Apply(_attentionNorm.Apply(hidden), mask), into: hidden);
        hidden.Add(_denseReluDense.Apply(_feedForwardNorm.Apply(hidden)), into: hidden);
    }
}

/// <summary>Multi-head self-attention with unscaled logits.</summary>
internal sealed class T5Attention(WeightCursor at, T5Config config)
{
    private readonly int _inner = config.NumHeads * config.DKv;
    private readonly Linear _q = new(at.At("q"), config.DModel, config.NumHeads * config.DKv, bias: false);
    private readonly Linear _k = new(at.At("k"), config.DModel, config.NumHeads * config.DKv, bias: false);
    private readonly Linear _v = new(at.At("v"), config.DModel, config.NumHeads * config.DKv, bias: false);
    private readonly Linear _o = new(at.At("o"), config.NumHeads * config.DKv, config.DModel, bias: false);

    public Tensor Apply(Tensor x, AttentionMask mask)
    {
        var attended = Heads(_q.Apply(x)).Attention(Heads(_k.Apply(x)), Heads(_v.Apply(x)), scale: 1, mask);
        return _o.Apply(attended.Reshape(x.Shape[0], x.Shape[1], _inner));
    }

    private Tensor Heads(Tensor x) => x.Reshape(x.Shape[0], x.Shape[1], config.NumHeads, config.DKv);
}

/// <summary>The feed-forward network: activation(wi x), or activation(wi_0 x) wi_1 x when it is gated, then wo.</summary>
internal sealed class T5FeedForward(WeightCursor at, T5Config config)
{
    private readonly Linear _wi = new(at.At(config.GatedAct ? "wi_0" : "wi"), config.DModel, config.DFf, bias: false);
    private readonly Linear? _wi1 = config.GatedAct ? new(at.At("wi_1"), config.DModel, config.DFf, bias: false) : null;
    private readonly Linear _wo = new(at.At("wo"), config.DFf, config.DModel, bias: false);

    public Tensor Apply(Tensor x)
    {
        var inner = _wi.Apply(x, config.DenseAct);
        if (_wi1 != null)
            inner.Multiply(_wi1.Apply(x), into: inner);
        return _wo.Apply(inner);
    }
}

/// <summary>A learned bias of the logits per head and bucket of distances.</summary>
internal sealed class T5RelativeBias(WeightCursor at, T5Config config)
{
    private readonly float[] _table = Read(at, config);

    /// <summary>The bias [1, heads, queries, keys] for a length.</summary>
    public Tensor Compute(Device device, int length)
    {
        var byDistance = new float[config.NumHeads, 2 * length - 1];
        for (int distance = 1 - length; distance < length; distance++)
        {
            int bucket = Bucket(distance, config.RelativeAttentionNumBuckets, config.RelativeAttentionMaxDistance);
            for (int head = 0; head < config.NumHeads; head++)
                byDistance[head, distance + length - 1] = _table[bucket * config.NumHeads + head];
        }
        var bias = Tensor.Empty(device, [1, config.NumHeads, length, length]);
        using var view = bias.Write();
        for (int head = 0; head < config.NumHeads; head++)
        {
            for (int query = 0; query < length; query++)
            {
                var row = view.Row(0, head, query);
                for (int key = 0; key < length; key++)
                    row[key] = byDistance[head, length - 1 - query + key];
            }
        }
        return bias;
    }

    /// <summary>[buckets, heads].</summary>
    private static float[] Read(WeightCursor at, T5Config config)
    {
        using var weight = at.Read("weight", [config.RelativeAttentionNumBuckets, config.NumHeads]);
        var table = new float[weight.Shape.Count];
        weight.Widen(0, table);
        return table;
    }

    /// <summary>
    /// The bucket of a distance key - query: half of the buckets for each direction; in each, half for single small distances and half for
    /// ranges that grow logarithmically up to the maximum. In float32, as the reference computes it.
    /// </summary>
    internal static int Bucket(int distance, int buckets, int maxDistance)
    {
        buckets /= 2;
        int exact = buckets / 2;
        int start = distance > 0 ? buckets : 0;
        int magnitude = Math.Abs(distance);
        if (magnitude < exact)
            return start + magnitude;
        float log = MathF.Log((float)magnitude / exact) / (float)Math.Log((double)maxDistance / exact);
        return start + Math.Min(exact + (int)(log * (buckets - exact)), buckets - 1);
    }
}

/// <summary>The keys of config.json that shape the encoder, with the defaults of T5Config and UMT5Config.</summary>
internal sealed record T5Config(
    int VocabSize, int DModel, int DKv, int DFf, int NumLayers, int NumHeads, int RelativeAttentionNumBuckets,
    int RelativeAttentionMaxDistance,
    float LayerNormEpsilon, bool GatedAct, Activation DenseAct, bool BiasPerLayer)
{
    public static T5Config Read(ModelConfig config)
    {
        bool umt5 = config.String("model_type", "t5") == "umt5" || config.ClassName?.StartsWith("UMT5", StringComparison.Ordinal) == true;
        string feedForward = config.String("feed_forward_proj", umt5 ? "gated-gelu" : "relu");
        bool gated = feedForward.StartsWith("gated-", StringComparison.Ordinal);
        // The reference takes "gated-gelu" for the tanh approximation, any other name as it stands.
        string act = feedForward == "gated-gelu" ? "gelu_new" : gated ? feedForward["gated-".Length..] : feedForward;
        var result = new T5Config(
            config.Length("vocab_size", umt5 ? 250112 : 32128), config.Size("d_model", 512), config.Size("d_kv", 64),
            config.Size("d_ff", umt5 ? 1024 : 2048),
            config.Layers("num_layers", umt5 ? 8 : 6), config.Heads("num_heads", umt5 ? 6 : 8),
            config.Size("relative_attention_num_buckets", 32),
            config.Size("relative_attention_max_distance", 128), config.Epsilon("layer_norm_epsilon", 1e-6), gated,
            ActivationNames.Parse(config, "feed_forward_proj", act), umt5);
        if (result.RelativeAttentionNumBuckets < 4 || result.RelativeAttentionMaxDistance <= result.RelativeAttentionNumBuckets / 4)
            throw new CheckpointException(
                $"'{config.Path}': relative_attention_num_buckets {result.RelativeAttentionNumBuckets} and "
                    + $"relative_attention_max_distance {result.RelativeAttentionMaxDistance} leave no room for buckets.");
        return result;
    }
}
