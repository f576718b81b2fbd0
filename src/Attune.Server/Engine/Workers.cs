using Attune.Server.Requests;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Attune.Server.Engine;

/// <summary>Makes the pictures of the queue, one after the other.</summary>
/// <param name="queue">What is to be made.</param>
/// <param name="board">Is told what became of it.</param>
/// <param name="maker">Makes it.</param>
/// <param name="settings">How many at a time.</param>
/// <param name="time">The clock.</param>
/// <param name="lifetime">Says when the server ends.</param>
/// <param name="log">Where mistakes are said.</param>
internal sealed partial class Workers(
    JobQueue queue, JobBoard board, PictureMaker maker, ServerSettings settings, TimeProvider time, IHostApplicationLifetime lifetime,
    ILogger<Workers> log) : BackgroundService
{
    private readonly CancellationTokenSource _patience = new();

    public override void Dispose()
    {
        _patience.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Before the web server ends, which waits for the answers that are under way.
        using var closing = lifetime.ApplicationStopping.Register(Close);
        await Task.WhenAll(Enumerable.Range(0, settings.Workers).Select(_ => Task.Run(WorkAsync, CancellationToken.None)))
            .ConfigureAwait(false);
    }

    /// <summary>The server ends: nothing begins any more, and what runs has a while.</summary>
    private void Close()
    {
        foreach (var job in queue.Close())
            board.GiveBack(job);
        _patience.CancelAfter(settings.ShutdownTimeout);
    }

    private async Task WorkAsync()
    {
        while (await queue.NextAsync(CancellationToken.None).ConfigureAwait(false) is { } job)
            await MakeAsync(job).ConfigureAwait(false);
    }

    private async Task MakeAsync(Job job)
    {
        bool returned = false;
        using var either = CancellationTokenSource.CreateLinkedTokenSource(job.Stopping, _patience.Token);
        try
        {
            either.Token.ThrowIfCancellationRequested();
            if (job.Begin(time.GetUtcNow()))
                board.Began(job);
            var picture = await maker.MakeAsync(job, either.Token).ConfigureAwait(false);
            if (job.IsOver)
                return;
            board.Made(job, picture);
            if (job.Remaining == 0)
                board.End(job, JobStatus.Completed);
            else if (queue.Return(job))
                returned = true;            // another worker may have it by now
            else
                board.GiveBack(job);
        }
        catch (OperationCanceledException) when (job.Stopping.IsCancellationRequested)
        {
            // Who stopped it has said why.
        }
        catch (OperationCanceledException) when (_patience.IsCancellationRequested)
        {
            board.GiveBack(job);
        }
        catch (ApiException exception)
        {
            if (exception.Status >= 500)
                Mistake(exception, job.Id);
            board.End(job, JobStatus.Failed, exception);
        }
        catch (OutOfMemoryException exception)
        {
            Mistake(exception, job.Id);
            board.End(
                job, JobStatus.Failed,
                ApiException.Unavailable("overloaded", "The server has not enough memory for this.", TimeSpan.FromSeconds(60)));
        }
        catch (Exception exception)
        {
            Mistake(exception, job.Id);
            board.End(job, JobStatus.Failed, ApiException.Internal(cause: exception));
        }
        finally
        {
            if (!returned)
                queue.Done(job);
        }
    }

    [LoggerMessage(LogLevel.Error, "The job {Job} failed.")]
    private partial void Mistake(Exception exception, string job);
}
