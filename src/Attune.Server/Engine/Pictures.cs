using Attune.Imaging;
using Attune.Media.Skia;
using Attune.Server.Requests;

namespace Attune.Server.Engine;

/// <summary>A picture that was made.</summary>
/// <param name="Id">Its name, which nobody guesses.</param>
/// <param name="Index">Which of its job it is, counted from 0.</param>
/// <param name="Seed">Of its noise.</param>
/// <param name="Width">In pixels.</param>
/// <param name="Height">In pixels.</param>
/// <param name="Bytes">The file.</param>
/// <param name="Format">Of the file.</param>
/// <param name="Parameters">What made it, as JSON: the text that a PNG carries.</param>
internal sealed record Picture(
    string Id, int Index, ulong Seed, int Width, int Height, byte[] Bytes, PictureFormat Format, string Parameters)
{
    /// <summary>How many rows of the text the model read.</summary>
    public int TextRows { get; init; }

    /// <summary>Where guidance acted; null where that was not asked for.</summary>
    public PictureTrace? Trace { get; init; }

    /// <summary>Pictures that the model was given.</summary>
    public int Inputs { get; init; }

    public PictureTimes Seconds { get; init; } = new(0, 0, 0, 0);
}

/// <summary>How long the parts of a picture took, in seconds.</summary>
internal sealed record PictureTimes(double Queue, double Encode, double Denoise, double Decode);

/// <summary>A format of pictures that are sent.</summary>
/// <param name="Name">As requests have it.</param>
/// <param name="Quality">1 to 100, where there is one.</param>
internal sealed record PictureFormat(string Name, int Quality = 95)
{
    public static PictureFormat Png { get; } = new("png");

    public string MediaType => "image/" + Name;

    /// <summary>The file of a picture, or of a video, which is an animated PNG.</summary>
    public byte[] Encode(Frames frames, KeyValuePair<string, string>[] texts)
    {
        var stream = new MemoryStream();
        if (Name == "png")
            Attune.Imaging.Png.WriteAnimation(frames, frames.Rate ?? 1, stream, texts);
        else
            SkiaFormats.Writers(Quality).Single(writer => writer.Name.Equals(Name, StringComparison.OrdinalIgnoreCase))
                .Write(frames[0], stream, texts);
        return stream.ToArray();
    }
}

/// <summary>A picture that a client sent, whose size is known and whose pixels are not decoded.</summary>
/// <param name="Field">The field that it came in.</param>
/// <param name="Bytes">The file.</param>
internal sealed record Upload(string Field, byte[] Bytes)
{
    /// <summary>The field of masks.</summary>
    public const string Mask = "mask";

    /// <summary>Whether it says which part of another picture is made anew.</summary>
    public bool IsMask => Field == Mask;

    /// <summary>A picture that was sent, if it is one and not too large.</summary>
    /// <exception cref="ApiException">It is none, too large, or has more than one frame.</exception>
    public static Upload Of(string field, byte[] bytes, ServerLimits limits)
    {
        ImageHead head;
        try
        {
            head = Image.ReadHead(bytes, field);
        }
        catch (ImageException exception)
        {
            throw ApiException.Invalid(field, exception.Message, cause: exception);
        }
        if ((long)head.Width * head.Height > limits.UploadPixels)
        {
            throw ApiException.Invalid(
                field,
                FormattableString.Invariant($"{field} has {head.Width} x {head.Height} pixels, expected {limits.UploadPixels} at most."));
        }
        if (head.Frames > 1)
            throw ApiException.Invalid(field, FormattableString.Invariant($"{field} has {head.Frames} frames, expected a single picture."));
        return new Upload(field, bytes);
    }

    /// <summary>The pixels.</summary>
    /// <exception cref="ApiException">The file is damaged.</exception>
    public Image Decode()
    {
        try
        {
            return Image.Read(Bytes, Field);
        }
        catch (ImageException exception)
        {
            throw ApiException.Invalid(Field, exception.Message, cause: exception);
        }
    }
}
