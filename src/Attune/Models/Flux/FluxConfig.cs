using Attune.Attention;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>What FluxTransformer2DModel's config.json states.</summary>
public sealed record FluxConfig
{
    internal const float Epsilon = 1e-6f;

    /// <summary>Channels of a packed latent.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of a predicted latent.</summary>
    public int OutChannels { get; private init; }

    /// <summary>The patch size; 1 in all released models, whose pipeline packs 2 x 2 pixels.</summary>
    public int PatchSize { get; private init; }

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

    /// <summary>Channels of the pooled embedding.</summary>
    public int PooledProjectionDim { get; private init; }

    /// <summary>Whether a guidance scale is embedded (dev) or not (schnell).</summary>
    public bool GuidanceEmbeds { get; private init; }

    internal int[] AxesDimsRope { get; private init; } = [];

    /// <summary>Positions are (0, row, column) for latents and 0 for text.</summary>
    internal RotaryAxes Rotary => new(AxesDimsRope, theta: 10000);

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    /// <summary>The released models: what the configuration's defaults say.</summary>
    internal static FluxConfig Real { get; } = Read(ModelConfig.Parse("defaults", "{}"u8.ToArray()));

    internal static FluxConfig Read(ModelConfig json)
    {
        int inputs = json.Size("in_channels", 64);
        var config = new FluxConfig
        {
            InChannels = inputs,
            OutChannels = json.Size("out_channels", inputs),
            PatchSize = json.Size("patch_size", 1),
            NumLayers = json.Layers("num_layers", 19),
            NumSingleLayers = json.Layers("num_single_layers", 38),
            AttentionHeadDim = json.Size("attention_head_dim", 128),
            NumAttentionHeads = json.Heads("num_attention_heads", 24),
            JointAttentionDim = json.Size("joint_attention_dim", 4096),
            PooledProjectionDim = json.Size("pooled_projection_dim", 768),
            GuidanceEmbeds = json.Bool("guidance_embeds", false),
            AxesDimsRope = json.Sizes("axes_dims_rope", 16, 56, 56),
        };
        if (config.AxesDimsRope.Sum() != config.AttentionHeadDim || config.AttentionHeadDim % 8 != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': axes_dims_rope [{string.Join(", ", config.AxesDimsRope)}] must add up to attention_head_dim "
                    + $"{config.AttentionHeadDim}, a multiple of 8.");
        }
        return config;
    }
}
