using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>The mean of <see cref="ImageReward"/>.</summary>
internal sealed class ImageRewardMetric : PictureMetric
{
    public override string Name => "image-reward";

    public override string Title => "ImageReward";

    public override string Description => "how pictures please people who read the prompts, on average";

    public override string Weights => "a folder with ImageReward.pt, med_config.json and the tokenizer of bert-base-uncased";

    public override string WeightsOption => "model";

    public override Preparation Usual => Preparation.ImageReward;

    public override bool Rises => true;

    public override IMetricReader Open(string weights, Preparation preparation, Device device)
    {
        RequireUsual(preparation);
        return new Reader(ImageReward.Load(weights, device));
    }

    private sealed class Reader(ImageReward model) : IMetricReader
    {
        public float[] Read(Image picture, string prompt, Image? baseline = null) => [(float)model.Score([prompt], [picture])[0][0]];

        public void Dispose() => model.Dispose();
    }
}
