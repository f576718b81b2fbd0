using System.Text.Json;
using System.Text.Json.Serialization;
using Attune.Server.Engine;

namespace Attune.Server.OpenAi;

/// <summary>The answer to a request for pictures.</summary>
internal sealed record ImagesAnswer(
    long Created, IReadOnlyList<ImageAnswer> Data, string Background, string OutputFormat, string Size, string Quality, UsageAnswer Usage,
    AttuneAnswer Attune);

/// <summary>A picture of an answer.</summary>
internal sealed record ImageAnswer(string Id, ulong Seed)
{
    // Bytes: as a text every + of base64 would be six characters.
    public byte[]? B64Json { get; init; }

    public string? Url { get; init; }
}

/// <summary>What was read: rows of text, and pictures.</summary>
internal sealed record UsageAnswer(int InputTokens, UsageDetails InputTokensDetails)
{
    public int OutputTokens { get; init; }

    public int TotalTokens => InputTokens;

    public static UsageAnswer Of(IEnumerable<Picture> pictures)
    {
        var first = pictures.FirstOrDefault();
        var (text, images) = (first?.TextRows ?? 0, first?.Inputs ?? 0);
        return new UsageAnswer(text + images, new UsageDetails(text, images));
    }
}

internal sealed record UsageDetails(int TextTokens, int ImageTokens);

/// <summary>What OpenAI's API has no place for.</summary>
internal sealed record AttuneAnswer(
    string Id, string Model, JsonElement Parameters, IReadOnlyList<string> Ignored, IReadOnlyList<string> Warnings, SecondsAnswer Seconds)
{
    /// <summary>What is said of a job whose pictures are made.</summary>
    public static AttuneAnswer Of(Job job)
    {
        var pictures = job.Pictures;
        using var parameters = JsonDocument.Parse(pictures[0].Parameters);
        return new AttuneAnswer(
            job.Id, job.Request.Model.Name, parameters.RootElement.Clone(), job.Request.Ignored, job.Warnings,
            new SecondsAnswer(
                pictures[0].Seconds.Queue, Sum(times => times.Encode), Sum(times => times.Denoise), Sum(times => times.Decode)));

        double Sum(Func<PictureTimes, double> part) => Math.Round(pictures.Sum(picture => part(picture.Seconds)), 3);
    }
}

internal sealed record SecondsAnswer(double Queue, double Encode, double Denoise, double Decode);

/// <summary>An event of a stream of pictures; the members behind <see cref="Usage"/> are Attune's own.</summary>
internal sealed record ImageEventAnswer(
    string Type, byte[] B64Json, long CreatedAt, string Size, string Quality, string Background, string OutputFormat)
{
    public int? PartialImageIndex { get; init; }

    public UsageAnswer? Usage { get; init; }

    public int ImageIndex { get; init; }

    public ulong Seed { get; init; }

    public int? Step { get; init; }

    public int? Steps { get; init; }

    public string? Id { get; init; }

    public AttuneAnswer? Attune { get; init; }
}

/// <summary>A model of the list.</summary>
internal sealed record ModelAnswer(string Id, long Created, ModelDetails Attune)
{
    public string Object { get; } = "model";

    public string OwnedBy { get; } = "attune";

    public static ModelAnswer Of(ModelInfo model, ServerLimits limits) => new(
        model.Name, model.Created.ToUnixTimeSeconds(),
        new ModelDetails(
            model.Facts.ClassName, model.Preset?.Family,
            FormattableString.Invariant($"{model.DefaultWidth}x{model.DefaultHeight}"), model.SizeMultiple, limits.Pixels,
            model.Facts.DefaultSteps, limits.Steps, model.Scheduler, model.Identity.Hash,
            [.. model.Facts.Options.Order(StringComparer.Ordinal).Select(option => option.Replace('-', '_'))],
            [.. model.Preset?.Rules.Select(rule => rule.Name) ?? []])
        {
            DefaultGuidanceScale = model.Facts.DefaultGuidanceScale,
            Frames = model.Facts.DefaultFrames,
            Bytes = model.Bytes,
        });
}

/// <summary>What a model is and takes.</summary>
internal sealed record ModelDetails(
    [property: JsonPropertyName("class")] string ClassName, string? Family, string DefaultSize, int SizeMultiple, long MaxPixels,
    int DefaultSteps, int MaxSteps, string Scheduler, string Hash, IReadOnlyList<string> Takes, IReadOnlyList<string> PublishedRules)
{
    public float? DefaultGuidanceScale { get; init; }

    /// <summary>1 for models of pictures.</summary>
    public int Frames { get; init; } = 1;

    /// <summary>Of its weights.</summary>
    public long Bytes { get; init; }
}
