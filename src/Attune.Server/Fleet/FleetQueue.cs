using System.Globalization;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Attune.Server.Engine;
using Attune.Server.Requests;
using NATS.Client.Core;
using NATS.Client.JetStream;
using NATS.Client.JetStream.Models;
using NATS.Client.KeyValueStore;
using NATS.Client.ObjectStore;

namespace Attune.Server.Fleet;

/// <summary>
/// The queue of several machines in NATS JetStream: a stream whose messages are jobs, a bucket that says what became of each, objects for
/// pictures. How a job ends is decided in one place: a write of its entry that names the revision it saw. Thread-safe.
/// </summary>
internal sealed class FleetQueue : IAsyncDisposable
{
    /// <summary>Keys are spread over this many consumers, which take turns, so that one key's jobs do not go before all others.</summary>
    private const int Lanes = 16;

    /// <summary>Bodies above this are objects of their own: a message has a megabyte at most.</summary>
    private const int LargestInline = 256 << 10;

    /// <summary>Pictures of steps above this are not sent.</summary>
    private const int LargestEvent = 900 << 10;

    private const string StreamName = "JOBS";
    private const string Wake = "wake";
    private static readonly Version Oldest = new(2, 9, 10);
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private readonly NatsConnection _connection;
    private readonly NatsJSContext _streams;
    private readonly INatsJSStream _stream;
    private readonly INatsJSConsumer[] _lanes;
    private readonly INatsKVStore _states;
    private readonly INatsObjStore _results;
    private readonly INatsObjStore _inputs;
    private int _turn;

    private FleetQueue(
        NatsConnection connection, NatsJSContext streams, INatsJSStream stream, INatsJSConsumer[] lanes, INatsKVStore states,
        INatsObjStore results, INatsObjStore inputs, TimeSpan patience) =>
        (_connection, _streams, _stream, _lanes, _states, _results, _inputs, Patience) =
            (connection, streams, stream, lanes, states, results, inputs, patience);

    /// <summary>After how long without a word a job is given to another worker.</summary>
    public TimeSpan Patience { get; }

    /// <summary>Whether the server is reached now.</summary>
    public bool IsConnected => _connection.ConnectionState == NatsConnectionState.Open;

    /// <summary>Connects, and makes what is not there.</summary>
    /// <exception cref="IOException">The server is not there, is too old, or does not do what is asked.</exception>
    public static async Task<FleetQueue> OpenAsync(FleetSettings settings, ServerLimits limits, CancellationToken cancellation)
    {
        // What the address says of a name and a password stays out of messages.
        string shown = $"{settings.Server.Scheme}://{settings.Server.Host}:{settings.Server.Port}";
        var connection = new NatsConnection(
            new NatsOpts
            {
                Url = settings.Server.AbsoluteUri, Name = "attune", ReconnectWaitMin = TimeSpan.FromMilliseconds(100),
                ReconnectWaitMax = TimeSpan.FromSeconds(2), MaxReconnectRetry = -1,
            });
        try
        {
            await connection.ConnectAsync().AsTask().WaitAsync(cancellation).ConfigureAwait(false);
            string version = connection.ServerInfo?.Version ?? "";
            if (!Version.TryParse(version.Split('-')[0], out var number) || number < Oldest)
                throw new IOException($"The NATS server at {shown} is {version}, expected {Oldest} or later.");
            var streams = new NatsJSContext(connection);
            var stream = await streams.CreateOrUpdateStreamAsync(
                new StreamConfig(StreamName, ["jobs.>"])
                {
                    Retention = StreamConfigRetention.Workqueue, Storage = StreamConfigStorage.File, Discard = StreamConfigDiscard.New,

                    // Those at work count too, and those that are finished and not deleted yet.
                    MaxMsgs = limits.Queue + 256,
                    DuplicateWindow = TimeSpan.FromMinutes(10), MaxAge = TimeSpan.FromDays(1), AllowDirect = true,
                },
                cancellation).ConfigureAwait(false);
            var echo = stream.Info.Config;
            if (echo.Retention != StreamConfigRetention.Workqueue || echo.Discard != StreamConfigDiscard.New || !echo.AllowDirect)
                throw new IOException($"The NATS server at {shown} has a stream {StreamName} of another kind, which is not Attune's.");
            var lanes = new INatsJSConsumer[Lanes];
            for (int i = 0; i < Lanes; i++)
            {
                string filter = FormattableString.Invariant($"jobs.{i}.>");
                lanes[i] = await stream.CreateOrUpdateConsumerAsync(
                    new ConsumerConfig(FormattableString.Invariant($"lane-{i}"))
                    {
                        FilterSubject = filter, AckPolicy = ConsumerConfigAckPolicy.Explicit, AckWait = settings.Patience, MaxDeliver = -1,
                        MaxAckPending = 10_000,
                    },
                    cancellation).ConfigureAwait(false);
                if (lanes[i].Info.Config.FilterSubject != filter)
                    throw new IOException($"The NATS server at {shown} does not keep the filters of consumers.");
            }
            var states = await new NatsKVContext(streams).CreateOrUpdateStoreAsync(
                new NatsKVConfig("state") { History = 1, MaxAge = TimeSpan.FromDays(7), Storage = NatsKVStorageType.File }, cancellation)
                .ConfigureAwait(false);
            var objects = new NatsObjContext(streams);
            var results = await objects.CreateObjectStoreAsync(
                new NatsObjConfig("results") { MaxAge = TimeSpan.FromDays(7) }, cancellation).ConfigureAwait(false);
            var inputs = await objects.CreateObjectStoreAsync(
                new NatsObjConfig("inputs") { MaxAge = TimeSpan.FromDays(2) }, cancellation).ConfigureAwait(false);
            return new FleetQueue(connection, streams, stream, lanes, states, results, inputs, settings.Patience);
        }
        catch (Exception exception) when (exception is NatsException)
        {
            await connection.DisposeAsync().ConfigureAwait(false);
            throw new IOException(
                $"The queue at {shown} cannot be used: {(exception.InnerException ?? exception).Message} (a NATS server with JetStream is "
                    + "expected)", exception);
        }
        catch
        {
            await connection.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    /// <summary>Puts a job into the queue. With the same name a second time it is there once.</summary>
    /// <exception cref="ApiException">The queue is full, or not there: 503.</exception>
    public async Task AddAsync(FleetJob job, CancellationToken cancellation)
    {
        try
        {
            var sent = job;
            if (job.Body is { Length: > LargestInline } body)
            {
                await _inputs.PutAsync(job.Id, body, cancellation).ConfigureAwait(false);
                sent = job with { Body = null };
            }
            await PublishAsync(sent, cancellation).ConfigureAwait(false);

            // So that all front ends know of it; where this is missed, the first worker writes it.
            await _states.TryCreateAsync(
                job.Id, Bytes(new FleetState(sent, JobStatus.Queued), FleetJson.Default.FleetState), cancellationToken: cancellation)
                .ConfigureAwait(false);
            await _connection.PublishAsync(Wake, cancellationToken: cancellation).ConfigureAwait(false);
        }
        catch (NatsException exception)
        {
            throw Away(exception);
        }
    }

    private async Task PublishAsync(FleetJob job, CancellationToken cancellation)
    {
        const int Full = 10077;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                var answer = await _streams.PublishAsync(
                    $"jobs.{LaneOf(job.Lane)}.{KeyOf(job.Lane)}.{job.Id}", Bytes(job, FleetJson.Default.FleetJob),
                    opts: new NatsJSPubOpts { MsgId = job.Id }, cancellationToken: cancellation).ConfigureAwait(false);
                if (answer.Error == null)
                    return;
                throw answer.Error.ErrCode == Full
                    ? ApiException.Unavailable("overloaded", "The queue is full.", TimeSpan.FromSeconds(10))
                    : ApiException.Unavailable("not_ready", "The queue does not take the job.", TimeSpan.FromSeconds(10));
            }
            catch (NatsException) when (attempt < 3)
            {
                // Nobody knows whether it arrived: the same name again is the same job.
            }
        }
    }

    /// <summary>What became of a job, and the revision of that; null where nobody touched it.</summary>
    public async Task<(FleetState State, ulong Revision)?> FindAsync(string id, CancellationToken cancellation)
    {
        var found = await _states.TryGetEntryAsync<byte[]>(id, cancellationToken: cancellation).ConfigureAwait(false);
        return found.Success && found.Value.Value is { } bytes ? (Read(bytes, FleetJson.Default.FleetState), found.Value.Revision) : null;
    }

    /// <summary>Whether a job lies in the queue or was touched.</summary>
    public async Task<bool> KnowsAsync(string id, CancellationToken cancellation) =>
        await FindAsync(id, cancellation).ConfigureAwait(false) != null
        || await SequenceOfAsync(id, cancellation).ConfigureAwait(false) != null;

    /// <summary>Writes what became of a job, if nobody else did meanwhile.</summary>
    /// <param name="state">What became of it.</param>
    /// <param name="revision">What was seen last; null for nothing.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <returns>The revision now; null where somebody else was quicker.</returns>
    public async Task<ulong?> TryWriteAsync(FleetState state, ulong? revision, CancellationToken cancellation)
    {
        byte[] bytes = Bytes(state, FleetJson.Default.FleetState);
        var written = revision is { } seen
            ? await _states.TryUpdateAsync(state.Job.Id, bytes, seen, cancellationToken: cancellation).ConfigureAwait(false)
            : await _states.TryCreateAsync(state.Job.Id, bytes, cancellationToken: cancellation).ConfigureAwait(false);
        return written.Success ? written.Value : null;
    }

    /// <summary>Ends a job from outside: what waits is taken out, what runs is stopped. What has ended stays as it ended.</summary>
    public async Task EndAsync(FleetJob job, JobStatus status, FleetFailure? failure, CancellationToken cancellation)
    {
        while (true)
        {
            var known = await FindAsync(job.Id, cancellation).ConfigureAwait(false);
            if (known is { State.IsOver: true })
                break;
            var state = (known?.State ?? new FleetState(job with { Body = null }, status)) with { Status = status, Failure = failure };
            if (await TryWriteAsync(state, known?.Revision, cancellation).ConfigureAwait(false) != null)
                break;
        }
        await _connection.PublishAsync($"cancel.{job.Id}", cancellationToken: cancellation).ConfigureAwait(false);
        if (await SequenceOfAsync(job.Id, cancellation).ConfigureAwait(false) is { } sequence)
            await DeleteAsync(sequence, cancellation).ConfigureAwait(false);
    }

    /// <summary>
    /// The next job, of another key than the one before where there is one; null where there was none for a while. Who takes it
    /// acknowledges it when it is over.
    /// </summary>
    public async Task<(INatsJSMsg<byte[]> Message, FleetJob Job)?> NextAsync(CancellationToken cancellation)
    {
        var filled = new bool[Lanes];
        var info = await _streams.GetStreamAsync(StreamName, new StreamInfoRequest { SubjectsFilter = "jobs.>" }, cancellation)
            .ConfigureAwait(false);
        foreach (string subject in info.Info.State.Subjects?.Keys ?? [])
            filled[int.Parse(subject.Split('.')[1], CultureInfo.InvariantCulture)] = true;
        int first = Interlocked.Increment(ref _turn);
        for (int i = 0; i < Lanes; i++)
        {
            int lane = (int)((uint)(first + i) % Lanes);
            if (!filled[lane])
                continue;
            await foreach (var message in _lanes[lane].FetchNoWaitAsync<byte[]>(
                new NatsJSFetchOpts { MaxMsgs = 1 }, cancellationToken: cancellation).ConfigureAwait(false))
            {
                Volatile.Write(ref _turn, lane);
                return (message, Read(message.Data!, FleetJson.Default.FleetJob));
            }
        }
        return null;
    }

    /// <summary>Waits until something may have come.</summary>
    public async Task WaitAsync(CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(Pause);
        try
        {
            await foreach (var _ in _connection.SubscribeAsync<byte[]>(Wake, cancellationToken: patience.Token).ConfigureAwait(false))
                return;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // Nothing came: it is looked for all the same.
        }
    }

    /// <summary>What a client sent of a job.</summary>
    public async Task<byte[]> BodyOfAsync(FleetJob job, CancellationToken cancellation) =>
        job.Body ?? await _inputs.GetBytesAsync(job.Id, cancellation).ConfigureAwait(false);

    /// <summary>Keeps a picture as an object, under a name that no other attempt has.</summary>
    /// <returns>The name.</returns>
    public async Task<string> PutAsync(string job, string tag, Picture picture, CancellationToken cancellation)
    {
        string name = FormattableString.Invariant($"{job}/{tag}/{picture.Index}");
        await _results.PutAsync(name, Bytes(picture, FleetJson.Default.Picture), cancellation).ConfigureAwait(false);
        return name;
    }

    /// <summary>A picture of the results.</summary>
    public async Task<Picture> GetAsync(string name, CancellationToken cancellation) =>
        Read(await _results.GetBytesAsync(name, cancellation).ConfigureAwait(false), FleetJson.Default.Picture);

    public async Task DeleteObjectsAsync(IEnumerable<string> names, CancellationToken cancellation)
    {
        foreach (string name in names)
        {
            try
            {
                await _results.DeleteAsync(name, cancellation).ConfigureAwait(false);
            }
            catch (NatsObjException)
            {
                // Somebody else did.
            }
        }
    }

    /// <summary>Tells who listens what happens to a job.</summary>
    public async Task SayAsync(string id, JobEvent said, CancellationToken cancellation)
    {
        if (FleetEvent.Of(said) is not { } sent)
            return;
        byte[] bytes = Bytes(sent, FleetJson.Default.FleetEvent);
        if (bytes.Length <= LargestEvent)
            await _connection.PublishAsync($"events.{id}", bytes, cancellationToken: cancellation).ConfigureAwait(false);
    }

    /// <summary>What happens to all jobs, as far as it is heard.</summary>
    public async IAsyncEnumerable<(string Id, JobEvent Said)> EventsAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var message in _connection.SubscribeAsync<byte[]>("events.*", cancellationToken: cancellation).ConfigureAwait(false))
        {
            if (message.Data is { } bytes)
                yield return (message.Subject["events.".Length..], Read(bytes, FleetJson.Default.FleetEvent).ToEvent());
        }
    }

    /// <summary>The names of jobs that somebody ends.</summary>
    public async IAsyncEnumerable<string> CancelledAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var message in _connection.SubscribeAsync<byte[]>("cancel.*", cancellationToken: cancellation).ConfigureAwait(false))
            yield return message.Subject["cancel.".Length..];
    }

    /// <summary>What becomes of all jobs: first what is known, then what changes.</summary>
    public async IAsyncEnumerable<FleetState> StatesAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var entry in _states.WatchAsync<byte[]>(">", cancellationToken: cancellation).ConfigureAwait(false))
        {
            if (entry is { Operation: NatsKVOperation.Put, Value: { } bytes })
                yield return Read(bytes, FleetJson.Default.FleetState);
        }
    }

    /// <summary>
    /// Takes out what is left over: messages of jobs that are over, which the server brings back when it is killed soon after they were
    /// acknowledged, and objects of attempts that did not count.
    /// </summary>
    public async Task SweepAsync(CancellationToken cancellation)
    {
        ulong next = 1;
        while (true)
        {
            var found = await _stream.GetDirectAsync<byte[]>(
                new StreamMsgGetRequest { NextBySubj = "jobs.>", Seq = next }, cancellationToken: cancellation).ConfigureAwait(false);
            if (found.Headers is not { } headers || !headers.TryGetValue("Nats-Sequence", out var number)
                || !headers.TryGetValue("Nats-Subject", out var subject))
                break;
            ulong sequence = ulong.Parse(number.ToString(), CultureInfo.InvariantCulture);
            if (await FindAsync(subject.ToString().Split('.')[^1], cancellation).ConfigureAwait(false) is { State.IsOver: true })
                await DeleteAsync(sequence, cancellation).ConfigureAwait(false);
            next = sequence + 1;
        }
        var stray = new List<string>();
        var known = new Dictionary<string, FleetState?>(StringComparer.Ordinal);
        await foreach (var item in _results.ListAsync(cancellationToken: cancellation).ConfigureAwait(false))
        {
            string id = item.Name.Split('/')[0];
            if (!known.TryGetValue(id, out var state))
                known.Add(id, state = (await FindAsync(id, cancellation).ConfigureAwait(false))?.State);
            if (state is { IsOver: true } && !state.Pictures.Contains(item.Name))
                stray.Add(item.Name);
        }
        await DeleteObjectsAsync(stray, cancellation).ConfigureAwait(false);
    }

    /// <summary>Messages that lie in the stream, those at work among them.</summary>
    public async Task<long> LengthAsync(CancellationToken cancellation)
    {
        await _stream.RefreshAsync(cancellation).ConfigureAwait(false);
        return (long)_stream.Info.State.Messages;
    }

    public static ApiException Away(Exception cause) => ApiException.Unavailable(
        "not_ready", "The queue is not reached at the moment.", TimeSpan.FromSeconds(5), cause);

    private async Task<ulong?> SequenceOfAsync(string id, CancellationToken cancellation)
    {
        var found = await _stream.GetDirectAsync<byte[]>(
            new StreamMsgGetRequest { LastBySubj = $"jobs.*.*.{id}" }, cancellationToken: cancellation).ConfigureAwait(false);
        return found.Headers is { } headers && headers.TryGetValue("Nats-Sequence", out var number)
            ? ulong.Parse(number.ToString(), CultureInfo.InvariantCulture) : null;
    }

    private async Task DeleteAsync(ulong sequence, CancellationToken cancellation)
    {
        try
        {
            // Never a purge by subject: with servers before 2.9.12 it strands whatever waits behind.
            await _stream.DeleteMessageAsync(new StreamMsgDeleteRequest { Seq = sequence }, cancellation).ConfigureAwait(false);
        }
        catch (NatsJSApiException)
        {
            // It is gone.
        }
    }

    private static int LaneOf(string lane) => SHA256.HashData(Encoding.UTF8.GetBytes(lane))[0] % Lanes;

    /// <summary>A key as a part of a subject.</summary>
    private static string KeyOf(string lane) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(lane)))[..16];

    private static byte[] Bytes<T>(T value, JsonTypeInfo<T> type) => JsonSerializer.SerializeToUtf8Bytes(value, type);

    private static T Read<T>(byte[] bytes, JsonTypeInfo<T> type) => JsonSerializer.Deserialize(bytes, type)!;
}
