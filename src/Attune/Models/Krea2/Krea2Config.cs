using Attune.Attention;
using Attune.Layers;
using Attune.Weights;

namespace Attune.Models.Krea2;

/// <summary>What Krea2Transformer2DModel's config.json states.</summary>
public sealed record Krea2Config
{
    /// <summary>Channels of the latents, in patches.</summary>
    public int InChannels { get; private init; }

    /// <summary>The number of blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>Channels of a head.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads of queries.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>The number of heads of keys and values, a divisor of that of queries.</summary>
    public int NumKeyValueHeads { get; private init; }

    /// <summary>Hidden channels of the feed-forward networks.</summary>
    public int IntermediateSize { get; private init; }

    /// <summary>Channels of the text encoder's hidden states.</summary>
    public int TextHiddenDim { get; private init; }

    /// <summary>How many of the text encoder's layers are read.</summary>
    public int NumTextLayers { get; private init; }

    internal int TimestepEmbedDim { get; private init; }

    internal int TextHeads { get; private init; }

    internal int TextKeyValueHeads { get; private init; }

    internal int TextIntermediateSize { get; private init; }

    internal int NumLayerwiseTextBlocks { get; private init; }

    internal int NumRefinerTextBlocks { get; private init; }

    internal float Epsilon { get; private init; }

    internal int[] AxesDimsRope { get; private init; } = [];

    internal double RopeTheta { get; private init; }

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    /// <summary>Positions are (0, row, column) for latents and (0, 0, 0) for text.</summary>
    internal RotaryAxes Rotary => new(AxesDimsRope, RopeTheta);

    /// <summary>A norm of the model: the mean square is brought to 1, then rows are multiplied by 1 + weight.</summary>
    internal RmsNorm Norm(WeightCursor at, int channels) => new(at, channels, Epsilon, plusOne: true);

    internal static Krea2Config Read(ModelConfig json)
    {
        int heads = json.Heads("num_attention_heads", 48);
        int textHeads = json.Heads("text_num_attention_heads", 20);
        var config = new Krea2Config
        {
            InChannels = json.Size("in_channels", 64),
            NumLayers = json.Layers("num_layers", 28),
            AttentionHeadDim = json.Size("attention_head_dim", 128),
            NumAttentionHeads = heads,
            NumKeyValueHeads = json.Heads("num_key_value_heads", 12),
            IntermediateSize = json.Size("intermediate_size", 16384),
            TextHiddenDim = json.Size("text_hidden_dim", 2560),
            NumTextLayers = json.Size("num_text_layers", 12),
            TimestepEmbedDim = json.Size("timestep_embed_dim", 256),
            TextHeads = textHeads,
            TextKeyValueHeads = json.Heads("text_num_key_value_heads", 20),
            TextIntermediateSize = json.Size("text_intermediate_size", 6912),
            NumLayerwiseTextBlocks = json.Layers("num_layerwise_text_blocks", 2),
            NumRefinerTextBlocks = json.Layers("num_refiner_text_blocks", 2),
            Epsilon = json.Epsilon("norm_eps", 1e-5),
            AxesDimsRope = json.Sizes("axes_dims_rope", 32, 48, 48),
            RopeTheta = json.Positive("rope_theta", 1000),
        };
        if (heads % config.NumKeyValueHeads != 0 || textHeads % config.TextKeyValueHeads != 0 || config.TextHiddenDim % textHeads != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': heads of keys {config.NumKeyValueHeads} and {config.TextKeyValueHeads} must divide heads of queries "
                    + $"{heads} and {textHeads}, and the latter text_hidden_dim {config.TextHiddenDim}.");
        }
        if (config.AxesDimsRope.Length != 3 || config.AxesDimsRope.Any(axis => axis % 2 != 0)
            || config.AxesDimsRope.Sum() != config.AttentionHeadDim)
        {
            throw new CheckpointException(
                $"'{json.Path}': axes_dims_rope [{string.Join(", ", config.AxesDimsRope)}] must be three even numbers that add up to "
                    + $"attention_head_dim {config.AttentionHeadDim}.");
        }
        return config;
    }
}
