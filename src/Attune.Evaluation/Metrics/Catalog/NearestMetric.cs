using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>The mean of <see cref="NearestPicture"/>, for models of the emoji scenes.</summary>
internal sealed class NearestMetric : PictureMetric
{
    public override string Name => "nearest";

    public override string Title => "nearest true picture, dB";

    public override string Description => "how near pictures of emoji scenes are to what their renderer draws, in dB, on average";

    public override string Weights => "the folder of the judge of emoji scenes, with its sprites";

    public override string WeightsOption => "judge";

    public override Preparation Usual => Preparation.AsTheyAre;

    public override bool Rises => true;

    public override bool ReadsPrompts => false;

    public override IMetricReader Open(string weights, Preparation preparation, Device device)
    {
        RequireUsual(preparation);
        return new Reader(NearestPicture.Load(weights, device));
    }

    private sealed class Reader(NearestPicture nearest) : IMetricReader
    {
        public float[] Read(Image picture, string prompt, Image? baseline = null) => [(float)nearest.Distance(picture)];

        public void Dispose() => nearest.Dispose();
    }
}
