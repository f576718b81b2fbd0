using System.Diagnostics;
using System.Runtime.CompilerServices;
using Attune.Server.Requests;

namespace Attune.Server.Engine;

/// <summary>Where a job is in its life.</summary>
internal enum JobStatus
{
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
}

/// <summary>A request of a client on its way. Thread-safe.</summary>
#pragma warning disable CA1001  // _stop has neither a timer nor a handle: there is nothing to dispose, and its token is asked for later
internal sealed class Job
#pragma warning restore CA1001
{
    private readonly Lock _gate = new();
    private readonly List<JobEvent> _events = [];
    private readonly List<Picture> _pictures = [];
    private readonly List<string> _warnings = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ITimer? _limit;
    private int _lastId;
    private int _place = -1;
    private bool _stopped;
    private bool _closed;

    /// <param name="id">Its name.</param>
    /// <param name="lane">Whose it is.</param>
    /// <param name="request">What is asked for.</param>
    /// <param name="created">When it came.</param>
    public Job(string id, string lane, JobRequest request, DateTimeOffset created) =>
        (Id, Lane, Request, Created) = (id, lane, request, created);

    public string Id { get; }

    /// <summary>Whose it is: the key that the request had.</summary>
    public string Lane { get; }

    public JobRequest Request { get; }

    public DateTimeOffset Created { get; }

    /// <summary>What was going on when it came, for traces of who asked; that of a restart is nothing.</summary>
    public ActivityContext Caller { get; } = Activity.Current?.Context ?? default;

    /// <summary>Whether it goes on when its client is gone, and when the server was restarted.</summary>
    public bool GoesOn { get; init; }

    /// <summary>How often it had been begun when the server started: numbers of its events are of this start.</summary>
    public int Epoch { get; init; }

    public JobStatus Status { get; private set; }

    public DateTimeOffset? Started { get; private set; }

    public DateTimeOffset? Ended { get; private set; }

    /// <summary>The step that was done last; null before the first.</summary>
    public StepEvent? LastStep { get; private set; }

    /// <summary>Why it failed; null if it did not.</summary>
    public ApiException? Failure { get; private set; }

    public bool IsOver => Status is JobStatus.Completed or JobStatus.Failed or JobStatus.Cancelled;

    /// <summary>Ends when the job does, however that is; also when the server ends before.</summary>
    public Task Completion => _ended.Task;

    /// <summary>Stops the work within a block of the model.</summary>
    public CancellationToken Stopping => _stop.Token;

    /// <summary>The picture that is made next, counted from 0.</summary>
    public int Next
    {
        get
        {
            lock (_gate)
                return _pictures.Count;
        }
    }

    public int Remaining => Request.Count - Next;

    /// <summary>The pictures that are made; of jobs that are kept without their bytes.</summary>
    public IReadOnlyList<Picture> Pictures
    {
        get
        {
            lock (_gate)
                return [.. _pictures];
        }
    }

    public IReadOnlyList<string> Warnings
    {
        get
        {
            lock (_gate)
                return [.. _warnings];
        }
    }

    /// <summary>A sentence for the client, once.</summary>
    public void Warn(string message)
    {
        lock (_gate)
        {
            if (!_warnings.Contains(message))
                _warnings.Add(message);
        }
    }

    /// <summary>Fails the job where it takes too long; a second limit takes the place of the first.</summary>
    public void Limit(TimeProvider time, TimeSpan most, Action reached)
    {
        lock (_gate)
        {
            _limit?.Dispose();
            _limit = IsOver || most == Timeout.InfiniteTimeSpan ? null
                : time.CreateTimer(_ => reached(), null, most, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>It waits; said where the place has changed.</summary>
    public void SayPlace(int position, TimeSpan wait)
    {
        lock (_gate)
        {
            if (_place == position)
                return;
            _place = position;
        }
        Say(new QueuedEvent(position, Math.Round(wait.TotalSeconds, 1)));
    }

    /// <summary>A picture begins.</summary>
    /// <returns>Whether it is the first one, which begins the job.</returns>
    public bool Begin(DateTimeOffset now)
    {
        bool first;
        lock (_gate)
        {
            if (IsOver)
                return false;
            first = Started == null;
            _place = -1;
            Started ??= now;
            Status = JobStatus.Running;
        }
        Say(new StartedEvent(Next, Request.SeedOf(Next)));
        return first;
    }

    /// <summary>A picture is made.</summary>
    public void Add(Picture picture)
    {
        lock (_gate)
            _pictures.Add(picture);
        Say(new PictureEvent(picture));
    }

    /// <summary>Something happened.</summary>
    public void Say(JobEvent said)
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (IsOver && !said.IsLast)
                return;
            if (said is StepEvent step)
                LastStep = step;
            _events.RemoveAll(said.Replaces);
            _events.Add(said with { Id = ++_lastId });
            (changed, _changed) = (_changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        changed.SetResult();
    }

    /// <summary>Stops the work; what it was stopped for, <see cref="End"/> has said.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            if (_stopped)
                return;
            _stopped = true;
        }
        _stop.Cancel();
    }

    /// <summary>The job is over.</summary>
    /// <param name="status">How.</param>
    /// <param name="failure">Why it failed.</param>
    /// <param name="now">When.</param>
    /// <returns>Whether it was not over before.</returns>
    public bool End(JobStatus status, ApiException? failure, DateTimeOffset now)
    {
        lock (_gate)
        {
            if (IsOver)
                return false;
            (Status, Failure, Ended) = (status, failure, now);
            _limit?.Dispose();
        }
        Say(status switch
        {
            JobStatus.Completed => new CompletedEvent(),
            JobStatus.Cancelled => new CancelledEvent(),
            _ => new FailedEvent(failure!.Error),
        });
        _ended.TrySetResult();
        return true;
    }

    /// <summary>The server ends, and the job waits for the next one: those who listen are let go.</summary>
    public void Close()
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (IsOver)
                return;
            (_closed, Status) = (true, JobStatus.Queued);
            _limit?.Dispose();
            (changed, _changed) = (_changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        changed.SetResult();
        _ended.TrySetResult();
    }

    /// <summary>What happened, and what happens from now on, up to the last event.</summary>
    /// <param name="after">Events up to this number are left out.</param>
    /// <param name="cancellation">Stops listening.</param>
    public async IAsyncEnumerable<JobEvent> EventsAsync(int after, [EnumeratorCancellation] CancellationToken cancellation)
    {
        while (true)
        {
            JobEvent[] fresh;
            Task changed;
            bool closed;
            lock (_gate)
            {
                fresh = [.. _events.Where(said => said.Id > after)];
                changed = _changed.Task;
                closed = _closed;
            }
            foreach (var said in fresh)
            {
                yield return said;
                after = said.Id;
                if (said.IsLast)
                    yield break;
            }
            if (closed)
                yield break;
            if (fresh.Length == 0)
                await changed.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }
}
