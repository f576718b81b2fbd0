using System.Text.Json.Nodes;
using Attune.Generation;
using Attune.Tests;

namespace Attune.Verification.Tests;

/// <summary>What the runner says of cases that do not hold, and of those that it does not know.</summary>
public class RunnerTests
{
    private const string Random = "random/randn-7-17";
    private const string Guider = "guiders/cfg-4";
    private const string Lora = "lora/wan-comfy-1_0";

    /// <summary>One case of every kind and class that can be run.</summary>
    public static TheoryData<string> OfEveryKind()
    {
        var folder = GoldenFolder.Open(Repository.Golden());
        var runnable = folder.Names
            .Select(name => (Name: name, Case: GoldenCase.Read(folder, name, Host)))
            .Where(pair => pair.Case.Kind is not ("lora" or "pipeline") || DiffusionPipeline.SupportedClasses.Contains(pair.Case.Class!));
        return [.. runnable.GroupBy(pair => (pair.Case.Kind, pair.Case.Class)).Select(group => group.First().Name)];
    }

    /// <summary>A runner that cannot fail proves nothing: a reference value that is off by more than the tolerance must show.</summary>
    [Fact]
    public void A_wrong_reference_fails()
    {
        using var copy = new CaseCopy(Random);
        copy.ChangeLastByte();
        var result = copy.Run();
        Assert.Equal(CaseVerdict.Failed, result.Verdict);
        Assert.True(result.WorstRatio > 1, result.ToString());
        Assert.StartsWith($"FAIL  {Random}  ", result.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void An_output_that_nothing_computes_fails()
    {
        using var copy = new CaseCopy(Random, json => json["outputs"]!["more"] = 1e-5);
        var result = copy.Run();
        Assert.Equal(CaseVerdict.Failed, result.Verdict);
        Assert.Equal("more was not computed", result.Detail);
    }

    [Fact]
    public void An_error_of_the_library_fails_and_the_run_goes_on()
    {
        using var copy = new CaseCopy(Random, json => json["arguments"]!["shape"] = new JsonArray(-1));
        Assert.Equal(CaseVerdict.Failed, copy.Run().Verdict);
        using var broken = new CaseCopy(Random);
        File.WriteAllText(broken.Json, "{");
        Assert.Contains("is no golden case", broken.Run().Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_kind_and_class_is_known_by_name()
    {
        using var kind = new CaseCopy(Random, json => json["kind"] = "no-such-kind");
        Assert.Equal((CaseVerdict.Unsupported, "kind no-such-kind"), kind.Outcome());
        foreach (string name in new[] { "component", "attention", "pipeline" })
        {
            using var type = new CaseCopy(Random, json => (json["kind"], json["class"]) = (name, "NoSuchClass"));
            Assert.Equal((CaseVerdict.Unsupported, "class NoSuchClass"), type.Outcome());
        }
    }

    /// <summary>To ignore what a case states would be to compare something else.</summary>
    [Theory]
    [MemberData(nameof(OfEveryKind))]
    public void An_argument_or_input_that_is_not_known_makes_a_case_unsupported(string name)
    {
        using var argument = new CaseCopy(name, json => json["arguments"]!["no_such_argument"] = 1);
        Assert.Equal((CaseVerdict.Unsupported, "argument no_such_argument"), argument.Outcome());
        using var input = new CaseCopy(name, json => json["inputs"]!.AsArray().Add("no_such_input"));
        Assert.Equal((CaseVerdict.Unsupported, "input no_such_input"), input.Outcome());
    }

    [Theory]
    [InlineData("rule", "no-such-rule")]
    [InlineData("no_such_parameter", "1")]
    public void Guidance_that_is_not_known_makes_a_case_unsupported(string key, string value)
    {
        using var copy = new CaseCopy(Guider, json => json["arguments"]!["guidance"]![0]![key] = value);
        var (verdict, detail) = copy.Outcome();
        Assert.Equal(CaseVerdict.Unsupported, verdict);
        Assert.Contains(key == "rule" ? value : key, detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_of_a_LoRA_file_are_compared_though_the_model_is_not_known()
    {
        using var model = new TemporaryFolder();
        string transformer = model.At("transformer");
        Directory.CreateDirectory(transformer);
        foreach (string file in Directory.GetFiles(Repository.Golden("checkpoints/lora/base/wan/transformer")))
            File.Copy(file, Path.Combine(transformer, Path.GetFileName(file)));
        string config = Path.Combine(transformer, "config.json");
        File.WriteAllText(
            config, File.ReadAllText(config).Replace("WanTransformer3DModel", "NoSuchTransformer", StringComparison.Ordinal));

        using var copy = new CaseCopy(Lora, json => json["checkpoint"] = model.Path);
        Assert.Equal((CaseVerdict.Unsupported, "class WanPipeline"), copy.Outcome());
        using var wrong = new CaseCopy(Lora, json =>
        {
            json["checkpoint"] = model.Path;
            json["arguments"]!["changed"]!.AsArray().RemoveAt(0);
        });
        Assert.Equal(CaseVerdict.Failed, wrong.Run().Verdict);
        using var missing = new CaseCopy(Lora, json => json["checkpoint"] = "checkpoints/no-such-folder");
        Assert.Equal(CaseVerdict.Failed, missing.Run().Verdict);
        using var key = new CaseCopy(Lora, json => json["arguments"]!["loras"]![0]!["no_such_key"] = 1);
        Assert.Equal((CaseVerdict.Unsupported, "argument loras.no_such_key"), key.Outcome());
    }

    [Fact]
    public void Further_files_of_a_case_are_no_cases()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.At("cases/group"));
        foreach (string name in new[] { "cfg-7", "cfg-7.5", "text", "text.strings", "text.strings-2", "model-2.1-vae" })
            File.WriteAllText(folder.At($"cases/group/{name}.json"), "{}");
        Assert.Equal(
            ["group/cfg-7", "group/cfg-7.5", "group/model-2.1-vae", "group/text", "group/text.strings-2"],
            GoldenFolder.Open(folder.Path).Names);
    }

    [Theory]
    [InlineData("attention/*-nag-[0-9]*", "attention/joint-nag-4-2.5-0.5-l1", true)]
    [InlineData("attention/*-nag-[0-9]*", "attention/cross-gag-nag", false)]
    [InlineData("flux/*", "flux/dev-nag", true)]
    [InlineData("flux/dev-?ag", "flux/dev-nag", true)]
    [InlineData("flux/dev-[!n]ag", "flux/dev-nag", false)]
    [InlineData("flux", "flux/dev-nag", false)]
    public void Globs_match_names(string pattern, string name, bool matches) => Assert.Equal(matches, new Glob(pattern).Matches(name));

    /// <summary>A golden case of the repository in a folder of its own, changed.</summary>
    private sealed class CaseCopy : IDisposable
    {
        private readonly TemporaryFolder _folder = new();
        private readonly string _name;

        public CaseCopy(string name, Action<JsonObject>? change = null)
        {
            _name = name;
            string original = Repository.Golden("cases", name);
            Directory.CreateDirectory(Path.GetDirectoryName(Json)!);
            foreach (string file in Directory.GetFiles(Path.GetDirectoryName(original)!, Path.GetFileName(name) + ".*"))
                File.Copy(file, Path.Combine(Path.GetDirectoryName(Json)!, Path.GetFileName(file)));
            var json = JsonNode.Parse(File.ReadAllText(Json))!.AsObject();
            change?.Invoke(json);
            if (json.ContainsKey("checkpoint"))
                json["checkpoint"] = Repository.Golden((string)json["checkpoint"]!);
            foreach (var lora in json["arguments"]!["loras"]?.AsArray() ?? [])
                lora!["file"] = Repository.Golden((string)lora["file"]!);
            File.WriteAllText(Json, json.ToJsonString());
        }

        public string Json => _folder.At($"cases/{_name}.json");

        public void ChangeLastByte()
        {
            string tensors = Path.ChangeExtension(Json, ".safetensors");
            byte[] bytes = File.ReadAllBytes(tensors);
            bytes[^2] ^= 0x40;
            File.WriteAllBytes(tensors, bytes);
        }

        public CaseResult Run() => new CaseRunner(GoldenFolder.Open(_folder.Path), Host).Run(_name);

        public (CaseVerdict Verdict, string Detail) Outcome()
        {
            var result = Run();
            return (result.Verdict, result.Detail);
        }

        public void Dispose() => _folder.Dispose();
    }
}
