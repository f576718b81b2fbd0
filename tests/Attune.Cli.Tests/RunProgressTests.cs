namespace Attune.Cli.Tests;

/// <summary>What is said of a run where no bar can be drawn.</summary>
public class RunProgressTests
{
    private static async Task<string> Said(TimeSpan pause, bool quiet = false)
    {
        var before = Console.Error;
        using var error = new StringWriter();
        Console.SetError(error);
        try
        {
            await RunProgress.ShowAsync(
                new Words(quiet),
                progress =>
                {
                    progress.Step(1, 4, TimeSpan.FromSeconds(10));
                    progress.Step(2, 4, TimeSpan.FromSeconds(20));
                    progress.Step(4, 4, TimeSpan.FromSeconds(40));
                    progress.Decode();
                    progress.Decoded();
                    return Task.CompletedTask;
                },
                pause);
        }
        finally
        {
            Console.SetError(before);
        }
        return error.ToString().ReplaceLineEndings("\n");
    }

    [Fact]
    public async Task Lines_say_steps_the_time_left_and_that_decoding_begins() => Assert.Equal(
        "1 of 4 steps, about 30 s left\n2 of 4 steps, about 20 s left\ndecoding\n", await Said(TimeSpan.Zero));

    [Fact]
    public async Task A_short_run_says_nothing_and_a_quiet_one_neither()
    {
        Assert.Equal("", await Said(TimeSpan.FromMinutes(1)));
        Assert.Equal("", await Said(TimeSpan.Zero, quiet: true));
    }
}
