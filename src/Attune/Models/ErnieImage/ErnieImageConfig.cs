using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.ErnieImage;

/// <summary>What ErnieImageTransformer2DModel's config.json states.</summary>
public sealed record ErnieImageConfig
{
    /// <summary>Channels of a row.</summary>
    public int HiddenSize { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>The number of blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>Hidden channels of the feed-forward networks.</summary>
    public int FfnHiddenSize { get; private init; }

    /// <summary>Channels of the latents.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int TextInDim { get; private init; }

    internal float Epsilon { get; private init; }

    /// <summary>Whether queries and keys are normalised per head.</summary>
    internal bool QkLayernorm { get; private init; }

    internal int[] RopeAxesDim { get; private init; } = [];

    internal double RopeTheta { get; private init; }

    internal int HeadChannels => HiddenSize / NumAttentionHeads;

    /// <summary>Positions are (tokens of the text, row, column) for latents and (i, 0, 0) for text.</summary>
    internal RotaryAxes Rotary => new(RopeAxesDim, RopeTheta, RotaryPairing.HalvesByNeighbours);

    /// <summary>Queries or keys.</summary>
    internal HeadProjection Heads(WeightCursor linear, WeightCursor norm) => new(
        new Linear(linear, HiddenSize, HiddenSize, bias: false), HeadChannels,
        QkLayernorm ? new RmsNorm(norm, HeadChannels, Epsilon) : null);

    internal static ErnieImageConfig Read(ModelConfig json)
    {
        var config = new ErnieImageConfig
        {
            HiddenSize = json.Size("hidden_size", 3072),
            NumAttentionHeads = json.Heads("num_attention_heads", 24),
            NumLayers = json.Layers("num_layers", 24),
            FfnHiddenSize = json.Size("ffn_hidden_size", 8192),
            InChannels = json.Size("in_channels", 128),
            TextInDim = json.Size("text_in_dim", 2560),
            Epsilon = json.Epsilon("eps", 1e-6),
            QkLayernorm = json.Bool("qk_layernorm", true),
            RopeAxesDim = json.Sizes("rope_axes_dim", 32, 48, 48),
            RopeTheta = json.Positive("rope_theta", 256),
        };
        int patch = json.Size("patch_size", 1);
        int outputs = json.Size("out_channels", 128);
        if (patch != 1 || outputs != config.InChannels)
        {
            throw new CheckpointException(
                $"'{json.Path}': patch_size {patch} and out_channels {outputs}; expected patches of 1 and in_channels, "
                    + $"{config.InChannels}.");
        }
        if (config.HiddenSize % config.NumAttentionHeads != 0 || config.RopeAxesDim.Length != 3
            || config.RopeAxesDim.Any(channels => channels % 2 != 0) || config.RopeAxesDim.Sum() != config.HeadChannels)
        {
            throw new CheckpointException(
                $"'{json.Path}': rope_axes_dim [{string.Join(", ", config.RopeAxesDim)}] must be three even numbers that add up to "
                    + $"hidden_size / num_attention_heads, {config.HiddenSize} / {config.NumAttentionHeads}.");
        }
        return config;
    }
}
