using Attune.Evaluation.Metrics.Networks;
using Attune.Imaging;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>What becomes of a text that is longer than the model reads.</summary>
public enum LongText
{
    /// <summary>Words are cut and the end of text stays: PickScore, open_clip, and what the model was trained on.</summary>
    KeepEnd,

    /// <summary>
    /// Ids are cut, the end of text too, as torchmetrics' CLIPScore does: models with a real end of text then give every such text the same
    /// feature.
    /// </summary>
    Cut,
}

/// <summary>
/// A whole CLIP (CLIPModel of transformers, or a model of open_clip): says how well pictures fit texts, and how alike pictures are. What
/// CLIPScore, PickScore and HPSv2 are computed from.
/// </summary>
public sealed class ClipModel : IDisposable
{
    private static readonly string[] TokenizerFiles = ["tokenizer.json", "vocab.json"];

    private readonly ClipTextModel _text;
    private readonly ClipVisionTower _vision;
    private readonly Device _device;
    private readonly Tokenizer? _tokenizer;
    private readonly bool _padsWithZero;
    private readonly (double[] Mean, double[] Deviation)? _normal;

    private ClipModel(ComponentSource source, Components components)
    {
        (Path, _device) = (source.Config.Path, source.Device);
        var vision = ClipVisionConfig.Read(source.Config);
        _text = components.Add(ClipTextModel.Load(source));
        _vision = components.Add(source.Build((checkpoint, _) => new ClipVisionTower(checkpoint, vision)));
        if (_text.ProjectionChannels != vision.ProjectionDim)
            throw new CheckpointException(
                $"'{Path}': the projection of texts has {_text.ProjectionChannels} channels, that of pictures {vision.ProjectionDim}.");
        (ImageSize, EmbeddingSize) = (vision.ImageSize, vision.ProjectionDim);
        using var checkpoint = source.Open();
        using var scale = checkpoint.Root.Read("logit_scale", []);
        var value = new float[1];
        scale.Widen(0, value);
        LogitScale = MathF.Exp(value[0]);
    }

    private ClipModel(string folder, bool open, ModelConfig file, ComponentSource source, Components components)
        : this(source, components)
    {
        Path = folder;
        _padsWithZero = open;
        if (TokenizerFiles.Any(name => File.Exists(System.IO.Path.Combine(folder, name))))
            _tokenizer = Tokenizer.Load(folder, "CLIPTokenizer");
        _normal = Normal(folder, file);
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The width and height in pixels of the pictures that it reads.</summary>
    public int ImageSize { get; }

    /// <summary>The number of elements of a feature.</summary>
    public int EmbeddingSize { get; }

    /// <summary>What cosines are multiplied with: exp of the stored number.</summary>
    public float LogitScale { get; }

    /// <summary>Loads a folder of transformers (config.json) or open_clip (open_clip_config.json); weights stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ClipModel Load(string folder, Device device)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(device);
        string openClip = System.IO.Path.Combine(folder, "open_clip_config.json");
        bool open = File.Exists(openClip);
        var file = ModelConfig.Read(open ? openClip : System.IO.Path.Combine(folder, "config.json"));
        var source = new ComponentSource(
            open ? OpenClipNames.Config(file) : file, device,
            () => open ? OpenClipNames.Rename(MetricWeights.Open(folder)) : MetricWeights.Open(folder));
        return Components.Build(components => new ClipModel(folder, open, file, source, components));
    }

    /// <summary>The networks alone, of which features of ids and of prepared pictures can be asked.</summary>
    internal static ClipModel Load(ComponentSource source) => Components.Build(components => new ClipModel(source, components));

    /// <summary>The token ids of texts, padded to one length.</summary>
    /// <exception cref="CheckpointException">The folder holds no tokenizer.</exception>
    public IReadOnlyList<int[]> Tokenize(IReadOnlyList<string> texts, LongText longer = LongText.KeepEnd)
    {
        var tokenizer = _tokenizer ?? throw new CheckpointException(
            $"'{Path}' holds no tokenizer; expected tokenizer.json, or vocab.json and merges.txt.");
        var rows = tokenizer.EncodeBatch(
            texts,
            new TokenizerOptions
            {
                MaxLength = _text.MaxLength, Truncation = longer == LongText.KeepEnd,
                Padding = _padsWithZero ? TokenPadding.None : TokenPadding.Longest,
            });
        return [.. rows.Select(row => Fit(row.Ids))];

        int[] Fit(int[] ids)
        {
            int length = _padsWithZero ? _text.MaxLength : Math.Min(ids.Length, _text.MaxLength);
            var result = new int[length];
            ids.AsSpan(0, Math.Min(ids.Length, length)).CopyTo(result);
            return result;
        }
    }

    /// <summary>The projected features of texts, not normalised.</summary>
    /// <param name="ids">Rows of one length, at most 77.</param>
    public float[][] TextFeatures(IReadOnlyList<int[]> ids)
    {
        using var scope = new TensorScope();
        var output = _text.Encode(ids, lastHiddenState: false);
        return [.. output.TextEmbeds!.ToArray().Chunk(EmbeddingSize)];
    }

    /// <summary>The projected feature of a picture, not normalised.</summary>
    /// <param name="image">The picture, of any size.</param>
    /// <param name="preparation">How it is made ready: <see cref="Preparation.Clip"/> and its relatives.</param>
    public float[] ImageFeature(Image image, Preparation preparation)
    {
        ArgumentNullException.ThrowIfNull(preparation);
        using var scope = new TensorScope();
        var own = _normal is { } normal ? preparation.With(normal.Mean, normal.Deviation) : preparation;
        return ImageFeature(own.Apply(image, ImageSize, _device));
    }

    /// <summary>The projected feature of a prepared picture, [1, size, size, 3].</summary>
    internal float[] ImageFeature(Tensor pixels) => _vision.Apply(pixels);

    /// <summary>The cosine of two features.</summary>
    public static double Cosine(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double product = 0, first = 0, second = 0;
        for (int i = 0; i < a.Length; i++)
        {
            product += (double)a[i] * b[i];
            first += (double)a[i] * a[i];
            second += (double)b[i] * b[i];
        }
        return product / Math.Sqrt(first * second);
    }

    /// <summary>
    /// The CLIPScore of pairs (Hessel et al., "CLIPScore: A Reference-free Evaluation Metric for Image Captioning", 2021; torchmetrics'
    /// reading): 100 times the mean cosine, no less than 0. It is averaged first, and clamped once.
    /// </summary>
    /// <exception cref="ArgumentException">There are no pairs.</exception>
    public static double Score(IReadOnlyCollection<double> cosines)
    {
        ArgumentNullException.ThrowIfNull(cosines);
        return cosines.Count == 0 ? throw new ArgumentException("There are no pairs.", nameof(cosines))
            : Math.Max(0, 100 * cosines.Average());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _text.Dispose();
        _vision.Dispose();
    }

    /// <summary>The mean and deviation that the folder states for its pictures.</summary>
    private static (double[] Mean, double[] Deviation)? Normal(string folder, ModelConfig file)
    {
        string path = System.IO.Path.Combine(folder, "preprocessor_config.json");
        var config = file.Object("preprocess_cfg") ?? (File.Exists(path) ? ModelConfig.Read(path) : null);
        if (config == null)
            return null;
        string mean = config.Has("image_mean") ? "image_mean" : "mean", deviation = config.Has("image_std") ? "image_std" : "std";
        double[] Read(string key) => config.Find(key) is { ValueKind: System.Text.Json.JsonValueKind.Array } list
            && list.GetArrayLength() == 3 && list.EnumerateArray().All(value => value.ValueKind == System.Text.Json.JsonValueKind.Number)
                ? [.. list.EnumerateArray().Select(value => value.GetDouble())]
                : throw new CheckpointException($"'{config.Path}': {key} is not three numbers.");
        return config.Has(mean) && config.Has(deviation) ? (Read(mean), Read(deviation)) : null;
    }
}
