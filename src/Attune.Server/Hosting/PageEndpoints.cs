using System.Reflection;
using System.Security.Cryptography;
using Attune.Server.Requests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Attune.Server.Hosting;

/// <summary>
/// The page for people: files that are part of the assembly, and nothing else. They load nothing from elsewhere, and the browser is told to
/// let them do nothing else. They are made of src/Attune.Server/Page.
/// </summary>
/// <param name="settings">The keys.</param>
internal sealed class PageEndpoints(ServerSettings settings)
{
    /// <summary>What the page may do: its own script and style, the server's answers, and pictures that it was given.</summary>
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; "
            + "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

    private static readonly (string Path, string Resource, string Type)[] Files =
    [
        ("/", "index.html", "text/html; charset=utf-8"), ("/page/app.js", "app.js", "text/javascript; charset=utf-8"),
        ("/page/app.css", "app.css", "text/css; charset=utf-8"), ("/page/icon.svg", "icon.svg", "image/svg+xml"),
    ];

    public void Map(IEndpointRouteBuilder routes)
    {
        foreach (var (path, resource, type) in Files)
        {
            byte[] bytes = Read(resource);
            string tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(bytes))[..16]}\"";
            routes.MapGet(path, context => SendAsync(context, bytes, type, tag));
        }
        routes.MapPost(Guard.SessionPath, EnterAsync);
        routes.MapDelete(Guard.SessionPath, LeaveAsync);
    }

    private static async Task SendAsync(HttpContext context, byte[] bytes, string type, string tag)
    {
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.CacheControl = "no-cache";
        headers.ETag = tag;
        if (context.Request.Headers.IfNoneMatch == tag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }
        context.Response.ContentType = type;
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes, context.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>
    /// Takes a key into a cookie: a page's pictures and events have no header of their own. Scripts cannot read it, and no other site's
    /// requests carry it.
    /// </summary>
    private async Task EnterAsync(HttpContext context)
    {
        var fields = await Body.ReadJsonAsync(context, settings.Limits.BodyBytes).ConfigureAwait(false);
        string key = fields.Take("key")?.Text()
            ?? throw ApiException.Invalid("key", "Missing required parameter: 'key'.", "missing_required_parameter");
        fields.RefuseRest(["key"]);
        if (ApiKey.Find(settings.Keys, key) == null)
            throw Guard.WrongKey();
        context.Response.Cookies.Append(Guard.CookieName, key, CookieOptions(context));
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static Task LeaveAsync(HttpContext context)
    {
        context.Response.Cookies.Delete(Guard.CookieName, CookieOptions(context));
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    private static CookieOptions CookieOptions(HttpContext context) => new()
    {
        HttpOnly = true, SameSite = SameSiteMode.Strict, Secure = context.Request.IsHttps, Path = "/api", IsEssential = true,
    };

    private static byte[] Read(string resource)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("Attune.Server.Page." + resource)!;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
