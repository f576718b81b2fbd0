using System.Diagnostics;
using Spectre.Console;

namespace Attune.Cli;

/// <summary>
/// Shows how far a run is, on standard error: on a terminal as a bar of the steps with the time left, then one for decoding; elsewhere as
/// lines, where a run is long enough to wait for one.
/// </summary>
internal sealed class RunProgress
{
    /// <summary>How long nothing is said where no bar can be drawn.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(15);

    private readonly Words _words;
    private readonly TimeSpan _pause;
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly Lock _lock = new();
    private TimeSpan _said;
    private string _state = "encoding the prompt";
    private ProgressTask? _steps;
    private ProgressTask? _decoding;
    private ProgressContext? _bars;

    private RunProgress(Words words, TimeSpan pause) => (_words, _pause) = (words, pause);

    /// <summary>Runs with progress shown.</summary>
    /// <param name="words">Where it is shown.</param>
    /// <param name="run">What runs.</param>
    /// <param name="pause">How long nothing is said where no bar can be drawn; null for 15 seconds.</param>
    public static async Task ShowAsync(Words words, Func<RunProgress, Task> run, TimeSpan? pause = null)
    {
        var progress = new RunProgress(words, pause ?? Pause);
        if (words.Quiet || !words.Error.Profile.Out.IsTerminal || !words.Error.Profile.Capabilities.Interactive)
        {
            // A step or the decoder may take longer than a pause by itself, so a clock looks whether something is to be said.
            var period = progress._pause > TimeSpan.Zero ? progress._pause / 4 : Timeout.InfiniteTimeSpan;
            var clock = new Timer(_ => progress.SayAfterAPause(), null, period, period);
            await using (clock.ConfigureAwait(false))
                await run(progress).ConfigureAwait(false);
            return;
        }
        await words.Error.Progress()
            .AutoClear(true)
            .Columns(
                new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn(),
                new RemainingTimeColumn())
            .StartAsync(async bars =>
            {
                progress._bars = bars;
                progress._steps = bars.AddTask("Denoising");
                await run(progress).ConfigureAwait(false);
            })
            .ConfigureAwait(false);
    }

    /// <summary>The prompt is encoded, and the first step begins.</summary>
    public void Denoise() => Become("in the first step");

    /// <summary>An evaluation of the model is done: schedulers as PNDM and Heun do more of them than steps are asked for.</summary>
    /// <param name="done">How many are.</param>
    /// <param name="count">Of how many.</param>
    /// <param name="steps">How many steps were asked for.</param>
    /// <param name="denoising">How long they took.</param>
    public void Step(int done, int count, int steps, TimeSpan denoising)
    {
        _steps?.MaxValue(count).Value(done);
        string unit = count == steps ? count == 1 ? "step" : "steps" : "evaluations";
        Become(
            FormattableString.Invariant($"{done} of {count} {unit}")
                + (done == count ? ""
                    : FormattableString.Invariant($", about {denoising.TotalSeconds / done * (count - done):0} s left without decoding")));
    }

    /// <summary>The steps are done, and pictures are made of the latents.</summary>
    public void Decode()
    {
        if (_bars != null)
            _decoding = _bars.AddTask("Decoding").IsIndeterminate();
        Become("decoding");
    }

    /// <summary>Frames are there.</summary>
    /// <param name="done">How many are.</param>
    /// <param name="count">Of how many.</param>
    public void Decode(int done, int count)
    {
        _decoding?.IsIndeterminate(false).MaxValue(count).Value(done);
        Become(FormattableString.Invariant($"{done} of {count} frames are decoded"));
    }

    /// <summary>The pictures are there.</summary>
    public void Decoded()
    {
        _decoding?.IsIndeterminate(false).MaxValue(100).Value(100);
        Become("saving");
    }

    private void Become(string state)
    {
        lock (_lock)
            _state = state;
        SayAfterAPause();
    }

    private void SayAfterAPause()
    {
        lock (_lock)
        {
            if (_bars != null || _watch.Elapsed - _said < _pause)
                return;
            _said = _watch.Elapsed;
            _words.Progress(FormattableString.Invariant($"{_state}; {_said.TotalSeconds:0} s so far"));
        }
    }
}
