using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Attune.Models;
using Attune.Server.Engine;
using Attune.Server.Requests;
using Microsoft.AspNetCore.Http;

namespace Attune.Server.Sd;

/// <summary>A request in the form of AUTOMATIC1111's web UI, and what was made of it that its sender could not expect.</summary>
/// <param name="Request">What is asked for.</param>
/// <param name="Notes">Sentences.</param>
/// <param name="Scale">Of classifier-free guidance, as it acts; 1 for none.</param>
internal sealed record SdRequest(JobRequest Request, IReadOnlyList<string> Notes, double Scale);

/// <summary>
/// Reads requests in the form of AUTOMATIC1111's web UI: the fields that its clients send, of which unknown ones are ignored as there. What
/// would change the picture and is not done here is refused.
/// </summary>
/// <param name="models">The models.</param>
/// <param name="reader">Reads what they become.</param>
/// <param name="limits">The bounds of sent pictures.</param>
internal sealed partial class SdFields(ModelCatalog models, GenerationFields reader, ServerLimits limits)
{
    /// <summary>Names of samplers and spacings that mean the model's own.</summary>
    private static readonly string[] Own = ["", "automatic", "none", "null", "simple"];

    /// <param name="sent">What the client sent.</param>
    /// <param name="withPicture">Whether there is a picture to begin with.</param>
    /// <exception cref="ApiException">A field is wrong, or asks for what is not done.</exception>
    public SdRequest Read(Fields sent, bool withPicture)
    {
        Refuse(sent);
        var notes = new List<string>();
        var settings = sent.Take("override_settings") is { Form: null, Json.ValueKind: JsonValueKind.Object } given
            ? Fields.Of(given.Json) : null;
        var model = models.Find(Checkpoint(settings?.Take("sd_model_checkpoint")?.Text()));
        var (prompt, loras) = WithoutLoras(sent.Take("prompt")?.Text() ?? "");
        var fields = new JsonObject
        {
            ["model"] = model.Name,
            ["prompt"] = prompt.Length > 0 ? prompt : " ",
            ["negative_prompt"] = sent.Take("negative_prompt")?.Text() is { Length: > 0 } negative ? negative : null,
            ["size"] = SizeOf(sent, model),
            ["steps"] = sent.Take("steps")?.Integer(),
            ["seed"] = sent.Take("seed")?.Integer() is >= 0 and var seed ? seed : null,
            ["n"] = (sent.Take("batch_size")?.Integer(1, 100) ?? 1) * (sent.Take("n_iter")?.Integer(1, 100) ?? 1),
            ["scheduler"] = SamplerOf(sent),
            ["lora"] = loras.Count > 0 ? loras : null,
        };
        double acting = 1;
        if (sent.Take("cfg_scale")?.Number() is > 1 and var scale)
        {
            // All clients send one, mostly 7, which spoils what models of few steps make.
            if (model.Preset is { FewStep: true } || model.Facts.Takes(ModelOption.GuidanceScale))
            {
                notes.Add(
                    $"cfg_scale is ignored: {model.Name} is made without classifier-free guidance; a negative prompt is read by NAG.");
            }
            else
                fields["true_cfg_scale"] = acting = scale;
        }
        long skipped = (settings?.Take("CLIP_stop_at_last_layers") ?? sent.Take("clip_skip"))?.Integer(0, 12) ?? 1;
        if (skipped > 1 && model.Facts.Takes(ModelOption.ClipSkip))
            fields["clip_skip"] = skipped - 1;
        var pictures = new List<Upload>();
        if (withPicture)
        {
            if (sent.Take("denoising_strength") is { } strength)
                fields["strength"] = strength.Number();
            pictures.Add(PictureOf(sent));
            if (sent.Take(Upload.Mask)?.Text() is { Length: > 0 } mask)
                pictures.Add(MaskOf(sent, mask, fields, notes));
        }
        bool inverted = (sent.Take("inpainting_mask_invert")?.Integer(0, 1) ?? 0) == 1;
        sent.IgnoreRest();
        using var json = JsonDocument.Parse(fields.ToJsonString());
        return new SdRequest(
            reader.Read(Fields.Of(json.RootElement.Clone()), pictures) with { IsOfSd = true, MaskIsInverted = inverted }, notes, acting);
    }

    /// <summary>The name of a model behind a title, which has the hash in brackets.</summary>
    public static string? Checkpoint(string? title) =>
        string.IsNullOrWhiteSpace(title) ? null : Hash().Replace(title, "");

    private static void Refuse(Fields sent)
    {
        foreach (string name in (string[])["enable_hr", "restore_faces", "tiling"])
        {
            if (sent.Take(name) is { } field && field.Json.ValueKind == JsonValueKind.True)
                throw NotDone(name, $"{name} is not done by this server.");
        }
        if (sent.Take("alwayson_scripts") is { Json: { ValueKind: JsonValueKind.Object } scripts } && scripts.EnumerateObject().Any())
            throw NotDone("alwayson_scripts", "alwayson_scripts: this server has no scripts.");
        if (sent.Take("script_name")?.Text() is { Length: > 0 })
            throw NotDone("script_name", "script_name: this server has no scripts.");
    }

    private static ApiException NotDone(string name, string message) =>
        ApiException.Refused(StatusCodes.Status422UnprocessableEntity, name, message);

    private static string? SizeOf(Fields sent, ModelInfo model)
    {
        var (width, height) = (sent.Take("width")?.Integer(), sent.Take("height")?.Integer());
        return width == null && height == null ? null
            : string.Create(CultureInfo.InvariantCulture, $"{width ?? model.DefaultWidth}x{height ?? model.DefaultHeight}");
    }

    private static string? SamplerOf(Fields sent)
    {
        string name = (sent.Take("sampler_name") ?? sent.Take("sampler_index"))?.Text() ?? "";
        string spacing = sent.Take("scheduler")?.Text() ?? "";
        if (Own.Contains(name, StringComparer.OrdinalIgnoreCase))
            return null;
        return Own.Contains(spacing, StringComparer.OrdinalIgnoreCase) ? name : $"{name} {spacing}";
    }

    private Upload PictureOf(Fields sent)
    {
        if (sent.Take("init_images") is not { Form: null, Json: { ValueKind: JsonValueKind.Array } list } || list.GetArrayLength() != 1)
            throw ApiException.Invalid("init_images", "init_images: expected a list of one picture.");
        return list[0].ValueKind == JsonValueKind.String ? Body.DataPicture("init_images", list[0].GetString()!, limits)
            : throw ApiException.Invalid("init_images", "init_images: expected base64 or a data URL.");
    }

    /// <summary>A mask, and what goes with it: the part around it alone is made, at the whole size, where the client says so.</summary>
    private Upload MaskOf(Fields sent, string mask, JsonObject fields, List<string> notes)
    {
        if (sent.Take("inpaint_full_res") is { Json.ValueKind: JsonValueKind.True })
            fields["mask_padding"] = sent.Take("inpaint_full_res_padding")?.Integer(0, 1024) ?? 32;
        if (sent.Take("inpainting_fill")?.Integer(0, 3) is not (null or 1))
            notes.Add("inpainting_fill is ignored: what is made anew begins with the picture below the mask.");
        return Body.DataPicture(Upload.Mask, mask, limits);
    }

    /// <summary>The prompt without its LoRA tags, and what they name; that is the convention of this API alone.</summary>
    private static (string Prompt, JsonArray Loras) WithoutLoras(string prompt)
    {
        var loras = new JsonArray();
        foreach (Match tag in Lora().Matches(prompt))
        {
            double scale = double.TryParse(tag.Groups[2].ValueSpan, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
                ? value : 1;
            loras.Add((JsonNode)new JsonObject { ["name"] = tag.Groups[1].Value, ["scale"] = scale });
        }
        return (Lora().Replace(prompt, "").Trim(), loras);
    }

    [GeneratedRegex(@"<lora:([^:<>]+)(?::([-0-9.]+))?>", RegexOptions.CultureInvariant)]
    private static partial Regex Lora();

    [GeneratedRegex(@"\s*\[[0-9a-f]+\]\s*$", RegexOptions.CultureInvariant)]
    private static partial Regex Hash();
}
