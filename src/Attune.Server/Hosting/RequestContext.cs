using Microsoft.AspNetCore.Http;

namespace Attune.Server.Hosting;

/// <summary>What the server knows of a request beside its body.</summary>
internal static class RequestContext
{
    private const string LaneKey = "Attune.Lane";

    /// <summary>Whose request it is: the key that it had; the same for all where there are no keys.</summary>
    public static string Lane(this HttpContext context) => (string?)context.Items[LaneKey] ?? "";

    public static void SetLane(this HttpContext context, string lane) => context.Items[LaneKey] = lane;

    /// <summary>With what addresses begin that clients are given.</summary>
    public static string PublicAddress(this HttpContext context, ServerSettings settings) =>
        settings.PublicAddress?.AbsoluteUri.TrimEnd('/') ?? $"{context.Request.Scheme}://{context.Request.Host}";
}
