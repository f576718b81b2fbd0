using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Decoder;

/// <summary>
/// A decoder-only language model whose hidden states condition a denoiser: Qwen2.5-VL, Qwen3, Qwen3-VL, Mistral 3, Ministral 3 and Gemma 2
/// of transformers. They are one architecture with switches (<see cref="DecoderConfig"/>): causal attention with fewer heads for keys than
/// for queries, rotary positions, gated feed-forward networks, root-mean-square norms. Only the text side is read, and the vision towers of
/// Qwen2.5-VL and Qwen3-VL where pictures are to be seen: other towers and the output layer may be in the file.
/// </summary>
public sealed class DecoderTextModel : IDisposable
{
    /// <summary>What the files of multimodal and generating models hold besides the text tower.</summary>
    private static readonly string[] Unneeded =
        ["lm_head.*", "*.lm_head.*", "visual.*", "model.visual.*", "*vision_tower.*", "*multi_modal_projector.*", "*.rotary_emb.inv_freq"];

    private readonly Checkpoint _checkpoint;
    private readonly DecoderConfig _config;
    private readonly Embedding _embedTokens;
    private readonly DecoderLayer[] _layers;
    private readonly RmsNorm _norm;
    private readonly KeptBeginnings _beginnings = new();
    private readonly VisionTower? _vision;
    private readonly int _imageToken;

    private DecoderTextModel(Checkpoint checkpoint, DecoderConfig config, ModelConfig json, bool seesPictures)
    {
        (_checkpoint, _config) = (checkpoint, config);
        var root = TextTower(checkpoint.Root);
        _embedTokens = new Embedding(root.At("embed_tokens"), config.VocabSize, config.HiddenSize);
        _layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(i => new DecoderLayer(root.At("layers", i), config, i))];
        _norm = config.Norm(root.At("norm"), config.HiddenSize);
        string visual = checkpoint.Root.At("model.visual").Contains("patch_embed.proj.weight") ? "model.visual" : "visual";
        if (seesPictures && json.Object("vision_config") is { } vision
            && checkpoint.Root.At(visual).Contains("patch_embed.proj.weight"))
        {
            var at = checkpoint.Root.At(visual);
            _vision = json.String("model_type", "") switch
            {
                "qwen3_vl" => new Qwen3VisionTower(at, Qwen3VisionConfig.Read(vision)),
                "qwen2_5_vl" => new Qwen25VisionTower(at, Qwen25VisionConfig.Read(vision)),
                _ => null,
            };
            _imageToken = json.Int("image_token_id", 151655);
            if (_vision is { } tower && tower.Channels != config.HiddenSize)
            {
                throw new CheckpointException(
                    $"'{json.Path}': out_hidden_size is {tower.Channels}, expected hidden_size, {config.HiddenSize}.");
            }
        }
        checkpoint.RequireAllUsed(Unneeded);
    }

    /// <summary>Whether pictures can be encoded too (<see cref="EncodeWithPictures"/>).</summary>
    public bool SeesPictures => _vision != null;

    /// <summary>The number of layers; hidden states are numbered from 0 (the embedding) to this.</summary>
    public int Layers => _layers.Length;

    /// <summary>The channels of hidden states.</summary>
    public int Channels => _config.HiddenSize;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static DecoderTextModel Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static DecoderTextModel Load(ComponentSource source) => Load(source, seesPictures: false);

    /// <summary>Builds the component from a source, with its vision tower where pictures are to be seen.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <param name="seesPictures">Whether the vision tower is read, where the files have one; those of Qwen2.5-VL and Qwen3-VL are
    /// supported.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static DecoderTextModel Load(ComponentSource source, bool seesPictures) => source.Build(
        (checkpoint, config) => new DecoderTextModel(checkpoint, DecoderConfig.Read(config), config, seesPictures));

    /// <summary>Encodes token ids and returns some of the hidden states; layers after the last of them do not run.</summary>
    /// <param name="ids">Rows of token ids of one length. Token i stands at position i, pads included.</param>
    /// <param name="hiddenStates">Which: 0 is the embedding, k the output of layer k; negative ones count from the end.</param>
    /// <param name="mask">Which tokens count, as the tokenizer says: rows of 1 and 0. They are left out as keys only; rows of pads come out
    /// too, and where a row sees no key at all (a pad on the left), its attention gives zeros. Null: all count.</param>
    /// <param name="finalNorm">Whether the last hidden state is after the final norm, as transformers has it, or before.</param>
    /// <param name="beginning">
    /// Ids with which many texts begin, such as those of a template: where a single row without a mask begins with them, what they make is
    /// kept for the next call, which is then faster and gives the same bits. Null for none.
    /// </param>
    /// <param name="cancellation">Checked before every layer.</param>
    /// <returns>In the order of the request, each [batch, tokens, channels]; tensors of the current scope.</returns>
    /// <exception cref="ArgumentException">The rows are empty or of unequal length, or the mask has another shape.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside of the vocabulary, or there is no such hidden state.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<Tensor> EncodeHiddenStates(
        IReadOnlyList<int[]> ids, IReadOnlyList<int> hiddenStates, IReadOnlyList<int[]>? mask = null, bool finalNorm = true,
        int[]? beginning = null, CancellationToken cancellation = default)
    {
        int[] tokens = TokenBatch.Flatten(ids);
        int[] wanted = TokenBatch.HiddenStates(hiddenStates, Layers);
        using var scope = new TensorScope();
        var keys = TokenBatch.Keys(_checkpoint.Device, mask, ids);
        if (mask != null || ids.Count != 1 || !KeptBeginnings.Suits(tokens, beginning))
            return [.. Run(tokens, ids.Count, wanted, keys, finalNorm, null, null, cancellation).Select(scope.Keep)];
        var kept = _beginnings.Find(beginning!, wanted, finalNorm, record =>
            Run(beginning!, 1, wanted, null, finalNorm, null, record, cancellation));
        var rest = Run(tokens[beginning!.Length..], 1, wanted, null, finalNorm, kept, null, cancellation);
        return [.. rest.Select((state, i) => scope.Keep(TensorOperations.Concatenate(1, kept.States[i], state)))];
    }

    /// <summary>
    /// Encodes token ids with pictures in the places of their tokens: as many as a picture has groups of patches, one after the other.
    /// </summary>
    /// <param name="ids">Token ids.</param>
    /// <param name="pictures">The pictures, in order.</param>
    /// <param name="hiddenStates">As for <see cref="EncodeHiddenStates"/>.</param>
    /// <param name="finalNorm">Whether the last hidden state is after the final norm.</param>
    /// <param name="watch">Receives what the vision tower gives, to find a fault; null watches nothing.</param>
    /// <param name="inALine">
    /// Whether tokens of pictures stand one after the other like those of text: as diffusers 0.42.1 with transformers 5 places them in
    /// Qwen2.5-VL, and not as the model was trained, by rows and columns.
    /// </param>
    /// <param name="cancellation">Checked before every layer.</param>
    /// <returns>In the order of the request, each [1, tokens, channels]; tensors of the current scope.</returns>
    /// <exception cref="ArgumentException">The tokens of pictures do not fit the pictures.</exception>
    /// <exception cref="InvalidOperationException">The model was loaded without its vision tower.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<Tensor> EncodeWithPictures(
        int[] ids, IReadOnlyList<VisionPicture> pictures, IReadOnlyList<int> hiddenStates, bool finalNorm = true,
        Action<string, Tensor>? watch = null, bool inALine = false, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(pictures);
        var tower = RequireTower();
        int[] tokens = TokenBatch.Flatten([ids]);
        int[] wanted = TokenBatch.HiddenStates(hiddenStates, Layers);
        using var scope = new TensorScope();
        var embeds = pictures.Select(picture => tower.Apply(picture, null, cancellation)).ToArray();
        if (watch != null && embeds.Length > 0)
        {
            watch("image_embeds", TensorOperations.Concatenate(0, [.. embeds.Select(one => one.Embeds)]));
            for (int i = 0; i < embeds[0].Deepstack.Count; i++)
            {
                watch(
                    FormattableString.Invariant($"deepstack.{i}"),
                    TensorOperations.Concatenate(0, [.. embeds.Select(one => one.Deepstack[i])]));
            }
        }
        var (starts, positions) = PlacesOf(tokens, pictures, tower.MergeSize);
        if (inALine)
            positions = [.. Enumerable.Range(0, tokens.Length).Select(i => (i, i, i))];
        var seen = new SeenPictures(embeds, starts, positions);
        return [.. Run(tokens, 1, wanted, null, finalNorm, null, null, cancellation, seen).Select(scope.Keep)];
    }

    /// <summary>What the vision tower makes of a picture, [groups of patches, channels]; a tensor of the current scope.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="watch">Receives what its submodules give, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <exception cref="InvalidOperationException">The model was loaded without its vision tower.</exception>
    internal Tensor See(VisionPicture picture, Action<string, Tensor>? watch = null, CancellationToken cancellation = default) =>
        RequireTower().Apply(picture, watch, cancellation).Embeds;

    /// <summary>The positions (time, row, column) of tokens with pictures in their places, one axis after the other.</summary>
    internal int[] PositionsOf(int[] tokens, IReadOnlyList<VisionPicture> pictures)
    {
        var (_, positions) = PlacesOf(tokens, pictures, RequireTower().MergeSize);
        return [
            .. positions.Select(place => place.Time), .. positions.Select(place => place.Row), .. positions.Select(place => place.Column)];
    }

    private VisionTower RequireTower() =>
        _vision ?? throw new InvalidOperationException("The model was loaded without its vision tower.");

    /// <summary>
    /// Where each picture's tokens begin, and the positions of all tokens: text counts on along all axes; a picture stands at one time, its
    /// rows and columns beside it, and text goes on behind the larger of both.
    /// </summary>
    private (int[] Starts, (int Time, int Row, int Column)[] Positions) PlacesOf(
        int[] tokens, IReadOnlyList<VisionPicture> pictures, int merge)
    {
        var starts = new List<int>();
        var positions = new (int, int, int)[tokens.Length];
        int next = 0;
        for (int i = 0; i < tokens.Length; i++)
        {
            if (tokens[i] != _imageToken)
            {
                positions[i] = (next, next, next);
                next++;
                continue;
            }
            var picture = starts.Count < pictures.Count ? pictures[starts.Count] : null;
            int columns = (picture?.Columns ?? 0) / merge;
            int slots = (picture?.Rows ?? 0) / merge * columns;
            if (slots == 0 || i + slots > tokens.Length || tokens.AsSpan(i, slots).ContainsAnyExcept(_imageToken))
                throw new ArgumentException($"The tokens of pictures do not fit the {pictures.Count} pictures.", nameof(pictures));
            starts.Add(i);
            for (int slot = 0; slot < slots; slot++)
                positions[i + slot] = (next, next + slot / columns, next + slot % columns);
            next += Math.Max(slots / columns, columns);
            i += slots - 1;
        }
        return starts.Count == pictures.Count ? ([.. starts], positions)
            : throw new ArgumentException($"The tokens are those of {starts.Count} pictures, not {pictures.Count}.", nameof(pictures));
    }

    /// <summary>Pictures in the places of tokens.</summary>
    /// <param name="Embeds">What they become.</param>
    /// <param name="Starts">Where the tokens of each begin.</param>
    /// <param name="Positions">Of all tokens.</param>
    private sealed record SeenPictures(
        IReadOnlyList<VisionEmbeds> Embeds, int[] Starts, (int Time, int Row, int Column)[] Positions)
    {
        /// <summary>Puts their rows in the places of tokens.</summary>
        public void Place(Tensor hidden)
        {
            for (int i = 0; i < Starts.Length; i++)
                Embeds[i].Embeds.CopyTo(Rows(hidden, i));
        }

        /// <summary>Adds what they give behind a layer.</summary>
        public void AddBehind(int layer, Tensor hidden)
        {
            for (int i = 0; i < Starts.Length && layer < Embeds[i].Deepstack.Count; i++)
            {
                var rows = Rows(hidden, i);
                rows.Add(Embeds[i].Deepstack[layer], into: rows);
            }
        }

        private Tensor Rows(Tensor hidden, int picture)
        {
            int count = Embeds[picture].Embeds.Shape[0];
            return hidden.Slice(1, Starts[picture], count).Reshape(count, hidden.Shape[2]);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _beginnings.Dispose();
        _checkpoint.Dispose();
    }

    /// <summary>Some hidden states of tokens; layers after the last of them do not run.</summary>
    /// <param name="tokens">Rows of one length.</param>
    /// <param name="batch">The number of rows.</param>
    /// <param name="wanted">Which hidden states.</param>
    /// <param name="keys">Which tokens count as keys; null for all.</param>
    /// <param name="finalNorm">Whether the last hidden state is normed.</param>
    /// <param name="before">What the tokens before these have made; null where these are the first.</param>
    /// <param name="record">Receives keys and values of each layer; null keeps nothing.</param>
    /// <param name="cancellation">Checked before every layer.</param>
    /// <param name="pictures">Pictures in the places of tokens; null for none.</param>
    private Tensor[] Run(
        int[] tokens, int batch, int[] wanted, Tensor? keys, bool finalNorm, KeptBeginning? before, Action<Tensor, Tensor>? record,
        CancellationToken cancellation, SeenPictures? pictures = null)
    {
        int depth = wanted.DefaultIfEmpty(0).Max();
        int length = tokens.Length / batch;
        int first = before?.Ids.Length ?? 0;
        using var scope = new TensorScope();
        var positions = pictures == null ? _config.Rotary.Table(_checkpoint.Device, first + length).From(first)
            : _config.Rotary.Table(_checkpoint.Device, pictures.Positions);
        var hidden = _embedTokens.Apply(tokens).Reshape(batch, length, Channels);
        if (_config.EmbeddingScale != 1)
            hidden = hidden.Affine(_config.EmbeddingScale);
        pictures?.Place(hidden);
        var states = new Tensor[wanted.Length];
        for (int layer = 0; ; layer++)
        {
            for (int i = 0; i < wanted.Length; i++)
            {
                if (wanted[i] == layer)
                    states[i] = scope.Keep(layer == Layers && finalNorm ? _norm.Apply(hidden) : hidden.Clone());
            }
            if (layer == depth)
                return states;
            cancellation.ThrowIfCancellationRequested();
            if (layer > 0)
                pictures?.AddBehind(layer - 1, hidden);
            _layers[layer].AddTo(hidden, positions, keys, before?.Layers[layer], record);
        }
    }

    /// <summary>
    /// Where the text tower is: file names have changed with the versions of transformers, and the class's name does not tell them.
    /// </summary>
    private static WeightCursor TextTower(WeightCursor root)
    {
        string[] places = ["model.language_model", "language_model.model", "language_model", "model"];
        string? place = places.FirstOrDefault(place => root.At(place).Contains("embed_tokens"));
        return place == null ? root : root.At(place);
    }
}

/// <summary>One layer: causal self-attention and a gated feed-forward network, each added to the residual stream.</summary>
internal sealed class DecoderLayer(WeightCursor at, DecoderConfig config, int index)
{
    private readonly RmsNorm _inputNorm = config.Norm(at.At("input_layernorm"), config.HiddenSize);
    private readonly DecoderAttention _attention = new(at.At("self_attn"), config, config.WindowOf(index));
    private readonly RmsNorm _postAttentionNorm = config.Norm(at.At("post_attention_layernorm"), config.HiddenSize);
    private readonly RmsNorm? _preFeedForwardNorm =
        config.NormsBehind ? config.Norm(at.At("pre_feedforward_layernorm"), config.HiddenSize) : null;

    private readonly RmsNorm? _postFeedForwardNorm =
        config.NormsBehind ? config.Norm(at.At("post_feedforward_layernorm"), config.HiddenSize) : null;

    private readonly Linear _gate = new(at.At("mlp.gate_proj"), config.HiddenSize, config.IntermediateSize, bias: false);
    private readonly Linear _up = new(at.At("mlp.up_proj"), config.HiddenSize, config.IntermediateSize, bias: false);
    private readonly Linear _down = new(at.At("mlp.down_proj"), config.IntermediateSize, config.HiddenSize, bias: false);

    /// <summary>Updates [batch, tokens, channels] in place.</summary>
    /// <param name="hidden">The rows.</param>
    /// <param name="positions">Where they stand.</param>
    /// <param name="counted">Which of them count as keys; null for all.</param>
    /// <param name="before">Keys and values of the rows before them, turned; null for none.</param>
    /// <param name="record">Receives keys, turned, and values of these rows; null keeps nothing.</param>
    public void AddTo(
        Tensor hidden, RotaryPositions positions, Tensor? counted, (Tensor Key, Tensor Value)? before = null,
        Action<Tensor, Tensor>? record = null)
    {
        using var scope = new TensorScope();
        var attended = _attention.Apply(_inputNorm.Apply(hidden), positions, counted, before, record);

        // Where there are norms behind the branches (Gemma 2), this one is; else it stands before the feed-forward network.
        hidden.Add(config.NormsBehind ? _postAttentionNorm.Apply(attended) : attended, into: hidden);
        var rows = (_preFeedForwardNorm ?? _postAttentionNorm).Apply(hidden);
        var inner = _gate.Apply(rows, config.HiddenAct);
        var fed = _down.Apply(inner.Multiply(_up.Apply(rows), into: inner));
        hidden.Add(_postFeedForwardNorm?.Apply(fed) ?? fed, into: hidden);
    }
}

/// <summary>Causal attention; several heads of queries share one of keys and values.</summary>
internal sealed class DecoderAttention(WeightCursor at, DecoderConfig config, int window)
{
    private readonly Linear _q = new(at.At("q_proj"), config.HiddenSize, config.QueryChannels, config.QkvBias);
    private readonly Linear _k = new(at.At("k_proj"), config.HiddenSize, config.KeyChannels, config.QkvBias);
    private readonly Linear _v = new(at.At("v_proj"), config.HiddenSize, config.KeyChannels, config.QkvBias);
    private readonly RmsNorm? _qNorm = config.QkNorm ? config.Norm(at.At("q_norm"), config.HeadDim) : null;
    private readonly RmsNorm? _kNorm = config.QkNorm ? config.Norm(at.At("k_norm"), config.HeadDim) : null;
    private readonly Linear _o = new(at.At("o_proj"), config.QueryChannels, config.HiddenSize, config.OutputBias);

    public Tensor Apply(
        Tensor x, RotaryPositions positions, Tensor? counted, (Tensor Key, Tensor Value)? before, Action<Tensor, Tensor>? record)
    {
        var (q, k, v) = (Heads(_q.Apply(x)), Heads(_k.Apply(x)), Heads(_v.Apply(x)));
        _qNorm?.Apply(q, into: q);
        _kNorm?.Apply(k, into: k);
        q.Rotate(positions.Rotary, into: q);
        k.Rotate(positions.Rotary, into: k);
        if (positions.QueryScales is { } scales)
            q.Multiply(scales, into: q);
        record?.Invoke(k, v);
        if (before is { } earlier)
            (k, v) = (TensorOperations.Concatenate(1, earlier.Key, k), TensorOperations.Concatenate(1, earlier.Value, v));
        var mask = new AttentionMask { Keys = counted, Causal = true, Window = window, SoftCap = config.LogitCap };
        return _o.Apply(q.Attention(k, v, config.LogitScale, mask).Reshape(x.Shape[0], x.Shape[1], config.QueryChannels));
    }

    private Tensor Heads(Tensor x) => x.Reshape(x.Shape[0], x.Shape[1], -1, config.HeadDim);
}
