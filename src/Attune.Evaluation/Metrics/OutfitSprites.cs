using Attune.Imaging;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// The renderer of the emoji scenes, as far as one outfit goes: a face and what it wears, in every size. A folder with <c>scenes.json</c>
/// and the sprites, written by tools/scenes.
/// </summary>
internal sealed class OutfitSprites
{
    /// <summary>What stands for nothing worn.</summary>
    public const string None = "none";

    /// <summary>Transparent pixels around a sprite, so that edges are resampled with what is beyond them.</summary>
    private const int Pad = 32;

    /// <summary>Where the box around an outfit begins, as a part of the frame.</summary>
    private const double Corner = 0.01;

    private static readonly Resampling Bicubic = new(ResizeLibrary.Pillow12, ResizeFilter.Bicubic);

    private readonly Dictionary<(string Name, bool Mirrored), Image> _sprites = [];
    private readonly Dictionary<string, Face> _faces = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Hat> _hats = new(StringComparer.Ordinal);
    private readonly double[] _scales;
    private readonly double _fit;

    private OutfitSprites(string folder)
    {
        string file = Path.Combine(folder, "scenes.json");
        var json = JsonPart.ParseStrict(file, File.ReadAllText(file)).Object();
        Side = (int)json.Needed("size", "pixels of a side").Integer(8, 4096);
        _fit = json.Needed("fit", "a part of the frame").Number();
        _scales = [.. json.Needed("scales", "a list").Items().Select(item => item.Number())];
        foreach (var (name, sprite) in json.Needed("sprites", "files by name").Members())
        {
            var image = Image.Load(Path.Combine(folder, Path.GetFileName(sprite.String())));
            _sprites[(name, false)] = Padded(image, mirrored: false);
            _sprites[(name, true)] = Padded(image, mirrored: true);
        }
        foreach (var (name, face) in json.Needed("faces", "faces by name").Members())
        {
            double Number(string key) => face.Needed(key, "a part of the sprite").Number();
            _faces.Add(name, new Face(Number("eyes"), Number("eyewear_width"), Number("hat_base"), Number("hat_width")));
            face.RequireAllAsked();
        }
        foreach (var (name, hat) in json.Needed("hats", "hats by name").Members())
        {
            _hats.Add(name, new Hat(hat.Needed("width", "a factor").Number(), hat.Needed("pivot", "a part of the sprite").Number()));
            hat.RequireAllAsked();
        }
        json.RequireAllAsked();
    }

    /// <summary>The side of a picture in pixels.</summary>
    public int Side { get; }

    /// <summary>Reads the folder.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed.</exception>
    public static OutfitSprites Load(string folder)
    {
        try
        {
            return new OutfitSprites(folder);
        }
        catch (Exception exception) when (exception is FormatException or ImageException or IOException or KeyNotFoundException)
        {
            throw new CheckpointException($"'{folder}': {exception.Message}", exception);
        }
    }

    /// <summary>The outfit at every size that fits into the frame, plain and mirrored.</summary>
    /// <exception cref="ArgumentException">There is no such face, eyewear or headwear.</exception>
    public IEnumerable<OutfitTemplate> Draw(string face, string eyewear, string headwear)
    {
        var parts = Layout(face, eyewear, headwear);
        double left = parts.Min(part => part.Left), top = parts.Min(part => part.Top);
        double extent = Math.Max(
            parts.Max(part => part.Left + part.Width) - left, parts.Max(part => part.Top + part.Height) - top);
        foreach (double scale in _scales)
        {
            if (extent * scale > _fit)
                continue;
            foreach (bool mirrored in new[] { false, true })
            {
                // Alpha is what black and white behind it tell apart.
                byte[] black = new byte[3 * Side * Side], white = new byte[black.Length];
                white.AsSpan().Fill(255);
                foreach (var part in parts)
                {
                    double at = Corner + scale * (part.Left - left);
                    if (mirrored)
                        at = 1 - at - scale * part.Width;
                    double x = at * Side, y = (Corner + scale * (part.Top - top)) * Side;
                    Paste(black, white, _sprites[(part.Name, mirrored)], x, y, scale * part.Width * Side, scale * part.Height * Side);
                }
                yield return OutfitTemplate.Of(black, white, Side);
            }
        }
    }

    /// <summary>Parts in drawing order, in units of the face's longer side; the face's left top corner is 0, 0.</summary>
    private List<Part> Layout(string face, string eyewear, string headwear)
    {
        if (!_faces.TryGetValue(face, out var anchor))
            throw new ArgumentException($"There is no face '{face}'.", nameof(face));
        var (sprite, parts) = (SizeOf(face), new List<Part>());
        double unit = Math.Max(sprite.Width, sprite.Height);
        double width = sprite.Width / unit, height = sprite.Height / unit;
        parts.Add(new Part(face, 0, 0, width, height));
        void Add(string name, double partWidth, double y, double pivot)
        {
            var size = SizeOf(name);
            double partHeight = partWidth * size.Height / size.Width;
            parts.Add(new Part(name, width / 2 - partWidth / 2, y - pivot * partHeight, partWidth, partHeight));
        }

        if (eyewear != None)
            Add(eyewear, anchor.EyewearWidth * width, anchor.Eyes * height, 0.5);
        if (headwear != None)
        {
            var hat = _hats.TryGetValue(headwear, out var known) ? known
                : throw new ArgumentException($"There is no headwear '{headwear}'.", nameof(headwear));
            Add(headwear, hat.Width * anchor.HatWidth * width, anchor.HatBase * height, hat.Pivot);
        }
        return parts;
    }

    private (int Width, int Height) SizeOf(string name) => _sprites.TryGetValue((name, false), out var padded)
        ? (padded.Width - 2 * Pad, padded.Height - 2 * Pad) : throw new ArgumentException($"There is no sprite of '{name}'.", nameof(name));

    /// <summary>
    /// Draws a sprite into a box whose corners need not lie on pixels: whole pixels are resampled from the sprite and its transparent
    /// border.
    /// </summary>
    private void Paste(byte[] black, byte[] white, Image padded, double left, double top, double width, double height)
    {
        int x0 = (int)Math.Floor(left), y0 = (int)Math.Floor(top);
        int x1 = (int)Math.Ceiling(left + width), y1 = (int)Math.Ceiling(top + height);
        double kx = (padded.Width - 2 * Pad) / width, ky = (padded.Height - 2 * Pad) / height;
        var small = Bicubic.Resize(
            padded, x1 - x0, y1 - y0,
            ((float)((x0 - left) * kx + Pad), (float)((y0 - top) * ky + Pad), (float)((x1 - left) * kx + Pad),
                (float)((y1 - top) * ky + Pad)));
        for (int y = Math.Max(y0, 0); y < Math.Min(y1, Side); y++)
        {
            for (int x = Math.Max(x0, 0); x < Math.Min(x1, Side); x++)
            {
                int source = (y - y0) * small.Width + x - x0, target = 3 * (y * Side + x);
                int alpha = small.Alpha.IsEmpty ? 255 : small.Alpha[source];
                for (int c = 0; c < 3; c++)
                {
                    int colour = small.Rgb[3 * source + c] * alpha;
                    black[target + c] = Image.DividedBy255(colour + black[target + c] * (255 - alpha));
                    white[target + c] = Image.DividedBy255(colour + white[target + c] * (255 - alpha));
                }
            }
        }
    }

    private static Image Padded(Image sprite, bool mirrored)
    {
        int width = sprite.Width + 2 * Pad, height = sprite.Height + 2 * Pad;
        byte[] pixels = new byte[3 * width * height], alpha = new byte[width * height];
        for (int y = 0; y < sprite.Height; y++)
        {
            for (int x = 0; x < sprite.Width; x++)
            {
                int source = y * sprite.Width + (mirrored ? sprite.Width - 1 - x : x), target = (y + Pad) * width + x + Pad;
                sprite.Rgb.Slice(3 * source, 3).CopyTo(pixels.AsSpan(3 * target));
                alpha[target] = sprite.Alpha.IsEmpty ? (byte)255 : sprite.Alpha[source];
            }
        }
        return new Image(width, height, pixels, alpha);
    }

    private readonly record struct Face(double Eyes, double EyewearWidth, double HatBase, double HatWidth);

    private readonly record struct Hat(double Width, double Pivot);

    private readonly record struct Part(string Name, double Left, double Top, double Width, double Height);
}

/// <summary>An outfit in the corner of an empty frame.</summary>
/// <param name="Colour">Three planes [side, side], 0 to 1, multiplied by alpha.</param>
/// <param name="Alpha">[side, side], 0 to 1.</param>
internal sealed record OutfitTemplate(float[][] Colour, float[] Alpha)
{
    /// <summary>From the outfit on black and on white, [side, side, 3].</summary>
    public static OutfitTemplate Of(byte[] black, byte[] white, int side)
    {
        float[][] colour = [new float[side * side], new float[side * side], new float[side * side]];
        float[] alpha = new float[side * side];
        for (int i = 0; i < alpha.Length; i++)
        {
            float difference = 0;
            for (int c = 0; c < 3; c++)
            {
                colour[c][i] = black[3 * i + c] / 255f;
                difference += white[3 * i + c] / 255f - colour[c][i];
            }
            alpha[i] = 1 - difference / 3;
        }
        return new OutfitTemplate(colour, alpha);
    }
}
