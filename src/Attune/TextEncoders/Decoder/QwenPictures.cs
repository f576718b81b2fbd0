using System.Text;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Decoder;

/// <summary>
/// Makes pictures ready for Qwen2.5-VL, as Qwen2VLImageProcessor of transformers does with Pillow: sides are rounded to whole groups of
/// patches, within bounds of the area; channels are normalised.
/// </summary>
internal sealed class QwenPictures
{
    /// <summary>The token that stands for a group of patches.</summary>
    public const string Slot = "<|image_pad|>";

    /// <summary>The most that one side may be longer than the other.</summary>
    private const int LargestRatio = 200;

    private readonly int _side;
    private readonly long _fewest;
    private readonly long _most;
    private readonly float[] _mean;
    private readonly float[] _deviation;

    /// <param name="json">preprocessor_config.json.</param>
    /// <exception cref="CheckpointException">It is not that of the tower.</exception>
    public QwenPictures(ModelConfig json)
    {
        _side = json.Size("patch_size", 14);
        _fewest = json.OptionalLength("min_pixels") ?? json.Object("size")?.OptionalLength("shortest_edge") ?? 56 * 56;
        _most = json.OptionalLength("max_pixels") ?? json.Object("size")?.OptionalLength("longest_edge") ?? 28 * 28 * 1280;
        _mean = json.Floats("image_mean", 0.48145466f, 0.4578275f, 0.40821073f);
        _deviation = json.Floats("image_std", 0.26862954f, 0.26130258f, 0.27577711f);
        if (_mean.Length != 3 || _deviation.Length != 3 || _deviation.Any(value => !(value > 0)) || _fewest > _most
            || json.Size("merge_size", VisionPicture.Merge) != VisionPicture.Merge
            || json.Size("temporal_patch_size", VisionPicture.Frames) != VisionPicture.Frames)
        {
            throw new CheckpointException(
                $"'{json.Path}': expected three numbers as image_mean and image_std, min_pixels up to max_pixels, and merge_size and "
                    + "temporal_patch_size 2.");
        }
    }

    /// <summary>Reads a folder's preprocessor_config.json, where it has one; else what Qwen2.5-VL has.</summary>
    public static QwenPictures Read(string folder)
    {
        string file = Path.Combine(folder, "preprocessor_config.json");
        return new QwenPictures(File.Exists(file) ? ModelConfig.Read(file)
            : ModelConfig.Parse(file, Encoding.UTF8.GetBytes("""{"min_pixels": 3136, "max_pixels": 12845056}""")));
    }

    /// <summary>How many slots a picture takes in the text.</summary>
    public int SlotsOf(Image image)
    {
        var (height, width) = SizeOf(image);
        return height / Group * (width / Group);
    }

    /// <summary>The picture's patches; a tensor of the current scope.</summary>
    public VisionPicture Prepare(Image image, Device device)
    {
        var (height, width) = SizeOf(image);
        using var scope = new TensorScope();
        var resized = new Resampling(ResizeLibrary.Pillow12, ResizeFilter.Bicubic).Resize(image.WithoutAlpha(), width, height);
        var pixels = resized.ToTensor(device).Subtract(Tensor.From(device, _mean, [3])).Divide(Tensor.From(device, _deviation, [3]));
        var picture = VisionPicture.Of(pixels, _side);
        scope.Keep(picture.Patches);
        return picture;
    }

    /// <summary>A text in which each slot is there as often as its picture needs it.</summary>
    /// <param name="text">One slot for each picture, in order.</param>
    /// <param name="images">The pictures.</param>
    public string Expand(string text, IReadOnlyList<Image> images)
    {
        string[] parts = text.Split(Slot);
        var expanded = new StringBuilder(parts[0]);
        for (int i = 1; i < parts.Length; i++)
            expanded.Insert(expanded.Length, Slot, SlotsOf(images[i - 1])).Append(parts[i]);
        return expanded.ToString();
    }

    private int Group => _side * VisionPicture.Merge;

    private PixelSize SizeOf(Image image)
    {
        var (width, height) = (image.Width, image.Height);
        if (Math.Max(width, height) > (long)LargestRatio * Math.Min(width, height))
        {
            throw new ArgumentException(
                $"A reference image has {width} x {height} pixels; one side may be {LargestRatio} times as long as the other at most.");
        }
        int Rounded(double pixels, Func<double, double> round) => (int)round(pixels / Group) * Group;
        var (rows, columns) = (Rounded(height, Math.Round), Rounded(width, Math.Round));
        if ((long)rows * columns > _most)
        {
            double shrink = Math.Sqrt((double)height * width / _most);
            (rows, columns) = (
                Math.Max(Rounded(height / shrink, Math.Floor), Group), Math.Max(Rounded(width / shrink, Math.Floor), Group));
        }
        else if ((long)rows * columns < _fewest)
        {
            double grow = Math.Sqrt(_fewest / ((double)height * width));
            (rows, columns) = (Rounded(height * grow, Math.Ceiling), Rounded(width * grow, Math.Ceiling));
        }
        return new PixelSize(rows, columns);
    }
}
