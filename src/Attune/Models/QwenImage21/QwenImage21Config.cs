using Attune.Attention;
using Attune.Layers;
using Attune.Weights;

namespace Attune.Models.QwenImage21;

/// <summary>What QwenImage21Transformer2DModel's config.json states.</summary>
public sealed record QwenImage21Config
{
    /// <summary>Channels of a latent.</summary>
    public int InChannels { get; private init; }

    /// <summary>The number of blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>Channels of a head.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int ContextInDim { get; private init; }

    internal int Hidden { get; private init; }

    internal float Epsilon { get; private init; }

    internal int[] AxesDimsRope { get; private init; } = [];

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    /// <summary>Positions are (frame, row, column); text goes on along all three.</summary>
    internal RotaryAxes Rotary => new(AxesDimsRope, 10000);

    /// <summary>Queries or keys, normalised per head.</summary>
    internal HeadProjection Heads(WeightCursor linear, WeightCursor norm) =>
        new(new Linear(linear, Width, Width, bias: false), AttentionHeadDim, new RmsNorm(norm, AttentionHeadDim, Epsilon));

    internal static QwenImage21Config Read(ModelConfig json)
    {
        int channels = json.Size("in_channels", 64);
        var config = new QwenImage21Config
        {
            InChannels = channels,
            NumLayers = json.Layers("num_layers", 32),
            AttentionHeadDim = json.Size("attention_head_dim", 128),
            NumAttentionHeads = json.Heads("num_attention_heads", 32),
            ContextInDim = json.Size("context_in_dim", 4096),
            Epsilon = json.Epsilon("eps", 1e-6),
            AxesDimsRope = json.Sizes("axes_dims_rope", 16, 56, 56),
        };
        int patch = json.Size("patch_size", 1);
        int outputs = json.Size("out_channels", channels);
        if (patch != 1 || outputs != channels)
        {
            throw new CheckpointException(
                $"'{json.Path}': patch_size {patch} and out_channels {outputs}; expected patches of 1 and in_channels, {channels}.");
        }
        if (!json.Bool("causal_condition", true))
            throw new CheckpointException($"'{json.Path}': causal_condition is false; text that depends on the time is not supported.");
        if (config.AxesDimsRope.Length != 3 || config.AxesDimsRope.Any(axis => axis % 2 != 0)
            || config.AxesDimsRope.Sum() != config.AttentionHeadDim || config.AttentionHeadDim % 8 != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': axes_dims_rope [{string.Join(", ", config.AxesDimsRope)}] must be three even numbers that add up to "
                    + $"attention_head_dim {config.AttentionHeadDim}, a multiple of 8.");
        }
        return config with { Hidden = config.Width * json.Size("mlp_ratio", 3) };
    }
}
