using Attune.Server.Requests;

namespace Attune.Server.Engine;

/// <summary>Something that happened to a job.</summary>
internal abstract record JobEvent
{
    /// <summary>Counted from 1 for each job.</summary>
    public int Id { get; init; }

    /// <summary>It is the last one.</summary>
    public virtual bool IsLast => false;

    /// <summary>It makes an earlier one of its kind worthless: that one is no longer kept.</summary>
    public virtual bool Replaces(JobEvent earlier) => false;
}

/// <summary>It waits.</summary>
/// <param name="Position">How many pictures are made before its next one.</param>
/// <param name="Seconds">About how long that takes.</param>
internal sealed record QueuedEvent(int Position, double Seconds) : JobEvent
{
    public override bool Replaces(JobEvent earlier) => earlier is QueuedEvent;
}

/// <summary>A picture begins.</summary>
internal sealed record StartedEvent(int Image, ulong Seed) : JobEvent;

/// <summary>A step is done.</summary>
/// <param name="Image">Of which picture, counted from 0.</param>
/// <param name="Index">Which step, counted from 1.</param>
/// <param name="Count">Of how many.</param>
/// <param name="Sigma">The noise level at which it began.</param>
/// <param name="Seconds">How long the picture's steps took so far.</param>
internal sealed record StepEvent(int Image, int Index, int Count, double Sigma, double Seconds) : JobEvent;

/// <summary>A picture of a step.</summary>
/// <param name="Image">Of which picture, counted from 0.</param>
/// <param name="Index">Which of the wanted pictures of steps it is, counted from 0.</param>
/// <param name="Step">Of which step, counted from 1.</param>
/// <param name="Steps">Of how many.</param>
/// <param name="Seed">The picture's seed.</param>
/// <param name="Width">In pixels.</param>
/// <param name="Height">In pixels.</param>
/// <param name="Bytes">The file, in the job's format.</param>
/// <param name="IsOneOfAll">Whether there is one of every step: then the last one alone is kept.</param>
internal sealed record PreviewEvent(
    int Image, int Index, int Step, int Steps, ulong Seed, int Width, int Height, byte[] Bytes, bool IsOneOfAll) : JobEvent
{
    public override bool Replaces(JobEvent earlier) => earlier is PreviewEvent { IsOneOfAll: true };
}

/// <summary>A picture is made.</summary>
internal sealed record PictureEvent(Picture Picture) : JobEvent
{
    public override bool Replaces(JobEvent earlier) => earlier is PreviewEvent { IsOneOfAll: true };
}

/// <summary>All pictures are made.</summary>
internal sealed record CompletedEvent : JobEvent
{
    public override bool IsLast => true;
}

/// <summary>It ended before all pictures were made.</summary>
internal sealed record FailedEvent(ApiError Error) : JobEvent
{
    public override bool IsLast => true;
}

/// <summary>Somebody stopped it.</summary>
internal sealed record CancelledEvent : JobEvent
{
    public override bool IsLast => true;
}
