using System.Security.Cryptography;
using Microsoft.AspNetCore.Routing;
using Scalar.AspNetCore;

namespace Attune.Server.Hosting;

/// <summary>
/// The document of the API for reading and trying, by Scalar: its script is part of its assembly. Nothing is loaded from elsewhere or sent
/// there, and the browser is told to refuse it.
/// </summary>
internal static class ReferenceEndpoints
{
    public const string Path = "/reference";

    public static void Map(IEndpointRouteBuilder routes) => routes.MapScalarApiReference(Path, (options, context) =>
    {
        string nonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
        options.WithTitle("Attune's API").WithOpenApiRoutePattern("/openapi.json").WithNonce(nonce).DisableDefaultFonts().DisableTelemetry()
            .DisableAgent().DisableMcp().HideDeveloperTools();
        // Scalar's own elements have styles in their attributes.
        context.Response.Headers.ContentSecurityPolicy =
            $"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
                + "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    });
}
