using System.Text;
using System.Text.Json;
using Attune.Imaging;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.Requests;
using Attune.Server.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Attune.Server.Jobs;

/// <summary>The pictures of jobs.</summary>
/// <param name="store">Keeps them.</param>
/// <param name="settings">The limits.</param>
internal sealed class GalleryEndpoints(JobStore store, ServerSettings settings)
{
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/images", ListAsync);
        routes.MapGet("/api/images/{id}", FindAsync);
        routes.MapGet("/api/images/{id}/file", SendAsync);
        routes.MapDelete("/api/images/{id}", DeleteAsync);
        routes.MapPatch("/api/images/{id}", StarAsync);
        routes.MapPost("/api/images/read", ReadAsync);
    }

    private Task ListAsync(HttpContext context)
    {
        bool starred = context.Request.Query["starred"].ToString() switch
        {
            "" or "false" => false,
            "true" => true,
            _ => throw ApiException.Invalid("starred", "starred: expected true or false."),
        };
        var pictures = store.ListPictures(context.Lane(), starred, context.Request.Query["before"], JobEndpoints.Limit(context));
        return Answers.WriteAsync(
            context, new ListAnswer<PictureAnswer>([.. pictures.Select(PictureAnswer.Of)]), ServerJson.Answers.ListAnswerPictureAnswer);
    }

    private Task FindAsync(HttpContext context) =>
        Answers.WriteAsync(context, PictureAnswer.Of(Asked(context)), ServerJson.Answers.PictureAnswer);

    private async Task SendAsync(HttpContext context)
    {
        var picture = Asked(context);
        var headers = context.Response.Headers;
        headers.ETag = $"\"{picture.Id}\"";
        headers.CacheControl = "private, max-age=31536000, immutable";
        if (context.Request.Headers.IfNoneMatch == headers.ETag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }
        byte[] bytes = await store.Files.ReadAsync(picture.Id, picture.Format, context.RequestAborted).ConfigureAwait(false)
            ?? throw ApiException.NotFound("The picture's file is gone.");
        context.Response.ContentType = new PictureFormat(picture.Format).MediaType;
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes, context.RequestAborted).ConfigureAwait(false);
    }

    private Task DeleteAsync(HttpContext context)
    {
        var picture = Asked(context);
        store.Delete(picture);
        return Answers.WriteAsync(context, PictureAnswer.Of(picture), ServerJson.Answers.PictureAnswer);
    }

    private async Task StarAsync(HttpContext context)
    {
        var fields = await Body.ReadJsonAsync(context, settings.Limits.BodyBytes).ConfigureAwait(false);
        bool starred = fields.Take("starred")?.Flag()
            ?? throw ApiException.Invalid("starred", "Missing required parameter: 'starred'.", "missing_required_parameter");
        fields.RefuseRest(["starred"]);
        var picture = Asked(context);
        store.Star(picture.Id, starred);
        await Answers.WriteAsync(
            context, PictureAnswer.Of(picture with { Starred = starred }), ServerJson.Answers.PictureAnswer).ConfigureAwait(false);
    }

    /// <summary>What a picture says of how it was made, whoever made it.</summary>
    private async Task ReadAsync(HttpContext context)
    {
        byte[] bytes;
        if (context.Request.HasFormContentType)
        {
            var (_, pictures) = await Body.ReadWithPicturesAsync(context, settings.Limits).ConfigureAwait(false);
            bytes = pictures.Count == 1 ? pictures[0].Bytes : throw ApiException.Invalid("image", "image: expected one picture.");
        }
        else
        {
            bytes = await Body.ReadBytesAsync(context, settings.Limits.UploadBytes).ConfigureAwait(false);
            _ = Upload.Of("image", bytes, settings.Limits);
        }
        await Answers.WriteAsync(context, PictureTextsAnswer.Of(bytes), ServerJson.Answers.PictureTextsAnswer).ConfigureAwait(false);
    }

    private StoredPicture Asked(HttpContext context) =>
        store.FindPicture((string)context.Request.RouteValues["id"]!, context.Lane())
        ?? throw ApiException.NotFound("There is no such picture.", parameter: "id");
}

/// <summary>What a picture says of itself.</summary>
/// <param name="Width">In pixels.</param>
/// <param name="Height">In pixels.</param>
/// <param name="Texts">Keywords and texts.</param>
internal sealed record PictureTextsAnswer(int Width, int Height, IReadOnlyList<TextAnswer> Texts)
{
    /// <summary>The request that made it, where it says so as Attune does.</summary>
    public JsonElement? Parameters { get; init; }

    public static PictureTextsAnswer Of(byte[] bytes)
    {
        var head = Image.ReadHead(bytes, "image");
        IReadOnlyList<KeyValuePair<string, string>> texts = [];
        if (bytes.AsSpan().StartsWith<byte>([0x89, (byte)'P', (byte)'N', (byte)'G']))
        {
            try
            {
                texts = Png.ReadTexts(bytes, "image");
            }
            catch (ImageException exception)
            {
                throw ApiException.Invalid("image", exception.Message, cause: exception);
            }
        }
        JsonElement? parameters = null;
        if (texts.FirstOrDefault(text => text.Key == Generation.PictureTexts.Keyword) is { Value: { } json })
        {
            try
            {
                parameters = Body.Parse(Encoding.UTF8.GetBytes(json));
            }
            catch (ApiException)
            {
                // Somebody else's text of the same name.
            }
        }
        return new PictureTextsAnswer(head.Width, head.Height, [.. texts.Select(text => new TextAnswer(text.Key, text.Value))])
        {
            Parameters = parameters,
        };
    }
}

/// <summary>A text of a picture.</summary>
internal sealed record TextAnswer(string Keyword, string Text);
