using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Attune.Server.Engine;
using Attune.Server.Jobs;
using Attune.Server.Mcp;
using Attune.Server.OpenAi;
using Attune.Server.Requests;

namespace Attune.Server.Hosting;

/// <summary>How answers are written as JSON, without reflection.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ErrorAnswer))]
[JsonSerializable(typeof(SdErrorAnswer))]
[JsonSerializable(typeof(ImagesAnswer))]
[JsonSerializable(typeof(ImageEventAnswer))]
[JsonSerializable(typeof(ModelAnswer))]
[JsonSerializable(typeof(ListAnswer<ModelAnswer>))]
[JsonSerializable(typeof(JobAnswer))]
[JsonSerializable(typeof(ListAnswer<JobAnswer>))]
[JsonSerializable(typeof(JobEventAnswer))]
[JsonSerializable(typeof(PictureAnswer))]
[JsonSerializable(typeof(ListAnswer<PictureAnswer>))]
[JsonSerializable(typeof(PictureTextsAnswer))]
[JsonSerializable(typeof(StatusAnswer))]
[JsonSerializable(typeof(McpAnswer))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
[JsonSerializable(typeof(ListAnswer<RuleAnswer>))]
[JsonSerializable(typeof(ListAnswer<OptionAnswer>))]
[JsonSerializable(typeof(CheckAnswer))]
[JsonSerializable(typeof(ListAnswer<FamilyAnswer>))]
[JsonSerializable(typeof(IReadOnlyList<Finding>))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, RuleText>))]
[JsonSerializable(typeof(IReadOnlyList<string>))]
internal sealed partial class ServerJson : JsonSerializerContext
{
    /// <summary>What is written, with letters as they are: answers are never part of a page.</summary>
    public static ServerJson Answers => field ??=
        new ServerJson(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}

/// <summary>The envelope of errors.</summary>
internal sealed record ErrorAnswer(ErrorMember Error)
{
    public static ErrorAnswer Of(ApiError error) => new(new ErrorMember(error.Message, error.Type, error.Param, error.Code));
}

/// <summary>An error as clients of AUTOMATIC1111's web UI read it.</summary>
internal sealed record SdErrorAnswer(string Error, string Detail, string Errors);

/// <summary>All four members are always there.</summary>
internal sealed record ErrorMember(
    string Message, string Type, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Param, string Code);

/// <summary>A list, as OpenAI's API has them.</summary>
internal sealed record ListAnswer<T>(IReadOnlyList<T> Data)
{
    public string Object { get; } = "list";
}
