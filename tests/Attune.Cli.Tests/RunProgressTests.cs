namespace Attune.Cli.Tests;

/// <summary>What is said of a run where no bar can be drawn.</summary>
public class RunProgressTests
{
    private static async Task<string> Said(TimeSpan pause, Func<RunProgress, Func<string>, Task> run, bool quiet = false)
    {
        var before = Console.Error;
        using var error = new StringWriter();
        var shared = TextWriter.Synchronized(error);
        Console.SetError(shared);
        try
        {
            await RunProgress.ShowAsync(new Words(quiet), progress => run(progress, Text), pause);
        }
        finally
        {
            Console.SetError(before);
        }
        return Text().ReplaceLineEndings("\n");

        string Text()
        {
            // The clock writes from another thread; a synchronised writer locks itself.
            lock (shared)
                return error.ToString();
        }
    }

    private static Func<RunProgress, Func<string>, Task> Stages(int steps) => (progress, _) =>
    {
        progress.Denoise();
        progress.Step(1, 4, steps, TimeSpan.FromSeconds(10));
        progress.Step(2, 4, steps, TimeSpan.FromSeconds(20));
        progress.Step(4, 4, steps, TimeSpan.FromSeconds(40));
        progress.Decode();
        progress.Decoded();
        return Task.CompletedTask;
    };

    [Theory]
    [InlineData(4, "steps")]
    [InlineData(3, "evaluations")]
    public async Task Lines_say_the_stage_the_steps_and_the_time_left(int steps, string unit) => Assert.Equal(
        [
            "in the first step", $"1 of 4 {unit}, about 30 s left without decoding", $"2 of 4 {unit}, about 20 s left without decoding",
            $"4 of 4 {unit}", "decoding", "saving", ""],
        (await Said(TimeSpan.Zero, Stages(steps))).Split('\n').Select(line => line.Split(';')[0]));

    [Fact]
    public async Task A_step_that_takes_longer_than_the_pause_is_spoken_of_while_it_runs()
    {
        string said = await Said(TimeSpan.FromMilliseconds(20), async (progress, text) =>
        {
            progress.Denoise();
            while (!text().Contains("in the first step", StringComparison.Ordinal))
                await Task.Delay(5, TestContext.Current.CancellationToken);
            progress.Decode();
            while (!text().Contains("decoding", StringComparison.Ordinal))
                await Task.Delay(5, TestContext.Current.CancellationToken);
        });
        Assert.Matches("in the first step; [0-9]+ s so far\n", said);
    }

    [Fact]
    public async Task A_short_run_says_nothing_and_a_quiet_one_neither()
    {
        Assert.Equal("", await Said(TimeSpan.FromMinutes(1), Stages(4)));
        Assert.Equal("", await Said(TimeSpan.Zero, Stages(4), quiet: true));
    }
}
