using Attune.Attention;
using Attune.Weights;

namespace Attune.Models.Chroma;

/// <summary>What ChromaTransformer2DModel's config.json states.</summary>
public sealed record ChromaConfig
{
    internal const float Epsilon = 1e-6f;

    /// <summary>Channels of a packed latent.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of a predicted latent.</summary>
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

    /// <summary>Channels of what the network reads that makes the modulations.</summary>
    public int ApproximatorNumChannels { get; private init; }

    /// <summary>Its hidden channels.</summary>
    public int ApproximatorHiddenDim { get; private init; }

    /// <summary>Its layers.</summary>
    public int ApproximatorLayers { get; private init; }

    internal int[] AxesDimsRope { get; private init; } = [];

    /// <summary>Positions are (0, row, column) for latents and 0 for text.</summary>
    internal RotaryAxes Rotary => new(AxesDimsRope, theta: 10000);

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    internal static ChromaConfig Read(ModelConfig json)
    {
        int inputs = json.Size("in_channels", 64);
        var config = new ChromaConfig
        {
            InChannels = inputs,
            OutChannels = json.Size("out_channels", inputs),
            NumLayers = json.Layers("num_layers", 19),
            NumSingleLayers = json.Layers("num_single_layers", 38),
            AttentionHeadDim = json.Size("attention_head_dim", 128),
            NumAttentionHeads = json.Heads("num_attention_heads", 24),
            JointAttentionDim = json.Size("joint_attention_dim", 4096),
            ApproximatorNumChannels = json.Size("approximator_num_channels", 64),
            ApproximatorHiddenDim = json.Size("approximator_hidden_dim", 5120),
            ApproximatorLayers = json.Layers("approximator_layers", 5),
            AxesDimsRope = json.Sizes("axes_dims_rope", 16, 56, 56),
        };
        if (config.AxesDimsRope.Length != 3 || config.AxesDimsRope.Sum() != config.AttentionHeadDim || config.AttentionHeadDim % 8 != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': axes_dims_rope [{string.Join(", ", config.AxesDimsRope)}] must be three numbers that add up to "
                    + $"attention_head_dim {config.AttentionHeadDim}, a multiple of 8.");
        }
        if (config.ApproximatorNumChannels % 8 != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': approximator_num_channels is {config.ApproximatorNumChannels}, expected a multiple of 8.");
        }
        return config;
    }
}
