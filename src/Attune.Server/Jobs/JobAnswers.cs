using System.Text.Json;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.Storage;

namespace Attune.Server.Jobs;

/// <summary>A job, as clients see it.</summary>
internal sealed record JobAnswer(
    string Id, string Status, string Model, long Created, int Count, ulong Seed, JsonElement Request, IReadOnlyList<PictureAnswer> Images)
{
    /// <summary>How many pictures are made before its next one; null where it does not wait.</summary>
    public int? Position { get; init; }

    /// <summary>About how many seconds that takes.</summary>
    public double? Seconds { get; init; }

    public long? Started { get; init; }

    public long? Ended { get; init; }

    /// <summary>How many times it was begun: more than once where the server ended while it ran.</summary>
    public int Attempts { get; init; }

    public ErrorMember? Error { get; init; }

    public IReadOnlyList<string>? Warnings { get; init; }

    public IReadOnlyList<string>? Ignored { get; init; }

    /// <summary>A kept job.</summary>
    /// <param name="job">What is kept of it.</param>
    /// <param name="pictures">Its pictures.</param>
    /// <param name="live">The job, while it waits or runs.</param>
    /// <param name="place">Where it waits.</param>
    public static JobAnswer Of(
        StoredJob job, IReadOnlyList<StoredPicture> pictures, Job? live, (int Position, TimeSpan Wait)? place)
    {
        using var request = JsonDocument.Parse(job.Description);
        var warnings = live?.Warnings ?? job.Warnings;
        return new JobAnswer(
            job.Id, job.Status.ToString().ToLowerInvariant(), job.Model, job.Created.ToUnixTimeSeconds(), job.Count, job.Seed,
            request.RootElement.Clone(), [.. pictures.Select(PictureAnswer.Of)])
        {
            Position = place?.Position,
            Seconds = place is { } known ? Math.Round(known.Wait.TotalSeconds, 1) : null,
            Started = job.Started?.ToUnixTimeSeconds(),
            Ended = job.Ended?.ToUnixTimeSeconds(),
            Attempts = job.Attempts,
            Error = job.Error is { } error ? ErrorAnswer.Of(error).Error : null,
            Warnings = warnings.Count > 0 ? warnings : null,
            Ignored = job.Ignored.Count > 0 ? job.Ignored : null,
        };
    }
}

/// <summary>A picture that is kept.</summary>
internal sealed record PictureAnswer(
    string Id, string Job, int Index, ulong Seed, int Width, int Height, string Format, long Bytes, long Created, bool Starred, string Url,
    JsonElement Parameters)
{
    public string ThumbnailUrl { get; } = $"/api/images/{Id}/thumbnail";

    /// <summary>Where the trace is; null where none was asked for.</summary>
    public string? TraceUrl { get; init; }

    /// <summary>What the trace says in short.</summary>
    public IReadOnlyList<Finding>? Findings { get; init; }

    public static PictureAnswer Of(StoredPicture picture)
    {
        using var parameters = JsonDocument.Parse(picture.Parameters);
        return new PictureAnswer(
            picture.Id, picture.Job, picture.Index, picture.Seed, picture.Width, picture.Height, picture.Format, picture.Bytes,
            picture.Created.ToUnixTimeSeconds(), picture.Starred, $"/api/images/{picture.Id}/file", parameters.RootElement.Clone())
        {
            TraceUrl = picture.TraceBytes > 0 ? $"/api/images/{picture.Id}/trace" : null,
            Findings = picture.TraceBytes > 0 ? picture.Findings : null,
        };
    }
}

/// <summary>The data of a job's event; what does not belong to its kind is left out.</summary>
internal sealed record JobEventAnswer
{
    public int? Position { get; init; }

    public int? Image { get; init; }

    public ulong? Seed { get; init; }

    public int? Index { get; init; }

    public int? Count { get; init; }

    public double? Sigma { get; init; }

    public double? Seconds { get; init; }

    public int? Width { get; init; }

    public int? Height { get; init; }

    public byte[]? B64Json { get; init; }

    public string? Id { get; init; }

    public string? Url { get; init; }

    public ErrorMember? Error { get; init; }

    /// <summary>An event as it is sent.</summary>
    /// <param name="said">What happened.</param>
    /// <param name="epoch">How often the job had been begun when the server started, so that earlier numbers are told apart.</param>
    public static ServerEvent Of(JobEvent said, int epoch)
    {
        var (type, answer) = said switch
        {
            QueuedEvent queued => ("queued", new JobEventAnswer { Position = queued.Position, Seconds = queued.Seconds }),
            StartedEvent started => ("started", new JobEventAnswer { Image = started.Image, Seed = started.Seed }),
            StepEvent step => ("step", new JobEventAnswer
            {
                Image = step.Image, Index = step.Index, Count = step.Count, Sigma = step.Sigma, Seconds = step.Seconds,
            }),
            PreviewEvent preview => ("preview", new JobEventAnswer
            {
                Image = preview.Image, Seed = preview.Seed, Index = preview.Step, Count = preview.Steps, Width = preview.Width,
                Height = preview.Height, B64Json = preview.Bytes,
            }),
            PictureEvent { Picture: var picture } => ("image", new JobEventAnswer
            {
                Image = picture.Index, Id = picture.Id, Seed = picture.Seed, Width = picture.Width, Height = picture.Height,
                Url = $"/api/images/{picture.Id}/file",
            }),
            CompletedEvent => ("completed", new JobEventAnswer()),
            CancelledEvent => ("cancelled", new JobEventAnswer()),
            FailedEvent failed => ("failed", new JobEventAnswer { Error = ErrorAnswer.Of(failed.Error).Error }),
            _ => throw new InvalidOperationException($"{said} has no name."),
        };
        return ServerEvent.Of(type, answer, ServerJson.Answers.JobEventAnswer, FormattableString.Invariant($"{epoch}.{said.Id}"));
    }
}
