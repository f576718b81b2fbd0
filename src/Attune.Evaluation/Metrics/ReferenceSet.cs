using Attune.Imaging;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// What a metric that compares sets is given to compare with: statistics of references, and where they are known their features.
/// </summary>
/// <param name="Statistics">Mean and covariance.</param>
/// <param name="Features">The features of each; null where statistics are all that is known.</param>
public sealed record ReferenceSet(FeatureStatistics Statistics, float[][]? Features)
{
    /// <summary>What it was made of: a digest, to tell whether it still fits. Null where a file does not say.</summary>
    internal string? Source { get; init; }

    /// <summary>Reads an <c>.npz</c> file: <c>feats</c> [pictures, features] (clean-fid's name), or <c>mu</c> and <c>sigma</c>.</summary>
    /// <exception cref="CheckpointException">The file is damaged, or holds neither.</exception>
    public static ReferenceSet Load(string path)
    {
        var arrays = NumpyFile.Read(path, "feats");
        if (!arrays.TryGetValue("feats", out var stored))
            return new ReferenceSet(FeatureStatistics.Load(path), null) { Source = NumpyFile.ReadText(path, "source") };
        if (stored.Axes is not [>= 2, >= 1])
            throw new CheckpointException(
                $"'{path}': feats is [{string.Join(", ", stored.Axes)}], expected [2 or more pictures, features].");
        float[][] features = [.. stored.Values.Chunk(stored.Axes[1]).Select(row => Array.ConvertAll(row, value => (float)value))];
        try
        {
            return Of(features, NumpyFile.ReadText(path, "preparation")) with { Source = NumpyFile.ReadText(path, "source") };
        }
        catch (ArgumentException exception)
        {
            throw new CheckpointException($"'{path}': feats: {exception.Message}", exception);
        }
    }

    /// <summary>The set of features.</summary>
    /// <param name="features">Two at least.</param>
    /// <param name="preparation">How the pictures were made ready; null where that is not known.</param>
    public static ReferenceSet Of(float[][] features, string? preparation)
    {
        var moments = FeatureMoments.Of(features);
        return moments.Count < 2 ? throw new ArgumentException($"References are two pictures at least, not {moments.Count}.")
            : new ReferenceSet(moments.ToStatistics() with { Preparation = preparation }, features);
    }

    /// <summary>Reads the pictures of a folder.</summary>
    /// <param name="folder">Its pictures count, in the ordinal order of their names; folders below are not looked into.</param>
    /// <param name="reader">Of a metric that compares sets.</param>
    /// <param name="preparation">The reader's.</param>
    /// <param name="progress">Told how many of how many pictures were read.</param>
    /// <param name="cancellation">Stops between pictures.</param>
    /// <exception cref="ArgumentException">There are fewer than two pictures.</exception>
    public static ReferenceSet Read(
        string folder, IMetricReader reader, Preparation preparation, Action<int, int>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ArgumentNullException.ThrowIfNull(preparation);
        string[] files = PictureFolder.Files(folder);
        var features = new float[files.Length][];
        for (int i = 0; i < files.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            features[i] = reader.Read(Image.Load(files[i]), "");
            progress?.Invoke(i + 1, files.Length);
        }
        return Of(features, preparation.Name);
    }

    /// <summary>Writes features or statistics, for the Python tools too.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        List<KeyValuePair<string, string>> texts = [];
        if (Statistics.Preparation is { } preparation)
            texts.Add(new("preparation", preparation));
        if (Source != null)
            texts.Add(new("source", Source));
        List<KeyValuePair<string, NumpyArray>> arrays = Features is { } rows
            ? [new("feats", new NumpyArray([rows.Length, rows[0].Length], [.. rows.SelectMany(row => row).Select(value => (double)value)]))]
            : [.. Statistics.Arrays];
        NumpyFile.Write(path, arrays, texts);
    }
}

/// <summary>The pictures of a folder.</summary>
public static class PictureFolder
{
    private static readonly string[] Extensions = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"];

    /// <summary>The files, in the ordinal order of their names; folders below are not looked into.</summary>
    /// <exception cref="ArgumentException">The folder does not exist, or holds none.</exception>
    public static string[] Files(string folder)
    {
        if (!Directory.Exists(folder))
            throw new ArgumentException($"'{folder}' is no folder; expected a folder of pictures.");
        string[] files = [.. Directory.EnumerateFiles(folder)
            .Where(file => Extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
            .Order(StringComparer.Ordinal)];
        return files.Length > 0 ? files : throw new ArgumentException($"'{folder}' holds no pictures ({string.Join(", ", Extensions)}).");
    }
}
