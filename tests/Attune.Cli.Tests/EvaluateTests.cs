using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Attune.Cli.Commands;
using Attune.Evaluation.Experiments;
using Attune.Evaluation.Reports;
using Attune.Tests;
using Spectre.Console;

namespace Attune.Cli.Tests;

/// <summary><c>attune evaluate</c> as users run it, with a judge and a dual encoder of random weights.</summary>
public class EvaluateTests
{
    private static async Task<(int Code, string Output, string Error)> Run(string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Attune) {
            RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8,
            WorkingDirectory = folder };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }

    /// <summary>
    /// A folder with an experiment and with the judge and dual encoder of the tests of metrics, told to read pictures of 32 pixels: their
    /// layers fit any size.
    /// </summary>
    private static string Prepare()
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        string fixtures = Path.Combine(Repository.Root, "tests", "Attune.Evaluation.Tests", "Fixtures");
        foreach (string part in new[] { "judge", "dual-encoder" })
        {
            foreach (string file in Directory.GetFiles(Path.Combine(fixtures, part), "*", SearchOption.AllDirectories))
            {
                string copy = Path.Combine(folder, Path.GetRelativePath(fixtures, file));
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.Copy(file, copy);
            }
        }
        foreach (
            string file in new[] {
                Path.Combine(folder, "judge", "config.json"), Path.Combine(folder, "dual-encoder", "image_encoder", "config.json") })
        {
            var config = JsonNode.Parse(File.ReadAllText(file))!;
            config["sample_size"] = 32;
            File.WriteAllText(file, config.ToJsonString());
        }
        File.WriteAllText(Path.Combine(folder, "trial.json"), $$"""
            {
              "name": "A trial",
              "model": {{JsonValue.Create(Path.Combine(Repository.Root, "models", "flux-tiny-random")).ToJsonString()}},
              "judge": "judge",
              "dualEncoder": "dual-encoder",
              "width": 32,
              "height": 32,
              "methods": [
                { "name": "none", "rules": "none" },
                { "name": "nag {scale}", "rules": "nag:scale={scale}", "scales": [2, 8] }
              ],
              "baseline": "none",
              "steps": [1],
              "seeds": { "count": 1 },
              "prompts": [
                { "prompt": "a panda", "negative": "sunglasses", "present": { "face": "panda" }, "absent": { "eyewear": "sunglasses" } },
                { "prompt": "a fox", "negative": "a top hat", "present": { "face": "fox" }, "absent": { "headwear": "top hat" } }
              ]
            }
            """);
        return folder;
    }

    [Fact]
    public async Task Parts_are_made_apart_and_reported_together()
    {
        string folder = Prepare();
        try
        {
            var (code, output, error) = await Run(folder, "evaluate", "trial.json", "--shard", "1/2");
            Assert.True(code == 0, error);
            Assert.Contains("0 of 3 pictures (part 1/2)", output, StringComparison.Ordinal);
            Assert.Contains("3 of 3 pictures (part 1/2)", output, StringComparison.Ordinal);
            Assert.Contains("Partial: 3 of 6 pictures are missing.", output, StringComparison.Ordinal);
            Assert.Contains("There is no records-02-of-02.jsonl.", output, StringComparison.Ordinal);

            (code, output, error) = await Run(folder, "evaluate", "trial.json", "--shard", "2/2");
            Assert.True(code == 0, error);
            Assert.DoesNotContain("Partial", output, StringComparison.Ordinal);
            Assert.Contains("nag 8", output, StringComparison.Ordinal);
            string results = Path.Combine(folder, "attune-trial");
            var json = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(results, "report.json")))!;
            Assert.False(json["partial"]!.GetValue<bool>());
            Assert.Equal(6, json["pictures"]!.GetValue<int>());
            Assert.All(json["results"]!.AsArray(), result => Assert.InRange(result!["prompt_score"]!.GetValue<double>(), -1, 1));
            Assert.Equal(6, Directory.GetFiles(Path.Combine(results, "pictures")).Length);

            var report = ExperimentReport.Create(Experiment.Load(Path.Combine(folder, "trial.json")), results, null);
            foreach (int width in new[] { 40, 80, 4096 })
            {
                using var text = new StringWriter();
                var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(text), Ansi = AnsiSupport.No });
                console.Profile.Width = width;
                EvaluateCommand.WriteSummary(report, console, "report.md");
                string[] lines = text.ToString().ReplaceLineEndings("\n").Split('\n');
                var table = lines.Where(line => !line.Contains("left out", StringComparison.Ordinal));
                Assert.All(table, line => Assert.True(line.Length <= width, line));
                Assert.Single(lines, line => line.Contains("nag 8", StringComparison.Ordinal));        // no row is broken over lines
                Assert.Equal(width < 4096, text.ToString().Contains("columns are left out", StringComparison.Ordinal));
            }

            byte[] page = await File.ReadAllBytesAsync(Path.Combine(results, "report.html"));
            (code, _, error) = await Run(folder, "evaluate", "trial.json", "--report-only");
            Assert.True(code == 0, error);
            Assert.Equal(page, await File.ReadAllBytesAsync(Path.Combine(results, "report.html")));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_dry_run_counts_the_model_and_names_what_is_missing()
    {
        string folder = Prepare();
        try
        {
            var (code, output, error) = await Run(folder, "evaluate", "trial.json", "--dry", "--shard", "1/2");
            Assert.True(code == 0, error);
            Assert.Contains("A trial: 3 pictures, part 1/2", output, StringComparison.Ordinal);
            Assert.Matches(@"nag 8, steps 1: 1 pictures of 0\.[0-9]+ TFLOP", output);
            Assert.Matches(@"speed of products here: [0-9.]+ TFLOP/s", output);
            Assert.Contains("(counted on the model)", output, StringComparison.Ordinal);
            Assert.Contains("missing: nothing", output, StringComparison.Ordinal);
            Assert.False(Directory.Exists(Path.Combine(folder, "attune-trial")));

            string paper = Path.Combine(Repository.Root, "experiments", "papers", "nag-flux-schnell.json");
            (code, output, error) = await Run(folder, "evaluate", paper, "--data", "data", "--dry");
            Assert.True(code == 0, error);
            Assert.Contains("none, steps 4: 5000 pictures of 277.6 TFLOP", output, StringComparison.Ordinal);
            Assert.Matches(@"time: about [0-9]+ hours \([0-9]+ days\)", output);
            foreach (string name in new[] {
                "model: ", "prompts: ", "weights of clip-score, a folder with a CLIPModel",
                "weights of fid, Inception v3 of FID: pt_inception-", "references of pfid, ",
                "weights of image-reward, a folder with ImageReward.pt" })
                Assert.Contains($"\n  {name}", output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Mistakes_are_one_line_and_nothing_is_written()
    {
        string folder = Prepare();
        try
        {
            string file = Path.Combine(folder, "trial.json");
            string text = await File.ReadAllTextAsync(file);
            foreach (var (wrong, arguments, expected) in new (string, string[], string)[]
            {
                (
                    text.Replace("nag:scale", "nga:scale", StringComparison.Ordinal), [],
                    "methods[1].rules is 'nga:scale=2': 'nga' is no guidance rule"),
                (
                    text.Replace("\"panda\"", "\"pandas\"", StringComparison.Ordinal), [],
                    "present.face is \"pandas\", expected one of panda, fox"),
                (text.Replace("32", "48", StringComparison.Ordinal), [], "width is 48, expected 32, which the judge"),
                (text, ["--shard", "3/2"], "'3/2' is no shard"),
                (text, ["--report-only"], "holds no records of 'trial.json'"),
                (text, ["--report-only", "--shard", "1/2"], "--shard is given with --report-only"),
                (text, ["--report-only", "--dry"], "--dry is given with --report-only"),
                (text, ["--limit-prompts", "0"], "--limit-prompts is 0, expected 1 or more"),
                (text, ["--model", "nowhere"], "nowhere' does not exist"),
            })
            {
                await File.WriteAllTextAsync(file, wrong);
                var (code, _, error) = await Run(folder, ["evaluate", "trial.json", .. arguments]);
                Assert.Equal(1, code);
                Assert.Contains(expected, error, StringComparison.Ordinal);
                Assert.Single(error.TrimEnd().Split('\n'));
                Assert.False(Directory.Exists(Path.Combine(folder, "attune-trial")));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
