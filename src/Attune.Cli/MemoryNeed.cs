using Attune.Generation;

namespace Attune.Cli;

/// <summary>What a run takes of the machine's memory, before it begins.</summary>
/// <param name="Activations">Bytes of activations at their peak (<see cref="DiffusionPipeline.EstimateActivations"/>).</param>
/// <param name="Weights">Bytes of the model's files. They are mapped: the system reads them again where memory is short, slowly.</param>
/// <param name="Available">Bytes that the machine or its container has.</param>
internal sealed record MemoryNeed(long Activations, long Weights, long Available)
{
    /// <param name="pipeline">The model.</param>
    /// <param name="resolved">What it is asked for.</param>
    /// <param name="paths">The files and folders that it was opened from.</param>
    public static MemoryNeed Of(DiffusionPipeline pipeline, ResolvedRequest resolved, IEnumerable<string> paths) => new(
        pipeline.EstimateActivations(resolved),
        ModelIdentity.WeightBytes(paths),
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);

    /// <summary>Refuses what cannot fit, and warns of what hardly does.</summary>
    /// <exception cref="ArgumentException">The activations alone are more than there is, and the run is not forced.</exception>
    public void Check(bool force, Action<string> warn)
    {
        string words = FormattableString.Invariant(
            $"This takes about {Gib(Activations)} GiB for activations beside {Gib(Weights)} GiB of weights, of {Gib(Available)} GiB");
        if (Activations > Available && !force)
            throw new ArgumentException($"{words}. A smaller --size or --count takes less; --force tries it nevertheless.");
        if (Activations + Weights > Available)
            warn($"{words}.");
    }

    private static string Gib(long bytes) => FormattableString.Invariant($"{bytes / (double)(1L << 30):0.0}");
}
