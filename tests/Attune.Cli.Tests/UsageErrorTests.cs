using System.CommandLine;
using Attune.Cli.Commands;

namespace Attune.Cli.Tests;

/// <summary>Names of other tools are answered with the name here.</summary>
public class UsageErrorTests
{
    public static TheoryData<string> Foreign => [.. UsageErrors.Foreign.Keys];

    private static string Describe(params string[] arguments)
    {
        var root = new RootCommand { GenerateCommand.Create(), TraceCommand.Create() };
        DeviceOptions.AddTo(root);
        var result = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        Assert.NotEmpty(result.Errors);
        return UsageErrors.Describe(result, arguments);
    }

    [Theory]
    [MemberData(nameof(Foreign))]
    public void Every_name_of_the_table_is_unknown_here_and_what_it_points_to_is_there(string name)
    {
        var (option, written) = UsageErrors.Foreign[name];
        string expected = $"{name} is not known: here it is {written ?? option}; see attune generate --help";
        Assert.Equal(expected, Describe("generate", "a panda", name, "7"));
        Assert.Equal(expected, Describe("generate", name, "7", "a panda"));
        Assert.Equal(expected, Describe("generate", "a panda", $"{name}=7"));
        var command = GenerateCommand.Create();
        Assert.DoesNotContain(command.Options, known => known.Name == name || known.Aliases.Contains(name));
        Assert.True(
            command.Options.Any(known => known.Name == option) || command.Arguments.Any(known => known.Name == option)
                || option is "--device" or "--precision", option);
    }

    [Theory]
    [InlineData("--negative-prompt", "--negative")]
    [InlineData("--neg", "--negative")]
    [InlineData("--cfg", "--guidance cfg:scale=7")]
    [InlineData("--cfg-scale", "--guidance cfg:scale=7")]
    [InlineData("--sampler", "--scheduler")]
    [InlineData("--num-inference-steps", "--steps")]
    [InlineData("--batch-size", "--count")]
    [InlineData("--lora-scale", "--lora FILE:SCALE")]
    [InlineData("--init-image", "--image")]
    public void The_common_ones_mean_what_they_mean_elsewhere(string name, string here) =>
        Assert.Contains($": here it is {here};", Describe("trace", "a panda", name, "x"), StringComparison.Ordinal);

    [Fact]
    public void An_option_that_only_another_command_has_is_no_answer() =>
        Assert.DoesNotContain("--preview-vae", Describe("trace", "a panda", "--taesd", "x"), StringComparison.Ordinal);

    [Fact]
    public void Text_that_begins_with_a_hyphen_is_a_prompt()
    {
        var root = new RootCommand { GenerateCommand.Create() };
        Assert.Empty(root.Parse(["generate", "--a panda", "--negative", "-hat"]).Errors);
    }
}
