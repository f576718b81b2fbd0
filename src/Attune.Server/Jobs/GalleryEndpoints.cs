using System.Globalization;
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
    /// <summary>Pixels of a thumbnail's longer side.</summary>
    private const int ThumbnailSize = 256;

    private static readonly PictureFormat Thumbnail = new("webp", 85);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/images", ListAsync);
        routes.MapGet("/api/images/{id}", FindAsync);
        routes.MapGet("/api/images/{id}/file", SendAsync);
        routes.MapGet("/api/images/{id}/thumbnail", SendThumbnailAsync);
        routes.MapGet("/api/images/{id}/trace", SendTraceAsync);
        routes.MapGet("/api/jobs/{id}/trace", SendTraceOfJobAsync);
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
        if (IsKnown(context, picture, ""))
            return;
        byte[] bytes = await FileOfAsync(picture, context.RequestAborted).ConfigureAwait(false);
        await SendAsync(context, bytes, new PictureFormat(picture.Format).MediaType).ConfigureAwait(false);
    }

    /// <summary>The picture in small; of a video its first frame.</summary>
    private async Task SendThumbnailAsync(HttpContext context)
    {
        var picture = Asked(context);
        if (IsKnown(context, picture, "-small"))
            return;
        byte[] bytes = await FileOfAsync(picture, context.RequestAborted).ConfigureAwait(false);
        byte[] small = await Task.Run(() => Shrink(bytes), context.RequestAborted).ConfigureAwait(false);
        await SendAsync(context, small, Thumbnail.MediaType).ConfigureAwait(false);
    }

    private static byte[] Shrink(byte[] bytes)
    {
        var image = Image.Read(bytes, "picture");
        double scale = Math.Min(1, (double)ThumbnailSize / Math.Max(image.Width, image.Height));
        if (scale < 1)
            image = image.Resize(Math.Max((int)(image.Width * scale), 1), Math.Max((int)(image.Height * scale), 1));
        return Thumbnail.Encode(new Frames([image]), []);
    }

    private Task SendTraceAsync(HttpContext context) => SendTraceAsync(context, Asked(context));

    private Task SendTraceOfJobAsync(HttpContext context)
    {
        string? asked = context.Request.Query["image"];
        int place = 0;
        if (!string.IsNullOrEmpty(asked) && !int.TryParse(asked, NumberStyles.None, CultureInfo.InvariantCulture, out place))
            throw ApiException.Invalid("image", "image: expected which picture of the job, counted from 0.");
        string id = (string)context.Request.RouteValues["id"]!;
        if (store.Find(id, context.Lane()) == null)
            throw ApiException.NotFound("There is no such job.", parameter: "id");
        var picture = store.PicturesOf(id).FirstOrDefault(picture => picture.Index == place)
            ?? throw ApiException.NotFound("The job has no such picture yet.", parameter: "image");
        return SendTraceAsync(context, picture);
    }

    private async Task SendTraceAsync(HttpContext context, StoredPicture picture)
    {
        byte[] packed = await store.ReadTraceAsync(picture, context.RequestAborted).ConfigureAwait(false)
            ?? throw ApiException.NotFound("The picture has no trace; ask for one with \"trace\": true.", "no_trace");
        if (IsKnown(context, picture, "-trace"))
            return;
        context.Response.Headers.Vary = "Accept-Encoding";
        bool isPacked = context.Request.Headers.AcceptEncoding.ToString().Contains("gzip", StringComparison.OrdinalIgnoreCase);
        if (isPacked)
            context.Response.Headers.ContentEncoding = "gzip";
        await SendAsync(context, isPacked ? packed : PictureTrace.Unpack(packed), "application/json; charset=utf-8").ConfigureAwait(false);
    }

    private async Task<byte[]> FileOfAsync(StoredPicture picture, CancellationToken cancellation) =>
        await store.Files.ReadAsync(picture.Id, picture.Format, cancellation).ConfigureAwait(false)
            ?? throw ApiException.NotFound("The picture's file is gone.");

    /// <summary>Says that the answer never changes, and whether the client has it.</summary>
    private static bool IsKnown(HttpContext context, StoredPicture picture, string form)
    {
        var headers = context.Response.Headers;
        headers.ETag = $"\"{picture.Id}{form}\"";
        headers.CacheControl = "private, max-age=31536000, immutable";
        if (context.Request.Headers.IfNoneMatch != headers.ETag)
            return false;
        context.Response.StatusCode = StatusCodes.Status304NotModified;
        return true;
    }

    private static async Task SendAsync(HttpContext context, byte[] bytes, string type)
    {
        context.Response.ContentType = type;
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
