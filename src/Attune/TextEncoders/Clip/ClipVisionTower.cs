using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Clip;

/// <summary>
/// CLIP's encoder of pictures: a vision transformer, whose class token is projected in a whole CLIP (CLIPModel, CLIPVisionModel of
/// transformers).
/// </summary>
internal sealed class ClipVisionTower : IDisposable
{
    private static readonly string[] OtherParts = ["text_model.*", "text_projection.*", "logit_scale"];
    private static readonly string[] Projecting = ["vision_model.post_layernorm.*", "visual_projection.*"];

    private readonly Checkpoint _checkpoint;
    private readonly ClipVisionConfig _config;
    private readonly PreparedWeight _class;
    private readonly Conv2d _patches;
    private readonly Embedding _positions;
    private readonly LayerNorm _before;
    private readonly ClipEncoderLayer[] _layers;
    private readonly LayerNorm? _after;
    private readonly Linear? _projection;

    /// <summary>Reads a tower.</summary>
    /// <param name="checkpoint">Its weights; owned from here on.</param>
    /// <param name="config">What shapes it.</param>
    /// <param name="projects">Whether the projection of the class token is read; else <see cref="Rows"/> alone is there.</param>
    public ClipVisionTower(Checkpoint checkpoint, ClipVisionConfig config, bool projects = true)
    {
        (_checkpoint, _config) = (checkpoint, config);
        var root = checkpoint.Root;
        var model = root.At("vision_model");
        var embeddings = model.At("embeddings");
        int channels = config.Layer.HiddenSize;
        _class = embeddings.Get("class_embedding", [channels], WeightRole.Table);
        _patches = new Conv2d(
            embeddings.At("patch_embedding"), 3, channels, config.PatchSize, Conv2dGeometry.Same(0, config.PatchSize), bias: false);
        _positions = new Embedding(embeddings.At("position_embedding"), config.Positions, channels);
        embeddings.Ignore("position_ids");
        // The name is misspelt in every file.
        _before = new LayerNorm(model.At("pre_layrnorm"), channels, config.Layer.LayerNormEps);
        _layers = [.. Enumerable.Range(0, config.Layers).Select(i => new ClipEncoderLayer(model.At("encoder.layers", i), config.Layer))];
        if (projects)
        {
            _after = new LayerNorm(model.At("post_layernorm"), channels, config.Layer.LayerNormEps);
            _projection = new Linear(root.At("visual_projection"), channels, config.ProjectionDim, bias: false);
        }
        checkpoint.RequireAllUsed(projects ? OtherParts : [.. OtherParts, .. Projecting]);
    }

    /// <summary>What shapes it.</summary>
    public ClipVisionConfig Config => _config;

    /// <summary>[1, size, size, 3] to the projected feature, not normalised.</summary>
    public float[] Apply(Tensor pixels)
    {
        if (_after == null || _projection == null)
            throw new InvalidOperationException("The tower was read without its projection.");
        using var scope = new TensorScope();
        var hidden = Rows(pixels, _layers.Length);
        return _projection.Apply(_after.Apply(hidden.Slice(1, 0, 1).Reshape(1, -1))).ToArray();
    }

    /// <summary>
    /// The rows behind some of the layers, the class token's first, without the norm that follows the last; later layers do not run.
    /// </summary>
    /// <param name="pixels">[1, size, size, 3].</param>
    /// <param name="layers">How many layers, from the first.</param>
    /// <returns>[1, positions, channels]; a tensor of the current scope.</returns>
    public Tensor Rows(Tensor pixels, int layers)
    {
        using var scope = new TensorScope();
        var patches = _patches.Apply(pixels);
        var hidden = Tensor.Empty(pixels.Device, [1, _config.Positions, patches.Shape[3]]);
        _class.Embed([0]).Reshape(1, 1, -1).CopyTo(hidden.Slice(1, 0, 1));
        patches.Reshape(1, _config.Positions - 1, -1).CopyTo(hidden.Slice(1, 1, _config.Positions - 1));
        hidden.Add(_positions.First(_config.Positions), into: hidden);
        hidden = _before.Apply(hidden, into: hidden);
        foreach (var layer in _layers.Take(layers))
            layer.AddTo(hidden);
        return scope.Keep(hidden);
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();
}

/// <summary>The keys of config.json that shape the encoder of pictures, with CLIPVisionConfig's defaults.</summary>
internal sealed record ClipVisionConfig(int ImageSize, int PatchSize, int ProjectionDim, int Layers, ClipLayerConfig Layer)
{
    /// <summary>The class token and the patches.</summary>
    public int Positions => ImageSize / PatchSize * (ImageSize / PatchSize) + 1;

    /// <summary>Of the configuration of a whole CLIP.</summary>
    public static ClipVisionConfig Read(ModelConfig config) => Read(
        config,
        config.Object("vision_config")
            ?? throw new CheckpointException($"'{config.Path}' has no vision_config; expected the configuration of a CLIPModel."));

    /// <summary>Of the configuration of the encoder alone (CLIPVisionModel), or of a whole CLIP.</summary>
    public static ClipVisionConfig ReadTower(ModelConfig config) => Read(config, config.Object("vision_config") ?? config);

    private static ClipVisionConfig Read(ModelConfig config, ModelConfig vision)
    {
        var layer = new ClipLayerConfig(
            vision.Size("hidden_size", 768), vision.Size("intermediate_size", 3072), vision.Heads("num_attention_heads", 12),
            vision.Activation("hidden_act", "quick_gelu"), vision.Epsilon("layer_norm_eps", 1e-5), Causal: false);
        var result = new ClipVisionConfig(
            vision.Size("image_size", 224), vision.Size("patch_size", 32), config.Size("projection_dim", 512),
            vision.Layers("num_hidden_layers", 12), layer);
        if (layer.HiddenSize % layer.NumAttentionHeads != 0)
            throw new CheckpointException(
                $"'{config.Path}': num_attention_heads {layer.NumAttentionHeads} does not divide hidden_size {layer.HiddenSize}.");
        return result.PatchSize <= result.ImageSize ? result
            : throw new CheckpointException(
                $"'{config.Path}': patch_size {result.PatchSize} is larger than image_size {result.ImageSize}.");
    }
}
