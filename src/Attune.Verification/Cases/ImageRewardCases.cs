using Attune.Evaluation.Metrics;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>Rewards of prompts and pictures.</summary>
internal sealed class ImageRewardCase()
    : MetricCase(
        "image-reward", ["prompts", "preparation", "size", "max_length", "vision_heads", "mean", "std", "special_tokens"], "image.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        if (golden.Text("preparation") != Preparation.ImageReward.Name || golden.Int("max_length", 0) != ImageReward.PromptLength)
            throw new UnsupportedCaseException("another preparation or length than ImageReward's");
        using var model = ImageReward.Load(golden.Checkpoint, golden.Device, golden.Int("vision_heads", 0));
        foreach (var token in golden.Arguments.GetProperty("special_tokens").EnumerateObject())
            results.Require(model.Tokenizer.IdOf(token.Name) == token.Value.GetInt32(), $"{token.Name} has another id");
        string[] prompts = golden.Texts("prompts")!;
        var tokens = model.Tokenize(prompts);
        results.CheckIntegers("input_ids", [.. tokens.SelectMany(row => row.Ids.Select(id => (long)id))]);
        results.CheckIntegers("attention_mask", [.. tokens.SelectMany(row => row.Mask.Select(id => (long)id))]);
        double[][] scores = model.Score(prompts, Pictures(golden, "image"));
        results.Check("scores", [.. scores.SelectMany(row => row.Select(score => (float)score))]);
        results.CheckIntegers("ranks", [.. scores.SelectMany(row => row.Select(score => 1L + row.Count(other => other > score)))]);
    }
}

/// <summary>The towers of ImageReward.</summary>
internal sealed class ImageRewardPartsCase()
    : MetricCase("image-reward-parts", ["vision_heads"], "pixel_values", "input_ids", "attention_mask")
{
    public override bool Knows(string input, GoldenCase golden) => Inputs.Contains(input);

    public override void Run(GoldenCase golden, Comparison results)
    {
        using var model = ImageReward.Load(golden.Checkpoint, golden.Device, golden.Int("vision_heads", 0));
        var picture = model.Encode(golden.Input("pixel_values").Permute(0, 2, 3, 1).Clone());
        results.Check("image_embeds", picture);
        int length = golden.InputShape("input_ids")[1];
        int[][] Rows(string name) => [.. golden.InputIntegers(name).Select(value => (int)value).Chunk(length)];
        var texts = Rows("input_ids").Zip(Rows("attention_mask"), (ids, mask) => model.Read(ids, mask, picture));
        results.Check("text_hidden", TensorOperations.Concatenate(0, [.. texts]));
    }
}
