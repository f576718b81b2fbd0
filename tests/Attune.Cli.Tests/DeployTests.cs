using System.Diagnostics;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>The jobs in deploy/: what they call exists, and each task does its part.</summary>
public class DeployTests
{
    [Fact]
    public async Task Slurm_tasks_do_their_part() => await Check(
        ["bash", Path.Combine(Repository.Root, "deploy", "slurm-evaluate.sbatch")],
        [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_COUNT", "16"), ("SLURM_CPUS_PER_TASK", "2")], "3/16");

    [Fact]
    public async Task A_part_is_done_again_alone() => await Check(
        ["bash", Path.Combine(Repository.Root, "deploy", "slurm-evaluate.sbatch")],
        [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_COUNT", "1"), ("PARTS", "16")], "3/16");

    [Fact]
    public async Task Kubernetes_pods_do_their_part()
    {
        string[] lines = await File.ReadAllLinesAsync(Path.Combine(Repository.Root, "deploy", "kubernetes-evaluate.yaml"));
        string script = lines.Select(line => line.Trim()).Single(line => line.StartsWith("exec attune ", StringComparison.Ordinal));
        string Value(string key) => lines.Select(line => line.Trim()).Single(line => line.StartsWith(key + ": ", StringComparison.Ordinal))
            [(key.Length + 2)..];
        Assert.Equal("Indexed", Value("completionMode"));
        string parts = Value("completions");
        Assert.Contains($"              value: \"{parts}\"", lines);
        await Check(["/bin/sh", "-c", script], [("JOB_COMPLETION_INDEX", "15"), ("PARTS", parts)], $"16/{parts}");
    }

    /// <summary>The options of services and manifests are those of the command.</summary>
    [Theory]
    [InlineData("attune.service", "serve")]
    [InlineData("attune-work@.service", "work")]
    [InlineData("Dockerfile", "serve")]
    [InlineData("kubernetes-serve.yaml", "serve", "work")]
    public async Task Services_are_started_with_options_that_exist(string file, params string[] commands)
    {
        string help = "";
        foreach (string command in commands)
            help += (await CommandTests.Run([command, "--help"])).Output;
        string[] lines = await File.ReadAllLinesAsync(Path.Combine(Repository.Root, "deploy", file));
        string[] options = [
            .. lines.Where(line => !line.TrimStart().StartsWith('#') && !line.Contains("docker ", StringComparison.Ordinal))
                .Where(line => line.Contains("attune ", StringComparison.Ordinal)
                    || line.TrimStart().StartsWith("- --", StringComparison.Ordinal) || line.StartsWith("CMD", StringComparison.Ordinal))
                .SelectMany(line => line.Split(' ', '"', '=', ',')).Where(word => word.StartsWith("--", StringComparison.Ordinal))];
        Assert.True(options.Length >= 2);
        Assert.All(options, option => Assert.Contains($"{option} ", help, StringComparison.Ordinal));
    }

    /// <summary>Runs a script with a program of attune's name that says its arguments, and gives these to attune.</summary>
    private static async Task Check(string[] command, (string Name, string Value)[] environment, string shard)
    {
        if (OperatingSystem.IsWindows())
            return;
        using var folder = new TemporaryFolder();
        string program = folder.At("attune");
        await File.WriteAllTextAsync(program, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = $"{folder.Path}:{Environment.GetEnvironmentVariable("PATH")}";
        start.Environment["EXPERIMENT"] = Path.Combine(Repository.Root, "experiments", "papers", "nag-flux-schnell.json");
        start.Environment["DATA"] = folder.At("no data");
        start.Environment["RESULTS"] = folder.At("results");
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        string output = await process.StandardOutput.ReadToEndAsync();
        string failure = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, failure);
        string[] arguments = output.TrimEnd().Split('\n');
        Assert.Equal(["evaluate", "--shard", shard], [arguments[0], .. arguments[^2..]]);
        var (code, said, error) = await CommandTests.Run([.. arguments, "--dry"]);
        Assert.True(code == 0, error);
        Assert.Contains($"part {shard}", said, StringComparison.Ordinal);
        Assert.Contains("no data/models/FLUX.1-schnell", said, StringComparison.Ordinal);
    }
}
