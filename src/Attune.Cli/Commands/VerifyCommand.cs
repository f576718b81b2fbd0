using System.CommandLine;
using Attune.Verification;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Cli.Commands;

/// <summary><c>attune verify DIR</c>: runs golden cases on the real code paths.</summary>
internal static class VerifyCommand
{
    public static Command Create()
    {
        var directory = new Argument<string>("dir") { Description = "A folder of golden cases (cases/, checkpoints/, ...)." };
        var only = new Option<string[]>("--only") {
            Description = "Run only cases GROUP/NAME that match a glob with *, ? and [..]; may be given several times.",
            DefaultValueFactory = _ => [] };
        var require = new Option<bool>("--require") { Description = "Fail also when a selected case is unsupported, or none was found." };
        var command = new Command(
            "verify", "Compare every number with golden values of the reference implementations.") { directory, only, require };
        command.SetAction(
            result => Run(result.GetRequiredValue(directory), result.GetRequiredValue(only), result.GetValue(require), Console.Out));
        return command;
    }

    internal static int Run(string directory, IReadOnlyList<string> only, bool require, TextWriter output)
    {
        var globs = only.Select(pattern => new Glob(pattern)).ToArray();
        var (passed, failed, unsupported) = (0, 0, 0);
        foreach (var (name, file) in GoldenCase.List(directory))
        {
            if (globs.Length > 0 && !globs.Any(glob => glob.Matches(name)))
                continue;
            long before = TensorMemory.LiveTensors;
            try
            {
                var results = CaseRunner.Run(GoldenCase.Read(directory, file));
                results.Require(TensorMemory.LiveTensors == before, $"{TensorMemory.LiveTensors - before} tensors leaked");
                bool good = results.WorstRatio <= 1;
                (passed, failed) = good ? (passed + 1, failed) : (passed, failed + 1);
                output.WriteLine(
                    $"{(good ? "pass" : "FAIL")}  {name}  {Format(results.WorstRatio)} of the "
                        + $"tolerance{(results.Worst.Length > 0 ? $" ({results.Worst})" : "")}");
            }
            catch (UnsupportedCaseException exception)
            {
                unsupported++;
                output.WriteLine($"----  {name}  unsupported: {exception.Message}");
            }
            catch (Exception exception)
                when (exception is CheckpointException or ArgumentException or InvalidOperationException or KeyNotFoundException
                    or NotSupportedException)
            {
                failed++;
                output.WriteLine($"FAIL  {name}  {exception.GetType().Name}: {exception.Message}");
            }
        }
        output.WriteLine($"{passed} passed, {failed} failed, {unsupported} unsupported");
        return failed > 0 || (require && (unsupported > 0 || passed == 0)) ? 1 : 0;
    }

    private static string Format(double ratio) =>
        double.IsPositiveInfinity(ratio) ? "infinitely many times"
            : ratio.ToString("0.000", System.Globalization.CultureInfo.InvariantCulture);
}
