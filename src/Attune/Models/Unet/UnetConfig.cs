using System.Text.Json;
using Attune.Weights;
using Attune.Weights.SingleFile;

namespace Attune.Models.Unet;

/// <summary>What stands in the middle of a UNet.</summary>
internal enum UnetMiddle
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>A residual block.</summary>
    Resnet,

    /// <summary>Transformers between two residual blocks.</summary>
    CrossAttention,
}

/// <summary>One level of the encoder or decoder of a UNet.</summary>
/// <param name="Channels">The channels of its feature maps.</param>
/// <param name="Resnets">The number of residual blocks.</param>
/// <param name="TransformerLayers">The number of transformer blocks after each residual block; empty for a level without attention.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="TextChannels">The channels of the text that cross-attention reads.</param>
internal sealed record UnetLevel(int Channels, int Resnets, int[] TransformerLayers, int Heads, int TextChannels);

/// <summary>
/// The keys of config.json of UNet2DConditionModel that shape Stable Diffusion 1.x, 2.x, SDXL, their refiner and distilled forms, with the
/// reference's defaults. What these models do not use (class embeddings, other kinds of blocks, scale-shift norms) is an error that names
/// file and key.
/// </summary>
public sealed record UnetConfig
{
    /// <summary>Every transformer begins with a group norm of this epsilon; no configuration states it.</summary>
    internal const float TransformerNormEpsilon = 1e-6f;

    private UnetConfig()
    {
    }

    /// <summary>Channels of the latents that come in.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of the prediction.</summary>
    public int OutChannels { get; private init; }

    /// <summary>The height and width, in latents, that the model was trained for, where the configuration states it.</summary>
    public int? SampleSize { get; private init; }

    /// <summary>Channels per level, from the latents down.</summary>
    public IReadOnlyList<int> BlockOutChannels { get; private init; } = [];

    /// <summary>Channels of the text embeddings that cross-attention reads; of the first level where they differ.</summary>
    public int CrossAttentionDim { get; private init; }

    /// <summary>Channels of the sinusoid of a guidance scale that the model embeds (LCM); null for models that embed none.</summary>
    public int? TimeCondProjDim { get; private init; }

    /// <summary>
    /// Whether the pooled text embedding and six numbers about sizes (SDXL; five for its refiner) are added to the timestep's embedding.
    /// </summary>
    public bool HasTextTime { get; private init; }

    /// <summary>Channels of the sinusoid of each of these numbers.</summary>
    public int AdditionTimeEmbedDim { get; private init; }

    /// <summary>Channels of the pooled text embedding and of those sinusoids together.</summary>
    public int ProjectionClassEmbeddingsInputDim { get; private init; }

    /// <summary>Stable Diffusion 1.5 as released.</summary>
    public static UnetConfig StableDiffusion15 { get; } = Parse("Stable Diffusion 1.5", """
        {
            "sample_size": 64, "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2, "attention_head_dim": 8,
              "cross_attention_dim": 768,
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
        }
        """);

    /// <summary>SDXL as released.</summary>
    public static UnetConfig StableDiffusionXL { get; } = Parse("SDXL", """
        {
            "sample_size": 128, "block_out_channels": [320, 640, 1280], "layers_per_block": 2, "attention_head_dim": [5, 10, 20],
              "cross_attention_dim": 2048,
            "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": true,
            "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]
        }
        """);

    /// <summary>The encoder's levels, from the latents down.</summary>
    internal UnetLevel[] Down { get; private init; } = [];

    internal UnetMiddle Middle { get; private init; }

    /// <summary>The decoder's levels, from the middle up.</summary>
    internal UnetLevel[] Up { get; private init; } = [];

    /// <summary>The transformer blocks of the middle.</summary>
    internal int MiddleLayers { get; private init; }

    internal int NormNumGroups { get; private init; }

    internal float NormEps { get; private init; }

    internal int ConvInKernel { get; private init; }

    internal int ConvOutKernel { get; private init; }

    internal int DownsamplePadding { get; private init; }

    internal bool CenterInputSample { get; private init; }

    internal bool FlipSinToCos { get; private init; }

    internal double FreqShift { get; private init; }

    /// <summary>Channels of the embedding of timestep and sizes.</summary>
    internal int TimeEmbedDim { get; private init; }

    internal static UnetConfig Read(ModelConfig json)
    {
        RefuseUnsupported(json);
        int[] channels = json.Sizes("block_out_channels", 320, 640, 1280, 1280);
        int levels = channels.Length;
        int groups = json.Size("norm_num_groups", 32);
        if (levels == 0 || groups <= 0 || channels.Any(width => width <= 0 || width % groups != 0))
            throw new CheckpointException(
                $"'{json.Path}': block_out_channels is [{string.Join(", ", channels)}], expected multiples of norm_num_groups, {groups}.");
        bool[] downAttends = Attends(
            json, "down_block_types", "CrossAttnDownBlock2D", "DownBlock2D", levels,
            ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"]);
        bool[] upAttends = Attends(
            json, "up_block_types", "CrossAttnUpBlock2D", "UpBlock2D", levels,
            ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]);
        int[] resnets = PerLevel(json, "layers_per_block", 2, levels, ModelConfig.MostLayers);
        // The number of heads, whatever the key says.
        int[] heads = PerLevel(json, "attention_head_dim", 8, levels, ModelConfig.MostHeads);
        int[] text = PerLevel(json, "cross_attention_dim", 1280, levels, ModelConfig.LargestSize);
        int[][] layers = Transformers(json, "transformer_layers_per_block", resnets, extra: 0);
        int[] upResnets = [.. resnets.Reverse()];
        int[][] upLayers = json.Has("reverse_transformer_layers_per_block")
            ? Transformers(json, "reverse_transformer_layers_per_block", upResnets, extra: 1)
            : Transformers(json, "transformer_layers_per_block", resnets, extra: 1, reverse: true);
        var middle = MiddleOf(json);
        for (int i = 0; i < levels; i++)
        {
            bool attends = downAttends[i] || upAttends[levels - 1 - i] || (i == levels - 1 && middle == UnetMiddle.CrossAttention);
            if (attends && channels[i] % heads[i] != 0)
                throw new CheckpointException(
                    $"'{json.Path}': attention_head_dim {heads[i]} does not cut the {channels[i]} channels of level {i} into equal heads.");
        }
        string? addition = json.Has("addition_embed_type") ? json.String("addition_embed_type", "") : null;
        if (addition is not (null or "text_time"))
            throw new CheckpointException($"'{json.Path}': addition_embed_type is '{addition}', expected null or 'text_time'.");
        return new UnetConfig
        {
            InChannels = json.Size("in_channels", 4),
            OutChannels = json.Size("out_channels", 4),
            SampleSize = json.OptionalSize("sample_size"),
            BlockOutChannels = channels,
            CrossAttentionDim = text[0],
            TimeCondProjDim = json.OptionalSize("time_cond_proj_dim"),
            HasTextTime = addition != null,
            AdditionTimeEmbedDim = addition == null ? 0 : Needed(json, "addition_time_embed_dim"),
            ProjectionClassEmbeddingsInputDim = addition == null ? 0 : Needed(json, "projection_class_embeddings_input_dim"),
            Down = [
                .. Enumerable.Range(0, levels)
                    .Select(i => new UnetLevel(channels[i], resnets[i], downAttends[i] ? layers[i] : [], heads[i], text[i]))],
            Middle = middle,
            MiddleLayers = json.Layers(LdmUnetLayout.MiddleDepthKey, layers[^1].DefaultIfEmpty(1).First()),
            Up = [.. Enumerable.Range(0, levels).Select(i => (Up: i, Down: levels - 1 - i)).Select(at =>
                new UnetLevel(
                    channels[at.Down], resnets[at.Down] + 1, upAttends[at.Up] ? upLayers[at.Up] : [], heads[at.Down], text[at.Down]))],
            NormNumGroups = groups,
            NormEps = json.Epsilon("norm_eps", 1e-5),
            ConvInKernel = OddKernel(json, "conv_in_kernel"),
            ConvOutKernel = OddKernel(json, "conv_out_kernel"),
            DownsamplePadding = json.Int("downsample_padding", 1) is var padding and (0 or 1) ? padding
                : throw new CheckpointException(
                    $"'{json.Path}': downsample_padding is {json.Int("downsample_padding", 1)}, expected 0 or 1."),
            CenterInputSample = json.Bool("center_input_sample", false),
            FlipSinToCos = json.Bool("flip_sin_to_cos", true),
            FreqShift = json.Number("freq_shift", 0, -1e3, 1e3),
            TimeEmbedDim = json.OptionalSize("time_embedding_dim") ?? 4 * channels[0],
        };
    }

    private static UnetConfig Parse(string name, string json) => Read(ModelConfig.Parse(name, System.Text.Encoding.UTF8.GetBytes(json)));

    /// <summary>Options of the reference that the models of this family do not use: anything but the given value is an error.</summary>
    private static void RefuseUnsupported(ModelConfig json)
    {
        foreach (
            string key in new[] {
                "class_embed_type", "num_class_embeds", "encoder_hid_dim", "encoder_hid_dim_type", "cross_attention_norm",
                "num_attention_heads", "timestep_post_act", "time_embedding_act_fn" })
        {
            if (json.Find(key) is { } value)
                throw new CheckpointException($"'{json.Path}': {key} is {value.GetRawText()}, which is not supported; expected null.");
        }
        foreach (
            string key in new[] {
                "dual_cross_attention", "only_cross_attention", "mid_block_only_cross_attention", "class_embeddings_concat",
                "resnet_skip_time_act" })
        {
            if (json.Find(key) is { } value
                && value.ValueKind != JsonValueKind.False
                && !(value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.False)))
                throw new CheckpointException($"'{json.Path}': {key} is {value.GetRawText()}, which is not supported; expected false.");
        }
        foreach (string key in new[] { "mid_block_scale_factor", "resnet_out_scale_factor" })
        {
            if (json.Double(key, 1) != 1)
                throw new CheckpointException($"'{json.Path}': {key} is {json.Double(key, 1)}, which is not supported; expected 1.");
        }
        foreach (
            var (key, expected) in new[] {
                ("resnet_time_scale_shift", "default"), ("time_embedding_type", "positional"), ("attention_type", "default") })
        {
            if (json.String(key, expected) != expected)
                throw new CheckpointException(
                    $"'{json.Path}': {key} is '{json.String(key, expected)}', which is not supported; expected '{expected}'.");
        }
        if (json.String("act_fn", "silu") is not ("silu" or "swish"))
            throw new CheckpointException(
                $"'{json.Path}': act_fn is '{json.String("act_fn", "silu")}', which is not supported; expected 'silu'.");
    }

    private static bool[] Attends(ModelConfig json, string key, string attending, string plain, int levels, string[] missing)
    {
        string[] types = json.Strings(key, missing);
        if (types.FirstOrDefault(type => type != attending && type != plain) is { } unknown)
            throw new CheckpointException(
                $"'{json.Path}': {key} names '{unknown}', which is not supported; expected {attending} or {plain}.");
        if (types.Length != levels)
            throw new CheckpointException(
                $"'{json.Path}': {key} has {types.Length} entries, expected {levels}, one for each of block_out_channels.");
        return [.. types.Select(type => type == attending)];
    }

    /// <summary>A missing key means cross-attention, an explicit null no middle at all.</summary>
    private static UnetMiddle MiddleOf(ModelConfig json)
    {
        if (!json.Has("mid_block_type"))
            return json.Keys().Contains("mid_block_type") ? UnetMiddle.None : UnetMiddle.CrossAttention;
        return json.String("mid_block_type", "") switch
        {
            "UNetMidBlock2DCrossAttn" => UnetMiddle.CrossAttention,
            "UNetMidBlock2D" => UnetMiddle.Resnet,
            string other =>
                throw new CheckpointException(
                    $"'{json.Path}': mid_block_type is '{other}', which is not supported; expected UNetMidBlock2DCrossAttn, "
                        + $"UNetMidBlock2D or null."),
        };
    }

    /// <summary>A number from 1 for all levels, or a list with one for each.</summary>
    private static int[] PerLevel(ModelConfig json, string key, int missing, int levels, int most)
    {
        int[] values = json.Find(key) is { ValueKind: JsonValueKind.Array } ? json.Ints(key)
            : [.. Enumerable.Repeat(json.Int(key, missing), levels)];
        return values.Length == levels && values.All(value => value >= 1 && value <= most) ? values
            : throw new CheckpointException(
                $"'{json.Path}': {key} is {json.Find(key)?.GetRawText()}, expected a number from 1 to {most}, or {levels} of them, one for "
                    + $"each of block_out_channels.");
    }

    /// <summary>
    /// The transformer blocks after each residual block of each level: one number for all, one for each level, or a list for a level. Given
    /// and wanted in the order of the blocks unless
    /// <paramref name="reverse"/> says that the list is the encoder's and the decoder's is wanted.
    /// </summary>
    private static int[][] Transformers(ModelConfig json, string key, int[] resnets, int extra, bool reverse = false)
    {
        CheckpointException Wrong(string expected) => new($"'{json.Path}': {key} is {json.Find(key)?.GetRawText()}, expected {expected}.");
        int[][] result = new int[resnets.Length][];
        var value = json.Find(key);
        if (value is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() != resnets.Length)
            throw Wrong($"{resnets.Length} entries, one for each of block_out_channels");
        for (int i = 0; i < result.Length; i++)
        {
            int count = resnets[i] + extra;
            var entry = value is { ValueKind: JsonValueKind.Array } entries ? entries[i] : value;
            if (entry is { ValueKind: JsonValueKind.Array } nested)
            {
                if (reverse)
                    throw Wrong(
                        "reverse_transformer_layers_per_block beside it, since the decoder has a residual block more than the encoder");
                if (nested.GetArrayLength() != count
                    || nested.EnumerateArray().Any(
                        item => !item.TryGetInt32(out int layers) || layers < 0 || layers > ModelConfig.MostLayers))
                    throw Wrong($"{count} numbers for level {i}");
                result[i] = [.. nested.EnumerateArray().Select(item => item.GetInt32())];
            }
            else
            {
                int layers = 1;
                if (entry is { } number && (number.ValueKind != JsonValueKind.Number || !number.TryGetInt32(out layers) || layers < 0
                    || layers > ModelConfig.MostLayers))
                    throw Wrong($"numbers of transformer blocks, from 0 to {ModelConfig.MostLayers}");
                result[i] = [.. Enumerable.Repeat(layers, count)];
            }
        }
        if (reverse)
            Array.Reverse(result);
        return result;
    }

    private static int OddKernel(ModelConfig json, string key) => json.Int(key, 3) is var kernel && kernel > 0 && kernel % 2 == 1 ? kernel
        : throw new CheckpointException($"'{json.Path}': {key} is {json.Int(key, 3)}, expected a positive odd number.");

    private static int Needed(ModelConfig json, string key) => json.OptionalInt(key) is { } value and > 0 ? value
        : throw new CheckpointException(
            $"'{json.Path}': {key} is {json.Find(key)?.GetRawText() ?? "missing"}, expected a positive number beside addition_embed_type "
                + $"'text_time'.");
}
