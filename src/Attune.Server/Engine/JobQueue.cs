using Attune.Server.Requests;

namespace Attune.Server.Engine;

/// <summary>
/// The jobs that wait. Keys take turns, picture by picture: a job of several pictures gives up its place after each. Of one key, who comes
/// first goes first. The number of waiting jobs is bounded, and who is over it is told when to come again. Thread-safe.
/// </summary>
/// <param name="limits">The bounds.</param>
/// <param name="keys">Whether there are keys; without, the bound of a key is that of the queue.</param>
/// <param name="pace">How long pictures take.</param>
internal sealed class JobQueue(ServerLimits limits, bool keys, Pace pace) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, LinkedList<Job>> _lanes = new(StringComparer.Ordinal);
    private readonly LinkedList<string> _round = [];
    private readonly HashSet<Job> _running = [];
    private readonly SemaphoreSlim _some = new(0);
    private bool _closed;

    /// <summary>How many jobs wait.</summary>
    public int Length
    {
        get
        {
            lock (_gate)
                return _lanes.Values.Sum(lane => lane.Count);
        }
    }

    /// <summary>Whether no more jobs are taken now.</summary>
    public bool IsFull => Length >= limits.Queue;

    /// <summary>Whether the server ends.</summary>
    public bool IsClosed => _closed;

    /// <summary>Takes a job.</summary>
    /// <param name="job">The job.</param>
    /// <param name="bounded">Whether the bounds count; not for jobs from before a restart.</param>
    /// <exception cref="ApiException">The queue is full, or the server ends: 429 or 503.</exception>
    public void Add(Job job, bool bounded = true)
    {
        lock (_gate)
        {
            if (_closed)
                throw Closing();
            int all = _lanes.Values.Sum(waiting => waiting.Count);
            int own = _lanes.TryGetValue(job.Lane, out var lane) ? lane.Count : 0;
            int share = keys ? limits.QueueOfKey : limits.Queue;
            if (bounded && own >= share)
            {
                throw ApiException.TooMany(
                    FormattableString.Invariant($"{own} requests of yours wait, which is all that may."),
                    WaitOf(job.Lane, own - share + 1));
            }
            if (bounded && all >= limits.Queue)
            {
                throw ApiException.Unavailable(
                    "overloaded", FormattableString.Invariant($"{all} requests wait, which is all that may."), WaitOf(job.Lane, 1));
            }
            if (lane == null)
                _lanes.Add(job.Lane, lane = []);
            if (lane.Count == 0)
                _round.AddLast(job.Lane);
            lane.AddLast(job);
        }
        _some.Release();
        SayPlaces();
    }

    /// <summary>
    /// The job whose next picture is made next; null when the server ends. Who takes it gives it back, or is done with it.
    /// </summary>
    public async Task<Job?> NextAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await _some.WaitAsync(cancellation).ConfigureAwait(false);
            Job? next = null;
            lock (_gate)
            {
                if (_closed)
                {
                    _some.Release();            // for the next worker
                    return null;
                }
                if (_round.First?.Value is { } name)
                {
                    next = _lanes[name].First!.Value;
                    Take(next);
                    // Who had his turn is the last of the round.
                    if (_lanes.ContainsKey(name))
                    {
                        _round.Remove(name);
                        _round.AddLast(name);
                    }
                    _running.Add(next);
                }
            }
            if (next == null)
                continue;
            SayPlaces();
            return next;
        }
    }

    /// <summary>A picture was made, and more are wanted: the job is the first of its key again, whose turn is the last.</summary>
    /// <returns>Whether it was taken; not when the server ends.</returns>
    public bool Return(Job job)
    {
        lock (_gate)
        {
            _running.Remove(job);
            if (_closed)
                return false;
            if (!_lanes.TryGetValue(job.Lane, out var lane))
            {
                _lanes.Add(job.Lane, lane = []);
                _round.AddLast(job.Lane);
            }
            lane.AddFirst(job);
        }
        _some.Release();
        SayPlaces();
        return true;
    }

    /// <summary>A job that waits is begun elsewhere.</summary>
    public void Start(Job job)
    {
        Remove(job);
        lock (_gate)
            _running.Add(job);
    }

    /// <summary>A job that was taken is over.</summary>
    public void Done(Job job)
    {
        lock (_gate)
            _running.Remove(job);
    }

    /// <summary>Takes a job out that waits.</summary>
    /// <returns>Whether it waited.</returns>
    public bool Remove(Job job)
    {
        lock (_gate)
        {
            if (!_lanes.TryGetValue(job.Lane, out var lane) || !lane.Contains(job))
                return false;
            Take(job);
        }
        SayPlaces();
        return true;
    }

    /// <summary>Nothing is given out or taken any more.</summary>
    /// <returns>The jobs that waited.</returns>
    public IReadOnlyList<Job> Close()
    {
        Job[] waiting;
        lock (_gate)
        {
            _closed = true;
            waiting = [.. _lanes.Values.SelectMany(lane => lane)];
            _lanes.Clear();
            _round.Clear();
        }
        _some.Release();
        return waiting;
    }

    /// <summary>How many pictures are made before the next one of a job, and about how long they take; null if it does not wait.</summary>
    public (int Position, TimeSpan Wait)? PlaceOf(Job job)
    {
        lock (_gate)
        {
            if (!_lanes.TryGetValue(job.Lane, out var lane) || !lane.Contains(job))
                return null;
            int turn = UnitsOf(job.Lane).TakeWhile(unit => unit.Job != job).Sum(unit => unit.Pictures);
            return Before(job.Lane, turn);
        }
    }

    public void Dispose() => _some.Dispose();

    internal static ApiException Closing() =>
        ApiException.Unavailable("shutting_down", "The server ends; it takes no more requests.", TimeSpan.FromSeconds(5));

    /// <summary>The pictures that are made before a turn of a key.</summary>
    /// <param name="name">The key.</param>
    /// <param name="turn">Which of its turns, counted from 0.</param>
    private (int Position, TimeSpan Wait) Before(string name, int turn)
    {
        double seconds = _running.Sum(job => pace.SecondsOf(job.Request)) / 2;
        int count = 0;
        bool behind = false;
        foreach (string other in _round.Union(_running.Select(job => job.Lane)))
        {
            behind |= other == name;
            int turns = other == name ? turn : behind ? turn : turn + 1;
            foreach (var (job, pictures) in UnitsOf(other))
            {
                int made = Math.Min(pictures, turns);
                seconds += made * pace.SecondsOf(job.Request);
                (count, turns) = (count + made, turns - made);
            }
        }
        return (count, TimeSpan.FromSeconds(seconds));
    }

    /// <summary>The jobs of a key in their order, with the pictures that are to begin: a job that runs comes back, as the first.</summary>
    private IEnumerable<(Job Job, int Pictures)> UnitsOf(string name) =>
        _running.Where(job => job.Lane == name).Select(job => (job, Math.Max(job.Remaining - 1, 0)))
            .Concat(_lanes.TryGetValue(name, out var lane) ? lane.Select(job => (job, job.Remaining)) : []);

    /// <summary>About how long it takes until some jobs of a key, or of any, are over.</summary>
    private TimeSpan WaitOf(string name, int jobs)
    {
        int running = _running.Count(job => job.Lane == name);
        return Before(name, UnitsOf(name).Take(running + jobs).Sum(unit => unit.Pictures)).Wait;
    }

    private void Take(Job job)
    {
        var lane = _lanes[job.Lane];
        lane.Remove(job);
        if (lane.Count > 0)
            return;
        _lanes.Remove(job.Lane);
        _round.Remove(job.Lane);
    }

    /// <summary>Tells those who wait where they are, where that has changed.</summary>
    private void SayPlaces()
    {
        (Job Job, int Position, TimeSpan Wait)[] places;
        lock (_gate)
        {
            places = [.. _lanes.Values.SelectMany(lane => lane).Select(job => (Job: job, Place: PlaceOf(job)!.Value))
                .Select(known => (known.Job, known.Place.Position, known.Place.Wait))];
        }
        foreach (var (job, position, wait) in places)
            job.SayPlace(position, wait);
    }
}
