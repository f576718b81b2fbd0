using Attune.Weights;

namespace Attune.Evaluation.Experiments;

/// <summary>What a judge sees in true pictures: a safetensors file with <c>features</c> [pictures, features].</summary>
internal static class ReferenceFeatures
{
    /// <summary>Checks a file without reading its data.</summary>
    /// <exception cref="CheckpointException">The file is missing, malformed or of another judge.</exception>
    public static void Check(string file, int features)
    {
        using var source = WeightSource.Open(file);
        _ = CountOf(source, file, features);
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="CheckpointException">The file is missing, malformed or of another judge.</exception>
    public static List<float[]> Load(string file, int features)
    {
        using var source = WeightSource.Open(file);
        int count = CountOf(source, file, features);
        using var stored = source.Find("features")!;
        return [.. Enumerable.Range(0, count).Select(row =>
        {
            var values = new float[features];
            stored.Widen((long)row * features, values);
            return values;
        })];
    }

    private static int CountOf(WeightSource source, string file, int features)
    {
        var stored = source.Describe("features")
            ?? throw new CheckpointException($"'{file}' has no tensor features, expected what the judge sees in true pictures.");
        return stored.Dimensions is [>= 2 and <= int.MaxValue, var width] && width == features ? (int)stored.Dimensions[0]
            : throw new CheckpointException(
                $"'{file}': features is [{string.Join(", ", stored.Dimensions)}], expected [2 or more pictures, {features}] as the judge "
                    + $"has.");
    }
}
