using Attune.Server.Engine;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Attune.Server.Hosting;

/// <summary>Whether the server lives, whether it takes requests now, and which there are.</summary>
/// <param name="queue">Says whether it is full, or the server ends.</param>
internal sealed class HealthEndpoints(JobQueue queue)
{
    private readonly Lazy<string> _document = new(() => ApiDocument.Make().ToJsonString(ServerJson.Answers.Options));

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/openapi.json", context =>
        {
            context.Response.ContentType = "application/json; charset=utf-8";
            return context.Response.WriteAsync(_document.Value, context.RequestAborted);
        });
        routes.MapGet("/healthz", context => SayAsync(context, null));
        routes.MapGet("/readyz", context => SayAsync(
            context, queue.IsClosed ? "the server ends" : queue.IsFull ? "the queue is full" : null));
    }

    private static Task SayAsync(HttpContext context, string? problem)
    {
        context.Response.StatusCode = problem == null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(problem ?? "ok", context.RequestAborted);
    }
}
