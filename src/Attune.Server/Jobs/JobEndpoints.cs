using System.Globalization;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Attune.Guidance;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.Requests;
using Attune.Server.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Attune.Server.Jobs;

/// <summary>Jobs that go on when their client is gone, and when the server was restarted; their events and their pictures.</summary>
/// <param name="board">Takes the jobs.</param>
/// <param name="queue">Says where they wait.</param>
/// <param name="store">Keeps them.</param>
/// <param name="reader">Reads requests.</param>
/// <param name="maker">Checks them.</param>
/// <param name="pace">Says how long they take.</param>
/// <param name="settings">The limits.</param>
/// <param name="time">The clock.</param>
internal sealed class JobEndpoints(
    JobBoard board, JobQueue queue, JobStore store, JobReader reader, PictureMaker maker, Pace pace, ServerSettings settings,
    TimeProvider time)
{
    private const int MostListed = 200;
    private const int LongestRepetition = 255;

    /// <summary>How long a request that is sent again is known.</summary>
    private static readonly TimeSpan RepetitionTime = TimeSpan.FromHours(24);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/jobs", SubmitAsync);
        routes.MapPost("/api/check", CheckAsync);
        routes.MapGet("/api/jobs", ListAsync);
        routes.MapGet("/api/jobs/{id}", FindAsync);
        routes.MapDelete("/api/jobs/{id}", CancelAsync);
        routes.MapGet("/api/jobs/{id}/events", EventsAsync);
    }

    private async Task SubmitAsync(HttpContext context)
    {
        byte[] body = await Body.ReadBytesAsync(context, settings.Limits.UploadBytes).ConfigureAwait(false);
        string lane = context.Lane();
        var repetition = RepetitionOf(context, body);
        if (repetition != null && store.Find(repetition, lane, time.GetUtcNow() - RepetitionTime) is var (known, hash))
        {
            if (hash != repetition.Hash)
            {
                throw ApiException.Refused(
                    StatusCodes.Status422UnprocessableEntity, "idempotency_key_reused",
                    "The Idempotency-Key was sent before, with another body.");
            }
            await AnswerAsync(context, known, StatusCodes.Status200OK).ConfigureAwait(false);
            return;
        }
        string id = await board.SubmitAsync(reader.Read(body), lane, body, repetition, context.RequestAborted).ConfigureAwait(false)
            ?? store.Find(repetition!, lane, time.GetUtcNow() - RepetitionTime)!.Value.Job.Id;
        context.Response.Headers.Location = $"/api/jobs/{id}";
        await AnswerAsync(context, Stored(id, lane), StatusCodes.Status202Accepted).ConfigureAwait(false);
    }

    /// <summary>What would be made of a job: refused as it would be, but nothing is made.</summary>
    private async Task CheckAsync(HttpContext context)
    {
        var request = reader.Read(await Body.ReadBytesAsync(context, settings.Limits.UploadBytes).ConfigureAwait(false));
        var resolved = maker.Check(request);
        var rules = resolved?.Guidance.Rules;
        await Answers.WriteAsync(
            context,
            new CheckAnswer(request.Model.Name, request.Count, Math.Round(pace.SecondsOf(request) * request.Count, 1))
            {
                Size = resolved == null ? null : FormattableString.Invariant($"{resolved.Size.Width}x{resolved.Size.Height}"),
                Steps = resolved?.Request.Steps,
                Scheduler = resolved?.Scheduler.ClassName,
                Guidance = rules == null ? null : rules.Count == 0 ? "none" : string.Join('+', rules.Select(RuleCatalog.Format)),
                ReadsNegative = resolved?.Guidance.NeedsNegativePrompt,
                Warnings = resolved?.Warnings ?? [],
            },
            ServerJson.Answers.CheckAnswer).ConfigureAwait(false);
    }

    private static Repetition? RepetitionOf(HttpContext context, byte[] body)
    {
        string? key = context.Request.Headers["Idempotency-Key"];
        if (string.IsNullOrEmpty(key))
            return null;
        return key.Length <= LongestRepetition ? new Repetition(key, Convert.ToHexStringLower(SHA256.HashData(body)))
            : throw ApiException.Invalid(
                "Idempotency-Key",
                FormattableString.Invariant($"The Idempotency-Key has {key.Length} characters, expected {LongestRepetition} at most."));
    }

    private Task ListAsync(HttpContext context)
    {
        string? status = context.Request.Query["status"];
        JobStatus? wanted = null;
        if (!string.IsNullOrEmpty(status))
        {
            wanted = Enum.TryParse<JobStatus>(status, ignoreCase: true, out var one) && !char.IsAsciiDigit(status[0]) ? one
                : throw ApiException.Invalid(
                    "status", $"status is one of {string.Join(", ", Enum.GetNames<JobStatus>()).ToLowerInvariant()}.");
        }
        var jobs = store.List(context.Lane(), wanted, context.Request.Query["before"], Limit(context));
        return Answers.WriteAsync(
            context, new ListAnswer<JobAnswer>([.. jobs.Select(Answer)]), ServerJson.Answers.ListAnswerJobAnswer);
    }

    /// <summary>How many entries of a list are wanted.</summary>
    public static int Limit(HttpContext context)
    {
        string? text = context.Request.Query["limit"];
        if (string.IsNullOrEmpty(text))
            return 50;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int limit) && limit is >= 1 and <= MostListed ? limit
            : throw ApiException.Invalid("limit", FormattableString.Invariant($"limit: expected 1 to {MostListed}."));
    }

    private Task FindAsync(HttpContext context) => AnswerAsync(context, Asked(context), StatusCodes.Status200OK);

    private async Task CancelAsync(HttpContext context)
    {
        var job = Asked(context);
        if (board.Find(job.Id) is { } live)
            await board.CancelAsync(live).ConfigureAwait(false);
        await AnswerAsync(context, Stored(job.Id, job.Lane), StatusCodes.Status200OK).ConfigureAwait(false);
    }

    private Task EventsAsync(HttpContext context)
    {
        var job = Asked(context);
        var (epoch, after) = LastEvent(context);
        var live = board.Find(job.Id);

        // It may have ended since it was looked up; then what is kept says how.
        return Answers.WriteAsync(
            context,
            live == null ? PastAsync(Asked(context)) : LiveAsync(live, epoch == live.Epoch ? after : 0, context.RequestAborted),
            time);
    }

    /// <summary>From where a client goes on: after how many starts of the server the job was, and which of its events.</summary>
    private static (int Epoch, int After) LastEvent(HttpContext context)
    {
        string[] parts = (context.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } header ? header
            : context.Request.Query["last_event_id"].ToString()).Split('.');
        return parts is [var attempt, var after]
            && int.TryParse(attempt, NumberStyles.None, CultureInfo.InvariantCulture, out int first)
            && int.TryParse(after, NumberStyles.None, CultureInfo.InvariantCulture, out int second) ? (first, second) : (-1, 0);
    }

    private static async IAsyncEnumerable<ServerEvent> LiveAsync(
        Job job, int after, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var said in job.EventsAsync(after, cancellation).ConfigureAwait(false))
            yield return JobEventAnswer.Of(said, job.Epoch);
    }

    /// <summary>What is left to say of a job that is over: its pictures, and how it ended.</summary>
    private async IAsyncEnumerable<ServerEvent> PastAsync(StoredJob job)
    {
        await Task.CompletedTask.ConfigureAwait(false);
        int id = 0;
        foreach (var picture in store.PicturesOf(job.Id))
            yield return JobEventAnswer.Of(new PictureEvent(KeptPicture.Of(picture)) { Id = ++id }, job.Attempts);
        JobEvent? last = job.Status switch
        {
            JobStatus.Completed => new CompletedEvent(),
            JobStatus.Cancelled => new CancelledEvent(),
            JobStatus.Failed => new FailedEvent(job.Error!),
            _ => null,
        };
        if (last != null)
            yield return JobEventAnswer.Of(last with { Id = ++id }, job.Attempts);
    }

    private StoredJob Asked(HttpContext context) => Stored((string)context.Request.RouteValues["id"]!, context.Lane());

    private StoredJob Stored(string id, string lane) =>
        store.Find(id, lane) ?? throw ApiException.NotFound("There is no such job.", parameter: "id");

    private Task AnswerAsync(HttpContext context, StoredJob job, int status) =>
        Answers.WriteAsync(context, Answer(job), ServerJson.Answers.JobAnswer, status);

    private JobAnswer Answer(StoredJob job)
    {
        var live = board.Find(job.Id);
        return JobAnswer.Of(job, store.PicturesOf(job.Id), live, live == null ? null : queue.PlaceOf(live));
    }
}
