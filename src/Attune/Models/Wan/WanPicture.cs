using Attune.Layers;
using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Weights;

namespace Attune.Models.Wan;

/// <summary>The picture that the blocks of Wan 2.1's image to video read.</summary>
/// <param name="Rows">[1, rows, width].</param>
/// <param name="Memo">Keeps what layers make of it; null keeps nothing.</param>
internal sealed record WanPicture(Tensor Rows, Memo? Memo);

/// <summary>What CLIP saw of a picture, as rows of the transformer (WanImageEmbedding of diffusers).</summary>
/// <param name="at">Where it is.</param>
/// <param name="channels">Of what CLIP gives.</param>
/// <param name="width">Of the transformer.</param>
internal sealed class WanImageEmbedding(WeightCursor at, int channels, int width)
{
    /// <summary>Of both norms, whatever the transformer's is.</summary>
    private const float Epsilon = 1e-5f;

    private readonly LayerNorm _norm1 = new(at.At("norm1"), channels, Epsilon);
    private readonly Linear _inner = new(at.At("ff.net.0.proj"), channels, channels);
    private readonly Linear _outer = new(at.At("ff.net.2"), channels, width);
    private readonly LayerNorm _norm2 = new(at.At("norm2"), width, Epsilon);

    /// <summary>[1, rows, channels] to [1, rows, width].</summary>
    public Tensor Apply(Tensor seen) => _norm2.Apply(_outer.Apply(_inner.Apply(_norm1.Apply(seen), Activation.Gelu)));
}

/// <summary>
/// Attention to the picture beside that to the text, of the same queries: both are added before the output projection. No rule guides it,
/// since both prompts see the same picture.
/// </summary>
internal sealed class WanPictureAttention(WeightCursor at, WanConfig config)
{
    private readonly Linear _k = new(at.At("add_k_proj"), config.Width, config.Width);
    private readonly Linear _v = new(at.At("add_v_proj"), config.Width, config.Width);
    private readonly RmsNorm _kNorm = new(at.At("norm_added_k"), config.Width, config.Epsilon);

    /// <summary>What queries, [batch, rows, width], find in the picture; shaped as they are.</summary>
    public Tensor Apply(Tensor queries, WanPicture picture)
    {
        using var scope = new TensorScope();
        Tensor Once(object layer, Func<Tensor> make) => picture.Memo == null ? make() : picture.Memo.Once((layer, picture.Rows), make);
        Tensor Heads(Tensor rows) => rows.Reshape(rows.Shape[0], rows.Shape[1], -1, config.AttentionHeadDim);
        var keys = Once(_k, () => _kNorm.Apply(_k.Apply(picture.Rows)));
        var values = Once(_v, () => _v.Apply(picture.Rows));
        var found = Heads(queries).Attention(Heads(keys), Heads(values), 1 / MathF.Sqrt(config.AttentionHeadDim));
        return scope.Keep(found.Reshape(queries.Shape));
    }
}

/// <summary>What CLIP sees of a picture: the rows before its last layer.</summary>
internal sealed class WanPictureEncoder : IDisposable
{
    private readonly ClipVisionTower _tower;
    private readonly Device _device;

    private WanPictureEncoder(ClipVisionTower tower, Device device) => (_tower, _device) = (tower, device);

    /// <summary>Opens a model's <c>image_encoder</c>.</summary>
    /// <param name="source">The model.</param>
    /// <param name="channels">What the transformer reads.</param>
    /// <exception cref="CheckpointException">It is missing, or does not fit.</exception>
    public static WanPictureEncoder Load(ModelSource source, int channels)
    {
        if (!source.Has("image_encoder"))
            throw new CheckpointException($"'{source.Path}' has no image_encoder, which a transformer with image_dim reads.");
        var component = source.Component("image_encoder");
        var config = ClipVisionConfig.ReadTower(component.Config);
        if (config.Layer.HiddenSize != channels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': hidden_size is {config.Layer.HiddenSize}, expected {channels}, the transformer's image_dim.");
        }
        return new WanPictureEncoder(
            component.Build((checkpoint, _) => new ClipVisionTower(checkpoint, config, projects: false)), source.Device);
    }

    /// <summary>[1, positions, channels] of a picture of any size; a tensor of the current scope.</summary>
    public Tensor Apply(PictureInput picture)
    {
        using var scope = new TensorScope();
        return scope.Keep(_tower.Rows(picture.ForClip(_tower.Config.ImageSize, _device), _tower.Config.Layers - 1));
    }

    /// <inheritdoc/>
    public void Dispose() => _tower.Dispose();
}
