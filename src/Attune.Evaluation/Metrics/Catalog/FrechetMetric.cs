using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>FID, and the patch FID, which differs by its preparation alone.</summary>
internal sealed class FrechetMetric(string name, string title, Preparation usual) : PictureMetric
{
    /// <summary>What Inception's weights are.</summary>
    public const string Inception = "Inception v3 of FID: pt_inception-2015-12-05-6726825d.pth of pytorch-fid, or its names in safetensors";

    public override string Name => name;

    public override string Title => title;

    public override string Description => Usual == Preparation.Patch
        ? "Frechet distance of Inception features of the middle 299 x 299 pixels, nothing resized"
        : "Frechet distance of Inception features";

    public override string Weights => Inception;

    public override string WeightsOption => "inception";

    public override Preparation Usual => usual;

    public override bool Rises => false;

    public override bool ComparesSets => true;

    public override IMetricReader Open(string weights, Preparation preparation, Device device) =>
        new InceptionReader(InceptionModel.Load(weights, device), preparation);

    public override double Sum(IReadOnlyList<float[]> readings, ReferenceSet? references)
    {
        if (references == null)
            throw new ArgumentException($"{Title} needs references.", nameof(references));
        return references.Features is { } rows ? Distances.Frechet(readings, rows)
            : Distances.Frechet(FeatureMoments.Of(readings).ToStatistics(), references.Statistics);
    }
}

/// <summary>The features of Inception.</summary>
internal sealed class InceptionReader(InceptionModel model, Preparation preparation) : IMetricReader
{
    public float[] Read(Image picture, string prompt, Image? baseline = null) => model.Apply(picture, preparation);

    public void Dispose() => model.Dispose();
}
