using Attune.Weights;

namespace Attune.Models.PixArt;

/// <summary>What PixArtTransformer2DModel's config.json states.</summary>
public sealed record PixArtConfig
{
    /// <summary>The size, in latents, that the model was trained for.</summary>
    public int SampleSize { get; private init; }

    /// <summary>How many latents, in each direction, are one token.</summary>
    public int PatchSize { get; private init; }

    /// <summary>Channels of a latent.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of the prediction: those of a latent, and as many again where the model also predicts a variance.</summary>
    public int OutChannels { get; private init; }

    /// <summary>The number of blocks.</summary>
    public int NumLayers { get; private init; }

    /// <summary>Channels of a head.</summary>
    public int AttentionHeadDim { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumAttentionHeads { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int CaptionChannels { get; private init; }

    /// <summary>What positions are divided by.</summary>
    public double InterpolationScale { get; private init; }

    /// <summary>Whether the model is told the picture's height, width and aspect ratio (alpha at 1024 pixels).</summary>
    public bool UseAdditionalConditions { get; private init; }

    internal float Epsilon { get; private init; }

    internal bool AttentionBias { get; private init; }

    internal int Width => NumAttentionHeads * AttentionHeadDim;

    internal static PixArtConfig Read(ModelConfig json)
    {
        void Require(string key, string expected)
        {
            if (json.String(key, expected) is var stated && stated != expected)
                throw new CheckpointException($"'{json.Path}': {key} is '{stated}', expected {expected}.");
        }

        Require("norm_type", "ada_norm_single");
        Require("activation_fn", "gelu-approximate");
        Require("attention_type", "default");
        if (json.Bool("norm_elementwise_affine", false))
            throw new CheckpointException($"'{json.Path}': norm_elementwise_affine is true, expected false.");
        int sample = json.Size("sample_size", 128);
        int inputs = json.Size("in_channels", 4);
        var config = new PixArtConfig
        {
            SampleSize = sample,
            PatchSize = json.Size("patch_size", 2),
            InChannels = inputs,
            OutChannels = json.Size("out_channels", json.Keys().Contains("out_channels") ? inputs : 8),
            NumLayers = json.Layers("num_layers", 28),
            AttentionHeadDim = json.Size("attention_head_dim", 72),
            NumAttentionHeads = json.Heads("num_attention_heads", 16),
            CaptionChannels = json.OptionalSize("caption_channels")
                ?? throw new CheckpointException($"'{json.Path}': caption_channels is missing, expected the channels of the text."),
            InterpolationScale = json.Positive("interpolation_scale", Math.Max(sample / 64, 1)),
            UseAdditionalConditions = json.Bool("use_additional_conditions", sample == 128),
            Epsilon = json.Epsilon("norm_eps", 1e-6),
            AttentionBias = json.Bool("attention_bias", true),
        };
        if (json.Size("cross_attention_dim", 1152) != config.Width || config.Width % 4 != 0)
        {
            throw new CheckpointException(
                $"'{json.Path}': cross_attention_dim is {json.Size("cross_attention_dim", 1152)}, expected {config.Width}, the heads times "
                    + "attention_head_dim, a multiple of 4.");
        }
        if (config.OutChannels != inputs && config.OutChannels != 2 * inputs)
        {
            throw new CheckpointException(
                $"'{json.Path}': out_channels is {config.OutChannels}, expected in_channels, {inputs}, or twice that where a variance is "
                    + "predicted too.");
        }
        return config;
    }
}
