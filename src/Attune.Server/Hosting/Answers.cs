using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Attune.Server.Requests;
using Attune.Server.Sd;
using Microsoft.AspNetCore.Http;

namespace Attune.Server.Hosting;

/// <summary>Writes answers.</summary>
internal static class Answers
{
    private const string JsonType = "application/json; charset=utf-8";

    /// <summary>Between two comments on a stream where nothing happens; clients give up after longer silence.</summary>
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    public static Task WriteAsync<T>(HttpContext context, T answer, JsonTypeInfo<T> type, int status = StatusCodes.Status200OK)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = JsonType;
        return JsonSerializer.SerializeAsync(context.Response.Body, answer, type, context.RequestAborted);
    }

    public static Task WriteAsync(HttpContext context, ApiException exception)
    {
        var headers = context.Response.Headers;
        if (exception.RetryAfter is { } seconds)
            headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        else if (exception.Status >= 500)
            headers["x-should-retry"] = "false";
        if (exception.Status == StatusCodes.Status401Unauthorized)
            headers.WWWAuthenticate = context.Request.Path.StartsWithSegments(SdEndpoints.Root) ? "Basic" : "Bearer";
        return context.Request.Path.StartsWithSegments(SdEndpoints.Root)
            ? WriteAsync(
                context, new SdErrorAnswer(exception.Code, exception.Message, exception.Message), ServerJson.Answers.SdErrorAnswer,
                exception.Status)
            : WriteAsync(context, ErrorAnswer.Of(exception.Error), ServerJson.Answers.ErrorAnswer, exception.Status);
    }

    /// <summary>Sends events as they come, and a comment where none comes for a while.</summary>
    public static async Task WriteAsync(HttpContext context, IAsyncEnumerable<ServerEvent> events, TimeProvider time)
    {
        var (response, cancellation) = (context.Response, context.RequestAborted);
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache,no-store";
        response.Headers["X-Accel-Buffering"] = "no";
        await response.StartAsync(cancellation).ConfigureAwait(false);
        var all = events.GetAsyncEnumerator(cancellation);
        var next = all.MoveNextAsync().AsTask();
        try
        {
            while (await ArriveAsync(response, next, time, cancellation).ConfigureAwait(false))
            {
                var said = all.Current;
                string id = said.Id == null ? "" : $"id: {said.Id}\n";
                await response.WriteAsync($"{id}event: {said.Type}\ndata: ", cancellation).ConfigureAwait(false);
                await response.Body.WriteAsync(said.Json, cancellation).ConfigureAwait(false);
                await response.WriteAsync("\n\n", cancellation).ConfigureAwait(false);
                await response.Body.FlushAsync(cancellation).ConfigureAwait(false);
                next = all.MoveNextAsync().AsTask();
            }
        }
        finally
        {
            // Its client may be gone while it waits: it ends by the same token, and no sooner may it be disposed.
            await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await all.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Whether there is another event; a comment is sent where it takes a while.</summary>
    private static async Task<bool> ArriveAsync(HttpResponse response, Task<bool> next, TimeProvider time, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                return await next.WaitAsync(Heartbeat, time, cancellation).ConfigureAwait(false);
            }
            catch (TimeoutException) when (!next.IsCompleted)
            {
                await response.WriteAsync(": ping\n\n", cancellation).ConfigureAwait(false);
                await response.Body.FlushAsync(cancellation).ConfigureAwait(false);
            }
        }
    }
}

/// <summary>An event of a stream.</summary>
/// <param name="Type">Its name.</param>
/// <param name="Json">Its data, in one line.</param>
/// <param name="Id">From where a client may go on; null for none.</param>
internal readonly record struct ServerEvent(string Type, byte[] Json, string? Id = null)
{
    public static ServerEvent Of<T>(string type, T data, JsonTypeInfo<T> info, string? id = null) =>
        new(type, JsonSerializer.SerializeToUtf8Bytes(data, info), id);
}
