using System.Collections.Concurrent;
using Attune.Server.Engine;
using Attune.Server.Jobs;
using Attune.Server.Requests;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using NATS.Client.Core;
using NATS.Client.JetStream;

namespace Attune.Server.Fleet;

/// <summary>
/// Makes the pictures of the queue of several machines. Work may be done twice, where a worker was slow to say that it lives; what became
/// of a job is written once, by who has it then.
/// </summary>
/// <param name="fleet">The queue.</param>
/// <param name="reader">Reads what clients sent.</param>
/// <param name="maker">Makes pictures.</param>
/// <param name="settings">How many at a time, and limits.</param>
/// <param name="time">The clock.</param>
/// <param name="log">Where mistakes are said.</param>
internal sealed partial class FleetWorker(
    FleetQueue fleet, JobReader reader, PictureMaker maker, ServerSettings settings, TimeProvider time, ILogger<FleetWorker> log)
    : BackgroundService
{
    private readonly ConcurrentDictionary<string, CancellationTokenSource> _running = new(StringComparer.Ordinal);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Those at work may end when the worker is told to.
        using var patience = new CancellationTokenSource();
        using var registration = stoppingToken.Register(() => patience.CancelAfter(settings.ShutdownTimeout));
        var loops = Enumerable.Range(0, settings.Workers)
            .Select(_ => Task.Run(() => WorkAsync(stoppingToken, patience.Token), CancellationToken.None));
        await Task.WhenAll([.. loops, Task.Run(() => HearAsync(stoppingToken), CancellationToken.None)]).ConfigureAwait(false);
    }

    /// <summary>Stops what clients gave up.</summary>
    private async Task HearAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await foreach (string id in fleet.CancelledAsync(stopping).ConfigureAwait(false))
                {
                    if (_running.TryGetValue(id, out var stop))
                        await stop.CancelAsync().ConfigureAwait(false);
                }
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (NatsException exception)
            {
                Away(exception);
                await Task.Delay(TimeSpan.FromSeconds(1), time, CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    private async Task WorkAsync(CancellationToken stopping, CancellationToken patience)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (await fleet.NextAsync(stopping).ConfigureAwait(false) is var (message, job))
                    await TakeAsync(message, job, stopping, patience).ConfigureAwait(false);
                else
                    await fleet.WaitAsync(stopping).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception) when (exception is NatsException or TimeoutException or System.Text.Json.JsonException)
            {
                Away(exception);
                await Task.Delay(TimeSpan.FromSeconds(1), time, CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Takes a job, if it is not over and nobody else has it.</summary>
    private async Task TakeAsync(
        INatsJSMsg<byte[]> message, FleetJob job, CancellationToken stopping, CancellationToken patience)
    {
        var known = await fleet.FindAsync(job.Id, CancellationToken.None).ConfigureAwait(false);
        if (known is { State.IsOver: true })
        {
            await AcknowledgeAsync(message).ConfigureAwait(false);
            return;
        }
        var before = known?.State ?? new FleetState(job, JobStatus.Queued);
        if (before.Attempts >= settings.Limits.Attempts)
        {
            string said = FormattableString.Invariant($"{before.Attempts} workers ended while this job ran; it is not begun again.");
            var failed = before with { Status = JobStatus.Failed, Failure = FleetFailure.Of(ApiException.Internal(said)) };
            if (await fleet.TryWriteAsync(failed, known?.Revision, CancellationToken.None).ConfigureAwait(false) != null)
                await AcknowledgeAsync(message).ConfigureAwait(false);
            return;
        }
        string tag = Ids.New();
        var mine = before with
        {
            Status = JobStatus.Running, Tag = tag, Attempts = before.Attempts + 1,
            Started = before.Started ?? time.GetUtcNow().ToUnixTimeMilliseconds(),
            Warnings = before.Attempts == 0 ? before.Warnings
                : [.. before.Warnings.Append("A worker ended while this job ran; it was begun again.").Distinct()],
        };

        // Who is not quick enough leaves the message alone: to give it back would take it from who has it.
        if (await fleet.TryWriteAsync(mine, known?.Revision, CancellationToken.None).ConfigureAwait(false) is not { } revision)
            return;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(patience);
        _running[job.Id] = stop;
        using var alive = new CancellationTokenSource();
        var beat = BeatAsync(message, alive.Token);
        try
        {
            await RunAsync(message, mine, revision, stop, patience).ConfigureAwait(false);
        }
        finally
        {
            _running.TryRemove(job.Id, out _);
            await alive.CancelAsync().ConfigureAwait(false);
            await beat.ConfigureAwait(false);
        }
    }

    private async Task RunAsync(
        INatsJSMsg<byte[]> message, FleetState mine, ulong revision, CancellationTokenSource stop, CancellationToken patience)
    {
        var (id, made) = (mine.Job.Id, new List<string>());
        FleetState end;
        using var limit = new CancellationTokenSource(settings.Limits.JobTime, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop.Token, limit.Token);
        Job? job = null;
        try
        {
            var read = reader.Read(await fleet.BodyOfAsync(mine.Job, either.Token).ConfigureAwait(false));
            var request = read with { Request = read.Request with { Seed = mine.Job.Seed } };
            job = new Job(id, mine.Job.Lane, request, DateTimeOffset.FromUnixTimeMilliseconds(mine.Job.Created));
            foreach (string name in mine.Pictures)
                job.Add(await fleet.GetAsync(name, either.Token).ConfigureAwait(false));
            job.Begin(time.GetUtcNow());
            using var told = new CancellationTokenSource();
            var telling = TellAsync(job, told.Token);
            try
            {
                while (job.Remaining > 0)
                {
                    var picture = await maker.MakeAsync(job, either.Token).ConfigureAwait(false);
                    string name = await fleet.PutAsync(id, mine.Tag!, picture, either.Token).ConfigureAwait(false);
                    made.Add(name);
                    job.Add(picture with { Bytes = [] });
                    if (job.Remaining == 0)
                        break;

                    // From here on another worker goes on behind this picture.
                    mine = mine with { Pictures = [.. mine.Pictures, name], Warnings = Warnings(mine, job) };
                    if (await fleet.TryWriteAsync(mine, revision, CancellationToken.None).ConfigureAwait(false) is not { } next)
                    {
                        await LoseAsync(message, id, made).ConfigureAwait(false);
                        return;
                    }
                    revision = next;
                    made.Clear();
                }
            }
            finally
            {
                await told.CancelAsync().ConfigureAwait(false);
                await telling.ConfigureAwait(false);
            }
            end = mine with { Status = JobStatus.Completed, Pictures = [.. mine.Pictures, .. made], Warnings = Warnings(mine, job) };
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested)
        {
            // Another worker begins at once, and this attempt was nobody's fault.
            var back = mine with { Status = JobStatus.Queued, Attempts = mine.Attempts - 1 };
            if (await fleet.TryWriteAsync(back, revision, CancellationToken.None).ConfigureAwait(false) != null)
                await message.NakAsync(cancellationToken: CancellationToken.None).ConfigureAwait(false);
            return;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            await LoseAsync(message, id, made).ConfigureAwait(false);
            return;
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            end = Failed(ApiException.Timeout("The pictures took longer than this worker allows; ask for less."));
        }
        catch (ApiException exception)
        {
            if (exception.Status >= 500)
                Mistake(exception, id);
            end = Failed(exception);
        }
        catch (OutOfMemoryException exception)
        {
            Mistake(exception, id);
            end = Failed(ApiException.Unavailable("overloaded", "The worker has not enough memory for this.", TimeSpan.FromSeconds(60)));
        }
        catch (Exception exception) when (exception is not NatsException)
        {
            Mistake(exception, id);
            end = Failed(ApiException.Internal(cause: exception));
        }

        // The only write that ends a job.
        if (await fleet.TryWriteAsync(end, revision, CancellationToken.None).ConfigureAwait(false) == null)
        {
            await LoseAsync(message, id, made).ConfigureAwait(false);
            return;
        }
        await AcknowledgeAsync(message).ConfigureAwait(false);

        FleetState Failed(ApiException exception) => mine with
        {
            Status = JobStatus.Failed, Failure = FleetFailure.Of(exception), Warnings = Warnings(mine, job),
        };
    }

    private static IReadOnlyList<string> Warnings(FleetState mine, Job? job) => [.. mine.Warnings.Concat(job?.Warnings ?? []).Distinct()];

    /// <summary>Somebody else has the job, or it is over: what was made of it here does not count.</summary>
    private async Task LoseAsync(INatsJSMsg<byte[]> message, string id, List<string> made)
    {
        await fleet.DeleteObjectsAsync(made, CancellationToken.None).ConfigureAwait(false);
        if (await fleet.FindAsync(id, CancellationToken.None).ConfigureAwait(false) is { State.IsOver: true })
            await AcknowledgeAsync(message).ConfigureAwait(false);
    }

    /// <summary>Says that this worker lives.</summary>
    private async Task BeatAsync(INatsJSMsg<byte[]> message, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(fleet.Patience / 3);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellation).ConfigureAwait(false))
            {
                try
                {
                    await message.AckProgressAsync(cancellationToken: cancellation).ConfigureAwait(false);
                }
                catch (NatsException exception)
                {
                    Away(exception);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The job is over.
        }
    }

    private async Task TellAsync(Job job, CancellationToken cancellation)
    {
        try
        {
            await foreach (var said in job.EventsAsync(0, cancellation).ConfigureAwait(false))
                await fleet.SayAsync(job.Id, said, cancellation).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is OperationCanceledException or NatsException)
        {
            // Nobody counts on it.
        }
    }

    /// <summary>A message that is not acknowledged comes again, and is then seen to be over.</summary>
    private async Task AcknowledgeAsync(INatsJSMsg<byte[]> message)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        try
        {
            await message.AckAsync(new AckOpts { DoubleAck = true }, patience.Token).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is NatsException or OperationCanceledException)
        {
            Away(exception);
        }
    }

    [LoggerMessage(LogLevel.Error, "The job {Job} failed.")]
    private partial void Mistake(Exception exception, string job);

    [LoggerMessage(LogLevel.Warning, "The queue does not answer.")]
    private partial void Away(Exception exception);
}
