using Attune.Cli.Commands;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>What <c>attune verify</c> prints and returns; the cases themselves are tested with the runner.</summary>
public class VerifyCommandTests
{
    [Fact]
    public void One_line_a_case_and_a_sum()
    {
        var output = new StringWriter();
        Assert.Equal(0, VerifyCommand.Run(Repository.Golden(), ["random/randn-7-1[67]"], require: true, Host, output));
        string[] lines = output.ToString().Trim().ReplaceLineEndings("\n").Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.Matches(@"^pass  random/randn-7-16  0\.[0-9]{3} of the tolerance \(values\)$", lines[0]);
        Assert.Equal("2 passed, 0 failed, 0 unsupported", lines[^1]);
    }

    [Fact]
    public void A_failed_case_is_an_error()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.At("cases/group"));
        File.WriteAllText(folder.At("cases/group/broken.json"), "{");
        var output = new StringWriter();
        Assert.Equal(1, VerifyCommand.Run(folder.Path, [], require: false, Host, output));
        Assert.EndsWith("0 passed, 1 failed, 0 unsupported", output.ToString().TrimEnd());
    }

    [Fact]
    public void What_is_not_supported_is_an_error_only_when_it_is_required()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.At("cases/group"));
        File.WriteAllText(folder.At("cases/group/new.json"), """{ "kind": "new", "arguments": {}, "inputs": [], "outputs": {} }""");
        Assert.Equal(0, VerifyCommand.Run(folder.Path, [], require: false, Host, new StringWriter()));
        Assert.Equal(1, VerifyCommand.Run(folder.Path, [], require: true, Host, new StringWriter()));
    }

    [Fact]
    public void A_selection_of_nothing_is_an_error()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.At("cases/group"));
        File.WriteAllText(folder.At("cases/group/new.json"), """{ "kind": "new", "arguments": {}, "inputs": [], "outputs": {} }""");
        var error = Assert.Throws<ArgumentException>(
            () => VerifyCommand.Run(folder.Path, ["group/*", "no/such*"], require: false, Host, new StringWriter()));
        Assert.StartsWith("--only no/such* selects none of the 1 cases of ", error.Message, StringComparison.Ordinal);
    }
}
