using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>The mean of <see cref="Lpips"/>, between pictures of the same prompt and seed.</summary>
internal sealed class LpipsMetric : PictureMetric
{
    private const string Expected =
        "expected two: AlexNet, VGG 16 or SqueezeNet 1.1 of torchvision, and the lpips package's file for it (lin0.model.1.weight, ...)";

    public override string Name => "lpips";

    public override string Title => "LPIPS";

    public override string Description => "how unlike pictures of the same prompt and seed look, on average";

    public override string Weights => "a folder with AlexNet, VGG 16 or SqueezeNet 1.1 of torchvision and the lpips package's file for it";

    public override string WeightsOption => "weights";

    public override Preparation Usual => Preparation.Lpips;

    public override bool Rises => false;

    public override bool ComparesWithBaseline => true;

    public override bool ReadsPrompts => false;

    public override IMetricReader Open(string weights, Preparation preparation, Device device)
    {
        RequireUsual(preparation);
        if (!Directory.Exists(weights))
            throw new CheckpointException($"'{weights}' is no folder; {Expected}.");
        string[] files = [
            .. Directory.GetFiles(weights)
                .Where(file => WeightFiles.IsPickled(file) || file.EndsWith(".safetensors", StringComparison.Ordinal))];
        if (files.Length != 2)
            throw new CheckpointException($"'{weights}' holds {files.Length} files of weights; {Expected}.");
        string[] linear = [.. files.Where(IsLinear)];
        if (linear.Length != 1)
            throw new CheckpointException($"{linear.Length} of the files of weights in '{weights}' are of the lpips package; {Expected}.");
        return new Reader(Lpips.Load(files.First(file => file != linear[0]), linear[0], device));
    }

    private static bool IsLinear(string file)
    {
        using var source = MetricWeights.Open(file);
        using var weight = source.Find("lin0.model.1.weight");
        return weight != null;
    }

    private sealed class Reader(Lpips model) : IMetricReader
    {
        public float[] Read(Image picture, string prompt, Image? baseline = null) =>
            [(float)model.Distance(picture, baseline ?? throw new ArgumentException("LPIPS compares with a picture.", nameof(baseline)))];

        public void Dispose() => model.Dispose();
    }
}
