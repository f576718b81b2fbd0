using System.Text.Json;
using Attune.Evaluation.Metrics;
using Attune.Imaging;

namespace Attune.Verification;

/// <summary>Pictures brought to another size, in integers or floats.</summary>
internal sealed class ImageResizeCase()
    : MetricCase("image-resize", ["library", "filter", "antialias", "align_corners", "dtype", "sizes", "exact"], "image.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        if (golden.Flag("align_corners", false))
            throw new UnsupportedCaseException("align_corners");
        var library = golden.Text("library") switch
        {
            "pillow" => ResizeLibrary.Pillow,
            "pillow-12" => ResizeLibrary.Pillow12,
            "torch" => ResizeLibrary.Torch,
            var other => throw new UnsupportedCaseException($"library {other}"),
        };
        var filter = golden.Text("filter") switch
        {
            "bilinear" => ResizeFilter.Bilinear,
            "bicubic" => ResizeFilter.Bicubic,
            "lanczos" => ResizeFilter.Lanczos,
            var other => throw new UnsupportedCaseException($"filter {other}"),
        };
        var resampling = new Resampling(library, filter, golden.Flag("antialias", true));
        bool floats = golden.Text("dtype") == "float32";
        int[][] sizes = [.. golden.Arguments.GetProperty("sizes").EnumerateArray()
            .Select(size => size.EnumerateArray().Select(side => side.GetInt32()).ToArray())];
        var images = Pictures(golden, "image");
        results.Require(images.Length == sizes.Length, "there are not as many sizes as pictures");
        for (int i = 0; i < images.Length; i++)
        {
            var (image, height, width) = (images[i], sizes[i][0], sizes[i][1]);
            if (floats)
            {
                float[] pixels = [.. image.Rgb.ToArray().Select(value => (float)value)];
                results.Check(Numbered("image", i), Planes(resampling.Resize(pixels, image.Width, image.Height, width, height)));
            }
            else
            {
                float[] pixels = [.. resampling.Resize(image, width, height).Rgb.ToArray().Select(value => (float)value)];
                results.CheckIntegers(Numbered("image", i), [.. Planes(pixels).Select(value => (long)value)]);
            }
        }
    }
}

/// <summary>Pictures as networks read them.</summary>
internal sealed class ImagePreparationCase()
    : MetricCase(
        "image-preparation", ["preparation", "size", "crop_size", "mean", "std", "shift", "scale", "rows", "repeat"], "image.i")
{
    public override void Run(GoldenCase golden, Comparison results)
    {
        var preparation = PreparationOf(golden);
        int size = golden.Int("size", 0);
        if (golden.Int("crop_size", size) != size)
            throw new UnsupportedCaseException("crop_size that is not size");
        var means = new List<float>();
        var images = Pictures(golden, "image");
        for (int i = 0; i < images.Length; i++)
        {
            var image = images[i];
            if (golden.Arguments.TryGetProperty("repeat", out var repeat) && repeat.TryGetProperty(Numbered("image", i), out var times))
            {
                image = Repeat(
                    image, times[0].GetInt32(), times[1].GetInt32(), repeat.GetProperty("crop")[0].GetInt32(),
                    repeat.GetProperty("crop")[1].GetInt32());
            }
            var prepared = preparation.Apply(image, size, golden.Device);
            var (height, width) = (prepared.Shape[1], prepared.Shape[2]);
            float[] planes = Planes(prepared.ToArray());
            means.AddRange(planes.Chunk(height * width).Select(plane => (float)plane.Average(value => (double)value)));
            int[] rows = golden.Arguments.TryGetProperty("rows", out var listed)
                ? [.. listed.EnumerateArray().Select(row => row.GetInt32())] : [.. Enumerable.Range(0, height)];
            var stored = from channel in Enumerable.Range(0, 3) from row in rows
                select planes.AsMemory((channel * height + row) * width, width);
            results.Check(Numbered("pixel_values", i), [.. stored.SelectMany(row => row.ToArray())]);
        }
        results.Check("mean", [.. means]);
    }

    /// <summary>The preparation of the case, with the means and deviations that it states.</summary>
    private static Preparation PreparationOf(GoldenCase golden)
    {
        string name = golden.Text("preparation");
        var preparation = Preparation.All.FirstOrDefault(one => one.Name == name)
            ?? throw new UnsupportedCaseException($"preparation {name}");
        return golden.Arguments.TryGetProperty("mean", out var mean)
            ? preparation.With(Numbers(mean), Numbers(golden.Arguments.GetProperty("std"))) : preparation;
    }

    private static double[] Numbers(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetDouble())];
}
