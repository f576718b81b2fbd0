using System.Text.Json;
using Attune.Imaging;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// A classifier of pictures (class <c>ScenesJudge</c>): says for each attribute which of its values a picture shows, and gives the features
/// that distances between distributions compare. A convolutional trunk, and one linear layer for each attribute.
/// </summary>
public sealed class Judge : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly Device _device;
    private readonly PictureTrunk _trunk;
    private readonly Linear[] _layers;

    private Judge(Checkpoint checkpoint, ModelConfig config, Device device)
    {
        _checkpoint = checkpoint;
        _device = device;
        _trunk = new PictureTrunk(checkpoint.Root, PictureTrunkConfig.Read(config, "ScenesJudge"));
        Heads = ReadHeads(config);
        _layers = [.. Heads.Select(head => new Linear(checkpoint.Root.At("heads").At(head.Name), FeatureCount, head.Values.Count))];
        checkpoint.RequireAllUsed();
    }

    /// <summary>The attributes that are judged, in the order of the configuration.</summary>
    public IReadOnlyList<JudgeHead> Heads { get; }

    /// <summary>The number of a picture's features.</summary>
    public int FeatureCount => _trunk.FeatureCount;

    /// <summary>The width and height in pixels of the pictures that it reads.</summary>
    public int SampleSize => _trunk.SampleSize;

    /// <summary>Loads a folder: config.json and weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, lacks a key, or does not fit the architecture.</exception>
    public static Judge Load(string folder, Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return ComponentSource.Folder(folder, device).Build((checkpoint, config) => new Judge(checkpoint, config, device));
    }

    /// <summary>Judges pictures. What is said of one does not depend on the others.</summary>
    /// <param name="images">Pictures of <see cref="SampleSize"/> x <see cref="SampleSize"/> pixels.</param>
    /// <returns>A judgement for each.</returns>
    /// <exception cref="ArgumentException">A picture has another size: resampling would change what is seen, and is left to the
    /// caller.</exception>
    public IReadOnlyList<Judgement> Read(IReadOnlyList<Image> images)
    {
        _trunk.CheckSizes(images, _checkpoint.Path);
        return [.. images.Select(Read)];
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    private Judgement Read(Image image)
    {
        using var scope = new TensorScope();
        var features = _trunk.Apply(PictureTrunk.Pixels(image, _device));
        var probabilities = new Dictionary<string, float[]>(StringComparer.Ordinal);
        for (int i = 0; i < _layers.Length; i++)
            probabilities[Heads[i].Name] = _layers[i].Apply(features).Softmax().ToArray();
        return new Judgement(features.ToArray(), probabilities, Heads);
    }

    private static JudgeHead[] ReadHeads(ModelConfig config)
    {
        if (config.Find("heads") is not { ValueKind: JsonValueKind.Object } heads || !heads.EnumerateObject().Any())
            throw new CheckpointException(
                $"'{config.Path}': heads is {config.Find("heads")?.GetRawText() ?? "missing"}, expected an object of names and lists of "
                    + $"values.");
        var result = new List<JudgeHead>();
        foreach (var head in heads.EnumerateObject())
        {
            if (head.Value.ValueKind != JsonValueKind.Array
                || head.Value.GetArrayLength() == 0 || head.Value.EnumerateArray().Any(value => value.ValueKind != JsonValueKind.String))
                throw new CheckpointException(
                    $"'{config.Path}': heads.{head.Name} is {head.Value.GetRawText()}, expected a list of strings.");
            string[] values = [.. head.Value.EnumerateArray().Select(value => value.GetString()!)];
            if (values.Distinct(StringComparer.Ordinal).Count() != values.Length)
                throw new CheckpointException(
                    $"'{config.Path}': heads.{head.Name} is {head.Value.GetRawText()}, expected values that differ.");
            if (result.Any(other => other.Name == head.Name))
                throw new CheckpointException($"'{config.Path}': heads.{head.Name} is there twice.");
            result.Add(new JudgeHead(head.Name, values));
        }
        return [.. result];
    }
}

/// <summary>An attribute that a judge looks for.</summary>
/// <param name="Name">Its name: <c>eyewear</c>.</param>
/// <param name="Values">What it may be: <c>none</c>, <c>sunglasses</c>, ...</param>
public sealed record JudgeHead(string Name, IReadOnlyList<string> Values);

/// <summary>What a judge saw in a picture.</summary>
/// <param name="Features">What the heads read, <see cref="Judge.FeatureCount"/> numbers.</param>
/// <param name="Probabilities">For each head the probabilities of its values, in their order; they add up to 1.</param>
/// <param name="Heads">The judge's heads.</param>
public sealed record Judgement(float[] Features, IReadOnlyDictionary<string, float[]> Probabilities, IReadOnlyList<JudgeHead> Heads)
{
    /// <summary>The most probable value of an attribute; of equal ones the first.</summary>
    /// <exception cref="ArgumentException">The judge has no such head.</exception>
    public string Value(string head)
    {
        var known = Heads.FirstOrDefault(candidate => candidate.Name == head)
            ?? throw new ArgumentException(
                $"The judge has no head '{head}', expected one of {string.Join(", ", Heads.Select(candidate => candidate.Name))}.",
                nameof(head));
        float[] probabilities = Probabilities[head];
        return known.Values[Array.IndexOf(probabilities, probabilities.Max())];
    }
}
