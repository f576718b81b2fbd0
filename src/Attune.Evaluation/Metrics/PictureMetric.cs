using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// A metric that is computed with released weights: what <c>attune metrics</c> and experiments iterate over
/// (<see cref="MetricCatalog"/>). It is read off single pictures, as one number or as features, and summed up over a set.
/// </summary>
public abstract class PictureMetric
{
    /// <summary>What options, experiments and reports call it, as <c>clip-score</c>.</summary>
    public abstract string Name { get; }

    /// <summary>What tables call it.</summary>
    public abstract string Title { get; }

    /// <summary>What it is, in a sentence without its end.</summary>
    public abstract string Description { get; }

    /// <summary>What its weights are.</summary>
    public abstract string Weights { get; }

    /// <summary>The option of <c>attune metrics</c> that takes the weights, without dashes.</summary>
    public abstract string WeightsOption { get; }

    /// <summary>How pictures are usually made ready for it.</summary>
    public abstract Preparation Usual { get; }

    /// <summary>Whether a larger number is better.</summary>
    public abstract bool Rises { get; }

    /// <summary>Whether it compares features of pictures with those of references; otherwise every picture has its number.</summary>
    public virtual bool ComparesSets => false;

    /// <summary>
    /// Whether it compares a picture with one of the same prompt and seed: in experiments with that of the baseline.
    /// </summary>
    public virtual bool ComparesWithBaseline => false;

    /// <summary>Whether it looks at what a picture is to show.</summary>
    public virtual bool ReadsPrompts => true;

    /// <summary>Opens the weights.</summary>
    /// <param name="weights">A file or a folder, as <see cref="Weights"/> says.</param>
    /// <param name="preparation">How pictures are made ready.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">They are missing or malformed, or do not fit the architecture.</exception>
    public abstract IMetricReader Open(string weights, Preparation preparation, Device device);

    /// <summary>The metric of a set of pictures, from what was read off each: their mean, unless a metric says otherwise.</summary>
    /// <param name="readings">One for each picture; of a metric that compares sets two at least.</param>
    /// <param name="references">What is compared with; null where nothing is.</param>
    /// <exception cref="ArgumentException">There are too few readings, or no references where they are needed.</exception>
    public virtual double Sum(IReadOnlyList<float[]> readings, ReferenceSet? references) =>
        readings.Average(reading => (double)reading[0]);

    /// <summary>What the references must be, or null.</summary>
    internal virtual string? Unfit(ReferenceSet references) => null;

    /// <summary>For a metric that takes pictures made ready in one way alone.</summary>
    private protected void RequireUsual(Preparation preparation)
    {
        if (preparation != Usual)
            throw new ArgumentException(
                $"{Name} reads pictures made ready as {Usual.Name}, not {preparation.Name}.", nameof(preparation));
    }

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>Reads what a metric needs off single pictures.</summary>
public interface IMetricReader : IDisposable
{
    /// <summary>Reads a picture. The result depends on the arguments alone.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="prompt">What it is to show; metrics of pictures alone do not look at it.</param>
    /// <param name="baseline">
    /// What a metric that <see cref="PictureMetric.ComparesWithBaseline"/> compares the picture with; others do not look at it.
    /// </param>
    /// <returns>One number, or features.</returns>
    float[] Read(Image picture, string prompt, Image? baseline = null);
}

/// <summary>The metrics of papers, and the one that emoji scenes have beside them.</summary>
public static class MetricCatalog
{
    /// <summary>All of them, in the order of tables.</summary>
    public static IReadOnlyList<PictureMetric> All { get; } =
    [
        new ClipScoreMetric(),
        new FrechetMetric("fid", "FID", Preparation.PytorchFid),
        new FrechetMetric("pfid", "PFID", Preparation.Patch),
        new KernelMetric(),
        new ImageRewardMetric(),
        PreferenceMetric.PickScore,
        PreferenceMetric.HpsV2,
        new LpipsMetric(),
        new NearestMetric(),
    ];

    /// <summary>The metric of a name.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static PictureMetric Of(string name) => All.FirstOrDefault(one => one.Name == name)
        ?? throw new ArgumentException($"'{name}' is no metric; expected {string.Join(", ", All.Select(one => one.Name))}.", nameof(name));
}
