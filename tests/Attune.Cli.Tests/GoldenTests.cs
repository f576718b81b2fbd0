using Attune.Cli.Commands;
using Attune.Verification;

namespace Attune.Cli.Tests;

/// <summary>The golden cases in the repository, through the runner that <c>attune verify</c> is.</summary>
public class GoldenTests
{
    private static readonly string Root = Path.Combine(Repository.Root, "tests", "golden");

    public static TheoryData<string> Cases() => [.. GoldenCase.List(Root).Select(pair => pair.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Golden_case_holds(string name)
    {
        long before = Tensors.TensorMemory.LiveTensors;
        CaseResults results;
        try
        {
            results = CaseRunner.Run(GoldenCase.Read(Root, Path.Combine(Root, "cases", name + ".json")));
        }
        catch (UnsupportedCaseException exception)
        {
            Assert.Skip("Not supported yet: " + exception.Message);
            return;
        }
        Assert.True(results.WorstRatio <= 1, $"{results.Worst}: {results.WorstRatio} of the tolerance");
        Assert.Equal(before, Tensors.TensorMemory.LiveTensors);
    }

    [Fact]
    public void The_copy_covers_every_group_that_is_supported() =>
        Assert.Superset(
            new HashSet<string> {
                "attention", "autoencoders", "entmax", "flux", "random", "schedulers", "text-encoders", "tokenizers", "unet" },
            GoldenCase.List(Root).Select(pair => pair.Name.Split('/')[0]).ToHashSet());

    [Fact]
    public void The_full_set_holds_where_it_is_present()
    {
        string? full = Environment.GetEnvironmentVariable("ATTUNE_GOLDEN")
            ?? new[] { Path.Combine(Repository.Root, "..", "shared", "golden") }.FirstOrDefault(Directory.Exists);
        if (full == null)
            Assert.Skip("Neither ATTUNE_GOLDEN nor a folder ../shared/golden is there.");
        var output = new StringWriter();
        int code = VerifyCommand.Run(full, [], require: false, output);
        Assert.True(
            code == 0, string.Join('\n', output.ToString().Split('\n').Where(line => line.StartsWith("FAIL", StringComparison.Ordinal))));
        Assert.EndsWith("unsupported", output.ToString().TrimEnd());
    }

    /// <summary>A runner that cannot fail proves nothing: a reference value that is off by more than the tolerance must show.</summary>
    [Fact]
    public void A_wrong_reference_fails()
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "cases", "random"));
            foreach (string extension in new[] { ".json", ".safetensors" })
                File.Copy(
                    Path.Combine(Root, "cases", "random", "randn-7-17" + extension),
                    Path.Combine(folder, "cases", "random", "randn-7-17" + extension));
            string tensors = Path.Combine(folder, "cases", "random", "randn-7-17.safetensors");
            byte[] bytes = File.ReadAllBytes(tensors);
            bytes[^2] ^= 0x40;
            File.WriteAllBytes(tensors, bytes);
            var output = new StringWriter();
            Assert.Equal(1, VerifyCommand.Run(folder, [], require: true, output));
            Assert.EndsWith("0 passed, 1 failed, 0 unsupported", output.ToString().TrimEnd());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Requiring_what_is_not_there_fails() =>
        Assert.Equal(1, VerifyCommand.Run(Root, ["no/such*"], require: true, new StringWriter()));

    [Theory]
    [InlineData("attention/*-nag-[0-9]*", "attention/joint-nag-4-2.5-0.5-l1", true)]
    [InlineData("attention/*-nag-[0-9]*", "attention/cross-gag-nag", false)]
    [InlineData("flux/*", "flux/dev-nag", true)]
    [InlineData("flux/dev-?ag", "flux/dev-nag", true)]
    [InlineData("flux/dev-[!n]ag", "flux/dev-nag", false)]
    [InlineData("flux", "flux/dev-nag", false)]
    public void Globs_match_names(string pattern, string name, bool matches) => Assert.Equal(matches, new Glob(pattern).Matches(name));
}

/// <summary>Where the repository is, from the place of this file when it was compiled.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    private static string Find([System.Runtime.CompilerServices.CallerFilePath] string path = "")
    {
        string? folder = Path.GetDirectoryName(path);
        while (folder != null && !File.Exists(Path.Combine(folder, "Attune.slnx")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("The repository was not found.");
    }
}
