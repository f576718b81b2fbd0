using Attune.Layers;
using Attune.Weights;

namespace Attune.Models.StableDiffusion3;

/// <summary>What SD3Transformer2DModel's config.json states.</summary>
public sealed record StableDiffusion3Config
{
    internal const float Epsilon = 1e-6f;

    /// <summary>The size, in latents, that the model was trained for.</summary>
    public int SampleSize { get; private init; }

    /// <summary>How many latents, in each direction, are one token.</summary>
    public int PatchSize { get; private init; }

    /// <summary>Channels of a latent.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of a predicted latent.</summary>
    public int OutChannels { get; private init; }

    /// <summary>The number of blocks; in the last one the text gives keys and values alone.</summary>
    public int NumLayers { get; private init; }

    /// <summary>Channels of a head.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int JointAttentionDim { get; private init; }

    /// <summary>Channels of the pooled embedding.</summary>
    public int PooledProjectionDim { get; private init; }

    /// <summary>Rows and columns of the table of positions, the middle of which counts.</summary>
    public int PosEmbedMaxSize { get; private init; }

    /// <summary>The blocks in which the latents attend to each other once more (3.5 medium: the first 13).</summary>
    public IReadOnlyList<int> DualAttentionLayers { get; private init; } = [];

    /// <summary>Whether queries and keys are normalised per head (3.5) or not (3.0).</summary>
    public bool QkNorm { get; private init; }

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    /// <summary>Queries or keys of a layer, normalised per head where the model does so.</summary>
    internal HeadProjection Heads(WeightCursor linear, WeightCursor norm) => new(
        new Linear(linear, Width, Width), AttentionHeadDim, QkNorm ? new RmsNorm(norm, AttentionHeadDim, Epsilon) : null);

    internal static StableDiffusion3Config Read(ModelConfig json)
    {
        int inputs = json.Size("in_channels", 16);
        string norm = json.String("qk_norm", "none");
        if (norm is not ("none" or "rms_norm"))
            throw new CheckpointException($"'{json.Path}': qk_norm is '{norm}', expected rms_norm or null.");
        var config = new StableDiffusion3Config
        {
            SampleSize = json.Size("sample_size", 128),
            PatchSize = json.Size("patch_size", 2),
            InChannels = inputs,
            OutChannels = json.Size("out_channels", inputs),
            NumLayers = json.Layers("num_layers", 18),
            AttentionHeadDim = json.Size("attention_head_dim", 64),
            NumAttentionHeads = json.Heads("num_attention_heads", 18),
            JointAttentionDim = json.Size("joint_attention_dim", 4096),
            PooledProjectionDim = json.Size("pooled_projection_dim", 2048),
            PosEmbedMaxSize = json.Size("pos_embed_max_size", 96),
            DualAttentionLayers = json.Ints("dual_attention_layers"),
            QkNorm = norm == "rms_norm",
        };
        int caption = json.Size("caption_projection_dim", config.Width);
        if (caption != config.Width)
        {
            throw new CheckpointException(
                $"'{json.Path}': caption_projection_dim is {caption}, expected {config.Width}, the heads times attention_head_dim.");
        }
        if (config.AttentionHeadDim % 8 != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': attention_head_dim is {config.AttentionHeadDim}, expected a multiple of 8.");
        }
        return config;
    }
}
