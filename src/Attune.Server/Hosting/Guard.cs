using System.Net;
using System.Text;
using Attune.Server.Requests;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Attune.Server.Hosting;

/// <summary>
/// Stands before everything: refuses other names of the host (DNS rebinding), pages of other origins, and requests without a key where
/// there are keys; gives every answer its headers, and every error its envelope.
/// </summary>
/// <param name="settings">Keys, names, origins.</param>
/// <param name="log">Where mistakes are said.</param>
internal sealed partial class Guard(ServerSettings settings, ILogger<Guard> log)
{
    /// <summary>What needs no key: whether it lives, what can be asked, the page itself, and pictures whose names nobody guesses.</summary>
    private static readonly string[] Open = ["/healthz", "/readyz", "/openapi.json", "/reference", "/pictures/", "/page/"];

    /// <summary>Where a page gives its key.</summary>
    public const string SessionPath = "/api/session";

    /// <summary>The cookie that has the key of a page.</summary>
    public const string CookieName = "attune-key";

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var headers = context.Response.Headers;
        headers["x-request-id"] = context.TraceIdentifier = Ids.New();
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers.XFrameOptions = "DENY";
        headers.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers.CacheControl = "no-store";
        try
        {
            if (!Admit(context))
                return;
            await next(context).ConfigureAwait(false);
            if (!context.Response.HasStarted && context.Response is { StatusCode: >= 400, ContentType: null })
                await Answers.WriteAsync(context, OfStatus(context)).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody is there who could be answered.
        }
        catch (Exception exception) when (!context.Response.HasStarted)
        {
            var answer = exception switch
            {
                ApiException known => known,
                BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } => Body.TooLarge(null),
                BadHttpRequestException bad => ApiException.Refused(bad.StatusCode, "invalid_request", bad.Message),
                _ => ApiException.Internal(cause: exception),
            };
            if (answer.Status == StatusCodes.Status500InternalServerError)
                Mistake(exception, context.TraceIdentifier);
            context.Response.ContentLength = null;
            await Answers.WriteAsync(context, answer).ConfigureAwait(false);
        }
    }

    private static ApiException OfStatus(HttpContext context) => context.Response.StatusCode switch
    {
        StatusCodes.Status404NotFound => ApiException.NotFound(
            $"There is no {context.Request.Method} {Shown(context.Request.Path)}."),
        StatusCodes.Status405MethodNotAllowed => ApiException.Refused(
            StatusCodes.Status405MethodNotAllowed, "method_not_allowed",
            $"{Shown(context.Request.Path)} does not take {context.Request.Method}."),
        var other => ApiException.Refused(other, "invalid_request", "The request is not taken."),
    };

    private static string Shown(PathString path) => path.Value is { Length: > 100 } value ? value[..100] + "..." : path.Value ?? "";

    /// <summary>Whether a request may go on; answers it where it may not.</summary>
    /// <exception cref="ApiException">It may not.</exception>
    private bool Admit(HttpContext context)
    {
        var request = context.Request;
        if (!IsKnownHost(request.Host.Host))
        {
            throw ApiException.Refused(
                StatusCodes.Status403Forbidden, "forbidden_host",
                "The header Host has a name that this server is not known by; whoever runs it can allow it (--host-name).");
        }
        string? origin = request.Headers.Origin;
        bool own = string.IsNullOrEmpty(origin)
            || origin.Equals($"{request.Scheme}://{request.Host}", StringComparison.OrdinalIgnoreCase);
        bool allowed = !own && settings.Origins.Contains(origin, StringComparer.OrdinalIgnoreCase);
        if ((!own && !allowed) || (request.Headers["Sec-Fetch-Site"] == "cross-site" && !allowed && !IsOpen(request.Path)))
        {
            throw ApiException.Refused(
                StatusCodes.Status403Forbidden, "forbidden_origin",
                "A page of another origin may not call this server; whoever runs it can allow it (--origin).");
        }
        if (allowed)
        {
            var headers = context.Response.Headers;
            headers.AccessControlAllowOrigin = origin;
            headers.Vary = "Origin";
            headers["Cross-Origin-Resource-Policy"] = "cross-origin";
            if (HttpMethods.IsOptions(request.Method) && request.Headers.ContainsKey("Access-Control-Request-Method"))
            {
                headers.AccessControlAllowMethods = "GET, POST, DELETE, PATCH";
                headers.AccessControlAllowHeaders = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID";
                headers.AccessControlMaxAge = "600";
                context.Response.StatusCode = StatusCodes.Status204NoContent;
                return false;
            }
        }
        if (settings.Keys.Count > 0 && !IsOpen(request.Path))
        {
            var key = KeyOf(request) is { } text ? ApiKey.Find(settings.Keys, text) : null;
            context.SetLane(key?.Id ?? throw WrongKey());
        }
        return true;
    }

    public static ApiException WrongKey() => ApiException.Refused(
        StatusCodes.Status401Unauthorized, "invalid_api_key",
        "Incorrect API key provided: this server wants one, as Authorization: Bearer KEY.");

    private static bool IsOpen(PathString path) => path == "/" || path == SessionPath
        || Open.Any(open => path.Value?.StartsWith(open, StringComparison.Ordinal) == true);

    /// <summary>A page of another site can make its name mean this machine, but not an address or localhost.</summary>
    private bool IsKnownHost(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || IPAddress.TryParse(host.Trim('[', ']'), out _)
        || settings.HostNames.Contains(host, StringComparer.OrdinalIgnoreCase)
        || settings.PublicAddress?.Host.Equals(host, StringComparison.OrdinalIgnoreCase) == true;

    /// <summary>
    /// The key of a request: a bearer's, the password where clients know only names and passwords, or that of a page's cookie.
    /// </summary>
    private static string? KeyOf(HttpRequest request)
    {
        string? header = request.Headers.Authorization;
        if (header == null)
            return request.Cookies[CookieName];
        if (header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return header["Bearer ".Length..].Trim();
        if (!header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase))
            return null;
        string coded = header["Basic ".Length..].Trim();
        var bytes = new byte[(coded.Length / 4 * 3) + 3];
        return Convert.TryFromBase64String(coded, bytes, out int length)
            ? Encoding.UTF8.GetString(bytes, 0, length).Split(':', 2)[^1] : null;
    }

    [LoggerMessage(LogLevel.Error, "The request {Request} failed.")]
    private partial void Mistake(Exception exception, string request);
}
