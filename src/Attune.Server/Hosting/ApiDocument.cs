using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization.Metadata;
using Attune.Generation;
using Attune.Server.Requests;

namespace Attune.Server.Hosting;

/// <summary>
/// The API as an OpenAPI 3.1 document: fields of requests from the catalogue of options, answers from the types that are written.
/// </summary>
internal static class ApiDocument
{
    private const string Json = "application/json";

    /// <summary>A route as it is described.</summary>
    /// <param name="Method">In lower case.</param>
    /// <param name="Path">With its parameters in braces.</param>
    /// <param name="Summary">What it does.</param>
    /// <param name="Answer">What it answers with, or null for what is no JSON.</param>
    /// <param name="Body">The name of the schema of its body, or null.</param>
    /// <param name="Type">The type of the answer, where it is no JSON.</param>
    private sealed record Route(
        string Method, string Path, string Summary, JsonTypeInfo? Answer = null, string? Body = null, string Type = Json);

    private static readonly Route[] Routes =
    [
        new("post", "/v1/images/generations", "Make pictures from a prompt.", ServerJson.Answers.ImagesAnswer, "Generation"),
        new("post", "/v1/images/edits", "Make pictures from pictures and a prompt.", ServerJson.Answers.ImagesAnswer, "Edit"),
        new("get", "/v1/models", "The models.", ServerJson.Answers.ListAnswerModelAnswer),
        new("get", "/v1/models/{id}", "A model.", ServerJson.Answers.ModelAnswer),
        new("get", "/pictures/{name}", "A picture behind a link.", Type: "image/*"),
        new("post", "/api/jobs", "Ask for pictures that are made whether the client waits or not.", ServerJson.Answers.JobAnswer, "Job"),
        new("post", "/api/check", "What would be made of a job, with warnings; nothing is made.", ServerJson.Answers.CheckAnswer, "Job"),
        new("get", "/api/jobs", "Jobs, the newest first (status, before, limit).", ServerJson.Answers.ListAnswerJobAnswer),
        new("get", "/api/jobs/{id}", "A job.", ServerJson.Answers.JobAnswer),
        new("delete", "/api/jobs/{id}", "Stop a job.", ServerJson.Answers.JobAnswer),
        new("get", "/api/jobs/{id}/trace", "Where guidance acted in a picture of a job (image, counted from 0), as attune trace writes it.",
            Type: "application/json"),
        new("get", "/api/jobs/{id}/events", "What happens to a job: queued, started, step, preview, image, completed, failed, cancelled.",
            Type: "text/event-stream"),
        new("get", "/api/images", "Pictures, the newest first (starred, before, limit).", ServerJson.Answers.ListAnswerPictureAnswer),
        new("get", "/api/images/{id}", "A picture.", ServerJson.Answers.PictureAnswer),
        new("get", "/api/images/{id}/file", "A picture's file.", Type: "image/*"),
        new("get", "/api/images/{id}/thumbnail", "A picture in small.", Type: "image/webp"),
        new("get", "/api/images/{id}/trace", "Where guidance acted in a picture, as attune trace writes it.", Type: "application/json"),
        new("delete", "/api/images/{id}", "Delete a picture.", ServerJson.Answers.PictureAnswer),
        new("patch", "/api/images/{id}", "Give a picture a star, which keeps it, or take it.", ServerJson.Answers.PictureAnswer, "Star"),
        new("post", "/api/images/read", "What a picture says of how it was made.", ServerJson.Answers.PictureTextsAnswer, "Picture"),
        new("get", "/api/models", "The models.", ServerJson.Answers.ListAnswerModelAnswer),
        new("get", "/api/guidance", "The rules of guidance, with the ranges of their parameters.", ServerJson.Answers.ListAnswerRuleAnswer),
        new("get", "/api/presets", "What is published for families of models.", ServerJson.Answers.ListAnswerFamilyAnswer),
        new("get", "/api/options", "The options of requests.", ServerJson.Answers.ListAnswerOptionAnswer),
        new("get", "/api/status", "What the server does.", ServerJson.Answers.StatusAnswer),
        new("post", "/api/session", "Take a key into a cookie, for pages.", Body: "Key", Type: "text/plain"),
        new("delete", "/api/session", "Forget the key of the cookie.", Type: "text/plain"),
        new("get", "/healthz", "Whether the process lives.", Type: "text/plain"),
        new("get", "/readyz", "Whether requests are taken.", Type: "text/plain"),
        new("get", "/metrics", "Counters and times for Prometheus.", Type: "text/plain"),
    ];

    /// <summary>The methods and paths that are described.</summary>
    public static IEnumerable<(string Method, string Path)> Described => Routes.Select(route => (route.Method, route.Path));

    public static JsonObject Make()
    {
        var paths = new JsonObject();
        foreach (var group in Routes.GroupBy(route => route.Path))
        {
            var path = new JsonObject();
            string[] parameters = [.. group.Key.Split('{').Skip(1).Select(rest => rest.Split('}')[0])];
            if (parameters.Length > 0)
            {
                path["parameters"] = new JsonArray([
                    .. parameters.Select(name => new JsonObject
                    {
                        ["name"] = name, ["in"] = "path", ["required"] = true, ["schema"] = new JsonObject { ["type"] = "string" },
                    })]);
            }
            foreach (var route in group)
                path[route.Method] = Describe(route);
            paths[group.Key] = path;
        }
        return new JsonObject
        {
            ["openapi"] = "3.1.1",
            ["info"] = new JsonObject
            {
                ["title"] = "Attune", ["version"] = PictureTexts.Version,
                ["description"] = "Pictures by diffusion models, steered in attention space.",
            },
            ["paths"] = paths,
            ["components"] = new JsonObject
            {
                ["schemas"] = new JsonObject
                {
                    ["Generation"] = Body(GenerationOnly()),
                    ["Edit"] = Body([.. GenerationOnly(), .. Pictures(), ("input_fidelity", Enumeration("high", "low"))]),
                    ["Job"] = Body(
                        [
                            .. Format(), .. Pictures(), ("preview", Of("boolean", "A picture after every step.")),
                            ("trace", Of("boolean", "Record where guidance acts.")), ("partial_images", Partials()),
                        ]),
                    ["Star"] = new JsonObject
                    {
                        ["type"] = "object", ["required"] = new JsonArray("starred"),
                        ["properties"] = new JsonObject { ["starred"] = Of("boolean", "Whether it has a star.") },
                    },
                    ["Key"] = new JsonObject
                    {
                        ["type"] = "object", ["required"] = new JsonArray("key"),
                        ["properties"] = new JsonObject { ["key"] = Of("string", "One of the server's keys.") },
                    },
                    ["Picture"] = new JsonObject { ["type"] = "string", ["format"] = "binary" },
                    ["Error"] = SchemaOf(ServerJson.Answers.ErrorAnswer),
                },
                ["securitySchemes"] = new JsonObject { ["key"] = new JsonObject { ["type"] = "http", ["scheme"] = "bearer" } },
            },
            ["security"] = new JsonArray(new JsonObject { ["key"] = new JsonArray() }, new JsonObject()),
        };
    }

    private static JsonObject Describe(Route route)
    {
        var answer = new JsonObject
        {
            [route.Type] = route.Answer == null ? new JsonObject() : new JsonObject { ["schema"] = SchemaOf(route.Answer) },
        };
        var operation = new JsonObject
        {
            ["summary"] = route.Summary,
            ["operationId"] = route.Method + string.Concat(
                route.Path.Split('/', '{', '}').Where(part => part.Length > 0).Select(part => char.ToUpperInvariant(part[0]) + part[1..])),
            ["responses"] = new JsonObject
            {
                ["2XX"] = new JsonObject { ["description"] = "As asked.", ["content"] = answer },
                ["default"] = new JsonObject
                {
                    ["description"] = "Refused, or failed.",
                    ["content"] = new JsonObject { [Json] = new JsonObject { ["schema"] = Reference("Error") } },
                },
            },
        };
        if (route.Body != null)
        {
            string type = route.Body == "Picture" ? "image/*" : Json;
            operation["requestBody"] = new JsonObject
            {
                ["required"] = true, ["content"] = new JsonObject { [type] = new JsonObject { ["schema"] = Reference(route.Body) } },
            };
        }
        return operation;
    }

    private static JsonNode SchemaOf(JsonTypeInfo type) => type.GetJsonSchemaAsNode();

    private static JsonObject Reference(string name) => new() { ["$ref"] = $"#/components/schemas/{name}" };

    private static JsonObject Of(string type, string description) => new() { ["type"] = type, ["description"] = description };

    private static JsonObject Enumeration(params string[] values) =>
        new() { ["enum"] = new JsonArray([.. values.Select(value => JsonValue.Create(value))]) };

    private static JsonObject Partials() => new()
    {
        ["type"] = "integer", ["minimum"] = 0, ["maximum"] = 3, ["description"] = "Pictures of steps, spread over them.",
    };

    internal static (string, JsonNode)[] Format() =>
        [
            ("output_format", Enumeration("png", "jpeg", "webp")),
            ("output_compression", new JsonObject { ["type"] = "integer", ["minimum"] = 0, ["maximum"] = 100 }),
        ];

    private static (string, JsonNode)[] GenerationOnly() =>
        [
            .. Format(), ("response_format", Enumeration("b64_json", "url")), ("stream", Of("boolean", "Send events as pictures come.")),
            ("partial_images", Partials()),
            .. ((string[])["quality", "background", "moderation", "style", "user", "safety_identifier", "complexity"])
                .Select(name => (name, (JsonNode)Of("string", "Checked, and without effect."))),
        ];

    private static (string, JsonNode)[] Pictures() =>
        [
            ("images", new JsonObject
            {
                ["type"] = "array", ["description"] = "Pictures as data URLs.",
                ["items"] = new JsonObject
                {
                    ["type"] = "object", ["required"] = new JsonArray("image_url"),
                    ["properties"] = new JsonObject { ["image_url"] = Of("string", "data:image/png;base64,...") },
                },
            }),
            ("mask", new JsonObject
            {
                ["type"] = "object", ["required"] = new JsonArray("image_url"),
                ["description"] = "Which part of the first picture is made anew: transparent, or white where it has no alpha.",
                ["properties"] = new JsonObject { ["image_url"] = Of("string", "data:image/png;base64,...") },
            }),
        ];

    /// <summary>The schema of a request for pictures.</summary>
    internal static JsonObject Body(IEnumerable<(string Name, JsonNode Schema)> more)
    {
        var fields = new JsonObject
        {
            ["prompt"] = new JsonObject
            {
                ["type"] = "string", ["minLength"] = 1, ["maxLength"] = 32_000, ["description"] = OptionCatalog.Find("prompt")!.Description,
            },
            ["model"] = Of("string", "The name of a model. Default: the first."),
            ["n"] = new JsonObject { ["type"] = "integer", ["minimum"] = 1, ["maximum"] = 10 },
            ["size"] = Of("string", OptionCatalog.Find("size")!.Description),
            ["seed"] = new JsonObject { ["type"] = "integer", ["minimum"] = -1, ["description"] = "-1 or none is one by chance." },
            ["scheduler"] = Of("string", OptionCatalog.Find("scheduler")!.Description),
            ["guidance"] = Of("string", OptionCatalog.Find("guidance")!.Description),
            ["guidance_scale"] = Of("number", OptionCatalog.Find("guidance-scale")!.Description),
            ["true_cfg_scale"] = Of("number", "Above 1: the rule cfg with this scale."),
            ["lora"] = new JsonObject
            {
                ["type"] = "array",
                ["items"] = new JsonObject
                {
                    ["type"] = "object", ["required"] = new JsonArray("name"),
                    ["properties"] = new JsonObject
                    {
                        ["name"] = Of("string", "One of the server's."), ["scale"] = Of("number", "Default: 1."),
                    },
                },
            },
        };
        foreach (var option in GenerationFields.Options.Append(OptionCatalog.Find("steps")!))
            fields[option.Key] = SchemaOf(option);
        foreach (var (name, schema) in more)
            fields[name] = schema;
        return new JsonObject
        {
            ["type"] = "object", ["required"] = new JsonArray("prompt"), ["properties"] = fields, ["additionalProperties"] = false,
        };
    }

    private static JsonObject SchemaOf(RequestOption option)
    {
        var schema = Of(
            option.Kind switch
            {
                OptionKind.Integer => "integer",
                OptionKind.Number => "number",
                OptionKind.Flag => "boolean",
                _ => "string",
            },
            option.Description);
        if (option.Range is { } range)
        {
            if (double.IsFinite(range.Minimum))
                schema[range.ClosedBelow ? "minimum" : "exclusiveMinimum"] = range.Minimum;
            if (double.IsFinite(range.Maximum))
                schema[range.ClosedAbove ? "maximum" : "exclusiveMaximum"] = range.Maximum;
        }
        return schema;
    }
}
