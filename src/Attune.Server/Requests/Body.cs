using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Unicode;
using Attune.Server.Engine;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Attune.Server.Requests;

/// <summary>Reads bodies of requests, within bounds.</summary>
internal static class Body
{
    private const int MostParts = 64;

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 16 };

    /// <summary>A body that is a JSON object.</summary>
    /// <param name="context">The request.</param>
    /// <param name="most">How many bytes it may have.</param>
    /// <exception cref="ApiException">It is none.</exception>
    public static async Task<Fields> ReadJsonAsync(HttpContext context, long most)
    {
        if (context.Request.ContentLength > most)
            throw TooLarge(most);
        if (!context.Request.HasJsonContentType())
            throw WrongType(context, "application/json");
        return Fields.Of(Parse(await ReadBytesAsync(context, most).ConfigureAwait(false)));
    }

    /// <summary>JSON whose texts are texts: the parser takes bytes that are no UTF-8, and halves of surrogate pairs.</summary>
    /// <exception cref="ApiException">It is none.</exception>
    public static JsonElement Parse(byte[] body)
    {
        try
        {
            if (!Utf8.IsValid(body))
                throw new JsonException("it is no UTF-8.");
            using var document = JsonDocument.Parse(body, Strict);
            var root = document.RootElement.Clone();
            RequireTexts(root);
            return root;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw ApiException.Invalid(null, $"The body is no JSON: {exception.Message}", "invalid_json", exception);
        }
    }

    private static void RequireTexts(JsonElement json)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.String when JsonMarshal.GetRawUtf8Value(json).Contains((byte)'\\'):
                _ = json.GetString();
                break;
            case JsonValueKind.Array:
                foreach (var item in json.EnumerateArray())
                    RequireTexts(item);
                break;
            case JsonValueKind.Object:
                foreach (var member in json.EnumerateObject())
                {
                    _ = member.Name;
                    RequireTexts(member.Value);
                }
                break;
        }
    }

    /// <summary>A body as it is.</summary>
    /// <exception cref="ApiException">It is too large.</exception>
    public static async Task<byte[]> ReadBytesAsync(HttpContext context, long most)
    {
        RequireSize(context, most);
        var bytes = new MemoryStream((int)Math.Min(context.Request.ContentLength ?? 0, most));
        await context.Request.Body.CopyToAsync(bytes, context.RequestAborted).ConfigureAwait(false);
        return bytes.ToArray();
    }

    /// <summary>A body that is a form with files, or JSON with pictures as data.</summary>
    /// <param name="context">The request.</param>
    /// <param name="limits">The bounds.</param>
    /// <returns>The fields, and the pictures of <c>image</c>, <c>image[]</c> or <c>images</c>, and of <c>mask</c>.</returns>
    /// <exception cref="ApiException">It is neither, or a file is no picture or too large.</exception>
    public static async Task<(Fields Fields, IReadOnlyList<Upload> Pictures)> ReadWithPicturesAsync(
        HttpContext context, ServerLimits limits)
    {
        if (!context.Request.HasFormContentType)
        {
            if (!context.Request.HasJsonContentType())
                throw WrongType(context, "multipart/form-data or application/json");
            var fields = await ReadJsonAsync(context, limits.UploadBytes).ConfigureAwait(false);
            return (fields, DataPictures(fields, limits));
        }
        RequireSize(context, limits.UploadBytes);
        IFormCollection form;
        try
        {
            // Nothing of it goes to a file.
            var options = new FormOptions
            {
                ValueCountLimit = MostParts, MultipartBodyLengthLimit = limits.UploadBytes, BufferBody = false,
                MemoryBufferThreshold = (int)Math.Min(limits.UploadBytes, int.MaxValue), ValueLengthLimit = 1 << 20,
            };
            context.Features.Set<IFormFeature>(new FormFeature(context.Request, options));
            form = await context.Request.ReadFormAsync(context.RequestAborted).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is InvalidDataException or InvalidOperationException or IOException
            && exception is not BadHttpRequestException)
        {
            throw ApiException.Invalid(null, $"The form cannot be read: {exception.Message}", "invalid_form", exception);
        }
        var pictures = new List<Upload>();
        if (form.Files.Count > limits.Uploads)
        {
            throw ApiException.Invalid(
                "image", FormattableString.Invariant($"{form.Files.Count} files, expected {limits.Uploads} at most."));
        }
        foreach (var file in form.Files)
        {
            string name = file.Name is "image[]" ? "image" : file.Name;
            if (name is not ("image" or Upload.Mask) || (name == Upload.Mask && pictures.Any(picture => picture.IsMask)))
                throw ApiException.Invalid(file.Name, $"{file.Name}: this file is not taken.", "unsupported_parameter");
            var bytes = new byte[file.Length];
            using var stream = file.OpenReadStream();
            await stream.ReadExactlyAsync(bytes, context.RequestAborted).ConfigureAwait(false);
            pictures.Add(Upload.Of(name, bytes, limits));
        }
        return (Fields.Of(form.SelectMany(pair => pair.Value.Select(text => KeyValuePair.Create(pair.Key, text ?? "")))), pictures);
    }

    /// <summary>A picture as a data URL, or base64 alone. No other address is followed.</summary>
    public static Upload DataPicture(string name, string text, ServerLimits limits)
    {
        if (text.StartsWith("data:", StringComparison.OrdinalIgnoreCase))
        {
            int comma = text.IndexOf(',', StringComparison.Ordinal);
            if (comma < 0 || !text[..comma].EndsWith(";base64", StringComparison.OrdinalIgnoreCase))
                throw ApiException.Invalid(name, $"{name} is a data URL without base64.");
            text = text[(comma + 1)..];
        }
        else if (text.Contains("://", StringComparison.Ordinal))
        {
            throw ApiException.Invalid(name, $"{name} is an address; the server fetches nothing: send a data URL.", "unsupported_value");
        }
        var bytes = new byte[(text.Length / 4 * 3) + 3];
        return Convert.TryFromBase64String(text, bytes, out int length) ? Upload.Of(name, bytes[..length], limits)
            : throw ApiException.Invalid(name, $"{name} is no base64.");
    }

    /// <summary>
    /// The pictures of the field <c>images</c>: <c>[{"image_url": "data:..."}]</c>, and that of <c>mask</c>, one such object.
    /// </summary>
    public static IReadOnlyList<Upload> DataPictures(Fields fields, ServerLimits limits)
    {
        List<Upload> masks = fields.Take(Upload.Mask) is { } mask ? [DataPicture(Upload.Mask, mask.Json, limits)] : [];
        if (fields.Take("images") is not { } field)
            return masks;
        if (field.Form != null || field.Json.ValueKind != JsonValueKind.Array || field.Json.GetArrayLength() > limits.Uploads)
        {
            throw ApiException.Invalid(
                "images", FormattableString.Invariant($"images: expected a list of {limits.Uploads} pictures at most, each as ")
                    + "{\"image_url\": \"data:...\"}.");
        }
        var pictures = new List<Upload>();
        foreach (var item in field.Json.EnumerateArray())
            pictures.Add(DataPicture("images", item, limits));
        return [.. pictures, .. masks];
    }

    private static Upload DataPicture(string name, JsonElement json, ServerLimits limits)
    {
        if (json.ValueKind != JsonValueKind.Object)
            throw ApiException.Invalid(name, $"{name}: expected {{\"image_url\": \"data:...\"}}.");
        var picture = Fields.Of(json);
        if (picture.Has("file_id"))
            throw ApiException.Invalid(name, $"{name}: file_id is not taken; send a data URL.", "unsupported_value");
        string url = picture.Take("image_url")?.Text()
            ?? throw ApiException.Invalid(name, $"{name}: an item has no image_url.", "missing_required_parameter");
        picture.RefuseRest(["image_url"]);
        return DataPicture(name, url, limits);
    }

    private static void RequireSize(HttpContext context, long most)
    {
        // A body of a known length is refused here, and what was sent of it is read to its end, so that its client reads the answer.
        if (context.Request.ContentLength > most)
            throw TooLarge(most);
        if (context.Request.ContentLength == null && context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = most;
    }

    public static ApiException TooLarge(long? most) => ApiException.Refused(
        StatusCodes.Status413PayloadTooLarge, "request_too_large",
        most == null ? "The body is too large." : FormattableString.Invariant($"The body is larger than {most} bytes."));

    private static ApiException WrongType(HttpContext context, string expected) => ApiException.Refused(
        StatusCodes.Status415UnsupportedMediaType, "unsupported_media_type",
        $"The Content-Type is {(context.Request.ContentType is { Length: > 0 } type ? type[..Math.Min(type.Length, 60)] : "missing")}, "
            + $"expected {expected}.");
}
