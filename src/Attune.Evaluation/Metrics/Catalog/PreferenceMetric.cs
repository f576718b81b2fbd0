using Attune.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>PickScore (Kirstain et al., 2023) and HPSv2 (Wu et al., 2023): cosines of a CLIP-H, with and without its scale.</summary>
internal sealed class PreferenceMetric : PictureMetric
{
    private readonly bool _scaled;

    private PreferenceMetric(string name, string title, string description, string weights, Preparation usual, bool scaled) =>
        (Name, Title, Description, Weights, Usual, _scaled) = (name, title, description, weights, usual, scaled);

    public static PreferenceMetric PickScore { get; } = new(
        "pick-score", "PickScore", "the mean of cosines times the model's scale: about 20 to 23",
        "a folder with PickScore: a CLIP-H in the layout of transformers, and its tokenizer", Preparation.ClipPillow, scaled: true);

    public static PreferenceMetric HpsV2 { get; } = new(
        "hps-v2", "HPSv2", "the mean of cosines: about 0.2 to 0.3",
        "a folder with HPS_v2_compressed.pt, and open_clip_config.json and tokenizer of ViT-H-14", Preparation.OpenClip, scaled: false);

    public override string Name { get; }

    public override string Title { get; }

    public override string Description { get; }

    public override string Weights { get; }

    public override string WeightsOption => "clip";

    public override Preparation Usual { get; }

    public override bool Rises => true;

    public override IMetricReader Open(string weights, Preparation preparation, Device device) => new CosineReader(
        ClipModel.Load(weights, device), preparation, LongText.KeepEnd, model => _scaled ? model.LogitScale : 1);
}
