using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Evaluation.Metrics;

/// <summary>Where the middle of a picture begins.</summary>
internal enum CropStart
{
    /// <summary>Half of what is left over, rounded down: transformers.</summary>
    Down,

    /// <summary>Half of what is left over, halves to the even number: torchvision and open_clip.</summary>
    HalfToEven,
}

/// <summary>What becomes of values after resizing.</summary>
/// <param name="Offset">Subtracted from each channel of values 0..255.</param>
/// <param name="Divisor">Then each channel is divided by this.</param>
internal readonly record struct ValueScale(double[] Offset, double[] Divisor)
{
    public static ValueScale Of(double offset, double divisor) => new([offset, offset, offset], [divisor, divisor, divisor]);

    /// <summary>Mean and deviation of values 0..1.</summary>
    public static ValueScale Normal(double[] mean, double[] deviation) =>
        new(Array.ConvertAll(mean, value => 255 * value), Array.ConvertAll(deviation, value => 255 * value));
}

/// <summary>
/// How a picture becomes what a network reads, as one package does it. Equal pictures and equal weights give different published numbers by
/// this alone, so that every report names its preparation.
/// </summary>
public sealed class Preparation
{
    private static readonly double[] ClipMean = [0.48145466, 0.4578275, 0.40821073];
    private static readonly double[] ClipDeviation = [0.26862954, 0.26130258, 0.27577711];

    private readonly Resampling? _resampling;
    private readonly bool _whole;
    private readonly CropStart _crop;
    private readonly ValueScale _scale;
    private readonly bool _floats;
    private readonly bool _clamped;

    private Preparation(
        string name, string description, Resampling? resampling, bool whole, CropStart crop, ValueScale scale, bool floats,
        bool clamped = false)
    {
        (Name, Description, _resampling, _whole, _crop, _scale, _floats, _clamped) =
            (name, description, resampling, whole, crop, scale, floats, clamped);
    }

    /// <summary>CLIPImageProcessor of transformers 5 (the torchvision backend), also under torchmetrics' CLIPScore.</summary>
    public static Preparation Clip { get; } = OfClip(
        "clip", "transformers 5: torch bicubic in integers, middle from floor(d / 2)", ResizeLibrary.Torch, CropStart.Down);

    /// <summary>CLIPImageProcessor of transformers 4 (CLIPImageProcessorPil of 5).</summary>
    public static Preparation ClipPillow { get; } = OfClip(
        "clip-pillow", "transformers 4: Pillow bicubic, middle from floor(d / 2)", ResizeLibrary.Pillow, CropStart.Down);

    /// <summary>open_clip's transform for validation; clean-fid's CLIP-FID too.</summary>
    public static Preparation OpenClip { get; } = OfClip(
        "open-clip", "open_clip: Pillow bicubic, middle from round(d / 2)", ResizeLibrary.Pillow, CropStart.HalfToEven);

    /// <summary>ImageReward's transform.</summary>
    public static Preparation ImageReward { get; } = OfClip(
        "image-reward", "ImageReward: Pillow bicubic, middle from round(d / 2)", ResizeLibrary.Pillow, CropStart.HalfToEven);

    /// <summary>pytorch-fid: bilinear without antialias on floats, 2 x / 255 - 1.</summary>
    public static Preparation PytorchFid { get; } = OfInception(
        "pytorch-fid", "pytorch-fid: torch bilinear without antialias, 2 x / 255 - 1",
        new Resampling(ResizeLibrary.Torch, ResizeFilter.Bilinear, false), ValueScale.Of(127.5, 127.5));

    /// <summary>torch-fidelity: TensorFlow 1's bilinear, (x - 128) / 128.</summary>
    public static Preparation TorchFidelity { get; } = OfInception(
        "torch-fidelity", "torch-fidelity: TensorFlow 1 bilinear, (x - 128) / 128",
        new Resampling(ResizeLibrary.TensorFlow1, ResizeFilter.Bilinear, false), ValueScale.Of(128, 128));

    /// <summary>torchmetrics' FrechetInceptionDistance: bilinear with antialias, (x - 128) / 128.</summary>
    public static Preparation TorchMetrics { get; } = OfInception(
        "torchmetrics", "torchmetrics: torch bilinear with antialias, (x - 128) / 128",
        new Resampling(ResizeLibrary.Torch, ResizeFilter.Bilinear), ValueScale.Of(128, 128));

    /// <summary>clean-fid: Pillow's bicubic on floats, clamped and not rounded, (x - 128) / 128.</summary>
    public static Preparation CleanFid { get; } = OfInception(
        "clean-fid", "clean-fid: Pillow bicubic on floats, (x - 128) / 128",
        new Resampling(ResizeLibrary.Pillow, ResizeFilter.Bicubic), ValueScale.Of(128, 128), clamped: true);

    /// <summary>clean-fid's mode legacy_pytorch: as pytorch-fid, up to rounding.</summary>
    public static Preparation CleanFidLegacyPytorch { get; } = OfInception(
        "clean-fid-legacy-pytorch", "clean-fid legacy_pytorch: torch bilinear without antialias, 2 x / 255 - 1",
        new Resampling(ResizeLibrary.Torch, ResizeFilter.Bilinear, false), ValueScale.Of(127.5, 127.5), clamped: true);

    /// <summary>The middle at full resolution, nothing resized, 2 x / 255 - 1: of the patch FID.</summary>
    public static Preparation Patch { get; } = new(
        "patch", "the middle at full resolution, from round(d / 2), 2 x / 255 - 1", null, false, CropStart.HalfToEven,
        ValueScale.Of(127.5, 127.5), floats: true);

    /// <summary>LPIPS: x / 127.5 - 1, then its scaling layer; nothing is resized.</summary>
    public static Preparation Lpips { get; } = new(
        "lpips", "LPIPS: x / 127.5 - 1 and the scaling layer", null, true, CropStart.Down,
        new ValueScale(
            [127.5 * (1 - 0.030), 127.5 * (1 - 0.088), 127.5 * (1 - 0.188)], [127.5 * 0.458, 127.5 * 0.448, 127.5 * 0.450]),
        floats: true);

    /// <summary>Nothing is resized, x / 255.</summary>
    public static Preparation AsTheyAre { get; } = new(
        "as-they-are", "nothing is resized, x / 255", null, true, CropStart.Down, ValueScale.Of(0, 255), floats: true);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Preparation> All { get; } =
    [
        Clip, ClipPillow, OpenClip, ImageReward, PytorchFid, TorchFidelity, TorchMetrics, CleanFid, CleanFidLegacyPytorch, Patch, Lpips,
        AsTheyAre,
    ];

    /// <summary>What options and reports call it.</summary>
    public string Name { get; }

    /// <summary>What it does, in words.</summary>
    public string Description { get; }

    /// <summary>The least width and height of pictures, in pixels.</summary>
    internal int LeastSide => this == Patch ? InceptionModel.ImageSize : 1;

    /// <summary>The preparation of a name.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static Preparation Of(string name) => All.FirstOrDefault(one => one.Name == name)
        ?? throw new ArgumentException(
            $"'{name}' is no preparation of pictures; expected {string.Join(", ", All.Select(one => one.Name))}.", nameof(name));

    /// <summary>The same with other means and deviations, of values from 0 to 1.</summary>
    internal Preparation With(double[] mean, double[] deviation) =>
        new(Name, Description, _resampling, _whole, _crop, ValueScale.Normal(mean, deviation), _floats, _clamped);

    /// <summary>A picture as a network reads it.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="size">The side of the network's picture, in pixels; LPIPS reads pictures as they are.</param>
    /// <param name="device">Where the tensor lives.</param>
    /// <returns>[1, height, width, 3], owned by the current scope.</returns>
    /// <exception cref="ArgumentException">The picture is smaller than a patch.</exception>
    public Tensor Apply(Image image, int size, Device device)
    {
        ArgumentNullException.ThrowIfNull(image);
        image = image.WithoutAlpha();
        int width = size, height = size;
        float[] values;
        if (_whole && _resampling == null)
        {
            (width, height) = (image.Width, image.Height);
            values = Floats(image);
        }
        else if (_resampling == null)
            values = Floats(Middle(image, size));
        else if (_floats)
        {
            values = _resampling.Resize(Floats(image), image.Width, image.Height, size, size);
            if (_clamped)
                System.Numerics.Tensors.TensorPrimitives.Clamp<float>(values, 0, 255, values);
        }
        else
        {
            // The shorter side becomes the size; the longer one is cut to a whole number of pixels.
            int shorter = Math.Min(image.Width, image.Height);
            var resized = _resampling.Resize(
                image, (int)((long)size * image.Width / shorter), (int)((long)size * image.Height / shorter));
            values = Floats(Middle(resized, size));
        }
        var result = Tensor.Empty(device, [1, height, width, 3]);
        using var view = result.Write();
        var output = view.Span;
        for (int channel = 0; channel < 3; channel++)
        {
            double offset = _scale.Offset[channel], divisor = _scale.Divisor[channel];
            for (int i = channel; i < values.Length; i += 3)
                output[i] = (float)((values[i] - offset) / divisor);
        }
        return result;
    }

    private Image Middle(Image image, int size)
    {
        if (image.Width < size || image.Height < size)
            throw new ArgumentException(
                $"The picture is {image.Width} x {image.Height}: patches of {size} x {size} cannot be cut from it.", nameof(image));
        return image.Crop(Start(image.Width - size), Start(image.Height - size), size, size);
    }

    private int Start(int left) =>
        _crop == CropStart.Down ? left / 2 : (int)Math.Round(left / 2d, MidpointRounding.ToEven);

    private static float[] Floats(Image image)
    {
        var values = new float[image.Rgb.Length];
        System.Numerics.Tensors.TensorPrimitives.ConvertTruncating(image.Rgb, values);
        return values;
    }

    private static Preparation OfClip(string name, string description, ResizeLibrary library, CropStart crop) => new(
        name, description, new Resampling(library, ResizeFilter.Bicubic), false, crop, ValueScale.Normal(ClipMean, ClipDeviation),
        floats: false);

    private static Preparation OfInception(
        string name, string description, Resampling resampling, ValueScale scale, bool clamped = false) =>
        new(name, description, resampling, true, CropStart.Down, scale, floats: true, clamped);
}
