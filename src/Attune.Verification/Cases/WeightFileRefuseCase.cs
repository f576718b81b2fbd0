using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// Files of weights that must fail when they are opened or their weights are asked for, with an error that names the file, at once and
/// in little memory, and such that must load.
/// </summary>
internal sealed class WeightFileRefuseCase : CaseKind
{
    private const long MemoryBound = 16 << 20;

    public override string Kind => "refuse";

    public override IReadOnlyCollection<string> Arguments { get; } = ["files", "accepted"];

    public override bool Takes(string? className) => className == "files";

    public override void Run(GoldenCase golden, Comparison results)
    {
        foreach (var entry in golden.Arguments.GetProperty("files").EnumerateArray())
        {
            string file = entry.GetProperty("file").GetString()!;
            string? error = ErrorOf(Path.Combine(golden.Root, file), results);
            results.Require(error != null, $"{file} was accepted: {entry.GetProperty("why").GetString()}");
            results.Require(
                error == null || error.Contains(Path.GetFileName(file), StringComparison.Ordinal),
                $"the error does not name {file}: {error}");
        }
        string accepted = golden.Text("accepted");
        string? refused = ErrorOf(Path.Combine(golden.Root, accepted), results);
        results.Require(refused == null, $"{accepted} was refused: {refused}");
    }

    private static string? ErrorOf(string file, Comparison results)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        TensorMemory.ResetPeak();
        long live = TensorMemory.LiveBytes;
        try
        {
            using var source = WeightSource.Open(file);
            foreach (string name in source.Names)
                source.Find(name)?.Dispose();
            return null;
        }
        catch (CheckpointException exception)
        {
            return exception.Message;
        }
        finally
        {
            long used = GC.GetAllocatedBytesForCurrentThread() - before + TensorMemory.PeakBytes - live;
            results.Require(used <= MemoryBound, $"{file} took {used} bytes, expected at most {MemoryBound}");
        }
    }
}
