using Attune.Evaluation.Metrics;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>The features of a CLIP, from ids and prepared pictures.</summary>
internal sealed class ClipFeaturesCase() : MetricCase("clip-features", [], "input_ids", "attention_mask", "pixel_values")
{
    public override bool Knows(string input, GoldenCase golden) => Inputs.Contains(input);

    public override void Run(GoldenCase golden, Comparison results)
    {
        using var model = ClipModel.Load(golden.Checkpoint, golden.Device);
        float[][] texts = model.TextFeatures(Ids(golden));
        var pixels = golden.Input("pixel_values").Permute(0, 2, 3, 1);
        float[][] images = [.. Enumerable.Range(0, pixels.Shape[0]).Select(i => model.ImageFeature(pixels.Slice(0, i, 1)))];
        results.Check("text_features", [.. texts.SelectMany(row => row)]);
        results.Check("image_features", [.. images.SelectMany(row => row)]);
        results.Check("logit_scale", [model.LogitScale]);
        results.Check(
            "logits_per_image",
            [.. images.SelectMany(image => texts.Select(text => (float)(model.LogitScale * ClipModel.Cosine(image, text))))]);
    }

    internal static int[][] Ids(GoldenCase golden) =>
        [.. golden.InputIntegers("input_ids").Select(id => (int)id).Chunk(golden.InputShape("input_ids")[1])];
}

/// <summary>How well pictures fit texts, pair by pair.</summary>
internal sealed class ClipScoreCase() : MetricCase("clip-score", ["texts", "preparation", "size", "truncation"], "image.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        if (golden.Text("truncation") != "cut")
            throw new UnsupportedCaseException($"truncation {golden.Text("truncation")}");
        using var model = ClipModel.Load(golden.Checkpoint, golden.Device);
        results.Require(golden.Int("size", 0) == model.ImageSize, "size is not the model's");
        var preparation = Preparation.Of(golden.Text("preparation"));
        float[][] images = [.. Pictures(golden, "image").Select(image => model.ImageFeature(image, preparation))];
        var ids = model.Tokenize(golden.Texts("texts")!, LongText.Cut);
        results.CheckIntegers("input_ids", [.. ids.SelectMany(row => row.Select(id => (long)id))]);
        double[] cosines = Cosines(images, model.TextFeatures(ids));
        results.Check("similarity", Percent(cosines));
        results.Check("clip_score", [(float)ClipModel.Score(cosines)]);
        results.Check("similarity_end_kept", Percent(Cosines(images, model.TextFeatures(model.Tokenize(golden.Texts("texts")!)))));
    }

    internal static double[] Cosines(float[][] a, float[][] b) => [.. a.Zip(b, (x, y) => ClipModel.Cosine(x, y))];

    internal static float[] Percent(double[] cosines) => Array.ConvertAll(cosines, cosine => (float)(100 * cosine));
}

/// <summary>How alike pictures are, pair by pair.</summary>
internal sealed class ClipImageSimilarityCase() : MetricCase("clip-image-similarity", ["preparation", "size"], "image.i", "other.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        using var model = ClipModel.Load(golden.Checkpoint, golden.Device);
        var preparation = Preparation.Of(golden.Text("preparation"));
        float[][] Features(string name) => [.. Pictures(golden, name).Select(image => model.ImageFeature(image, preparation))];
        double[] cosines = ClipScoreCase.Cosines(Features("image"), Features("other"));
        results.Check("similarity", ClipScoreCase.Percent(cosines));
        results.Check("clip_score", [(float)ClipModel.Score(cosines)]);
    }
}

/// <summary>PickScore: cosines times the model's scale.</summary>
internal sealed class PickScoreCase() : MetricCase("pick-score", ["texts", "preparation", "size", "truncation"], "image.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        if (golden.Text("truncation") != "end-kept")
            throw new UnsupportedCaseException($"truncation {golden.Text("truncation")}");
        using var model = ClipModel.Load(golden.Checkpoint, golden.Device);
        var preparation = Preparation.Of(golden.Text("preparation"));
        float[][] images = [.. Pictures(golden, "image").Select(image => model.ImageFeature(image, preparation))];
        var ids = model.Tokenize(golden.Texts("texts")!);
        results.CheckIntegers("input_ids", [.. ids.SelectMany(row => row.Select(id => (long)id))]);
        double[][] scores = [.. model.TextFeatures(ids)
            .Select(text => images.Select(image => model.LogitScale * ClipModel.Cosine(text, image)).ToArray())];
        results.Check("scores", [.. scores.SelectMany(row => row.Select(score => (float)score))]);
        results.Check("probabilities", [.. scores.SelectMany(Softmax)]);
    }

    private static IEnumerable<float> Softmax(double[] row)
    {
        double largest = row.Max(), sum = row.Sum(value => Math.Exp(value - largest));
        return row.Select(value => (float)(Math.Exp(value - largest) / sum));
    }
}

/// <summary>HPSv2: cosines of open_clip's layout. The texts' ids are given.</summary>
internal sealed class HpsCase() : MetricCase("hps-v2", ["texts", "preparation", "size"], "input_ids", "image.i")
{
    public override bool Knows(string input, GoldenCase golden) => input == "input_ids" || base.Knows(input, golden);

    public override void Run(GoldenCase golden, Comparison results)
    {
        using var model = ClipModel.Load(golden.Checkpoint, golden.Device);
        var preparation = Preparation.Of(golden.Text("preparation"));
        float[][] images = [.. Pictures(golden, "image").Select(image => model.ImageFeature(image, preparation))];
        results.Check(
            "scores",
            [.. model.TextFeatures(ClipFeaturesCase.Ids(golden))
                .SelectMany(text => images.Select(image => (float)ClipModel.Cosine(text, image)))]);
    }
}

/// <summary>The Frechet distance of CLIP's features.</summary>
internal sealed class ClipFidCase() : MetricCase("clip-fid", ["preparation", "size"], "a.i", "b.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        using var model = ClipModel.Load(golden.Checkpoint, golden.Device);
        var preparation = Preparation.Of(golden.Text("preparation"));
        float[][] Features(string name) => [.. Pictures(golden, name).Select(image => model.ImageFeature(image, preparation))];
        var (a, b) = (Features("a"), Features("b"));
        results.Check("features.a", [.. a.SelectMany(row => row)]);
        results.Check("features.b", [.. b.SelectMany(row => row)]);
        results.Check("fid", [(float)Distances.Frechet(a, b)]);
    }
}

/// <summary>The layers of Inception v3 that packages read.</summary>
internal sealed class InceptionFeaturesCase() : MetricCase("inception-features", ["preparation", "size"], "image.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        using var model = InceptionModel.Load(new RecipeSource(golden.Checkpoint), golden.Device);
        results.Require(golden.Int("size", 0) == InceptionModel.ImageSize, "size is not the model's");
        var preparation = Preparation.Of(golden.Text("preparation"));
        var all = Pictures(golden, "image").Select(image => model.Taps(image, preparation)).ToArray();
        results.Check("64", [.. all.SelectMany(taps => taps.First)]);
        results.Check("192", [.. all.SelectMany(taps => taps.Second)]);
        results.Check("768", [.. all.SelectMany(taps => taps.Third)]);
        results.Check("2048", [.. all.SelectMany(taps => taps.Last)]);
        results.Check("logits", [.. all.SelectMany(taps => model.Logits(taps.Last).Biased)]);
        results.Check("logits_unbiased", [.. all.SelectMany(taps => model.Logits(taps.Last).Unbiased)]);
    }
}

/// <summary>The number that each package gives for two sets of pictures.</summary>
internal sealed class FidFoldersCase() : MetricCase("fid-folders", ["kid", "features"], "a.i", "b.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        using var model = InceptionModel.Load(new RecipeSource(golden.Checkpoint), golden.Device);
        var (a, b) = (Pictures(golden, "a"), Pictures(golden, "b"));
        float[][] Features(Image[] images, Preparation preparation) => [.. images.Select(image => model.Apply(image, preparation))];
        float Distance(Preparation preparation) => (float)Distances.Frechet(Features(a, preparation), Features(b, preparation));
        float[][] First(Image[] images) => [.. images.Select(image => model.Taps(image, Preparation.PytorchFid).First)];
        results.Check("pytorch_fid_64", [(float)Distances.Frechet(First(a), First(b))]);
        results.Check("pytorch_fid", [Distance(Preparation.PytorchFid)]);
        results.Check("torchmetrics", [Distance(Preparation.TorchMetrics)]);
        results.Check("clean_fid", [Distance(Preparation.CleanFid)]);
        results.Check("clean_fid_legacy_pytorch", [Distance(Preparation.CleanFidLegacyPytorch)]);
        var (x, y) = (Features(a, Preparation.TorchFidelity), Features(b, Preparation.TorchFidelity));
        results.Check("torch_fidelity_fid", [(float)Distances.Frechet(x, y)]);
        var kid = golden.Arguments.GetProperty("kid");
        var estimate = Distances.KernelOfSubsets(
            x, y, KernelSubsets.TorchFidelity, kid.GetProperty("subsets").GetInt32(), kid.GetProperty("subset_size").GetInt32(),
            kid.GetProperty("seed").GetInt64());
        results.Check("torch_fidelity_kid", [(float)estimate.Mean]);
    }
}

/// <summary>The Frechet distance of middles at full resolution.</summary>
internal sealed class PatchFidCase() : MetricCase("pfid", ["repeat", "crop"], "a.i", "b.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        using var model = InceptionModel.Load(new RecipeSource(golden.Checkpoint), golden.Device);
        results.Require(golden.Int("crop", 0) == InceptionModel.ImageSize, "crop is not 299");
        int times = golden.Int("repeat", 1);
        float[][] Features(string name) => [.. Pictures(golden, name)
            .Select(image => Repeat(image, times, times, times * image.Height, times * image.Width))
            .Select(image => model.Apply(image, Preparation.Patch))];
        var (a, b) = (Features("a"), Features("b"));
        results.Check("features.a", [.. a.SelectMany(row => row)]);
        results.Check("features.b", [.. b.SelectMany(row => row)]);
        results.Check("pfid", [(float)Distances.Frechet(a, b)]);
    }
}

/// <summary>How unlike pictures look, pair by pair.</summary>
internal sealed class LpipsCase() : MetricCase("lpips", ["net", "version"], "a.i", "b.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        if (golden.Text("version") != "0.1")
            throw new UnsupportedCaseException($"version {golden.Text("version")}");
        string linear = Path.Combine(golden.Checkpoint, "linear.safetensors");
        using var model = Lpips.Load(new RecipeSource(golden.Checkpoint), linear, golden.Device);
        results.Require(model.Net == golden.Text("net"), $"net is {model.Net}");
        double[][] layers = [.. Pictures(golden, "a").Zip(Pictures(golden, "b"), model.Layers)];
        results.Check("lpips", [.. layers.Select(pair => (float)pair.Sum())]);
        for (int layer = 0; layer < layers[0].Length; layer++)
            results.Check(Numbered("layer", layer), [.. layers.Select(pair => (float)pair[layer])]);
    }
}

/// <summary>Tensors of files of torch.save.</summary>
internal sealed class TorchFileCase() : MetricCase("torch-file", ["files"])
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        foreach (string file in golden.Texts("files")!)
        {
            using var source = MetricWeights.Open(Path.Combine(golden.Checkpoint, file));
            foreach (string name in source.Names)
            {
                using var scope = new TensorScope();
                using var stored = source.Find(name)!;
                results.Check($"{Path.GetFileNameWithoutExtension(file)}.{name}", stored.ToTensor(golden.Device));
            }
        }
    }
}
