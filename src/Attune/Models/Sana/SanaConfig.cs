using Attune.Layers;
using Attune.Weights;

namespace Attune.Models.Sana;

/// <summary>What SanaTransformer2DModel's config.json states.</summary>
public sealed record SanaConfig
{
    /// <summary>Of the norms of queries and keys.</summary>
    internal const float HeadEpsilon = 1e-5f;

    /// <summary>The size, in latents, that the model was trained for.</summary>
    public int SampleSize { get; private init; }

    /// <summary>How many latents, in each direction, are one token.</summary>
    public int PatchSize { get; private init; }

    /// <summary>Channels of a latent.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of a predicted latent.</summary>
    public int OutChannels { get; private init; }

    /// <summary>The number of blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>Channels of a head of linear attention.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads of linear attention.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>Channels of a head of cross-attention.</summary>
    public int CrossAttentionHeadDim { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int CaptionChannels { get; private init; }

    /// <summary>Whether queries and keys are normalised, over all heads together (Sana 1.5, Sprint).</summary>
    public bool QkNorm { get; private init; }

    /// <summary>What positions are divided by; null where none are added.</summary>
    public double? InterpolationScale { get; private init; }

    /// <summary>Whether the model embeds a guidance scale (Sprint).</summary>
    public bool GuidanceEmbeds { get; private init; }

    /// <summary>What the guidance scale is multiplied by before it is embedded.</summary>
    public float GuidanceEmbedsScale { get; private init; }

    /// <summary>What the timestep is multiplied by before it is embedded.</summary>
    public float TimestepScale { get; private init; }

    internal float Epsilon { get; private init; }

    internal bool AttentionBias { get; private init; }

    /// <summary>Channels of the gated convolution after its gate.</summary>
    internal int Hidden { get; private init; }

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    /// <summary>Queries or keys of linear attention.</summary>
    internal HeadProjection Heads(WeightCursor linear, WeightCursor norm) => new(
        new Linear(linear, Width, Width, AttentionBias), Width, QkNorm ? new RmsNorm(norm, Width, HeadEpsilon) : null);

    internal static SanaConfig Read(ModelConfig json)
    {
        string norm = json.String("qk_norm", "none");
        if (norm is not ("none" or "rms_norm_across_heads"))
            throw new CheckpointException($"'{json.Path}': qk_norm is '{norm}', expected rms_norm_across_heads or null.");
        if (json.Bool("norm_elementwise_affine", false))
            throw new CheckpointException($"'{json.Path}': norm_elementwise_affine is true, expected false.");
        int inputs = json.Size("in_channels", 32);
        int heads = json.Heads("num_attention_heads", 70);
        int channels = json.Size("attention_head_dim", 32);
        var config = new SanaConfig
        {
            SampleSize = json.Size("sample_size", 32),
            PatchSize = json.Size("patch_size", 1),
            InChannels = inputs,
            OutChannels = json.Size("out_channels", json.Keys().Contains("out_channels") ? inputs : 32),
            NumLayers = json.Layers("num_layers", 20),
            NumAttentionHeads = heads,
            AttentionHeadDim = channels,
            CrossAttentionHeadDim = json.Size("cross_attention_head_dim", 112),
            CaptionChannels = json.Size("caption_channels", 2304),
            QkNorm = norm != "none",
            InterpolationScale = json.OptionalDouble("interpolation_scale"),
            GuidanceEmbeds = json.Bool("guidance_embeds", false),
            GuidanceEmbedsScale = json.Float("guidance_embeds_scale", 0.1),
            TimestepScale = (float)json.Positive("timestep_scale", 1),
            Epsilon = json.Epsilon("norm_eps", 1e-6),
            AttentionBias = json.Bool("attention_bias", false),
            Hidden = (int)(json.Positive("mlp_ratio", 2.5, 64) * heads * channels),
        };
        int crossHeads = json.Heads("num_cross_attention_heads", 20);
        int text = json.Size("cross_attention_dim", 2240);
        if (text != config.Width || crossHeads * config.CrossAttentionHeadDim != config.Width)
        {
            throw new CheckpointException(
                $"'{json.Path}': cross_attention_dim is {text} and its heads have {crossHeads} x {config.CrossAttentionHeadDim} channels, "
                    + $"expected {config.Width}, num_attention_heads times attention_head_dim.");
        }
        if (config.InterpolationScale != null && config.Width % 4 != 0)
            throw new CheckpointException($"'{json.Path}': a width of {config.Width} has no positions, expected a multiple of 4.");
        return config;
    }
}
