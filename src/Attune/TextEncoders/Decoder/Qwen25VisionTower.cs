using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Decoder;

/// <summary>What config.json says of the vision tower of Qwen2.5-VL, with the defaults of transformers.</summary>
internal sealed record Qwen25VisionConfig : VisionConfig
{
    /// <summary>How many groups of patches, in each direction, a window has.</summary>
    public required int WindowGroups { get; init; }

    /// <summary>The blocks whose attention is not within windows.</summary>
    public required int[] FullAttention { get; init; }

    public static Qwen25VisionConfig Read(ModelConfig json)
    {
        int hidden = json.Size("hidden_size", 1280);
        int heads = json.Heads("num_heads", 16);
        int patch = json.Size("patch_size", 14);
        int merge = json.Size("spatial_merge_size", 2);
        int window = json.Size("window_size", 112);
        if (hidden % heads != 0 || hidden / heads % 4 != 0 || window % (patch * merge) != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': hidden_size {hidden} with {heads} heads, window_size {window}; expected heads of a multiple of 4 channels "
                    + $"and windows of whole groups of {merge} x {merge} patches of {patch} pixels.");
        }
        return new Qwen25VisionConfig
        {
            HiddenSize = hidden,
            Depth = json.Layers("depth", 32),
            NumHeads = heads,
            IntermediateSize = json.Size("intermediate_size", 3420),
            InChannels = json.Size(json.Has("in_chans") ? "in_chans" : "in_channels", 3),
            PatchSize = patch,
            TemporalPatchSize = json.Size("temporal_patch_size", 2),
            MergeSize = merge,
            OutHiddenSize = json.Size("out_hidden_size", 3584),
            WindowGroups = window / patch / merge,
            FullAttention = json.LayerLists("fullatt_block_indexes", 7, 15, 23, 31),
            HiddenAct = json.Activation("hidden_act", "silu"),
        };
    }
}

/// <summary>
/// The vision tower of Qwen2.5-VL (arXiv 2502.13923): patches of a picture attend to each other within windows, in a few blocks to all of
/// the picture; groups of them become rows of the language model. Rows go by windows from the first block to the last.
/// </summary>
internal sealed class Qwen25VisionTower : VisionTower
{
    private readonly Qwen25VisionConfig _config;
    private readonly Qwen25VisionBlock[] _blocks;
    private readonly RmsNorm _norm;
    private readonly Linear _up;
    private readonly Linear _down;

    public Qwen25VisionTower(WeightCursor at, Qwen25VisionConfig config)
        : base(at, config)
    {
        _config = config;
        int group = config.MergeSize * config.MergeSize * config.HiddenSize;
        _blocks = [.. Enumerable.Range(0, config.Depth).Select(i => new Qwen25VisionBlock(at.At("blocks", i), config))];
        _norm = new RmsNorm(at.At("merger.ln_q"), config.HiddenSize, Qwen25VisionBlock.Epsilon);
        _up = new Linear(at.At("merger.mlp.0"), group, group);
        _down = new Linear(at.At("merger.mlp.2"), group, config.OutHiddenSize);
    }

    /// <inheritdoc/>
    public override VisionEmbeds Apply(VisionPicture picture, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        Require(picture);
        int unit = MergeSize * MergeSize;
        var windows = Windows(picture.Rows / MergeSize, picture.Columns / MergeSize, _config.WindowGroups).ToArray();
        int[] order = [.. windows.SelectMany(groups => groups)];
        (int Start, int Length)[] spans = new (int, int)[windows.Length];
        for (int i = 0; i < spans.Length; i++)
            spans[i] = (i == 0 ? 0 : spans[i - 1].Start + spans[i - 1].Length, unit * windows[i].Length);
        (int Row, int Column)[] places = [.. Places(picture.Rows, picture.Columns, MergeSize)];
        using var scope = new TensorScope();
        var embedded = picture.Patches.Linear(Patch, null);
        watch?.Invoke("tower.patch_embed", embedded);
        var x = Gather(embedded, order, unit);
        using var rotary = Rotary(
            Device, [.. order.SelectMany(group => places.Skip(unit * group).Take(unit))], _config.HiddenSize / _config.NumHeads);
        for (int i = 0; i < _blocks.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            _blocks[i].AddTo(x, rotary, _config.FullAttention.Contains(i) ? [(0, places.Length)] : spans);
            watch?.Invoke(FormattableString.Invariant($"tower.blocks.{i}"), x.Reshape(places.Length, _config.HiddenSize));
        }
        watch?.Invoke("last_hidden_state", x.Reshape(places.Length, _config.HiddenSize));
        var merged = _down.Apply(_up.Apply(_norm.Apply(x).Reshape(order.Length, unit * _config.HiddenSize), Activation.Gelu));
        int[] back = new int[order.Length];
        for (int i = 0; i < order.Length; i++)
            back[order[i]] = i;
        return new VisionEmbeds(scope.Keep(Gather(merged, back, 1).Reshape(order.Length, Channels)), []);
    }

    /// <summary>The groups of each window, row by row; windows at the border are cut off.</summary>
    private static IEnumerable<int[]> Windows(int rows, int columns, int side)
    {
        for (int top = 0; top < rows; top += side)
        {
            for (int left = 0; left < columns; left += side)
            {
                var (bottom, right) = (Math.Min(top + side, rows), Math.Min(left + side, columns));
                yield return [
                    .. from row in Enumerable.Range(top, bottom - top) from column in Enumerable.Range(left, right - left)
                    select row * columns + column];
            }
        }
    }

    /// <summary>Runs of rows in another order, [1, rows, channels].</summary>
    private static Tensor Gather(Tensor rows, int[] order, int unit)
    {
        var gathered = rows.Like([1, rows.Shape[0], rows.Shape[1]]);
        var flat = gathered.Reshape(rows.Shape[0], rows.Shape[1]);
        for (int i = 0; i < order.Length; i++)
            rows.Slice(0, unit * order[i], unit).CopyTo(flat.Slice(0, unit * i, unit));
        return gathered;
    }
}

/// <summary>Attention among patches and a gated feed-forward network, each behind a norm.</summary>
internal sealed class Qwen25VisionBlock(WeightCursor at, Qwen25VisionConfig config)
{
    internal const float Epsilon = 1e-6f;

    private readonly int _channels = config.HiddenSize / config.NumHeads;
    private readonly RmsNorm _norm1 = new(at.At("norm1"), config.HiddenSize, Epsilon);
    private readonly RmsNorm _norm2 = new(at.At("norm2"), config.HiddenSize, Epsilon);
    private readonly Linear _qkv = new(at.At("attn.qkv"), config.HiddenSize, 3 * config.HiddenSize);
    private readonly Linear _proj = new(at.At("attn.proj"), config.HiddenSize, config.HiddenSize);
    private readonly Linear _gate = new(at.At("mlp.gate_proj"), config.HiddenSize, config.IntermediateSize);
    private readonly Linear _up = new(at.At("mlp.up_proj"), config.HiddenSize, config.IntermediateSize);
    private readonly Linear _down = new(at.At("mlp.down_proj"), config.IntermediateSize, config.HiddenSize);

    /// <summary>Updates [1, patches, channels] in place.</summary>
    /// <param name="x">The patches.</param>
    /// <param name="rotary">What turns them.</param>
    /// <param name="spans">The runs of patches that attend to each other.</param>
    public void AddTo(Tensor x, RotaryEmbedding rotary, IReadOnlyList<(int Start, int Length)> spans)
    {
        using var scope = new TensorScope();
        var rows = _norm1.Apply(x);
        Tensor Part(int index) => _qkv.Apply(rows, index * config.HiddenSize, config.HiddenSize)
            .Reshape(1, x.Shape[1], config.NumHeads, _channels);
        var (q, k, v) = (Part(0).Rotate(rotary), Part(1).Rotate(rotary), Part(2));
        var attended = q.Like(q.Shape);
        foreach (var (start, length) in spans)
        {
            using var inner = new TensorScope();
            Tensor Of(Tensor all) => all.Slice(1, start, length);
            Of(q).Attention(Of(k), Of(v), 1 / MathF.Sqrt(_channels)).CopyTo(Of(attended));
        }
        x.Add(_proj.Apply(attended.Reshape(x.Shape)), into: x);
        var normed = _norm2.Apply(x);
        var gated = _gate.Apply(normed, config.HiddenAct);
        x.Add(_down.Apply(gated.Multiply(_up.Apply(normed), into: gated)), into: x);
    }
}
