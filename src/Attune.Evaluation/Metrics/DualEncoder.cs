using System.Numerics.Tensors;
using Attune.Imaging;
using Attune.Layers;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;
using Attune.Weights;
using Tensor = Attune.Tensors.Tensor;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// Two encoders that were trained so that a picture and its caption come to lie near each other (Radford et al., "Learning Transferable
/// Visual Models From Natural Language Supervision", 2021): says how well a picture fits a text. Texts go through CLIP's tokenizer and text
/// encoder, pictures through the trunk of a <see cref="Judge"/> and a projection.
/// </summary>
public sealed class DualEncoder : IDisposable
{
    private readonly Tokenizer _tokenizer;
    private readonly ClipTextModel _textEncoder;
    private readonly ImageEncoder _imageEncoder;
    private readonly Device _device;
    private readonly TokenizerOptions _options;

    private DualEncoder(string folder, Device device, Components components)
    {
        _device = device;
        _tokenizer = Tokenizer.Load(Path.Combine(folder, "tokenizer"));
        string textFolder = Path.Combine(folder, "text_encoder");
        string imageFolder = Path.Combine(folder, "image_encoder");
        _textEncoder = components.Add(ClipTextModel.Load(textFolder, device));
        _imageEncoder = components.Add(
            ComponentSource.Folder(imageFolder, device).Build((checkpoint, config) => new ImageEncoder(checkpoint, config)));
        EmbeddingSize = _imageEncoder.ProjectionDim;
        if (_textEncoder.ProjectionChannels is not { } channels)
            throw new CheckpointException($"'{textFolder}' has no projection, expected a CLIPTextModelWithProjection.");
        if (channels != EmbeddingSize)
            throw new CheckpointException(
                $"'{textFolder}' has {channels} for projection_dim and '{imageFolder}' {EmbeddingSize}, expected the same.");
        _options = new TokenizerOptions { MaxLength = Math.Min(_tokenizer.ModelMaxLength, _textEncoder.MaxLength), Truncation = true };
    }

    /// <summary>The number of elements of an embedding.</summary>
    public int EmbeddingSize { get; }

    /// <summary>The width and height in pixels of the pictures that it reads.</summary>
    public int SampleSize => _imageEncoder.Trunk.SampleSize;

    /// <summary>
    /// Loads a folder with <c>tokenizer</c>, <c>text_encoder</c> (CLIPTextModelWithProjection) and <c>image_encoder</c>
    /// (ScenesImageEncoder); weights stay mapped.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, lacks a key, or does not fit the architecture, or the two
    /// projections differ in size.</exception>
    public static DualEncoder Load(string folder, Device device)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(device);
        return Components.Build(components => new DualEncoder(folder, device, components));
    }

    /// <summary>Embeds pictures. The embedding of one does not depend on the others.</summary>
    /// <param name="images">Pictures of <see cref="SampleSize"/> x <see cref="SampleSize"/> pixels.</param>
    /// <returns>For each picture <see cref="EmbeddingSize"/> numbers, a vector of length 1.</returns>
    /// <exception cref="ArgumentException">A picture has another size.</exception>
    public float[][] EmbedImages(IReadOnlyList<Image> images)
    {
        _imageEncoder.Trunk.CheckSizes(images, _imageEncoder.Path);
        var result = new float[images.Count][];
        for (int i = 0; i < result.Length; i++)
        {
            using var scope = new TensorScope();
            result[i] = Unit(_imageEncoder.Apply(images[i], _device));
        }
        return result;
    }

    /// <summary>
    /// Embeds texts, cut where they are longer than the text encoder takes. The embedding of one does not depend on the others.
    /// </summary>
    /// <returns>For each text <see cref="EmbeddingSize"/> numbers, a vector of length 1.</returns>
    public float[][] EmbedTexts(IReadOnlyList<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        var result = new float[texts.Count][];
        for (int i = 0; i < result.Length; i++)
        {
            // Pads would stand behind the end of the text, where the causal encoder's pooled output does not see them: there are none.
            using var scope = new TensorScope();
            result[i] = Unit(_textEncoder.Encode([_tokenizer.Encode(texts[i], _options).Ids], lastHiddenState: false).TextEmbeds!);
        }
        return result;
    }

    /// <summary>
    /// How well a picture fits a text, or two of either fit each other: the cosine of the angle between their embeddings.
    /// </summary>
    /// <returns>-1 to 1.</returns>
    /// <exception cref="ArgumentException">The embeddings differ in size, or are empty.</exception>
    public static float Score(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => Math.Clamp(TensorPrimitives.CosineSimilarity(a, b), -1, 1);

    /// <inheritdoc/>
    public void Dispose()
    {
        _textEncoder.Dispose();
        _imageEncoder.Dispose();
    }

    private static float[] Unit(Tensor embedding)
    {
        float[] values = embedding.ToArray();
        TensorPrimitives.Divide(values, TensorPrimitives.Norm(values), values);
        return values;
    }
}

/// <summary>The trunk and a projection without bias (class <c>ScenesImageEncoder</c>).</summary>
internal sealed class ImageEncoder : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly Linear _projection;

    public ImageEncoder(Checkpoint checkpoint, ModelConfig config)
    {
        _checkpoint = checkpoint;
        Trunk = new PictureTrunk(checkpoint.Root, PictureTrunkConfig.Read(config, "ScenesImageEncoder"));
        ProjectionDim = config.OptionalInt("projection_dim")
            ?? throw new CheckpointException($"'{config.Path}': projection_dim is missing; a ScenesImageEncoder states it.");
        if (ProjectionDim < 1)
            throw new CheckpointException($"'{config.Path}': projection_dim is {ProjectionDim}, expected 1 or more.");
        _projection = new Linear(checkpoint.Root.At("projection"), Trunk.FeatureCount, ProjectionDim, bias: false);
        checkpoint.RequireAllUsed();
    }

    public string Path => _checkpoint.Path;

    public PictureTrunk Trunk { get; }

    public int ProjectionDim { get; }

    /// <summary>A picture to [1, <see cref="ProjectionDim"/>].</summary>
    public Tensor Apply(Image image, Device device)
    {
        using var scope = new TensorScope();
        return scope.Keep(_projection.Apply(Trunk.Apply(PictureTrunk.Pixels(image, device))));
    }

    public void Dispose() => _checkpoint.Dispose();
}
