using Attune.Imaging;

namespace Attune.Extensions.AI;

/// <summary>The files that pictures are made into.</summary>
/// <param name="MediaType">What they are.</param>
/// <param name="Writer">Writes them; null for PNG, which takes videos too.</param>
internal sealed record PictureFile(string MediaType, IImageWriter? Writer)
{
    public const string PngType = "image/png";

    public string Extension => Writer?.Extensions[0] ?? ".png";

    /// <summary>The form of a media type, as the formats are that are written (<see cref="ImageFormats.Writers"/>).</summary>
    /// <exception cref="ArgumentException">None is written as that.</exception>
    public static PictureFile Of(string? mediaType, bool isVideo)
    {
        if (mediaType == null || TypeIs(mediaType, PngType))
            return new PictureFile(PngType, null);
        var writer = ImageFormats.Writers.FirstOrDefault(writer => TypeIs(mediaType, TypeOf(writer)));
        return writer != null && !isVideo ? new PictureFile(TypeOf(writer), writer)
            : throw new ArgumentException(
                $"MediaType is '{mediaType}', expected "
                    + (isVideo ? $"{PngType}: the model makes videos, which are animated PNG files."
                        : ImageFormats.InWords(ImageFormats.Writers.Select(TypeOf)) + "."));
    }

    public byte[] Encode(Frames frames, KeyValuePair<string, string>[] texts)
    {
        if (Writer == null)
            return Png(frames, texts);
        var stream = new MemoryStream();
        Writer.Write(frames[0], stream, texts);
        return stream.ToArray();
    }

    public static byte[] Png(Frames frames, KeyValuePair<string, string>[] texts)
    {
        var stream = new MemoryStream();
        Imaging.Png.WriteAnimation(frames, frames.Rate ?? 1, stream, texts);
        return stream.ToArray();
    }

    private static string TypeOf(IImageWriter writer) => $"image/{writer.Name.ToLowerInvariant()}";

    private static bool TypeIs(string type, string other) => type.Equals(other, StringComparison.OrdinalIgnoreCase);
}
