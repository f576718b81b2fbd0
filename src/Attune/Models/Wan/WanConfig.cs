using Attune.Weights;

namespace Attune.Models.Wan;

/// <summary>What WanTransformer3DModel's config.json states.</summary>
public sealed record WanConfig
{
    /// <summary>How many latents, in each direction of a frame, are one token.</summary>
    public int PatchSize { get; private init; }

    /// <summary>Channels of a latent as the model reads it: more than <see cref="OutChannels"/> where a picture stands beside it.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of the prediction.</summary>
    public int OutChannels { get; private init; }

    /// <summary>The number of blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>Channels of a head.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int TextDim { get; private init; }

    /// <summary>Channels of the sinusoidal features of the timestep.</summary>
    public int FreqDim { get; private init; }

    /// <summary>Channels inside of the feed-forward networks.</summary>
    public int FfnDim { get; private init; }

    /// <summary>Channels of what the model reads of a picture that CLIP has seen; null for models that read none.</summary>
    public int? ImageDim { get; private init; }

    internal float Epsilon { get; private init; }

    /// <summary>Whether what asks the text is normalised with weights.</summary>
    internal bool CrossAttnNorm { get; private init; }

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    /// <summary>How the channels of a head are divided among frames, rows and columns.</summary>
    internal int[] RotaryChannels
    {
        get
        {
            int side = 2 * (AttentionHeadDim / 6);
            return [AttentionHeadDim - 2 * side, side, side];
        }
    }

    internal static WanConfig Read(ModelConfig json)
    {
        int[] patch = json.Sizes("patch_size", 1, 2, 2);
        if (patch is not [1, var side, var other] || side != other)
        {
            throw new CheckpointException(
                $"'{json.Path}': patch_size is [{string.Join(", ", patch)}], expected [1, n, n]: patches of single frames.");
        }
        if (json.String("qk_norm", "rms_norm_across_heads") is var norm && norm != "rms_norm_across_heads")
            throw new CheckpointException($"'{json.Path}': qk_norm is '{norm}', expected rms_norm_across_heads.");
        if (json.Has("pos_embed_seq_len"))
        {
            throw new CheckpointException(
                $"'{json.Path}': pos_embed_seq_len is {json.Int("pos_embed_seq_len", 0)}; models that are given a first and a last frame "
                    + "are not supported.");
        }
        int inputs = json.Size("in_channels", 16);
        var config = new WanConfig
        {
            PatchSize = side,
            InChannels = inputs,
            OutChannels = json.OptionalSize("out_channels") ?? (json.Keys().Contains("out_channels") ? inputs : 16),
            NumLayers = json.Layers("num_layers", 40),
            AttentionHeadDim = json.Size("attention_head_dim", 128),
            NumAttentionHeads = json.Heads("num_attention_heads", 40),
            TextDim = json.Size("text_dim", 4096),
            FreqDim = json.Size("freq_dim", 256),
            FfnDim = json.Size("ffn_dim", 13824),
            Epsilon = json.Epsilon("eps", 1e-6),
            CrossAttnNorm = json.Bool("cross_attn_norm", true),
            ImageDim = json.OptionalSize("image_dim"),
        };
        if (json.OptionalSize("added_kv_proj_dim") is var added && (added ?? config.Width) != config.Width
            || (added == null) != (config.ImageDim == null))
        {
            throw new CheckpointException(
                $"'{json.Path}': added_kv_proj_dim is {added?.ToString() ?? "missing"} with image_dim "
                    + $"{config.ImageDim?.ToString() ?? "missing"}; expected both or none, and the width, {config.Width}.");
        }
        foreach (var (key, value) in new[] { ("attention_head_dim", config.AttentionHeadDim), ("freq_dim", config.FreqDim) })
        {
            if (value % 2 != 0)
                throw new CheckpointException($"'{json.Path}': {key} is {value}, expected an even number.");
        }
        return config;
    }
}
