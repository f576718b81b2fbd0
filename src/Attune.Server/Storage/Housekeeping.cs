using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Attune.Server.Storage;

/// <summary>Deletes what is kept too long, or is too much.</summary>
/// <param name="store">What is kept.</param>
/// <param name="settings">How long and how much.</param>
/// <param name="time">The clock.</param>
/// <param name="log">Where mistakes are said.</param>
internal sealed partial class Housekeeping(JobStore store, ServerSettings settings, TimeProvider time, ILogger<Housekeeping> log)
    : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromMinutes(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pause, time);
        while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
        {
            try
            {
                store.Trim(
                    time.GetUtcNow() - settings.Limits.KeepTime,
                    settings.Store == null ? settings.Limits.LinkBytes : settings.Limits.KeepBytes);
            }
            catch (Exception exception) when (exception is IOException or Microsoft.Data.Sqlite.SqliteException)
            {
                Mistake(exception);
            }
        }
    }

    [LoggerMessage(LogLevel.Error, "What is kept could not be trimmed.")]
    private partial void Mistake(Exception exception);
}
