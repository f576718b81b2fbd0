using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Attune.Guidance;

namespace Attune.Generation;

/// <summary>What a picture says of how it was made.</summary>
public static class PictureTexts
{
    /// <summary>The keyword of the JSON that holds everything.</summary>
    public const string Keyword = "attune";

    /// <summary>The keyword of the text that other programs show, in the form of AUTOMATIC1111's web UI.</summary>
    public const string CommonKeyword = "parameters";

    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The library's version, without the commit.</summary>
    public static string Version { get; } = typeof(PictureTexts).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    /// <summary>Both texts.</summary>
    /// <param name="pipeline">What made the picture.</param>
    /// <param name="options">How it was opened: LoRA files and embeddings are named.</param>
    /// <param name="model">Which model that was.</param>
    /// <param name="resolved">What it was asked for.</param>
    /// <param name="index">Which picture of the run it is, counted from 0.</param>
    public static KeyValuePair<string, string>[] Of(
        DiffusionPipeline pipeline, LoadOptions options, ModelIdentity model, ResolvedRequest resolved, int index) =>
        [
            new(Keyword, Json(pipeline, options, model, resolved, index)),
            new(CommonKeyword, Common(pipeline, model, resolved)),
        ];

    /// <summary>
    /// What made the image, as JSON: the request, the model's name and hash, and the names of LoRA files alone, so that the same request
    /// gives the same bytes wherever files lie.
    /// </summary>
    /// <inheritdoc cref="Of" path="/param"/>
    public static string Json(
        DiffusionPipeline pipeline, LoadOptions options, ModelIdentity model, ResolvedRequest resolved, int index)
    {
        ArgumentNullException.ThrowIfNull(pipeline);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(resolved);
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Relaxed))
        {
            json.WriteStartObject();
            json.WriteString("software", "Attune");
            json.WriteString("version", Version);
            json.WriteString("pipeline", pipeline.Facts.ClassName);
            json.WriteString("model", model.Name);
            json.WriteString("model_hash", model.Hash);
            json.WriteString("device", pipeline.Device.Description);
            OptionCatalog.Write(json, resolved.Request);
            if (options.Loras.Count > 0)
                json.WriteString("lora", string.Join('+', options.Loras.Select(Describe)));
            if (options.Embeddings.Count > 0)
                json.WriteString("embedding", string.Join('+', options.Embeddings.Select(Describe)));
            json.WriteNumber("index", index);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static string Common(DiffusionPipeline pipeline, ModelIdentity model, ResolvedRequest resolved)
    {
        var request = resolved.Request;
        var text = new StringBuilder(request.Prompt).Append('\n');
        if (!string.IsNullOrEmpty(request.NegativePrompt))
            text.Append("Negative prompt: ").Append(request.NegativePrompt).Append('\n');
        text.Append(
            CultureInfo.InvariantCulture,
            $"Steps: {request.Steps}, Sampler: {resolved.Scheduler.ClassName}, Seed: {request.Seed}, "
                + $"Size: {request.Width}x{request.Height}, ");
        string[] rules = [.. resolved.Guidance.Rules.Select(RuleCatalog.Format)];
        if (rules.Length > 0)
            text.Append(CultureInfo.InvariantCulture, $"Guidance: \"{string.Join(" + ", rules)}\", ");
        return text
            .Append(CultureInfo.InvariantCulture, $"Model hash: {model.Hash[..10]}, Model: {model.Name}, Version: Attune {Version}")
            .ToString();
    }

    private static string Describe(EmbeddingWeights embedding) =>
        Path.GetFileName(embedding.Path) + (embedding.Token is { } token ? ":" + token : "");

    private static string Describe(LoraWeights lora) =>
        string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(lora.Path)}:{lora.Scale}");
}
