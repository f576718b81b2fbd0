using Attune.Attention;
using Attune.Layers;
using Attune.Weights;

namespace Attune.Models.ZImage;

/// <summary>What ZImageTransformer2DModel's config.json states.</summary>
public sealed record ZImageConfig
{
    /// <summary>Channels of a latent.</summary>
    public int InChannels { get; private init; }

    /// <summary>Channels of a row.</summary>
    public int Dim { get; private init; }

    /// <summary>The number of blocks over pictures and text together.</summary>
    public int NumLayers { get; private init; }

    /// <summary>The number of blocks over the picture alone, and over the text alone, before those.</summary>
    public int NumRefinerLayers { get; private init; }

    /// <summary>The number of heads.</summary>
    public int NumHeads { get; private init; }

    /// <summary>Channels of the text embeddings.</summary>
    public int CapFeatDim { get; private init; }

    /// <summary>How many latents, in each direction, are one token.</summary>
    public int PatchSize { get; private init; }

    /// <summary>What the time from 0 to 1 is multiplied by.</summary>
    public float TimeScale { get; private init; }

    internal float Epsilon { get; private init; }

    internal int[] AxesDims { get; private init; } = [];

    internal double RopeTheta { get; private init; }

    internal int HeadChannels => Dim / NumHeads;

    /// <summary>Channels of the embedding that modulates.</summary>
    internal int TimeChannels => Math.Min(Dim, 256);

    /// <summary>Hidden channels of the feed-forward networks.</summary>
    internal int Hidden => Dim / 3 * 8;

    /// <summary>The key of the layers of a patch size: pictures have one frame.</summary>
    internal string PatchKey => FormattableString.Invariant($"{PatchSize}-1");

    /// <summary>Positions are (1 + i, 0, 0) for text and (tokens of text + 1, row, column) for latents.</summary>
    internal RotaryAxes Rotary => new(AxesDims, RopeTheta);

    /// <summary>Queries or keys, normalised per head.</summary>
    internal HeadProjection Heads(WeightCursor linear, WeightCursor norm) =>
        new(new Linear(linear, Dim, Dim, bias: false), HeadChannels, new RmsNorm(norm, HeadChannels, Epsilon));

    internal static ZImageConfig Read(ModelConfig json)
    {
        int dim = json.Size("dim", 3840);
        int heads = json.Heads("n_heads", 30);
        int[] patches = json.Sizes("all_patch_size", 2);
        int[] frames = json.Sizes("all_f_patch_size", 1);
        if (patches.Length != 1 || frames is not [1])
        {
            throw new CheckpointException(
                $"'{json.Path}': all_patch_size [{string.Join(", ", patches)}] and all_f_patch_size [{string.Join(", ", frames)}]; one "
                    + "patch size, of one frame, is supported.");
        }
        if (json.Heads("n_kv_heads", heads) != heads)
            throw new CheckpointException($"'{json.Path}': n_kv_heads is {json.Heads("n_kv_heads", heads)}, expected n_heads, {heads}.");
        if (!json.Bool("qk_norm", true))
            throw new CheckpointException($"'{json.Path}': qk_norm is false; models without it are not supported.");
        if (json.Has("siglip_feat_dim"))
            throw new CheckpointException($"'{json.Path}': siglip_feat_dim is set; models that read pictures are not supported.");
        var config = new ZImageConfig
        {
            InChannels = json.Size("in_channels", 16),
            Dim = dim,
            NumLayers = json.Layers("n_layers", 30),
            NumRefinerLayers = json.Layers("n_refiner_layers", 2),
            NumHeads = heads,
            CapFeatDim = json.Size("cap_feat_dim", 2560),
            PatchSize = patches[0],
            TimeScale = (float)json.Positive("t_scale", 1000),
            Epsilon = json.Epsilon("norm_eps", 1e-5),
            AxesDims = json.Sizes("axes_dims", 32, 48, 48),
            RopeTheta = json.Positive("rope_theta", 256),
        };
        if (dim % heads != 0 || config.AxesDims.Length != 3 || config.AxesDims.Sum() != config.HeadChannels)
        {
            throw new CheckpointException(
                $"'{json.Path}': axes_dims [{string.Join(", ", config.AxesDims)}] must be three numbers that add up to dim / n_heads, "
                    + $"{dim} / {heads}.");
        }
        return config;
    }
}
