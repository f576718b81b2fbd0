using System.Text.Json;
using System.Text.Json.Nodes;
using Attune.Generation;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.OpenAi;
using Attune.Server.Requests;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace Attune.Server.Mcp;

/// <summary>What an assistant can do: the requests of the HTTP API, with the same fields, bounds and errors.</summary>
/// <param name="models">The models.</param>
/// <param name="reader">Reads the fields that all APIs have in common.</param>
/// <param name="board">Takes the jobs.</param>
/// <param name="shelf">Keeps pictures, to be edited.</param>
/// <param name="settings">The limits.</param>
internal sealed class McpTools(
    ModelCatalog models, GenerationFields reader, JobBoard board, PictureShelf shelf, ServerSettings settings)
{
    private const string Pictures = "images";

    /// <summary>The tools, with the schemas of their arguments.</summary>
    public static IList<Tool> List() =>
        [
            Describe(
                "generate_image", "Generate an image",
                "Makes pictures from a text. What must not be in them goes into negative_prompt.", ApiDocument.Body(ApiDocument.Format())),
            Describe(
                "edit_image", "Edit an image",
                "Makes pictures from a text and from pictures: one to begin with, or several to look at, as the model takes them "
                    + "(list_models). strength is how much of a picture changes.",
                Required(ApiDocument.Body([.. ApiDocument.Format(), (Pictures, PicturesSchema())]), Pictures)),
            Describe(
                "compare_guidance", "Compare with and without guidance",
                "Makes a picture twice with the same seed: first by the plain model, then with the guidance that is asked for (by default "
                    + "what suits the model and reads negative_prompt). Says what the rules did.",
                Without(ApiDocument.Body(ApiDocument.Format()), "n")),
            Describe(
                "list_models", "List models", "The models, with their default sizes and steps, what they take, and published rules.",
                new JsonObject { ["type"] = "object", ["properties"] = new JsonObject(), ["additionalProperties"] = false }, isPure: true),
        ];

    /// <summary>Does what is asked; a refusal is an answer, with the message that the HTTP API has.</summary>
    public async ValueTask<CallToolResult> CallAsync(RequestContext<CallToolRequestParams> request, CancellationToken cancellation)
    {
        var asked = request.Params;
        try
        {
            var given = Fields.Of(Body.Parse(Bytes(asked.Arguments)));
            var progress = new Progress(request.Server, asked.ProgressToken, cancellation);
            switch (asked.Name)
            {
                case "generate_image":
                    return await MakeAsync(Read(given, []), progress, cancellation).ConfigureAwait(false);
                case "edit_image":
                    var pictures = Uploads(given);
                    return pictures.Count > 0 ? await MakeAsync(Read(given, pictures), progress, cancellation).ConfigureAwait(false)
                        : throw ApiException.Invalid(
                            Pictures, $"Missing required parameter: '{Pictures}'.", "missing_required_parameter");
                case "compare_guidance":
                    return await CompareAsync(given, progress, cancellation).ConfigureAwait(false);
                case "list_models":
                    given.RefuseRest([]);
                    var list = new ListAnswer<ModelAnswer>([.. models.All.Select(model => ModelAnswer.Of(model, settings.Limits))]);
                    var json = JsonSerializer.SerializeToElement(list, ServerJson.Answers.ListAnswerModelAnswer);
                    return new CallToolResult { Content = [Text(json)], StructuredContent = json };
                default:
                    throw new McpProtocolException($"There is no tool '{asked.Name}'.", McpErrorCode.InvalidParams);
            }
        }
        catch (ApiException exception)
        {
            var json = JsonSerializer.SerializeToElement(ErrorAnswer.Of(exception.Error), ServerJson.Answers.ErrorAnswer);
            return new CallToolResult
            {
                IsError = true, Content = [new TextContentBlock { Text = exception.Message }], StructuredContent = json,
            };
        }
    }

    private JobRequest Read(Fields given, IReadOnlyList<Upload> pictures)
    {
        var format = AnswerShape.TakeFormat(given);
        var asked = reader.Read(given, pictures) with { Format = format };
        given.RefuseRest([.. GenerationFields.Names, "output_format", "output_compression", Pictures]);
        return asked with { Ignored = [.. given.Ignored] };
    }

    private async Task<CallToolResult> MakeAsync(JobRequest asked, Progress progress, CancellationToken cancellation)
    {
        var job = await RunAsync(asked, progress, 0, asked.Count, cancellation).ConfigureAwait(false);
        return Answer([(job, null)]);
    }

    private async Task<CallToolResult> CompareAsync(Fields given, Progress progress, CancellationToken cancellation)
    {
        if (given.Take("n") is { } count && count.Integer() != 1)
            throw count.Wrong("one: a comparison is one picture with and one without guidance");
        var guided = Read(given, []) with { Trace = true };
        var plain = guided with { Request = guided.Request with { Guidance = GuidanceChoice.None }, Trace = false };
        var without = await RunAsync(plain, progress, 0, 2, cancellation).ConfigureAwait(false);
        var with = await RunAsync(guided, progress, 1, 2, cancellation).ConfigureAwait(false);
        return Answer([(without, "without guidance"), (with, "with guidance")]);
    }

    /// <summary>Runs a job to its end; who gives it up stops it.</summary>
    private async Task<Job> RunAsync(JobRequest asked, Progress progress, int first, int all, CancellationToken cancellation)
    {
        var job = await board.SubmitAsync(asked, "", cancellation).ConfigureAwait(false);
        try
        {
            await foreach (var said in job.EventsAsync(0, cancellation).ConfigureAwait(false))
                await progress.SayAsync(said, first, all).ConfigureAwait(false);
        }
        finally
        {
            if (!job.IsOver)
                await board.CancelAsync(job).ConfigureAwait(false);
        }
        return job.Status == JobStatus.Completed ? job
            : throw job.Failure ?? ApiException.Unavailable("overloaded", "The request was cancelled.", TimeSpan.FromSeconds(1));
    }

    private CallToolResult Answer(IReadOnlyList<(Job Job, string? Label)> jobs)
    {
        var (content, pictures) = (new List<ContentBlock>(), new List<McpPicture>());
        foreach (var (job, label) in jobs)
        {
            foreach (var picture in job.Pictures)
            {
                string name = shelf.Add(picture, "").Split('/')[^1];
                content.Add(ImageContentBlock.FromBytes(picture.Bytes, picture.Format.MediaType));
                string[]? findings = picture.Trace == null ? null : [.. picture.Trace.Findings.Select(finding => finding.Text)];
                pictures.Add(new McpPicture(name, picture.Seed, picture.Width, picture.Height, label, findings));
            }
        }
        var json = JsonSerializer.SerializeToElement(
            new McpAnswer(pictures, [.. jobs.Select(job => AttuneAnswer.Of(job.Job))]), ServerJson.Answers.McpAnswer);
        content.Add(Text(json));
        return new CallToolResult { Content = content, StructuredContent = json };
    }

    /// <summary>The pictures of an edit: names that an earlier answer said, or data.</summary>
    private List<Upload> Uploads(Fields given)
    {
        if (given.Take(Pictures) is not { } field)
            return [];
        if (field.Json.ValueKind != JsonValueKind.Array || field.Json.GetArrayLength() > settings.Limits.Uploads)
            throw field.Wrong(FormattableString.Invariant($"a list of {settings.Limits.Uploads} pictures at most"));
        return [
            .. field.Json.EnumerateArray().Select(item =>
            {
                string text = new Field(Pictures, item, null).Text();
                if (shelf.Find(text) is { } known)
                    return Upload.Of(Pictures, known.Bytes, settings.Limits);
                return text.StartsWith("data:", StringComparison.OrdinalIgnoreCase) ? Body.DataPicture(Pictures, text, settings.Limits)
                    : throw ApiException.Invalid(
                        Pictures,
                        $"{Pictures}: '{(text.Length > 60 ? text[..60] + "..." : text)}' is neither a picture of the last hour nor a data "
                            + "URL; no file and no address is opened.");
            })];
    }

    private static byte[] Bytes(IDictionary<string, JsonElement>? arguments)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            foreach (var (name, value) in arguments ?? new Dictionary<string, JsonElement>())
            {
                json.WritePropertyName(name);
                value.WriteTo(json);
            }
            json.WriteEndObject();
        }
        return stream.ToArray();
    }

    private static TextContentBlock Text(JsonElement json) => new() { Text = json.GetRawText() };

    private static Tool Describe(string name, string title, string description, JsonObject schema, bool isPure = false) => new()
    {
        Name = name, Title = title, Description = description,
        InputSchema = JsonSerializer.SerializeToElement(schema, ServerJson.Answers.JsonObject),
        Annotations = new ToolAnnotations
        {
            ReadOnlyHint = isPure, DestructiveHint = false, IdempotentHint = isPure, OpenWorldHint = false,
        },
    };

    private static JsonObject PicturesSchema() => new()
    {
        ["type"] = "array", ["items"] = new JsonObject { ["type"] = "string" }, ["minItems"] = 1,
        ["description"] = "Names of pictures that an earlier call made, or data URLs (data:image/png;base64,...).",
    };

    private static JsonObject Required(JsonObject schema, string name)
    {
        schema["required"]!.AsArray().Add((JsonNode)name);
        return schema;
    }

    private static JsonObject Without(JsonObject schema, string name)
    {
        schema["properties"]!.AsObject().Remove(name);
        return schema;
    }

    /// <summary>Tells a client that wants to know how far a call is: steps of all pictures, in one count that only grows.</summary>
    private sealed class Progress(McpServer server, ProgressToken? token, CancellationToken cancellation)
    {
        public async Task SayAsync(JobEvent said, int first, int all)
        {
            if (token is not { } wanted)
                return;
            var value = said switch
            {
                QueuedEvent { Position: > 0 } queued when first == 0 => new ProgressNotificationValue
                {
                    Progress = 0, Message = FormattableString.Invariant($"{queued.Position} pictures before, about {queued.Seconds} s"),
                },
                StepEvent step => new ProgressNotificationValue
                {
                    Progress = ((first + step.Image) * step.Count) + step.Index, Total = all * step.Count,
                    Message = FormattableString.Invariant($"picture {first + step.Image + 1} of {all}, step {step.Index} of {step.Count}"),
                },
                _ => null,
            };
            if (value != null)
                await server.NotifyProgressAsync(wanted, value, cancellationToken: cancellation).ConfigureAwait(false);
        }
    }
}

/// <summary>What a call made, beside the pictures themselves and in their order.</summary>
internal sealed record McpAnswer(IReadOnlyList<McpPicture> Pictures, IReadOnlyList<AttuneAnswer> Attune);

/// <summary>A picture of a call.</summary>
/// <param name="Name">By which it can be edited for an hour.</param>
/// <param name="Seed">Of its noise.</param>
/// <param name="Width">In pixels.</param>
/// <param name="Height">In pixels.</param>
/// <param name="Label">Which of a comparison it is.</param>
/// <param name="Findings">What guidance did, in sentences.</param>
internal sealed record McpPicture(string Name, ulong Seed, int Width, int Height, string? Label, IReadOnlyList<string>? Findings);
