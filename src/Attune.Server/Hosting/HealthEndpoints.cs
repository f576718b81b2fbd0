using Attune.Server.Engine;
using Attune.Server.Fleet;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Attune.Server.Hosting;

/// <summary>Whether the server lives, whether it takes requests now, and which there are.</summary>
/// <param name="queue">Says whether it is full, or the server ends.</param>
/// <param name="fleet">The queue of several machines; null for none.</param>
internal sealed class HealthEndpoints(JobQueue queue, FleetQueue? fleet = null)
{
    private readonly Lazy<string> _document = new(() => ApiDocument.Make().ToJsonString(ServerJson.Answers.Options));

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/openapi.json", context =>
        {
            context.Response.ContentType = "application/json; charset=utf-8";
            return context.Response.WriteAsync(_document.Value, context.RequestAborted);
        });
        MapHealth(routes);
    }

    /// <summary>Whether it lives, and whether it takes work.</summary>
    public void MapHealth(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/healthz", context => SayAsync(context, null));
        routes.MapGet("/readyz", context => SayAsync(
            context,
            queue.IsClosed ? "the server ends" : queue.IsFull ? "the queue is full"
                : fleet is { IsConnected: false } ? "the queue is not reached" : null));
    }

    private static Task SayAsync(HttpContext context, string? problem)
    {
        context.Response.StatusCode = problem == null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(problem ?? "ok", context.RequestAborted);
    }
}
