using System.CommandLine;
using Attune.Tensors;
using Attune.Verification;

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
            result => Run(
                result.GetRequiredValue(directory), result.GetRequiredValue(only), result.GetValue(require), DeviceOptions.Open(result),
                Console.Out));
        return command;
    }

    internal static int Run(string directory, IReadOnlyList<string> only, bool require, Device device, TextWriter output)
    {
        var folder = GoldenFolder.Open(directory);
        var runner = new CaseRunner(folder, device);
        var globs = only.Select(pattern => new Glob(pattern)).ToArray();
        for (int i = 0; i < globs.Length; i++)
        {
            if (!folder.Names.Any(globs[i].Matches))
                throw new ArgumentException($"--only {only[i]} selects none of the {folder.Names.Count} cases of '{directory}'.");
        }
        var (passed, failed, unsupported) = (0, 0, 0);
        foreach (string name in folder.Names.Where(name => globs.Length == 0 || globs.Any(glob => glob.Matches(name))))
        {
            var result = runner.Run(name);
            output.WriteLine(result);
            _ = result.Verdict switch
            {
                CaseVerdict.Passed => passed++,
                CaseVerdict.Failed => failed++,
                _ => unsupported++,
            };
        }
        output.WriteLine($"{passed} passed, {failed} failed, {unsupported} unsupported");
        return failed > 0 || (require && (unsupported > 0 || passed == 0)) ? 1 : 0;
    }
}
