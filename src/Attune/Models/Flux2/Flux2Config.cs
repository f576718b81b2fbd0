using Attune.Attention;
using Attune.Layers;
using Attune.Weights;

namespace Attune.Models.Flux2;

/// <summary>What Flux2Transformer2DModel's config.json states.</summary>
public sealed record Flux2Config
{
    /// <summary>Channels of a latent token: a patch of the autoencoder's latents.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of a predicted token.</summary>
    public int OutChannels { get; private init; }

    /// <summary>The number of double-stream blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>The number of single-stream blocks.</summary>
    public int NumSingleLayers { get; private init; }

    /// <summary>Channels of a head.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int JointAttentionDim { get; private init; }

    /// <summary>Channels of the sinusoids of timestep and guidance scale.</summary>
    public int TimestepGuidanceChannels { get; private init; }

    /// <summary>Whether a guidance scale is embedded (dev, where config.json does not say so) or not (klein).</summary>
    public bool GuidanceEmbeds { get; private init; }

    internal float Epsilon { get; private init; }

    internal int Hidden { get; private init; }

    internal int[] AxesDimsRope { get; private init; } = [];

    internal double RopeTheta { get; private init; }

    /// <summary>Positions are (time, row, column, 0) for pictures and (0, 0, 0, i) for text.</summary>
    internal RotaryAxes Rotary => new(AxesDimsRope, RopeTheta);

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    /// <summary>Queries or keys, normalised per head.</summary>
    internal HeadProjection Heads(IRowLayer linear, WeightCursor norm) =>
        new(linear, AttentionHeadDim, new RmsNorm(norm, AttentionHeadDim, Epsilon));

    internal static Flux2Config Read(ModelConfig json)
    {
        int inputs = json.Size("in_channels", 128);
        var config = new Flux2Config
        {
            InChannels = inputs,
            OutChannels = json.Size("out_channels", inputs),
            NumLayers = json.Layers("num_layers", 8),
            NumSingleLayers = json.Layers("num_single_layers", 48),
            AttentionHeadDim = json.Size("attention_head_dim", 128),
            NumAttentionHeads = json.Heads("num_attention_heads", 48),
            JointAttentionDim = json.Size("joint_attention_dim", 15360),
            TimestepGuidanceChannels = json.Size("timestep_guidance_channels", 256),
            GuidanceEmbeds = json.Bool("guidance_embeds", true),
            Epsilon = json.Epsilon("eps", 1e-6),
            AxesDimsRope = json.Sizes("axes_dims_rope", 32, 32, 32, 32),
            RopeTheta = json.Positive("rope_theta", 2000),
        };
        if (config.AxesDimsRope.Length != 4 || config.AxesDimsRope.Sum() != config.AttentionHeadDim || config.AttentionHeadDim % 8 != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': axes_dims_rope [{string.Join(", ", config.AxesDimsRope)}] must be four numbers that add up to "
                    + $"attention_head_dim {config.AttentionHeadDim}, a multiple of 8.");
        }
        return config with { Hidden = (int)(config.Width * json.Positive("mlp_ratio", 3, 64)) };
    }
}
