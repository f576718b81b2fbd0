using System.Text.Json;
using Attune.Imaging;
using Attune.Latents;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>Pictures of a case: bytes, [rows, columns, 3 or 4], masks [rows, columns].</summary>
internal static class CasePictures
{
    /// <summary>One of them.</summary>
    public static Image Of(GoldenCase golden, string name)
    {
        var shape = golden.InputShape(name);
        byte[] bytes = [.. golden.InputIntegers(name).Select(value => (byte)value)];
        if (shape.Rank == 2)
            return new Image(shape[1], shape[0], [.. bytes.SelectMany(value => Enumerable.Repeat(value, 3))]);
        return shape[2] == 3 ? new Image(shape[1], shape[0], bytes)
            : new Image(shape[1], shape[0], [.. bytes.Where((_, at) => at % 4 != 3)], [.. bytes.Where((_, at) => at % 4 == 3)]);
    }

    /// <summary>The numbered pictures image.0, image.1, ..., as many as there are.</summary>
    public static List<Image> All(GoldenCase golden)
    {
        var images = new List<Image>();
        while (golden.HasInput(Name(images.Count)))
            images.Add(Of(golden, Name(images.Count)));
        return images;

        static string Name(int index) => FormattableString.Invariant($"image.{index}");
    }
}

/// <summary>Pictures brought to another size by Pillow, to the byte.</summary>
internal sealed class PillowResizeCase : CaseKind
{
    public override string Kind => "component";

    public override IReadOnlyCollection<string> Arguments { get; } = ["resample", "sizes"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["image.i"];

    public override bool Takes(string? className) => className == "PIL.Image.resize";

    public override void Run(GoldenCase golden, Comparison results)
    {
        var filter = golden.Text("resample") switch
        {
            "bilinear" => ResizeFilter.Bilinear,
            "bicubic" => ResizeFilter.Bicubic,
            "lanczos" => ResizeFilter.Lanczos,
            var other => throw new UnsupportedCaseException($"resample {other}"),
        };
        var sizes = golden.Arguments.GetProperty("sizes");
        foreach (var (i, image) in CasePictures.All(golden).Index())
        {
            var (height, width) = (sizes[i][0].GetInt32(), sizes[i][1].GetInt32());
            void Check(string prefix, ResizeLibrary library)
            {
                byte[] bytes = new Resampling(library, filter).Resize(image, width, height).Rgb.ToArray();
                results.CheckIntegers(FormattableString.Invariant($"{prefix}image.{i}"), [.. bytes.Select(value => (long)value)]);
            }

            Check("", ResizeLibrary.Pillow);
            Check("older.", ResizeLibrary.Pillow12);
        }
    }
}

/// <summary>What pipelines do with pictures and masks before and after.</summary>
internal sealed class ImageProcessorCase : CaseKind
{
    private const string Flux2 = "Flux2ImageProcessor";

    public override string Kind => "component";

    public override IReadOnlyCollection<string> Arguments { get; } =
        ["method", "mask", "resize_mode", "height", "width", "vae_scale_factor", "blur_factor", "regions", "crop"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["image", "mask", "original", "generated"];

    public override bool Takes(string? className) => className is "VaeImageProcessor" or Flux2;

    public override void Run(GoldenCase golden, Comparison results)
    {
        switch (golden.Text("method"))
        {
            case "preprocess":
                Preprocess(golden, results);
                break;
            case "blur":
                results.Check("image", Values(CasePictures.Of(golden, "image").Blur(golden.OptionalDouble("blur_factor")!.Value)));
                break;
            case "get_crop_region":
                results.CheckIntegers("crops", [.. golden.Arguments.GetProperty("regions").EnumerateArray().SelectMany(Region)]);
                break;
            case "apply_overlay":
                Overlay(golden, results);
                break;
            case var other:
                throw new UnsupportedCaseException($"method {other}");
        }
    }

    private static void Preprocess(GoldenCase golden, Comparison results)
    {
        var image = CasePictures.Of(golden, "image");
        int multiple = golden.Int("vae_scale_factor", 8);
        var fit = (golden.Text("resize_mode"), golden.Class) switch
        {
            ("default", _) => ImageFit.Stretch,
            ("fill", not Flux2) => ImageFit.Fill,
            ("crop", not Flux2) => ImageFit.Cover,
            ("crop", Flux2) => ImageFit.Middle,
            var (other, _) => throw new UnsupportedCaseException($"resize_mode {other}"),
        };
        int height = golden.Int("height", image.Height / multiple * multiple);
        int width = golden.Int("width", image.Width / multiple * multiple);
        var fitted = image.Fit(width, height, fit);
        if (!golden.Flag("mask", missing: false))
        {
            results.Check("image", fitted.ToTensor(golden.Device).Affine(2, -1).Permute(0, 3, 1, 2));
            return;
        }
        var mask = Tensor.From(golden.Device, ImageMasks.Binary(fitted), [1, height, width, 1]);
        results.Check("mask", mask.Permute(0, 3, 1, 2));
        results.Check("latent_mask", LatentPatches.Nearest(mask, height / multiple, width / multiple).Permute(0, 3, 1, 2));
    }

    private static void Overlay(GoldenCase golden, Comparison results)
    {
        var (original, mask) = (CasePictures.Of(golden, "original"), CasePictures.Of(golden, "mask"));
        var crop = golden.Arguments.GetProperty("crop");
        int At(int index) => crop[index].GetInt32();
        var box = new PixelBox(At(0), At(1), At(2) - At(0), At(3) - At(1));
        var image = ImageMasks.Overlay(original, mask, CasePictures.Of(golden, "generated"), box);
        results.CheckIntegers("image", [.. image.Rgb.ToArray().Select(value => (long)value)]);
        var cropped = original.Crop(box.Left, box.Top, box.Width, box.Height)
            .Fit(golden.Int("width", 0), golden.Int("height", 0), ImageFit.Fill);
        results.Check("cropped", cropped.ToTensor(golden.Device).Affine(2, -1).Permute(0, 3, 1, 2));
    }

    /// <summary>Left, top, right and bottom of the part that a white box asks for.</summary>
    private static IEnumerable<long> Region(JsonElement region)
    {
        int Of(string key, int index) => region.GetProperty(key)[index].GetInt32();
        var (height, width) = (Of("mask", 0), Of("mask", 1));
        byte[] pixels = new byte[3 * height * width];
        for (int y = Of("box", 0); y < Of("box", 2); y++)
            pixels.AsSpan(3 * (y * width + Of("box", 1)), 3 * (Of("box", 3) - Of("box", 1))).Fill(255);
        var size = new PixelSize(region.GetProperty("height").GetInt32(), region.GetProperty("width").GetInt32());
        var box = ImageMasks.Around(new Image(width, height, pixels), size, region.GetProperty("pad").GetInt32());
        return [box.Left, box.Top, box.Left + box.Width, box.Top + box.Height];
    }

    /// <summary>Grey from 0 to 1.</summary>
    private static float[] Values(Image image) => [.. image.Rgb.ToArray().Where((_, i) => i % 3 == 0).Select(value => value / 255f)];
}
