using System.Runtime.InteropServices;

namespace Attune.Cli;

/// <summary>
/// Turns the first SIGINT or SIGTERM into a cancellation, which ends a run between two operations; says so when that takes a while. The
/// second one ends the process at once.
/// </summary>
internal sealed class Interrupts : IDisposable
{
    /// <summary>Of a run that was interrupted: 128 and the number of SIGINT, as shells say it.</summary>
    public const int ExitCode = 130;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _source = new();
    private readonly CancellationTokenSource _over = new();
    private readonly PosixSignalRegistration[] _registrations;
    private int _times;

    public Interrupts() =>
        _registrations = [
            PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle), PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle)];

    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
        _over.Cancel();
        _over.Dispose();
        _source.Dispose();
    }

    private void Handle(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Interlocked.Increment(ref _times) > 1)
            Environment.Exit(ExitCode);
        _ = Task.Delay(Patience, _over.Token).ContinueWith(
            _ => Console.Error.WriteLine("attune: ending after the present operation; interrupt again to end at once"),
            _over.Token, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
        _source.Cancel();
    }
}
