using System.Text;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Attune.Server.Engine;
using Attune.Server.Requests;

namespace Attune.Server.Fleet;

/// <summary>A job as it lies in the queue: the message is the job.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Lane">Whose it is.</param>
/// <param name="Created">When it came, in milliseconds.</param>
/// <param name="Seed">Of the first picture, which the body may leave to chance.</param>
/// <param name="Count">How many pictures.</param>
/// <param name="GoesOn">Whether it is kept, and goes on without its client.</param>
/// <param name="Body">What is asked for, as the job API reads it; null where it is an object of its own, for its size.</param>
internal sealed record FleetJob(string Id, string Lane, long Created, ulong Seed, int Count, bool GoesOn, byte[]? Body);

/// <summary>What became of a job: an entry under its name, which is there once somebody touched it.</summary>
/// <param name="Job">The job.</param>
/// <param name="Status">Where it is.</param>
internal sealed record FleetState(FleetJob Job, JobStatus Status)
{
    /// <summary>Which attempt has it: a name of its own for each.</summary>
    public string? Tag { get; init; }

    /// <summary>How often it was begun.</summary>
    public int Attempts { get; init; }

    /// <summary>When it was first begun, in milliseconds.</summary>
    public long? Started { get; init; }

    public FleetFailure? Failure { get; init; }

    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>The objects of the pictures that are made, in their order.</summary>
    public IReadOnlyList<string> Pictures { get; init; } = [];

    [JsonIgnore]
    public bool IsOver => Status is JobStatus.Completed or JobStatus.Failed or JobStatus.Cancelled;
}

/// <summary>Why a job failed.</summary>
internal sealed record FleetFailure(int Status, string Message, string Type, string? Param, string Code)
{
    public static FleetFailure Of(ApiException exception) =>
        new(exception.Status, exception.Message, exception.Type, exception.Parameter, exception.Code);

    public ApiException ToException() => ApiException.Again(Status, new ApiError(Message, Type, Param, Code));
}

/// <summary>Something that happened on the way: sent to whoever listens, and missed by who does not.</summary>
internal sealed record FleetEvent(int Image, int Index, int Step, int Steps, double Sigma, double Seconds)
{
    public ulong Seed { get; init; }

    public int Width { get; init; }

    public int Height { get; init; }

    /// <summary>A picture of the step; null where it is about the step alone.</summary>
    public byte[]? Preview { get; init; }

    public bool IsOneOfAll { get; init; }

    public static FleetEvent? Of(JobEvent said) => said switch
    {
        StepEvent step => new FleetEvent(step.Image, 0, step.Index, step.Count, step.Sigma, step.Seconds),
        PreviewEvent preview => new FleetEvent(preview.Image, preview.Index, preview.Step, preview.Steps, 0, 0)
        {
            Seed = preview.Seed, Width = preview.Width, Height = preview.Height, Preview = preview.Bytes, IsOneOfAll = preview.IsOneOfAll,
        },
        _ => null,
    };

    public JobEvent ToEvent() => Preview == null ? new StepEvent(Image, Step, Steps, Sigma, Seconds)
        : new PreviewEvent(Image, Index, Step, Steps, Seed, Width, Height, Preview, IsOneOfAll);
}

/// <summary>A picture as an object of the results.</summary>
[JsonSourceGenerationOptions(UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(FleetJob))]
[JsonSerializable(typeof(FleetState))]
[JsonSerializable(typeof(FleetEvent))]
[JsonSerializable(typeof(Picture))]
internal sealed partial class FleetJson : JsonSerializerContext;

/// <summary>Writes a request as the job API reads it, so that another machine makes the same of it.</summary>
internal static class JobBody
{
    public static byte[] Write(JobRequest asked)
    {
        var json = JsonNode.Parse(asked.Describe())!.AsObject();
        json.Remove("count");               // that of one run; a request's is n
        json["model"] = asked.Model.Name;
        json["n"] = asked.Count;
        json["output_format"] = asked.Format.Name;
        if (asked.Format.Name != PictureFormat.Png.Name)
            json["output_compression"] = asked.Format.Quality;
        json["partial_images"] = asked.Partials;
        json["preview"] = asked.Previews;
        json["trace"] = asked.Trace;
        if (asked.Variant.Loras.Count > 0)
        {
            json["lora"] = new JsonArray([
                .. asked.Variant.Loras.Select(lora => new JsonObject { ["name"] = lora.Name, ["scale"] = lora.Weights.Scale })]);
        }
        Upload[] pictures = asked.Initial is { } initial ? [initial, .. asked.References] : [.. asked.References];
        if (pictures.Length > 0)
            json["images"] = new JsonArray([.. pictures.Select(picture => Url(picture.Bytes))]);
        if (asked.WhiteMask() is { } mask)
            json[Upload.Mask] = Url(PictureFormat.Png.Encode(new Imaging.Frames([mask]), []));
        return Encoding.UTF8.GetBytes(json.ToJsonString());

        static JsonObject Url(byte[] bytes) => new() { ["image_url"] = $"data:image/png;base64,{Convert.ToBase64String(bytes)}" };
    }
}
