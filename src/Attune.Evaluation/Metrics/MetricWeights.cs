using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// Opens the weights of metrics, most of which are released as files of <c>torch.save</c>: these, safetensors, or a folder of either.
/// </summary>
internal static class MetricWeights
{
    /// <exception cref="CheckpointException">The file is missing, malformed, or holds what is no tensor.</exception>
    public static WeightSource Open(string path)
    {
        if (!File.Exists(path) && !Directory.Exists(path))
            throw new CheckpointException($"'{path}' does not exist.");
        string file = Directory.Exists(path) ? TorchFileIn(path) ?? path : path;
        return File.Exists(file) && TorchFile.Is(file) ? TorchFile.Open(file) : WeightSource.Open(file);
    }

    /// <summary>The one file of <c>torch.save</c> of a folder without safetensors, or null.</summary>
    private static string? TorchFileIn(string folder)
    {
        string[] files = Directory.GetFiles(folder);
        bool Has(string extension) => files.Any(file => file.EndsWith(extension, StringComparison.Ordinal));
        string[] pickles = [.. files.Where(WeightFiles.IsPickled)];
        return pickles.Length == 1 && !Has(".safetensors") && !Has(".safetensors.index.json") ? pickles[0] : null;
    }

    /// <summary>Builds something of a source, which belongs to it from then on.</summary>
    public static T Build<T>(WeightSource source, Device device, Func<Checkpoint, T> build)
    {
        var checkpoint = new Checkpoint(source, device);
        try
        {
            return build(checkpoint);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }
}
