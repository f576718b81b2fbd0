using System.Globalization;
using Attune.Imaging;

namespace Attune.Verification;

/// <summary>One class of cases of kind metric.</summary>
/// <param name="className">The <c>class</c>.</param>
/// <param name="arguments">What it understands.</param>
/// <param name="inputs">The inputs that it understands.</param>
internal abstract class MetricCase(string className, string[] arguments, params string[] inputs) : CaseKind
{
    /// <summary>What would come out by mistakes, the notes of who made the case.</summary>
    private static readonly string[] Informative =
    [
        "reference", "reference_float32", "wrong_readings_change_by", "clamped_per_pair_it_would_be", "normalised_it_would_be",
    ];

    public override string Kind => "metric";

    public override IReadOnlyCollection<string> Arguments { get; } = [.. arguments, .. Informative];

    protected override IReadOnlyCollection<string> Inputs { get; } = inputs;

    public override bool Takes(string? name) => name == className;

    /// <summary>A picture, uint8 [3, height, width].</summary>
    protected static Image Picture(GoldenCase golden, string name)
    {
        var shape = golden.InputShape(name);
        return FromPlanes(golden.InputIntegers(name), shape[2], shape[1]);
    }

    /// <summary>The numbered pictures NAME.0, NAME.1, ..., as many as there are.</summary>
    protected static Image[] Pictures(GoldenCase golden, string name)
    {
        var result = new List<Image>();
        while (golden.HasInput(Numbered(name, result.Count)))
            result.Add(Picture(golden, Numbered(name, result.Count)));
        return [.. result];
    }

    protected static string Numbered(string name, int index) => string.Create(CultureInfo.InvariantCulture, $"{name}.{index}");

    /// <summary>Every row and column several times, and of that the top left.</summary>
    protected static Image Repeat(Image image, int rows, int columns, int height, int width)
    {
        var pixels = new byte[3 * width * height];
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
                image.Rgb.Slice(3 * (y / rows * image.Width + x / columns), 3).CopyTo(pixels.AsSpan(3 * (y * width + x)));
        }
        return new Image(width, height, pixels);
    }

    protected static float[] Planes(ReadOnlySpan<float> pixels)
    {
        var result = new float[pixels.Length];
        int area = pixels.Length / 3;
        for (int i = 0; i < pixels.Length; i++)
            result[i % 3 * area + i / 3] = pixels[i];
        return result;
    }

    /// <summary>Rows of features.</summary>
    protected static float[][] Rows(GoldenCase golden, string name)
    {
        var shape = golden.InputShape(name);
        return [.. golden.Input(name).ToArray().Chunk(shape[1])];
    }

    private static Image FromPlanes(long[] planes, int width, int height)
    {
        var pixels = new byte[planes.Length];
        int area = width * height;
        for (int i = 0; i < pixels.Length; i++)
            pixels[i] = (byte)planes[i % 3 * area + i / 3];
        return new Image(width, height, pixels);
    }
}
