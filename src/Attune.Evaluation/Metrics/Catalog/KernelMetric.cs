using Attune.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>KID, over the subsets that torch-fidelity draws.</summary>
internal sealed class KernelMetric : PictureMetric
{
    /// <summary>Subsets, and pictures of each set in each, where there are as many.</summary>
    public const int Subsets = 100, Size = 1000;

    public override string Name => "kid";

    public override string Title => "KID";

    public override string Description => "kernel distance of Inception features, over subsets; it may be a little below 0";

    public override string Weights => FrechetMetric.Inception;

    public override string WeightsOption => "inception";

    public override Preparation Usual => Preparation.TorchFidelity;

    public override bool Rises => false;

    public override bool ComparesSets => true;

    public override IMetricReader Open(string weights, Preparation preparation, Device device) =>
        new InceptionReader(InceptionModel.Load(weights, device), preparation);

    public override double Sum(IReadOnlyList<float[]> readings, ReferenceSet? references)
    {
        float[][] rows = references?.Features ?? throw new ArgumentException("KID needs the features of references.", nameof(references));
        int size = Math.Min(Size, Math.Min(readings.Count, rows.Length));
        return Distances.KernelOfSubsets(readings, rows, KernelSubsets.TorchFidelity, Subsets, size).Mean;
    }

    internal override string? Unfit(ReferenceSet references) => references.Features != null ? null
        : "KID needs features of references, which mean and covariance do not have: name a folder of pictures, or features (feats)";
}
