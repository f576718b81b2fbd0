using System.Collections.Concurrent;
using Attune.Server.Fleet;
using Attune.Server.Hosting;
using Attune.Server.Jobs;
using Attune.Server.Requests;
using Attune.Server.Storage;

namespace Attune.Server.Engine;

/// <summary>Takes jobs in, finds them, and stops them; keeps those that go on when their client is gone.</summary>
/// <param name="queue">Where they wait.</param>
/// <param name="maker">Checks them.</param>
/// <param name="store">Keeps them.</param>
/// <param name="telemetry">Counts them.</param>
/// <param name="settings">The limits of time.</param>
/// <param name="time">The clock.</param>
/// <param name="fleet">The queue of several machines, which make the pictures then; null where they are made here.</param>
internal sealed class JobBoard(
    JobQueue queue, PictureMaker maker, JobStore store, Telemetry telemetry, ServerSettings settings, TimeProvider time,
    FleetQueue? fleet = null)
{
    private readonly ConcurrentDictionary<string, Job> _live = new(StringComparer.Ordinal);

    // How a job ends is decided once, and kept before anybody hears of it.
    private readonly Lock _ending = new();

    /// <summary>The jobs that wait or run.</summary>
    public IEnumerable<Job> Live => _live.Values;

    /// <summary>Takes a job whose client waits for it: it is stopped when it has waited too long.</summary>
    /// <exception cref="ApiException">It is refused, or the queue is full.</exception>
    public async Task<Job> SubmitAsync(JobRequest request, string lane, CancellationToken cancellation)
    {
        maker.Check(request);
        var job = new Job(Ids.New(), lane, request, time.GetUtcNow());
        await AddAsync(job, fleet == null ? [] : JobBody.Write(request), cancellation).ConfigureAwait(false);
        job.Limit(time, settings.Limits.QueueTime, () => Expire(job, "The request waited"));
        return job;
    }

    /// <summary>Takes a job that goes on by itself; when this has returned, it is kept.</summary>
    /// <param name="request">What is asked for.</param>
    /// <param name="lane">Whose it is.</param>
    /// <param name="body">What the client sent.</param>
    /// <param name="repetition">What the client calls it; null for nothing.</param>
    /// <param name="cancellation">Stops it before it is taken.</param>
    /// <returns>Its name; null where a request of the same name was quicker.</returns>
    /// <exception cref="ApiException">It is refused, or the queue is full.</exception>
    public async Task<string?> SubmitAsync(
        JobRequest request, string lane, byte[] body, Repetition? repetition, CancellationToken cancellation)
    {
        maker.Check(request);
        var job = new Job(Ids.New(), lane, request, time.GetUtcNow()) { GoesOn = true };
        if (!store.Add(job, body, repetition))
            return null;
        try
        {
            await AddAsync(job, body, cancellation).ConfigureAwait(false);
        }
        catch
        {
            store.Remove(job.Id);
            throw;
        }
        return job.Id;
    }

    /// <summary>Takes up again what was not over when the server ended.</summary>
    /// <param name="reader">Reads what clients sent.</param>
    public void Restore(JobReader reader)
    {
        foreach (var kept in store.Unfinished())
        {
            try
            {
                var read = reader.Read(kept.Body!);
                var request = read with { Request = read.Request with { Seed = kept.Seed } };
                var job = new Job(kept.Id, kept.Lane, request, kept.Created) { GoesOn = true, Epoch = kept.Attempts };
                foreach (var picture in store.PicturesOf(kept.Id))
                    job.Add(KeptPicture.Of(picture));
                if (job.Remaining <= 0)
                {
                    store.End(kept.Id, JobStatus.Completed, null, [], time.GetUtcNow());
                    continue;
                }
                if (kept.Status == JobStatus.Running && kept.Attempts >= settings.Limits.Attempts)
                {
                    throw ApiException.Internal(
                        FormattableString.Invariant($"The server ended {kept.Attempts} times while this job ran; it is not begun again."));
                }
                if (kept.Status == JobStatus.Running)
                    job.Warn("The server ended while this job ran; it was begun again.");
                store.Queue(kept.Id);
                Add(job, bounded: false);
            }
            catch (ApiException exception)
            {
                store.End(kept.Id, JobStatus.Failed, exception.Error, [], time.GetUtcNow());
            }
        }
    }

    /// <summary>A job that waits or runs, or null.</summary>
    public Job? Find(string id) => _live.GetValueOrDefault(id);

    /// <summary>Stops a job: at once if it waits, within a block of the model if it runs.</summary>
    public Task CancelAsync(Job job) => StopAsync(job, JobStatus.Cancelled, null);

    /// <summary>The first picture of a job begins: from now on another limit of time counts.</summary>
    public void Began(Job job)
    {
        if (job.GoesOn)
            store.Begin(job.Id, time.GetUtcNow());
        job.Limit(time, settings.Limits.JobTime, () => Expire(job, "The pictures took"));
    }

    /// <summary>A picture of a job is made. One that is kept is on the disk before anybody hears of it.</summary>
    public void Made(Job job, Picture picture)
    {
        if (job.GoesOn)
        {
            store.Add(job.Id, picture, time.GetUtcNow());
            picture = picture with { Bytes = [], Trace = null };
        }
        job.Add(picture);
    }

    /// <summary>A job is over.</summary>
    public void End(Job job, JobStatus status, ApiException? failure = null)
    {
        lock (_ending)
        {
            if (job.IsOver)
                return;
            if (job.GoesOn)
                store.End(job.Id, status, failure?.Error, job.Warnings, time.GetUtcNow());
            job.End(status, failure, time.GetUtcNow());
            telemetry.Ended(job, time.GetUtcNow());
        }
        _live.TryRemove(job.Id, out _);
    }

    /// <summary>A job is not made before the server ends: it waits for the next start, or its client is told.</summary>
    public void GiveBack(Job job)
    {
        if (!job.GoesOn)
        {
            End(job, JobStatus.Failed, JobQueue.Closing());
            return;
        }
        lock (_ending)
        {
            if (job.IsOver)
                return;
            store.Queue(job.Id);
            job.Close();
        }
    }

    private void Add(Job job, bool bounded = true)
    {
        if (!_live.TryAdd(job.Id, job))
            throw new InvalidOperationException("Two jobs have one name.");
        try
        {
            queue.Add(job, bounded);
        }
        catch
        {
            _live.TryRemove(job.Id, out _);
            throw;
        }
    }

    private void Expire(Job job, string what) => _ = StopAsync(
        job, JobStatus.Failed, ApiException.Timeout(
            $"{what} longer than this server allows; ask for less, or make it a job (POST /api/jobs), which may wait."));

    /// <summary>
    /// Ends a job: at once where its pictures are made here, and else where that is decided, which is heard in a moment.
    /// </summary>
    private async Task StopAsync(Job job, JobStatus status, ApiException? failure)
    {
        if (fleet == null)
        {
            queue.Remove(job);
            End(job, status, failure);
            job.Stop();
            return;
        }
        try
        {
            await fleet.EndAsync(EnvelopeOf(job, null), status, failure == null ? null : FleetFailure.Of(failure), CancellationToken.None)
                .ConfigureAwait(false);
            await job.Completion.WaitAsync(TimeSpan.FromSeconds(10), time).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is NATS.Client.Core.NatsException or TimeoutException)
        {
            if (failure == null)
                throw FleetQueue.Away(exception);
            End(job, status, failure);          // a limit of time; its client is not kept waiting
        }
    }

    /// <summary>A job that came to another front end.</summary>
    public Job Adopt(FleetJob envelope, byte[] body, JobReader reader)
    {
        var read = reader.Read(body);
        var kept = store.Find(envelope.Id, envelope.Lane);
        var job = new Job(
            envelope.Id, envelope.Lane, read with { Request = read.Request with { Seed = envelope.Seed } },
            DateTimeOffset.FromUnixTimeMilliseconds(envelope.Created)) { GoesOn = true, Epoch = kept?.Attempts ?? 0 };
        if (kept == null)
            store.Add(job, body, null);
        foreach (var picture in store.PicturesOf(job.Id))
            job.Add(KeptPicture.Of(picture));
        Add(job, bounded: false);
        return job;
    }

    /// <summary>A picture of a job is begun on another machine.</summary>
    public void BeginElsewhere(Job job)
    {
        queue.Start(job);
        if (!job.Begin(time.GetUtcNow()))
            return;
        if (job.GoesOn)
            store.Begin(job.Id, time.GetUtcNow());
        job.Limit(time, Timeout.InfiniteTimeSpan, () => { });           // the worker's business
    }

    private static FleetJob EnvelopeOf(Job job, byte[]? body) => new(
        job.Id, job.Lane, job.Created.ToUnixTimeMilliseconds(), job.Request.Request.Seed, job.Request.Count, job.GoesOn, body);

    /// <summary>Takes a job in, here and into the queue of all.</summary>
    private async Task AddAsync(Job job, byte[] body, CancellationToken cancellation)
    {
        Add(job);
        if (fleet == null)
            return;
        try
        {
            await fleet.AddAsync(EnvelopeOf(job, body), cancellation).ConfigureAwait(false);
        }
        catch
        {
            queue.Remove(job);
            _live.TryRemove(job.Id, out _);
            throw;
        }
    }
}
