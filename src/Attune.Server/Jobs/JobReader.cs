using Attune.Server.Engine;
using Attune.Server.OpenAi;
using Attune.Server.Requests;

namespace Attune.Server.Jobs;

/// <summary>Reads what a client sends for a job; the same text is read again after a restart.</summary>
/// <param name="fields">Reads the fields that all APIs have in common.</param>
/// <param name="limits">The bounds of sent pictures.</param>
internal sealed class JobReader(GenerationFields fields, ServerLimits limits)
{
    private const int MostPartials = 3;

    /// <summary>The fields of jobs alone.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["images", Upload.Mask, "partial_images", "preview", "trace", "output_format", "output_compression"];

    /// <exception cref="ApiException">A field is missing or wrong.</exception>
    public JobRequest Read(byte[] body)
    {
        var given = Fields.Of(Body.Parse(body));
        var pictures = Body.DataPictures(given, limits);
        var format = AnswerShape.TakeFormat(given);
        int partials = (int)(given.Take("partial_images")?.Integer(0, MostPartials) ?? 0);
        bool previews = given.Take("preview")?.Flag() ?? false;
        bool trace = given.Take("trace")?.Flag() ?? false;
        var asked = fields.Read(given, pictures) with { Format = format, Partials = partials, Previews = previews, Trace = trace };
        given.RefuseRest([.. GenerationFields.Names, .. Names]);
        return asked with { Ignored = [.. given.Ignored] };
    }
}
