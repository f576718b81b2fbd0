using Attune.Weights;

namespace Attune.Evaluation.Experiments;

/// <summary>
/// What a judge sees in true pictures: a safetensors file with <c>features</c> [pictures, features], and perhaps <c>reconstructed</c>,
/// those of other true pictures after the autoencoder.
/// </summary>
internal static class ReferenceFeatures
{
    private const string Name = "features", Others = "reconstructed";

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
        return Rows(source, Name, CountOf(source, file, features), features);
    }

    /// <summary>The features of true pictures after the autoencoder; null where the file has none.</summary>
    /// <exception cref="CheckpointException">The file is missing, malformed or of another judge.</exception>
    public static List<float[]>? LoadReconstructed(string file, int features)
    {
        using var source = WeightSource.Open(file);
        return source.Describe(Others) == null ? null : Rows(source, Others, CountOf(source, file, features, Others), features);
    }

    private static List<float[]> Rows(WeightSource source, string name, int count, int features)
    {
        using var stored = source.Find(name)!;
        return [.. Enumerable.Range(0, count).Select(row =>
        {
            var values = new float[features];
            stored.Widen((long)row * features, values);
            return values;
        })];
    }

    private static int CountOf(WeightSource source, string file, int features, string name = Name)
    {
        var stored = source.Describe(name)
            ?? throw new CheckpointException($"'{file}' has no tensor {name}, expected what the judge sees in true pictures.");
        return stored.Dimensions is [>= 2 and <= int.MaxValue, var width] && width == features ? (int)stored.Dimensions[0]
            : throw new CheckpointException(
                $"'{file}': {name} is [{string.Join(", ", stored.Dimensions)}], expected [2 or more pictures, {features}] as the judge "
                    + $"has.");
    }
}
