using System.Collections.Concurrent;
using Attune.Server.Requests;

namespace Attune.Server.Engine;

/// <summary>Takes jobs in, finds them, and stops them.</summary>
/// <param name="queue">Where they wait.</param>
/// <param name="maker">Checks them.</param>
/// <param name="settings">The limits of time.</param>
/// <param name="time">The clock.</param>
internal sealed class JobBoard(JobQueue queue, PictureMaker maker, ServerSettings settings, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Job> _live = new(StringComparer.Ordinal);

    /// <summary>The jobs that wait or run.</summary>
    public IEnumerable<Job> Live => _live.Values;

    /// <summary>Takes a job whose client waits for it: it is stopped when it has waited too long.</summary>
    /// <exception cref="ApiException">It is refused, or the queue is full.</exception>
    public Job Submit(JobRequest request, string lane)
    {
        maker.Check(request);
        var job = new Job(Ids.New(), lane, request, time.GetUtcNow());
        Add(job);
        job.Limit(time, settings.Limits.QueueTime, () => Expire(job, "The request waited"));
        return job;
    }

    /// <summary>A job that waits or runs, or null.</summary>
    public Job? Find(string id) => _live.GetValueOrDefault(id);

    /// <summary>Stops a job: at once if it waits, within a block of the model if it runs.</summary>
    public void Cancel(Job job) => Stop(job, JobStatus.Cancelled, null);

    /// <summary>The first picture of a job begins: from now on another limit of time counts.</summary>
    public void Began(Job job) => job.Limit(time, settings.Limits.JobTime, () => Expire(job, "The pictures took"));

    /// <summary>A job is over.</summary>
    public void End(Job job, JobStatus status, ApiException? failure = null)
    {
        job.End(status, failure, time.GetUtcNow());
        _live.TryRemove(job.Id, out _);
    }

    private void Add(Job job)
    {
        if (!_live.TryAdd(job.Id, job))
            throw new InvalidOperationException("Two jobs have one name.");
        try
        {
            queue.Add(job);
        }
        catch
        {
            _live.TryRemove(job.Id, out _);
            throw;
        }
    }

    private void Expire(Job job, string what) => Stop(
        job, JobStatus.Failed, ApiException.Timeout(
            $"{what} longer than this server allows; ask for less, or make it a job (POST /api/jobs), which may wait."));

    private void Stop(Job job, JobStatus status, ApiException? failure)
    {
        queue.Remove(job);
        End(job, status, failure);
        job.Stop();
    }
}
