using System.Numerics.Tensors;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// How far a picture of the emoji scenes is from the nearest one that their renderer could have drawn, in dB. For the outfit that a judge
/// names, every size, mirroring and place (by correlation) is tried on the picture's own background, and the mean square error is counted
/// over the sprite's area. No network decides but in naming the outfit, so that nothing can be trained against it. A second object counts
/// as error; of variety it says nothing.
/// </summary>
public sealed class NearestPicture : IDisposable
{
    /// <summary>The folder of sprites in the judge's.</summary>
    public const string SpritesFolder = "sprites";

    private const double Least = 1e-6;
    private const int Edge = 3;
    private const int Kept = 4;
    private static readonly string[] Named = ["face", "eyewear", "headwear"];

    private readonly Judge _judge;
    private readonly OutfitSprites _sprites;

    /// <summary>Transformed templates of the outfits that came last: one picture follows another of the same prompt.</summary>
    private readonly List<(string Outfit, List<Template> Templates)> _kept = [];

    private NearestPicture(Judge judge, OutfitSprites sprites) => (_judge, _sprites) = (judge, sprites);

    /// <summary>Loads the judge of a folder, and the sprites below it.</summary>
    /// <param name="folder">The judge's: its heads are face, eyewear and headwear, and perhaps others.</param>
    /// <param name="device">What computes the judge.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or the judge has no such heads.</exception>
    public static NearestPicture Load(string folder, Device device)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var sprites = OutfitSprites.Load(Path.Combine(folder, SpritesFolder));
        var judge = Judge.Load(folder, device);
        string[] heads = [.. judge.Heads.Select(head => head.Name)];
        if (judge.SampleSize == sprites.Side && Named.All(heads.Contains))
            return new NearestPicture(judge, sprites);
        judge.Dispose();
        throw new CheckpointException(
            $"'{folder}' is a judge of {judge.SampleSize} pixels for {string.Join(", ", heads)}; expected one of {sprites.Side} pixels for "
                + "face, eyewear and headwear, as its sprites are.");
    }

    /// <summary>The distance of a picture, with the outfit that the judge names.</summary>
    /// <param name="picture">As wide and high as the judge's.</param>
    /// <returns>dB, at most 60; true pictures as drawn have 27 to 28.</returns>
    /// <exception cref="ArgumentException">It has another size.</exception>
    public double Distance(Image picture)
    {
        var seen = _judge.Read([picture])[0];
        return Distance(picture, seen.Value("face"), seen.Value("eyewear"), seen.Value("headwear"));
    }

    /// <summary>The distance of a picture from one outfit.</summary>
    /// <param name="picture">As wide and high as the sprites are drawn.</param>
    /// <param name="face">Who it is.</param>
    /// <param name="eyewear">What it wears, or <c>none</c>.</param>
    /// <param name="headwear">What it wears, or <c>none</c>.</param>
    /// <returns>dB, at most 60.</returns>
    /// <exception cref="ArgumentException">The picture has another size, or there is no such outfit.</exception>
    public double Distance(Image picture, string face, string eyewear, string headwear)
    {
        ArgumentNullException.ThrowIfNull(picture);
        int side = _sprites.Side;
        if ((picture.Width, picture.Height) != (side, side))
            throw new ArgumentException(
                $"The picture has {picture.Width} x {picture.Height} pixels, expected {side} x {side}.", nameof(picture));
        var seen = new Plane[3];
        double energy = 0;
        double[] mean = new double[3];
        for (int c = 0; c < 3; c++)
        {
            seen[c] = WithoutGround(picture, c, out mean[c]);
            energy += TensorPrimitives.SumOfSquares<double>(seen[c].Real);
            FourierTransform.Forward(seen[c].Real, seen[c].Imaginary, side);
        }

        double best = double.PositiveInfinity;
        double[] real = new double[side * side], imaginary = new double[side * side];
        foreach (var template in TemplatesOf(face, eyewear, headwear))
        {
            // The outfit on the mean ground is colour - alpha mean, and so are its transforms. Their conjugates times the picture's are
            // the transform of the correlation at every shift.
            double power = 0;
            real.AsSpan().Clear();
            imaginary.AsSpan().Clear();
            for (int c = 0; c < 3; c++)
            {
                power += template.ColourPower[c] - 2 * mean[c] * template.ColourAlpha[c] + mean[c] * mean[c] * template.AlphaPower;
                var (a, b) = (seen[c], template.Colour[c]);
                for (int i = 0; i < real.Length; i++)
                {
                    double x = b.Real[i] - mean[c] * template.Alpha.Real[i], y = b.Imaginary[i] - mean[c] * template.Alpha.Imaginary[i];
                    real[i] += a.Real[i] * x + a.Imaginary[i] * y;
                    imaginary[i] += a.Imaginary[i] * x - a.Real[i] * y;
                }
            }
            FourierTransform.InverseUnscaled(real, imaginary, side);
            double cross = TensorPrimitives.Max<double>(real) / ((double)side * side);
            best = Math.Min(best, (energy + power - 2 * cross) / (3 * template.Area));
        }
        return -10 * Math.Log10(Math.Max(best, Least));
    }

    /// <inheritdoc/>
    public void Dispose() => _judge.Dispose();

    /// <summary>
    /// A channel without its background, which the renderer draws as a line over the rows: fitted to the medians of what is at the edges.
    /// </summary>
    private static Plane WithoutGround(Image picture, int channel, out double mean)
    {
        int side = picture.Width;
        double[] rows = new double[side], edge = new double[2 * Edge];
        var pixels = picture.Rgb;
        for (int y = 0; y < side; y++)
        {
            for (int i = 0; i < Edge; i++)
            {
                edge[i] = pixels[3 * (y * side + i) + channel];
                edge[Edge + i] = pixels[3 * (y * side + side - 1 - i) + channel];
            }
            Array.Sort(edge);
            rows[y] = (edge[Edge - 1] + edge[Edge]) / 2 / 255;
        }
        double middle = (side - 1) / 2.0, level = rows.Average(), slope = 0, spread = 0;
        for (int y = 0; y < side; y++)
        {
            slope += (y - middle) * (rows[y] - level);
            spread += (y - middle) * (y - middle);
        }
        slope /= spread;
        var plane = new Plane(side);
        for (int y = 0; y < side; y++)
        {
            double ground = level + slope * (y - middle);
            for (int x = 0; x < side; x++)
                plane.Real[y * side + x] = pixels[3 * (y * side + x) + channel] / 255.0 - ground;
        }
        mean = level;
        return plane;
    }

    private List<Template> TemplatesOf(string face, string eyewear, string headwear)
    {
        string outfit = $"{face}|{eyewear}|{headwear}";
        int at = _kept.FindIndex(one => one.Outfit == outfit);
        if (at < 0)
        {
            var made = _sprites.Draw(face, eyewear, headwear).Select(template => new Template(template, _sprites.Side)).ToList();
            _kept.Insert(0, (outfit, made));
            if (_kept.Count > Kept)
                _kept.RemoveAt(Kept);
            return made;
        }
        var found = _kept[at];
        _kept.RemoveAt(at);
        _kept.Insert(0, found);
        return found.Templates;
    }

    private readonly struct Plane(int side)
    {
        public double[] Real { get; } = new double[side * side];

        public double[] Imaginary { get; } = new double[side * side];

        public static Plane Of(float[] values, int side)
        {
            var plane = new Plane(side);
            TensorPrimitives.ConvertTruncating<float, double>(values, plane.Real);
            FourierTransform.Forward(plane.Real, plane.Imaginary, side);
            return plane;
        }
    }

    /// <summary>An outfit at one size: transforms, and the sums that the square of colour - alpha mean is made of.</summary>
    private sealed class Template
    {
        public Template(OutfitTemplate drawn, int side)
        {
            Colour = [.. drawn.Colour.Select(plane => Plane.Of(plane, side))];
            Alpha = Plane.Of(drawn.Alpha, side);
            ColourPower = [.. drawn.Colour.Select(plane => Dot(plane, plane))];
            ColourAlpha = [.. drawn.Colour.Select(plane => Dot(plane, drawn.Alpha))];
            AlphaPower = Dot(drawn.Alpha, drawn.Alpha);
            Area = drawn.Alpha.Sum(value => (double)value);
        }

        public Plane[] Colour { get; }

        public Plane Alpha { get; }

        public double[] ColourPower { get; }

        public double[] ColourAlpha { get; }

        public double AlphaPower { get; }

        public double Area { get; }

        private static double Dot(float[] x, float[] y) => x.Zip(y, (a, b) => (double)a * b).Sum();
    }
}
