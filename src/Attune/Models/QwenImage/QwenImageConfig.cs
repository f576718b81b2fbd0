using Attune.Attention;
using Attune.Weights;

namespace Attune.Models.QwenImage;

/// <summary>What QwenImageTransformer2DModel's config.json states.</summary>
public sealed record QwenImageConfig
{
    internal const float Epsilon = 1e-6f;

    /// <summary>Channels of a latent token: a patch of latents.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of a predicted latent.</summary>
    public int OutChannels { get; private init; }

    /// <summary>How many latents, in each direction, are one token.</summary>
    public int PatchSize { get; private init; }

    /// <summary>The number of blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>Channels of a head.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int JointAttentionDim { get; private init; }

    /// <summary>Whether references are modulated as at time 0 (Qwen-Image-Edit-2511).</summary>
    public bool ZeroCondT { get; private init; }

    internal int[] AxesDimsRope { get; private init; } = [];

    /// <summary>Positions are (frame, row, column), counted from the middle of the picture; text follows on all axes.</summary>
    internal RotaryAxes Rotary => new(AxesDimsRope, theta: 10000);

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    internal static QwenImageConfig Read(ModelConfig json)
    {
        foreach (string key in new[] { "guidance_embeds", "use_additional_t_cond", "use_layer3d_rope" })
        {
            if (json.Bool(key, false))
                throw new CheckpointException($"'{json.Path}': {key} is true; such models (layers) are not supported.");
        }
        var config = new QwenImageConfig
        {
            InChannels = json.Size("in_channels", 64),
            OutChannels = json.Size("out_channels", 16),
            PatchSize = json.Size("patch_size", 2),
            NumLayers = json.Layers("num_layers", 60),
            AttentionHeadDim = json.Size("attention_head_dim", 128),
            NumAttentionHeads = json.Heads("num_attention_heads", 24),
            JointAttentionDim = json.Size("joint_attention_dim", 3584),
            ZeroCondT = json.Bool("zero_cond_t", false),
            AxesDimsRope = json.Sizes("axes_dims_rope", 16, 56, 56),
        };
        if (config.AxesDimsRope.Length != 3 || config.AxesDimsRope.Sum() != config.AttentionHeadDim || config.AttentionHeadDim % 8 != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': axes_dims_rope [{string.Join(", ", config.AxesDimsRope)}] must be three numbers that add up to "
                    + $"attention_head_dim {config.AttentionHeadDim}, a multiple of 8.");
        }
        return config;
    }
}
