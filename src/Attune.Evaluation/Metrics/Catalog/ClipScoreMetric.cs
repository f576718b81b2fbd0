using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>CLIPScore (Hessel et al., 2021, as torchmetrics reads it): see <see cref="ClipModel.Score"/>.</summary>
/// <param name="longer">What becomes of long prompts.</param>
internal sealed class ClipScoreMetric(LongText longer = LongText.KeepEnd) : PictureMetric
{
    public override string Name => "clip-score";

    public override string Title => "CLIP score";

    public override string Description => "100 times the mean cosine of pictures and their prompts, no less than 0";

    public override string Weights => "a folder with a CLIPModel of transformers, or a model of open_clip, and its tokenizer";

    public override string WeightsOption => "clip";

    public override Preparation Usual => Preparation.Clip;

    public override bool Rises => true;

    public override IMetricReader Open(string weights, Preparation preparation, Device device) =>
        new CosineReader(ClipModel.Load(weights, device), preparation, longer, _ => 100);

    public override double Sum(IReadOnlyList<float[]> readings, ReferenceSet? references) =>
        ClipModel.Score([.. readings.Select(reading => reading[0] / 100d)]);
}

/// <summary>The cosine of a picture and its prompt, times a factor of the model.</summary>
internal sealed class CosineReader(ClipModel model, Preparation preparation, LongText longer, Func<ClipModel, double> factor)
    : IMetricReader
{
    private (string Prompt, float[] Feature)? _last;

    public float[] Read(Image picture, string prompt, Image? baseline = null)
    {
        // Pictures of one prompt follow each other.
        if (_last?.Prompt != prompt)
            _last = (prompt, model.TextFeatures(model.Tokenize([prompt], longer))[0]);
        return [(float)(factor(model) * ClipModel.Cosine(model.ImageFeature(picture, preparation), _last.Value.Feature))];
    }

    public void Dispose() => model.Dispose();
}
