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
        return File.Exists(path) && TorchFile.Is(path) ? TorchFile.Open(path) : WeightSource.Open(path);
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
