using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Decoder;

/// <summary>What config.json says of the vision tower, with the defaults of transformers.</summary>
internal sealed record Qwen3VisionConfig : VisionConfig
{
    /// <summary>The side of the square table of positions.</summary>
    public required int TableSide { get; init; }

    public required int[] DeepstackIndexes { get; init; }

    public static Qwen3VisionConfig Read(ModelConfig json)
    {
        int hidden = json.Size("hidden_size", 1152);
        int heads = json.Heads("num_heads", 16);
        int entries = json.Size("num_position_embeddings", 2304);
        int side = (int)Math.Round(Math.Sqrt(entries));
        if (hidden % heads != 0 || hidden / heads % 4 != 0 || side * side != entries)
        {
            throw new CheckpointException(
                $"'{json.Path}': hidden_size {hidden} with {heads} heads and num_position_embeddings {entries}; expected heads of a "
                    + "multiple of 4 channels and the square of a whole number.");
        }
        return new Qwen3VisionConfig
        {
            HiddenSize = hidden,
            Depth = json.Layers("depth", 27),
            NumHeads = heads,
            IntermediateSize = json.Size("intermediate_size", 4304),
            InChannels = json.Size("in_channels", 3),
            PatchSize = json.Size("patch_size", 16),
            TemporalPatchSize = json.Size("temporal_patch_size", 2),
            MergeSize = json.Size("spatial_merge_size", 2),
            OutHiddenSize = json.Size("out_hidden_size", 3584),
            TableSide = side,
            DeepstackIndexes = json.LayerLists("deepstack_visual_indexes", 8, 16, 24),
            HiddenAct = json.Activation("hidden_act", "gelu_pytorch_tanh"),
        };
    }
}

/// <summary>
/// The vision tower of Qwen3-VL: patches of a picture attend to each other; groups of them become rows of the language model, and so do the
/// states of some layers before the last, which are added behind the language model's first layers.
/// </summary>
internal sealed class Qwen3VisionTower : VisionTower
{
    private const float Epsilon = 1e-6f;

    private readonly Qwen3VisionConfig _config;
    private readonly PreparedWeight _patchBias;
    private readonly Embedding _positions;
    private readonly VisionBlock[] _blocks;
    private readonly VisionMerger _merger;
    private readonly VisionMerger[] _deepstack;

    public Qwen3VisionTower(WeightCursor at, Qwen3VisionConfig config)
        : base(at, config)
    {
        _config = config;
        _patchBias = at.Get("patch_embed.proj.bias", [config.HiddenSize], WeightRole.Vector);
        _positions = new Embedding(at.At("pos_embed"), config.TableSide * config.TableSide, config.HiddenSize);
        _blocks = [.. Enumerable.Range(0, config.Depth).Select(i => new VisionBlock(at.At("blocks", i), config, Epsilon))];
        _merger = new VisionMerger(at.At("merger"), config, Epsilon, grouped: false);
        _deepstack = [.. config.DeepstackIndexes.Select((_, i) =>
            new VisionMerger(at.At("deepstack_merger_list", i), config, Epsilon, grouped: true))];
    }

    /// <inheritdoc/>
    public override VisionEmbeds Apply(VisionPicture picture, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        Require(picture);
        int count = picture.Rows * picture.Columns;
        int merge = _config.MergeSize;
        using var scope = new TensorScope();
        (int Row, int Column)[] places = [.. Places(picture.Rows, picture.Columns, merge)];
        var x = picture.Patches.Linear(Patch, _patchBias).Add(Positions(picture, places));
        x = x.Reshape(1, count, _config.HiddenSize);
        using var rotary = Rotary(Device, places, _config.HiddenSize / _config.NumHeads);
        var deepstack = new List<Tensor>();
        for (int i = 0; i < _blocks.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            _blocks[i].AddTo(x, rotary);
            int level = Array.IndexOf(_config.DeepstackIndexes, i);
            if (level >= 0)
                deepstack.Add(scope.Keep(_deepstack[level].Apply(x)));
        }
        return new VisionEmbeds(scope.Keep(_merger.Apply(x)), deepstack);
    }

    /// <summary>The table of positions, enlarged or shrunk to the picture with its corners in place, bilinearly.</summary>
    private Tensor Positions(VisionPicture picture, (int Row, int Column)[] places)
    {
        int side = _config.TableSide;
        var corners = new int[4][];
        var weights = new float[4][];
        for (int corner = 0; corner < 4; corner++)
            (corners[corner], weights[corner]) = (new int[places.Length], new float[places.Length]);
        for (int i = 0; i < places.Length; i++)
        {
            var (top, bottom, down) = Between(places[i].Row, picture.Rows, side);
            var (left, right, across) = Between(places[i].Column, picture.Columns, side);
            (corners[0][i], weights[0][i]) = (top * side + left, (1 - down) * (1 - across));
            (corners[1][i], weights[1][i]) = (top * side + right, (1 - down) * across);
            (corners[2][i], weights[2][i]) = (bottom * side + left, down * (1 - across));
            (corners[3][i], weights[3][i]) = (bottom * side + right, down * across);
        }
        Tensor Part(int corner) =>
            _positions.Apply(corners[corner]).Multiply(Tensor.From(Device, weights[corner], [places.Length, 1]));
        return Part(0).Add(Part(1)).Add(Part(2)).Add(Part(3));
    }

    private static (int Low, int High, float Share) Between(int place, int count, int side)
    {
        // As torch.linspace has it: from the nearer end.
        float step = count == 1 ? 0 : (float)(side - 1) / (count - 1);
        float at = place < count / 2 ? place * step : side - 1 - (count - 1 - place) * step;
        int low = (int)at;
        return (low, Math.Min(low + 1, side - 1), at - low);
    }
}

/// <summary>Attention among the patches of a picture and a feed-forward network, each behind a norm.</summary>
internal sealed class VisionBlock(WeightCursor at, Qwen3VisionConfig config, float epsilon)
{
    private readonly int _channels = config.HiddenSize / config.NumHeads;
    private readonly LayerNorm _norm1 = new(at.At("norm1"), config.HiddenSize, epsilon);
    private readonly LayerNorm _norm2 = new(at.At("norm2"), config.HiddenSize, epsilon);
    private readonly Linear _qkv = new(at.At("attn.qkv"), config.HiddenSize, 3 * config.HiddenSize);
    private readonly Linear _proj = new(at.At("attn.proj"), config.HiddenSize, config.HiddenSize);
    private readonly Linear _up = new(at.At("mlp.linear_fc1"), config.HiddenSize, config.IntermediateSize);
    private readonly Linear _down = new(at.At("mlp.linear_fc2"), config.IntermediateSize, config.HiddenSize);

    /// <summary>Updates [1, patches, channels] in place.</summary>
    public void AddTo(Tensor x, RotaryEmbedding rotary)
    {
        using var scope = new TensorScope();
        var rows = _norm1.Apply(x);
        Tensor Part(int index) => _qkv.Apply(rows, index * config.HiddenSize, config.HiddenSize)
            .Reshape(1, x.Shape[1], config.NumHeads, _channels);
        var attended = Part(0).Rotate(rotary).Attention(Part(1).Rotate(rotary), Part(2), 1 / MathF.Sqrt(_channels));
        x.Add(_proj.Apply(attended.Reshape(x.Shape)), into: x);
        x.Add(_down.Apply(_up.Apply(_norm2.Apply(x), config.HiddenAct)), into: x);
    }
}

/// <summary>Groups of patches as rows of the language model.</summary>
/// <param name="at">Where it is.</param>
/// <param name="config">Of the tower.</param>
/// <param name="epsilon">Of the norm.</param>
/// <param name="grouped">Whether the norm is over a group's channels together.</param>
internal sealed class VisionMerger(WeightCursor at, Qwen3VisionConfig config, float epsilon, bool grouped)
{
    private readonly int _width = config.MergeSize * config.MergeSize * config.HiddenSize;
    private readonly LayerNorm _norm = new(
        at.At("norm"), grouped ? config.MergeSize * config.MergeSize * config.HiddenSize : config.HiddenSize, epsilon);

    private readonly Linear _up = new(
        at.At("linear_fc1"), config.MergeSize * config.MergeSize * config.HiddenSize,
        config.MergeSize * config.MergeSize * config.HiddenSize);

    private readonly Linear _down = new(
        at.At("linear_fc2"), config.MergeSize * config.MergeSize * config.HiddenSize, config.OutHiddenSize);

    /// <summary>[1, patches, channels] to [slots, channels of the language model].</summary>
    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        var rows = grouped ? _norm.Apply(x.Reshape(-1, _width)) : _norm.Apply(x).Reshape(-1, _width);
        return scope.Keep(_down.Apply(_up.Apply(rows, Activation.Gelu)));
    }
}
