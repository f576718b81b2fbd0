using Attune.Evaluation.Metrics;
using Attune.Imaging;

namespace Attune.Evaluation.Experiments;

/// <summary>What a head sees in a picture.</summary>
/// <param name="Value">The most probable value.</param>
/// <param name="Probabilities">Those of all values, in the order of the head.</param>
public sealed record HeadReading(string Value, IReadOnlyList<float> Probabilities);

/// <summary>What is read off a picture.</summary>
/// <param name="Heads">The judge's heads by name.</param>
/// <param name="Features">What the heads see, for distances between sets of pictures.</param>
/// <param name="PromptScore">The likeness to the prompt, -1 to 1, or null without a dual encoder.</param>
/// <param name="NegativeScore">The likeness to the negative prompt, or null without one or a dual encoder.</param>
public sealed record PictureReading(
    IReadOnlyDictionary<string, HeadReading> Heads, IReadOnlyList<float> Features, float? PromptScore, float? NegativeScore)
{
    /// <summary>What metrics read, by their names: one number, or features.</summary>
    public IReadOnlyDictionary<string, float[]> Metrics { get; init; } = new Dictionary<string, float[]>();
}

/// <summary>Reads pictures: a judge and, where there is one, a dual encoder; or metrics.</summary>
public interface IPictureReader
{
    /// <summary>The values of each head; none without a judge.</summary>
    IReadOnlyDictionary<string, IReadOnlyList<string>> Heads { get; }

    /// <summary>The number of the judge's features; 0 without one.</summary>
    int FeatureCount { get; }

    /// <summary>The side in pixels of the pictures that are read, or null for any.</summary>
    int? PictureSize { get; }

    /// <summary>Whether it compares pictures with those of the baseline.</summary>
    bool ComparesWithBaseline => false;

    /// <summary>Reads a picture. The result depends on the arguments alone.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="prompt">What it is to show.</param>
    /// <param name="baseline">
    /// What the baseline made of the same prompt, seed and number of steps; null where <see cref="ComparesWithBaseline"/> is not said.
    /// </param>
    PictureReading Read(Image picture, ExperimentPrompt prompt, Image? baseline = null);
}

/// <summary>Reads pictures with a <see cref="Judge"/> and perhaps a <see cref="DualEncoder"/>, which belong to the caller.</summary>
public sealed class JudgeReader : IPictureReader
{
    private readonly Judge _judge;
    private readonly DualEncoder? _encoder;
    private readonly Dictionary<string, float[]> _texts = new(StringComparer.Ordinal);

    /// <summary>Combines both.</summary>
    /// <exception cref="ArgumentException">They read pictures of different sizes.</exception>
    public JudgeReader(Judge judge, DualEncoder? encoder)
    {
        ArgumentNullException.ThrowIfNull(judge);
        if (encoder != null && encoder.SampleSize != judge.SampleSize)
            throw new ArgumentException(
                $"The dual encoder reads pictures of {encoder.SampleSize} pixels, expected {judge.SampleSize} as the judge does.",
                nameof(encoder));
        (_judge, _encoder) = (judge, encoder);
        Heads = judge.Heads.ToDictionary(head => head.Name, head => head.Values, StringComparer.Ordinal);
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Heads { get; }

    /// <inheritdoc/>
    public int FeatureCount => _judge.FeatureCount;

    /// <inheritdoc/>
    public int? PictureSize => _judge.SampleSize;

    /// <inheritdoc/>
    public PictureReading Read(Image picture, ExperimentPrompt prompt, Image? baseline = null)
    {
        ArgumentNullException.ThrowIfNull(picture);
        ArgumentNullException.ThrowIfNull(prompt);
        var judgement = _judge.Read([picture])[0];
        var heads = Heads.Keys.ToDictionary(
            head => head, head => new HeadReading(judgement.Value(head), judgement.Probabilities[head]), StringComparer.Ordinal);
        if (_encoder == null)
            return new PictureReading(heads, judgement.Features, null, null);
        float[] embedding = _encoder.EmbedImages([picture])[0];
        float Score(string text)
        {
            if (!_texts.TryGetValue(text, out float[]? known))
                _texts[text] = known = _encoder.EmbedTexts([text])[0];
            return DualEncoder.Score(embedding, known);
        }

        return new PictureReading(heads, judgement.Features, Score(prompt.Prompt), prompt.Negative == null ? null : Score(prompt.Negative));
    }
}
