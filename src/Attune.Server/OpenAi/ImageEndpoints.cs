using System.Globalization;
using System.Runtime.CompilerServices;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.Requests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Attune.Server.OpenAi;

/// <summary>OpenAI's images API.</summary>
/// <param name="models">The models.</param>
/// <param name="reader">Reads the fields that all APIs have in common.</param>
/// <param name="board">Takes the jobs.</param>
/// <param name="shelf">Keeps pictures behind links.</param>
/// <param name="settings">Limits and addresses.</param>
/// <param name="time">The clock.</param>
internal sealed class ImageEndpoints(
    ModelCatalog models, GenerationFields reader, JobBoard board, PictureShelf shelf, ServerSettings settings, TimeProvider time)
{
    private const int MostPartials = 3;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/images/generations", GenerateAsync);
        routes.MapPost("/v1/images/edits", EditAsync);
        routes.MapGet("/v1/models", ListAsync);
        routes.MapGet("/v1/models/{id}", FindAsync);
        routes.MapGet("/pictures/{name}", ShowAsync);
    }

    private async Task GenerateAsync(HttpContext context)
    {
        var fields = await Body.ReadJsonAsync(context, settings.Limits.BodyBytes).ConfigureAwait(false);
        await AnswerAsync(context, fields, [], "image_generation").ConfigureAwait(false);
    }

    private async Task EditAsync(HttpContext context)
    {
        var (fields, pictures) = await Body.ReadWithPicturesAsync(context, settings.Limits).ConfigureAwait(false);
        fields.Ignore("input_fidelity", field => field.Choice("high", "low"));
        foreach (string name in (string[])["markup", "svg", "style"])
        {
            if (fields.Take(name) != null)
                throw ApiException.Invalid(name, $"{name} is not taken here.", "unsupported_parameter");
        }
        if (pictures.All(picture => picture.IsMask))
            throw ApiException.Invalid("image", "Missing required parameter: 'image'.", "missing_required_parameter");
        await AnswerAsync(context, fields, pictures, "image_edit").ConfigureAwait(false);
    }

    private async Task AnswerAsync(HttpContext context, Fields fields, IReadOnlyList<Upload> pictures, string events)
    {
        var shape = AnswerShape.Take(fields);
        bool stream = fields.Take("stream")?.Flag() ?? false;
        int partials = (int)(fields.Take("partial_images")?.Integer(0, MostPartials) ?? 0);
        var asked = reader.Read(fields, pictures) with { Format = shape.Format, Partials = stream ? partials : 0 };
        fields.RefuseRest([.. GenerationFields.Names, .. AnswerShape.Names]);
        asked = asked with { Ignored = [.. fields.Ignored, .. partials > 0 && !stream ? (string[])["partial_images"] : []] };
        var job = await board.SubmitAsync(asked, context.Lane(), context.RequestAborted).ConfigureAwait(false);
        try
        {
            if (stream)
            {
                await Answers.WriteAsync(context, EventsAsync(job, shape, events, context.RequestAborted), time).ConfigureAwait(false);
                return;
            }
            await job.Completion.WaitAsync(context.RequestAborted).ConfigureAwait(false);
        }
        finally
        {
            if (!job.IsOver)            // its client is gone
                await board.CancelAsync(job).ConfigureAwait(false);
        }
        if (job.Status != JobStatus.Completed)
            throw job.Failure ?? ApiException.Unavailable("overloaded", "The request was cancelled.", TimeSpan.FromSeconds(1));
        var made = job.Pictures;
        context.Response.Headers["openai-processing-ms"] =
            ((long)(job.Ended!.Value - job.Created).TotalMilliseconds).ToString(CultureInfo.InvariantCulture);
        await Answers.WriteAsync(
            context,
            new ImagesAnswer(
                job.Ended!.Value.ToUnixTimeSeconds(), [.. made.Select(picture => Answer(context, picture, shape))], "opaque",
                shape.Format.Name, SizeOf(made[0].Width, made[0].Height), shape.Quality, UsageAnswer.Of(made), AttuneAnswer.Of(job)),
            ServerJson.Answers.ImagesAnswer).ConfigureAwait(false);
    }

    private ImageAnswer Answer(HttpContext context, Picture picture, AnswerShape shape) => new(picture.Id, picture.Seed)
    {
        B64Json = shape.Link ? null : picture.Bytes,
        Url = shape.Link ? shelf.Add(picture, context.PublicAddress(settings)) : null,
    };

    /// <summary>Ends with an event for every picture, or with an error: clients take any end for a good one.</summary>
    private async IAsyncEnumerable<ServerEvent> EventsAsync(
        Job job, AnswerShape shape, string name, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var said in job.EventsAsync(0, cancellation).ConfigureAwait(false))
        {
            ImageEventAnswer Answer(string type, byte[] bytes, int width, int height) => new(
                $"{name}.{type}", bytes, time.GetUtcNow().ToUnixTimeSeconds(), SizeOf(width, height), shape.Quality, "opaque",
                shape.Format.Name);
            switch (said)
            {
                case PreviewEvent preview:
                    yield return Event(
                        Answer("partial_image", preview.Bytes, preview.Width, preview.Height) with
                        {
                            PartialImageIndex = preview.Index, ImageIndex = preview.Image, Seed = preview.Seed, Step = preview.Step,
                            Steps = preview.Steps,
                        });
                    break;
                case PictureEvent { Picture: var picture }:
                    yield return Event(
                        Answer("completed", picture.Bytes, picture.Width, picture.Height) with
                        {
                            ImageIndex = picture.Index, Seed = picture.Seed, Id = picture.Id, Usage = UsageAnswer.Of([picture]),
                            Attune = AttuneAnswer.Of(job),
                        });
                    break;
                case FailedEvent failed:
                    yield return ServerEvent.Of("error", ErrorAnswer.Of(failed.Error), ServerJson.Answers.ErrorAnswer);
                    break;
                case CancelledEvent:
                    yield return ServerEvent.Of(
                        "error", ErrorAnswer.Of(new ApiError("The request was cancelled.", "server_error", null, "cancelled")),
                        ServerJson.Answers.ErrorAnswer);
                    break;
            }
        }

        static ServerEvent Event(ImageEventAnswer answer) =>
            ServerEvent.Of(answer.Type, answer, ServerJson.Answers.ImageEventAnswer);
    }

    private static string SizeOf(int width, int height) => FormattableString.Invariant($"{width}x{height}");

    private Task ListAsync(HttpContext context) => Answers.WriteAsync(
        context, new ListAnswer<ModelAnswer>([.. models.All.Select(model => ModelAnswer.Of(model, settings.Limits))]),
        ServerJson.Answers.ListAnswerModelAnswer);

    private Task FindAsync(HttpContext context) => Answers.WriteAsync(
        context, ModelAnswer.Of(models.Find((string)context.Request.RouteValues["id"]!), settings.Limits), ServerJson.Answers.ModelAnswer);

    private async Task ShowAsync(HttpContext context)
    {
        var picture = shelf.Find((string)context.Request.RouteValues["name"]!) ?? throw ApiException.NotFound("There is no such picture.");
        context.Response.ContentType = picture.Format.MediaType;
        context.Response.ContentLength = picture.Bytes.Length;
        context.Response.Headers.CacheControl = "private, max-age=3600, immutable";
        await context.Response.Body.WriteAsync(picture.Bytes, context.RequestAborted).ConfigureAwait(false);
    }
}

/// <summary>The fields that say how pictures are sent, and those of OpenAI's API that are checked and do nothing.</summary>
/// <param name="Format">The format.</param>
/// <param name="Quality">As the request has it.</param>
/// <param name="Link">Whether an address is sent rather than the picture.</param>
internal sealed record AnswerShape(PictureFormat Format, string Quality, bool Link)
{
    /// <summary>The highest quality that is lossy in all encoders.</summary>
    private const int BestQuality = 99;

    private static readonly string[] Qualities = ["auto", "standard", "hd", "low", "medium", "high", "xhigh", "max"];

    /// <summary>All fields that are read here.</summary>
    public static IReadOnlyList<string> Names { get; } =
        [
            "quality", "output_format", "output_compression", "background", "response_format", "stream", "partial_images", "moderation",
            "style", "user", "safety_identifier", "complexity",
        ];

    public static AnswerShape Take(Fields fields)
    {
        string quality = "auto";
        fields.Ignore("quality", field => quality = field.Choice(Qualities));
        var format = TakeFormat(fields);
        fields.Ignore("background", field =>
        {
            if (field.Text() == "transparent")
                throw field.Wrong("auto or opaque", "unsupported_value");
            field.Choice("auto", "opaque");
        });
        bool link = fields.Take("response_format")?.Choice("b64_json", "url") == "url";
        fields.Ignore("moderation", field => field.Choice("low", "auto"));
        foreach (string name in (string[])["style", "user", "safety_identifier", "complexity"])
            fields.Ignore(name, field => field.Text());
        foreach (string name in (string[])["frame_count", "frame_duration_ms", "svg"])
        {
            if (fields.Take(name) != null)
                throw ApiException.Invalid(name, $"{name} is not taken here.", "unsupported_parameter");
        }
        return new AnswerShape(format, quality, link);
    }

    /// <summary>The fields that say in which format pictures are.</summary>
    public static PictureFormat TakeFormat(Fields fields)
    {
        string format = fields.Take("output_format") switch
        {
            null => "png",
            { } field when field.Text() is "gif" or "svg" => throw field.Wrong("png, jpeg or webp", "unsupported_value"),
            { } field => field.Choice("png", "jpeg", "webp"),
        };
        if (format == "png")
        {
            fields.Ignore("output_compression", field => field.Integer(0, 100));
            return PictureFormat.Png;
        }
        return fields.Take("output_compression") is { } compression
            ? new PictureFormat(format, (int)Math.Clamp(compression.Integer(0, 100), 1, BestQuality)) : new PictureFormat(format);
    }
}
