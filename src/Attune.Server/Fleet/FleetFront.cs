using System.Threading.Channels;
using Attune.Server.Engine;
using Attune.Server.Jobs;
using Attune.Server.Requests;
using Attune.Server.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using NATS.Client.Core;

namespace Attune.Server.Fleet;

/// <summary>
/// What a front end does instead of making pictures itself: it watches what becomes of all jobs of the shared queue, and keeps its own copy
/// of those that go on, so that each front end answers for each job.
/// </summary>
/// <param name="fleet">The queue.</param>
/// <param name="board">Has the jobs that wait and run.</param>
/// <param name="queue">Says their places.</param>
/// <param name="store">Has the copies.</param>
/// <param name="reader">Reads what clients sent.</param>
/// <param name="lifetime">Says when the server ends.</param>
/// <param name="log">Where mistakes are said.</param>
internal sealed partial class FleetFront(
    FleetQueue fleet, JobBoard board, JobQueue queue, JobStore store, JobReader reader, IHostApplicationLifetime lifetime,
    ILogger<FleetFront> log) : BackgroundService
{
    private static readonly TimeSpan Again = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Sweeping = TimeSpan.FromSeconds(30);

    private readonly Channel<FleetState> _changes = Channel.CreateUnbounded<FleetState>();

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var closing = lifetime.ApplicationStopping.Register(Close);
        await PublishAgainAsync(stoppingToken).ConfigureAwait(false);
        await Task.WhenAll(
            KeepOnAsync(WatchAsync, TimeSpan.Zero, stoppingToken), KeepOnAsync(HearAsync, TimeSpan.Zero, stoppingToken),
            KeepOnAsync(LookAgainAsync, Again, stoppingToken), KeepOnAsync(fleet.SweepAsync, Sweeping, stoppingToken),
            ApplyAllAsync(stoppingToken)).ConfigureAwait(false);
    }

    /// <summary>The server ends: jobs go on elsewhere, and clients that wait are told.</summary>
    private void Close()
    {
        queue.Close();
        foreach (var job in board.Live)
            board.GiveBack(job);
    }

    /// <summary>Does something until the server ends, whatever happens to the queue meanwhile.</summary>
    private async Task KeepOnAsync(Func<CancellationToken, Task> work, TimeSpan pause, CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(pause, stopping).ConfigureAwait(false);
                await work(stopping).ConfigureAwait(false);
                continue;
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception) when (exception is NatsException or TimeoutException or OperationCanceledException)
            {
                Away(exception);
            }
            await Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Jobs that were kept here, and of which nobody knows whether they reached the queue before the server ended.</summary>
    private async Task PublishAgainAsync(CancellationToken stopping)
    {
        foreach (var kept in store.Unfinished())
        {
            try
            {
                if (await fleet.FindAsync(kept.Id, stopping).ConfigureAwait(false) is { } known)
                {
                    _changes.Writer.TryWrite(known.State);
                    continue;
                }
                var job = new FleetJob(
                    kept.Id, kept.Lane, kept.Created.ToUnixTimeMilliseconds(), kept.Seed, kept.Count, GoesOn: true, kept.Body);
                if (!await fleet.KnowsAsync(kept.Id, stopping).ConfigureAwait(false))
                    await fleet.AddAsync(job, stopping).ConfigureAwait(false);
                _changes.Writer.TryWrite(new FleetState(job, JobStatus.Queued));
            }
            catch (Exception exception) when (exception is NatsException or ApiException)
            {
                Away(exception);
            }
        }
    }

    private async Task WatchAsync(CancellationToken stopping)
    {
        await foreach (var state in fleet.StatesAsync(stopping).ConfigureAwait(false))
            _changes.Writer.TryWrite(state);
    }

    private async Task HearAsync(CancellationToken stopping)
    {
        await foreach (var (id, said) in fleet.EventsAsync(stopping).ConfigureAwait(false))
            board.Find(id)?.Say(said);
    }

    /// <summary>A watch takes a while to notice that the queue was away: those that are waited for are looked at too.</summary>
    private async Task LookAgainAsync(CancellationToken stopping)
    {
        foreach (var job in board.Live.ToArray())
        {
            if (await fleet.FindAsync(job.Id, stopping).ConfigureAwait(false) is { } known)
                _changes.Writer.TryWrite(known.State);
        }
    }

    private async Task ApplyAllAsync(CancellationToken stopping)
    {
        try
        {
            await foreach (var state in _changes.Reader.ReadAllAsync(stopping).ConfigureAwait(false))
            {
                try
                {
                    await ApplyAsync(state, stopping).ConfigureAwait(false);
                }
                catch (Exception exception) when (exception is NatsException or ApiException or TimeoutException)
                {
                    Away(exception);            // it is looked at again
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The server ends.
        }
    }

    /// <summary>Brings what is known here of a job up to what became of it.</summary>
    private async Task ApplyAsync(FleetState state, CancellationToken stopping)
    {
        var (id, lane) = (state.Job.Id, state.Job.Lane);
        var job = board.Find(id);
        if (job == null)
        {
            if (!state.Job.GoesOn || (store.Find(id, lane) is { } kept && kept.Ended != null))
                return;                         // another front end's, or known to be over
            job = board.Adopt(state.Job, await fleet.BodyOfAsync(state.Job, stopping).ConfigureAwait(false), reader);
        }
        if (job.Status == JobStatus.Queued && (state.Status == JobStatus.Running || state.Pictures.Count > 0))
            board.BeginElsewhere(job);
        foreach (string name in state.Pictures.Skip(job.Next).ToArray())
        {
            board.Made(job, await fleet.GetAsync(name, stopping).ConfigureAwait(false));
            if (job.Remaining > 0)
                board.BeginElsewhere(job);
        }
        foreach (string warning in state.Warnings)
            job.Warn(warning);
        if (!state.IsOver)
            return;
        queue.Remove(job);
        queue.Done(job);
        board.End(job, state.Status, state.Failure?.ToException());
    }

    [LoggerMessage(LogLevel.Warning, "The queue does not answer.")]
    private partial void Away(Exception exception);
}
