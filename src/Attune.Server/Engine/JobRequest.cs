using System.Globalization;
using System.Text;
using System.Text.Json;
using Attune.Generation;
using Attune.Imaging;

namespace Attune.Server.Engine;

/// <summary>What a client asks for: pictures of one description, with seeds that follow one another.</summary>
/// <param name="Variant">The model, with LoRA files.</param>
/// <param name="Request">What the first picture is; those behind it have the seeds behind its seed. Sent pictures are not in it.</param>
/// <param name="Count">How many pictures.</param>
internal sealed record JobRequest(ModelVariant Variant, GenerationRequest Request, int Count)
{
    public ModelInfo Model => Variant.Model;

    /// <summary>The picture to begin with; null for none.</summary>
    public Upload? Initial { get; init; }

    /// <summary>Which part of that picture is made anew; null for all of it.</summary>
    public Upload? Mask { get; init; }

    /// <summary>Whether black, and not white, says so.</summary>
    public bool MaskIsInverted { get; init; }

    /// <summary>Pictures that the model looks at.</summary>
    public IReadOnlyList<Upload> References { get; init; } = [];

    /// <summary>How many pictures of steps are wanted of each picture, spread over them.</summary>
    public int Partials { get; init; }

    /// <summary>Whether pictures of all steps are wanted.</summary>
    public bool Previews { get; init; }

    /// <summary>Whether it is recorded where guidance acts.</summary>
    public bool Trace { get; init; }

    /// <summary>Whether it came by the API of AUTOMATIC1111's web UI, whose clients interrupt what they began.</summary>
    public bool IsOfSd { get; init; }

    /// <summary>In which format pictures are sent.</summary>
    public PictureFormat Format { get; init; } = PictureFormat.Png;

    /// <summary>Fields that were given and have no effect.</summary>
    public IReadOnlyList<string> Ignored { get; init; } = [];

    /// <summary>The seed of one of the pictures.</summary>
    public ulong SeedOf(int index) => unchecked(Request.Seed + (ulong)index);

    /// <summary>The request of one of the pictures, whose sent pictures are decoded.</summary>
    public GenerationRequest RequestOf(int index) => Request with
    {
        Seed = SeedOf(index),
        Images = Request.Images with
        {
            Initial = Initial?.Decode(),
            Mask = WhiteMask(),
            References = [.. References.Select(upload => upload.Decode())],
        },
    };

    /// <summary>The mask, decoded: white where the picture is made anew, without alpha; null for none.</summary>
    public Image? WhiteMask() => Mask == null ? null : White(Mask.Decode());

    /// <summary>
    /// A mask that is white where the picture is made anew. OpenAI's masks are transparent there; AUTOMATIC1111 takes alpha for white.
    /// </summary>
    private Image White(Image mask)
    {
        byte[] pixels = mask.Rgb.ToArray();
        for (int i = 0; i < pixels.Length; i++)
        {
            int white = mask.Alpha.IsEmpty ? pixels[i] : IsOfSd ? mask.Alpha[i / 3] : 255 - mask.Alpha[i / 3];
            pixels[i] = (byte)(MaskIsInverted ? 255 - white : white);
        }
        return new Image(mask.Width, mask.Height, pixels);
    }

    /// <summary>
    /// Whether a picture is wanted of a step: of P pictures of N steps, the k-th is that of step k N / (P + 1), rounded. The last step's
    /// is the result itself.
    /// </summary>
    /// <param name="step">Counted from 1.</param>
    /// <param name="steps">How many there are.</param>
    public bool Wants(int step, int steps)
    {
        if (step >= steps)
            return false;
        return Previews || Enumerable.Range(1, Partials).Any(k => (int)Math.Round((double)k * steps / (Partials + 1)) == step);
    }

    /// <summary>How many steps a picture has, as far as it can be known before the model is asked.</summary>
    public int ExpectedSteps => Request.Timesteps?.Count ?? Request.Sigmas?.Count ?? Request.Steps ?? Model.Facts.DefaultSteps;

    /// <summary>The size, as far as it can be known before the model is asked.</summary>
    public string ExpectedSize => string.Create(
        CultureInfo.InvariantCulture, $"{Request.Width ?? Model.DefaultWidth}x{Request.Height ?? Model.DefaultHeight}");

    /// <summary>What is asked of the model, as pictures state it.</summary>
    public string Describe()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            OptionCatalog.Write(json, Request);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
