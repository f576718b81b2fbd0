using System.Globalization;
using System.Text.Json;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.Requests;
using Microsoft.Data.Sqlite;

namespace Attune.Server.Storage;

/// <summary>
/// Keeps jobs and pictures in a SQLite database with a folder of files beside it, or in memory. What a method has written survives the end
/// of the process, and of the machine: files first, then the row that speaks of them. Thread-safe.
/// </summary>
internal sealed class JobStore : IDisposable
{
    /// <summary>The form of the database; raised when it changes.</summary>
    private const int Version = 2;

    private const string Schema = """
        CREATE TABLE jobs (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, lane TEXT NOT NULL, status TEXT NOT NULL,
            model TEXT NOT NULL, seed INTEGER NOT NULL, count INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
            created INTEGER NOT NULL, started INTEGER, ended INTEGER, error TEXT, description TEXT NOT NULL, warnings TEXT, ignored TEXT,
            body BLOB, repeat_key TEXT, repeat_hash TEXT);
        CREATE UNIQUE INDEX jobs_by_repetition ON jobs (lane, repeat_key) WHERE repeat_key IS NOT NULL;
        CREATE INDEX jobs_by_status ON jobs (status, number);
        CREATE TABLE pictures (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
            place INTEGER NOT NULL, seed INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, format TEXT NOT NULL,
            bytes INTEGER NOT NULL, created INTEGER NOT NULL, starred INTEGER NOT NULL DEFAULT 0, parameters TEXT NOT NULL,
            UNIQUE (job, place));
        """;

    /// <summary>What each later form adds to the one before it, from the second on.</summary>
    private static readonly string[] Additions =
    [
        """
        ALTER TABLE pictures ADD COLUMN trace_bytes INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE pictures ADD COLUMN findings TEXT;
        """,
    ];

    /// <summary>The format of the file that has a picture's trace.</summary>
    private const string TraceFormat = "trace";

    private const string JobColumns =
        "number, id, lane, status, model, seed, count, attempts, created, started, ended, error, description, warnings, ignored";

    private const string PictureColumns =
        "pictures.id, job, place, pictures.seed, width, height, format, bytes, pictures.created, starred, parameters, trace_bytes, "
            + "findings";

    private readonly Lock _gate = new();
    private readonly SqliteConnection _connection;
    private readonly FileStream? _owner;

    private JobStore(SqliteConnection connection, FileStream? owner, PictureFiles files) =>
        (_connection, _owner, Files) = (connection, owner, files);

    public PictureFiles Files { get; }

    /// <summary>Opens the store of a folder, which is made if it is not there.</summary>
    /// <param name="folder">The folder; null keeps everything in memory.</param>
    /// <exception cref="IOException">Another server has the folder open, or it is of a later version.</exception>
    public static JobStore Open(string? folder)
    {
        FileStream? owner = null;
        if (folder != null)
        {
            Directory.CreateDirectory(folder);
            try
            {
                // Held as long as the process lives, whichever way it ends.
                owner = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException exception)
            {
                throw new IOException($"The folder '{folder}' is in use by another server.", exception);
            }
        }
        var connection = new SqliteConnection(
            new SqliteConnectionStringBuilder
            {
                DataSource = folder == null ? ":memory:" : Path.Combine(folder, "attune.db"), Pooling = false,
            }.ToString());
        try
        {
            connection.Open();
            var store = new JobStore(
                connection, owner, new PictureFiles(folder == null ? null : Path.Combine(folder, "pictures")));
            store.Prepare(folder);
            return store;
        }
        catch
        {
            connection.Dispose();
            owner?.Dispose();
            throw;
        }
    }

    /// <summary>Keeps a job that waits.</summary>
    /// <param name="job">The job.</param>
    /// <param name="body">What the client sent.</param>
    /// <param name="repetition">What it calls the request; null for nothing.</param>
    /// <returns>Whether there was no other one of the same name.</returns>
    public bool Add(Job job, byte[] body, Repetition? repetition) => Run(
        """
        INSERT INTO jobs (id, lane, status, model, seed, count, created, description, ignored, body, repeat_key, repeat_hash)
        VALUES ($id, $lane, 'queued', $model, $seed, $count, $created, $description, $ignored, $body, $key, $hash)
        ON CONFLICT (lane, repeat_key) WHERE repeat_key IS NOT NULL DO NOTHING
        """,
        ("$id", job.Id), ("$lane", job.Lane), ("$model", job.Request.Model.Name), ("$seed", unchecked((long)job.Request.Request.Seed)),
        ("$count", job.Request.Count), ("$created", Time(job.Created)), ("$description", job.Request.Describe()),
        ("$ignored", Texts(job.Request.Ignored)), ("$body", body), ("$key", repetition?.Key), ("$hash", repetition?.Hash)) == 1;

    /// <summary>Forgets a job that was not taken after all.</summary>
    public void Remove(string id) => Run("DELETE FROM jobs WHERE id = $id", ("$id", id));

    /// <summary>A job begins.</summary>
    public void Begin(string id, DateTimeOffset now) => Run(
        "UPDATE jobs SET status = 'running', attempts = attempts + 1, started = coalesce(started, $now) WHERE id = $id",
        ("$id", id), ("$now", Time(now)));

    /// <summary>A picture is made: the file, then its row, which makes it known.</summary>
    public void Add(string job, Picture picture, DateTimeOffset now)
    {
        Files.Write(picture.Id, picture.Format.Name, picture.Bytes);
        if (picture.Trace is { } trace)
            Files.Write(picture.Id, TraceFormat, trace.Bytes);
        Run(
            """
            INSERT INTO pictures (id, job, place, seed, width, height, format, bytes, created, parameters, trace_bytes, findings)
            VALUES ($id, $job, $place, $seed, $width, $height, $format, $bytes, $now, $parameters, $trace_bytes, $findings)
            """,
            ("$id", picture.Id), ("$job", job), ("$place", picture.Index), ("$seed", unchecked((long)picture.Seed)),
            ("$width", picture.Width), ("$height", picture.Height), ("$format", picture.Format.Name), ("$bytes", picture.Bytes.LongLength),
            ("$now", Time(now)), ("$parameters", picture.Parameters), ("$trace_bytes", picture.Trace?.Bytes.LongLength ?? 0),
            ("$findings", picture.Trace is { } traced
                ? JsonSerializer.Serialize(traced.Findings, ServerJson.Answers.IReadOnlyListFinding) : null));
    }

    /// <summary>A job waits again: for the next start of the server, or after it.</summary>
    public void Queue(string id) => Run("UPDATE jobs SET status = 'queued' WHERE id = $id", ("$id", id));

    /// <summary>A job is over; what its client sent is forgotten.</summary>
    public void End(string id, JobStatus status, ApiError? error, IReadOnlyList<string> warnings, DateTimeOffset now) => Run(
        "UPDATE jobs SET status = $status, ended = $now, error = $error, warnings = $warnings, body = NULL WHERE id = $id",
        ("$id", id), ("$status", NameOf(status)), ("$now", Time(now)), ("$warnings", Texts(warnings)),
        ("$error", error == null ? null : JsonSerializer.Serialize(ErrorAnswer.Of(error), ServerJson.Answers.ErrorAnswer)));

    /// <summary>The jobs that are not over, in the order in which they came, with what their clients sent.</summary>
    public IReadOnlyList<StoredJob> Unfinished() => Read(
        $"SELECT {JobColumns}, body FROM jobs WHERE status IN ('queued', 'running') ORDER BY number",
        row => JobOf(row) with { Body = row.IsDBNull(15) ? null : (byte[])row.GetValue(15) });

    public StoredJob? Find(string id, string lane) => Read(
        $"SELECT {JobColumns} FROM jobs WHERE id = $id AND lane = $lane", JobOf, ("$id", id), ("$lane", lane)).FirstOrDefault();

    /// <summary>The job of an earlier request of the same name, and the hash of its body; those of a day ago are forgotten.</summary>
    public (StoredJob Job, string Hash)? Find(Repetition repetition, string lane, DateTimeOffset since)
    {
        Run(
            "UPDATE jobs SET repeat_key = NULL WHERE lane = $lane AND repeat_key = $key AND created < $since",
            ("$lane", lane), ("$key", repetition.Key), ("$since", Time(since)));
        var found = Read(
            $"SELECT {JobColumns}, repeat_hash FROM jobs WHERE lane = $lane AND repeat_key = $key", row => (JobOf(row), row.GetString(15)),
            ("$lane", lane), ("$key", repetition.Key));
        return found.Count == 0 ? null : found[0];
    }

    /// <summary>Jobs, the newest first.</summary>
    /// <param name="lane">Whose.</param>
    /// <param name="status">In which state; null for all.</param>
    /// <param name="before">Older than this one; null for the newest.</param>
    /// <param name="limit">How many.</param>
    public IReadOnlyList<StoredJob> List(string lane, JobStatus? status, string? before, int limit) => Read(
        $"""
        SELECT {JobColumns} FROM jobs WHERE lane = $lane AND ($status IS NULL OR status = $status)
        AND ($before IS NULL OR number < (SELECT number FROM jobs WHERE id = $before)) ORDER BY number DESC LIMIT $limit
        """,
        JobOf, ("$lane", lane), ("$status", status is { } one ? NameOf(one) : null), ("$before", before), ("$limit", limit));

    public IReadOnlyList<StoredPicture> PicturesOf(string job) => Read(
        $"SELECT {PictureColumns} FROM pictures WHERE job = $job ORDER BY place", PictureOf, ("$job", job));

    public StoredPicture? FindPicture(string id, string lane) => Read(
        $"SELECT {PictureColumns} FROM pictures JOIN jobs ON jobs.id = job WHERE pictures.id = $id AND lane = $lane", PictureOf,
        ("$id", id), ("$lane", lane)).FirstOrDefault();

    /// <summary>Pictures, the newest first.</summary>
    /// <param name="lane">Whose.</param>
    /// <param name="starred">Whether only those with a star.</param>
    /// <param name="before">Older than this one; null for the newest.</param>
    /// <param name="limit">How many.</param>
    public IReadOnlyList<StoredPicture> ListPictures(string lane, bool starred, string? before, int limit) => Read(
        $"""
        SELECT {PictureColumns} FROM pictures JOIN jobs ON jobs.id = job WHERE lane = $lane AND (starred OR NOT $starred)
        AND ($before IS NULL OR pictures.number < (SELECT number FROM pictures WHERE id = $before))
        ORDER BY pictures.number DESC LIMIT $limit
        """,
        PictureOf, ("$lane", lane), ("$starred", starred), ("$before", before), ("$limit", limit));

    public void Star(string id, bool starred) =>
        Run("UPDATE pictures SET starred = $starred WHERE id = $id", ("$id", id), ("$starred", starred));

    /// <summary>Deletes a picture: its row, then its file.</summary>
    public void Delete(StoredPicture picture)
    {
        Run("DELETE FROM pictures WHERE id = $id", ("$id", picture.Id));
        Files.Delete(picture.Id, picture.Format);
        if (picture.TraceBytes > 0)
            Files.Delete(picture.Id, TraceFormat);
    }

    /// <summary>A picture's trace, packed; null where there is none.</summary>
    public async Task<byte[]?> ReadTraceAsync(StoredPicture picture, CancellationToken cancellation) =>
        picture.TraceBytes == 0 ? null : await Files.ReadAsync(picture.Id, TraceFormat, cancellation).ConfigureAwait(false);

    /// <summary>
    /// Deletes finished jobs that are older than a time, and the oldest ones beyond a number of bytes of pictures; not those with a star.
    /// </summary>
    public void Trim(DateTimeOffset since, long bytes)
    {
        var old = Read(
            """
            SELECT id, (SELECT coalesce(sum(bytes + trace_bytes), 0) FROM pictures WHERE job = jobs.id), ended FROM jobs
            WHERE ended IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pictures WHERE job = jobs.id AND starred) ORDER BY number DESC
            """,
            row => (Id: row.GetString(0), Bytes: row.GetInt64(1), Ended: row.GetInt64(2)));
        long kept = 0;
        foreach (var (id, size, ended) in old)
        {
            kept += size;
            if (ended >= Time(since) && kept <= bytes)
                continue;
            foreach (var picture in PicturesOf(id))
                Delete(picture);
            Run("DELETE FROM jobs WHERE id = $id", ("$id", id));
        }
    }

    public void Dispose()
    {
        lock (_gate)
            _connection.Dispose();
        _owner?.Dispose();
    }

    private static StoredJob JobOf(SqliteDataReader row) => new(
        row.GetInt64(0), row.GetString(1), row.GetString(2), Enum.Parse<JobStatus>(row.GetString(3), ignoreCase: true), row.GetString(4),
        unchecked((ulong)row.GetInt64(5)), row.GetInt32(6), Time(row.GetInt64(8)))
    {
        Attempts = row.GetInt32(7),
        Started = row.IsDBNull(9) ? null : Time(row.GetInt64(9)),
        Ended = row.IsDBNull(10) ? null : Time(row.GetInt64(10)),
        Error = row.IsDBNull(11) ? null : ErrorOf(row.GetString(11)),
        Description = row.GetString(12),
        Warnings = row.IsDBNull(13) ? [] : Texts(row.GetString(13)),
        Ignored = row.IsDBNull(14) ? [] : Texts(row.GetString(14)),
    };

    private static StoredPicture PictureOf(SqliteDataReader row) => new(
        row.GetString(0), row.GetString(1), row.GetInt32(2), unchecked((ulong)row.GetInt64(3)), row.GetInt32(4), row.GetInt32(5),
        row.GetString(6), row.GetInt64(7), Time(row.GetInt64(8)), row.GetString(10))
    {
        Starred = row.GetBoolean(9),
        TraceBytes = row.GetInt64(11),
        Findings = row.IsDBNull(12) ? [] : JsonSerializer.Deserialize(row.GetString(12), ServerJson.Answers.IReadOnlyListFinding)!,
    };

    private static ApiError ErrorOf(string json)
    {
        var error = JsonSerializer.Deserialize(json, ServerJson.Answers.ErrorAnswer)!.Error;
        return new ApiError(error.Message, error.Type, error.Param, error.Code);
    }

    private static string NameOf(JobStatus status) => status.ToString().ToLowerInvariant();

    private static long Time(DateTimeOffset time) => time.ToUnixTimeMilliseconds();

    private static DateTimeOffset Time(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);

    private static string? Texts(IReadOnlyList<string> texts) =>
        texts.Count == 0 ? null : JsonSerializer.Serialize(texts, ServerJson.Answers.IReadOnlyListString);

    private static IReadOnlyList<string> Texts(string json) =>
        JsonSerializer.Deserialize(json, ServerJson.Answers.IReadOnlyListString)!;

    private void Prepare(string? folder)
    {
        // Every transaction is on the disk before it counts.
        foreach (string pragma in (string[])["journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"])
            Read($"PRAGMA {pragma}", _ => 0);
        long version = Read("PRAGMA user_version", row => row.GetInt64(0))[0];
        if (version > Version)
            throw new IOException($"The folder '{folder}' was written by a later version of Attune.");
        if (version < Version)
        {
            string changes = string.Concat([version == 0 ? Schema : "", .. Additions.Skip((int)Math.Max(version - 1, 0))]);
            Run(
                string.Create(CultureInfo.InvariantCulture, $"BEGIN IMMEDIATE; {changes} PRAGMA user_version = {Version}; COMMIT"));
        }
        var known = Read("SELECT id FROM pictures", row => row.GetString(0)).ToHashSet(StringComparer.Ordinal);
        Files.DeleteUnknown(known.Contains);
    }

    /// <returns>How many rows it changed.</returns>
    private int Run(string sql, params ReadOnlySpan<(string Name, object? Value)> values)
    {
        lock (_gate)
        {
            using var command = Command(sql, values);
            return command.ExecuteNonQuery();
        }
    }

    private List<T> Read<T>(string sql, Func<SqliteDataReader, T> read, params ReadOnlySpan<(string Name, object? Value)> values)
    {
        lock (_gate)
        {
            using var command = Command(sql, values);
            using var reader = command.ExecuteReader();
            var rows = new List<T>();
            while (reader.Read())
                rows.Add(read(reader));
            return rows;
        }
    }

    /// <summary>A command whose text is the program's alone: values are never part of it.</summary>
    private SqliteCommand Command(string sql, ReadOnlySpan<(string Name, object? Value)> values)
    {
        var command = _connection.CreateCommand();
#pragma warning disable CA2100  // all texts are constants of this class
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (var (name, value) in values)
            command.Parameters.AddWithValue(name, value ?? DBNull.Value);
        return command;
    }
}
