using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics.Networks;

/// <summary>A vision transformer (timm's names: query, key and value are one matrix); all tokens go on, the class token too.</summary>
internal sealed class BlipVision
{
    private const float Epsilon = 1e-6f;

    private readonly Conv2d _patches;
    private readonly PreparedWeight _class;
    private readonly Embedding _positions;
    private readonly Block[] _blocks;
    private readonly LayerNorm _norm;
    private readonly int _tokens;

    /// <param name="at">Where it is.</param>
    /// <param name="heads">How many heads; null for heads of 64 channels.</param>
    public BlipVision(WeightCursor at, int? heads)
    {
        var patch = at.ShapeOf("patch_embed.proj.weight");
        var positions = at.ShapeOf("pos_embed");
        if (patch is not { Rank: 4 } || positions is not { Rank: 3 } || patch.Value[1] != 3 || patch.Value[2] != patch.Value[3])
            throw new CheckpointException(
                $"{at.Path}: patch_embed.proj.weight is {patch} and pos_embed {positions}: no vision transformer.");
        (Channels, _tokens) = (patch.Value[0], positions.Value[1]);
        int side = (int)Math.Round(Math.Sqrt(_tokens - 1)), size = patch.Value[2];
        ImageSize = side * size;
        int count = heads ?? Math.Max(1, Channels / 64);
        if (side * side + 1 != _tokens || Channels % count != 0)
            throw new CheckpointException(
                $"{at.Path}: {_tokens} positions and {Channels} channels of {count} heads make no vision transformer.");
        _patches = new Conv2d(at.At("patch_embed.proj"), 3, Channels, size, Conv2dGeometry.Same(0, size));
        _class = at.Get("cls_token", [1, 1, Channels], WeightRole.Table);
        _positions = new Embedding(at, _tokens, Channels, "pos_embed");
        int blocks = 0;
        while (at.Contains(FormattableString.Invariant($"blocks.{blocks}")))
            blocks++;
        _blocks = [.. Enumerable.Range(0, blocks).Select(i => new Block(at.At("blocks", i), Channels, count))];
        _norm = new LayerNorm(at.At("norm"), Channels, Epsilon);
    }

    public int Channels { get; }

    /// <summary>The width and height in pixels of the pictures.</summary>
    public int ImageSize { get; }

    /// <summary>[1, size, size, 3] to [1, tokens, channels].</summary>
    public Tensor Apply(Tensor pixels)
    {
        using var scope = new TensorScope();
        var hidden = Tensor.Empty(pixels.Device, [1, _tokens, Channels]);
        _class.Embed([0]).Reshape(1, 1, -1).CopyTo(hidden.Slice(1, 0, 1));
        _patches.Apply(pixels).Reshape(1, _tokens - 1, -1).CopyTo(hidden.Slice(1, 1, _tokens - 1));
        hidden.Add(_positions.First(_tokens), into: hidden);
        foreach (var block in _blocks)
            block.AddTo(hidden);
        return scope.Keep(_norm.Apply(hidden));
    }

    private static int Inner(WeightCursor at, int channels) =>
        at.ShapeOf("mlp.fc1.weight") is { Rank: 2 } shape ? shape[0] : 4 * channels;

    private sealed class Block(WeightCursor at, int channels, int heads)
    {
        private readonly LayerNorm _norm1 = new(at.At("norm1"), channels, Epsilon);
        private readonly Linear _qkv = new(at.At("attn.qkv"), channels, 3 * channels);
        private readonly Linear _proj = new(at.At("attn.proj"), channels, channels);
        private readonly LayerNorm _norm2 = new(at.At("norm2"), channels, Epsilon);
        private readonly Linear _fc1 = new(at.At("mlp.fc1"), channels, Inner(at, channels));
        private readonly Linear _fc2 = new(at.At("mlp.fc2"), Inner(at, channels), channels);

        public void AddTo(Tensor hidden)
        {
            using var scope = new TensorScope();
            var x = _norm1.Apply(hidden);
            Tensor Part(int i) => _qkv.Apply(x, i * channels, channels).Reshape(1, x.Shape[1], heads, -1);
            var attended = Part(0).Attention(Part(1), Part(2), 1 / MathF.Sqrt(channels / heads));
            hidden.Add(_proj.Apply(attended.Reshape(x.Shape)), into: hidden);
            hidden.Add(_fc2.Apply(_fc1.Apply(_norm2.Apply(hidden), Activation.Gelu)), into: hidden);
        }
    }
}

/// <summary>
/// BERT with cross-attention to a picture in every layer; norms come after each sum. It has no token types.
/// </summary>
internal sealed class BlipText
{
    private readonly Embedding _words;
    private readonly Embedding _positions;
    private readonly LayerNorm _norm;
    private readonly Layer[] _layers;

    public BlipText(WeightCursor at, ModelConfig config, int pictureChannels)
    {
        int channels = config.Size("hidden_size", 768), heads = config.Heads("num_attention_heads", 12);
        float epsilon = config.Epsilon("layer_norm_eps", 1e-12);
        if (channels % heads != 0)
            throw new CheckpointException($"'{config.Path}': num_attention_heads {heads} does not divide hidden_size {channels}.");
        (Channels, MaxLength) = (channels, config.Length("max_position_embeddings", 512));
        var embeddings = at.At("embeddings");
        _words = new Embedding(embeddings.At("word_embeddings"), config.Length("vocab_size", 30524), channels);
        _positions = new Embedding(embeddings.At("position_embeddings"), MaxLength, channels);
        _norm = new LayerNorm(embeddings.At("LayerNorm"), channels, epsilon);
        embeddings.Ignore("position_ids");
        var settings = new LayerSettings(
            channels, heads, config.Size("intermediate_size", 3072), pictureChannels, epsilon, config.Activation("hidden_act", "gelu"));
        _layers = [.. Enumerable.Range(0, config.Layers("num_hidden_layers", 12))
            .Select(i => new Layer(at.At("encoder.layer", i), settings))];
    }

    public int Channels { get; }

    /// <summary>The largest number of tokens.</summary>
    public int MaxLength { get; }

    /// <summary>The last hidden state of a text beside a picture, [1, tokens, channels].</summary>
    /// <param name="ids">The text, pads included.</param>
    /// <param name="mask">1 for words, 0 for pads, which count for nothing.</param>
    /// <param name="picture">[1, tokens, channels] of the picture.</param>
    public Tensor Apply(int[] ids, int[] mask, Tensor picture)
    {
        using var scope = new TensorScope();
        var hidden = _words.Apply(ids).Reshape(1, ids.Length, Channels).Add(_positions.First(ids.Length));
        hidden = _norm.Apply(hidden, into: hidden);
        var keys = mask.All(one => one != 0) ? null
            : new AttentionMask { Keys = Tensor.From(picture.Device, Array.ConvertAll(mask, one => (float)one), [1, mask.Length]) };
        foreach (var layer in _layers)
        {
            using var inner = new TensorScope();
            hidden = inner.Keep(layer.Apply(hidden, keys, picture));
        }
        return scope.Keep(hidden);
    }

    private readonly record struct LayerSettings(
        int Channels, int Heads, int Inner, int PictureChannels, float Epsilon, Activation Activation);

    private sealed class Layer(WeightCursor at, LayerSettings settings)
    {
        private readonly Attend _attention = new(at.At("attention"), settings, settings.Channels);
        private readonly Attend _cross = new(at.At("crossattention"), settings, settings.PictureChannels);
        private readonly Linear _intermediate = new(at.At("intermediate.dense"), settings.Channels, settings.Inner);
        private readonly Linear _output = new(at.At("output.dense"), settings.Inner, settings.Channels);
        private readonly LayerNorm _norm = new(at.At("output.LayerNorm"), settings.Channels, settings.Epsilon);

        public Tensor Apply(Tensor hidden, AttentionMask? keys, Tensor picture)
        {
            hidden = _cross.Apply(_attention.Apply(hidden, hidden, keys), picture, null);
            return _norm.Apply(_output.AddTo(hidden, _intermediate.Apply(hidden, settings.Activation)));
        }
    }

    /// <summary>Attention, added to what asks, and a norm.</summary>
    private sealed class Attend(WeightCursor at, LayerSettings settings, int inputs)
    {
        private readonly Linear _query = new(at.At("self.query"), settings.Channels, settings.Channels);
        private readonly Linear _key = new(at.At("self.key"), inputs, settings.Channels);
        private readonly Linear _value = new(at.At("self.value"), inputs, settings.Channels);
        private readonly Linear _dense = new(at.At("output.dense"), settings.Channels, settings.Channels);
        private readonly LayerNorm _norm = new(at.At("output.LayerNorm"), settings.Channels, settings.Epsilon);

        public Tensor Apply(Tensor x, Tensor context, AttentionMask? keys)
        {
            Tensor Heads(Tensor rows) => rows.Reshape(1, rows.Shape[1], settings.Heads, -1);
            float scale = 1 / MathF.Sqrt(settings.Channels / settings.Heads);
            var attended = Heads(_query.Apply(x)).Attention(Heads(_key.Apply(context)), Heads(_value.Apply(context)), scale, keys);
            return _norm.Apply(_dense.AddTo(x, attended.Reshape(x.Shape)));
        }
    }
}
