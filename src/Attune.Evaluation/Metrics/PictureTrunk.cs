using System.Numerics.Tensors;
using Attune.Imaging;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;
using Tensor = Attune.Tensors.Tensor;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// What a judge and an image encoder have in common: stages that halve the picture, each with a residual block; group norm, SiLU, and the
/// mean over all positions.
/// </summary>
internal sealed class PictureTrunk
{
    private readonly PictureTrunkConfig _config;
    private readonly GroupNorm _normOut;

    public PictureTrunk(WeightCursor at, PictureTrunkConfig config)
    {
        _config = config;
        int[] channels = config.BlockOutChannels;
        Stages = [.. channels.Select((outputs, i) => new PictureStage(at.At("stages", i), i == 0 ? 3 : channels[i - 1], outputs, config))];
        _normOut = new GroupNorm(at.At("norm_out"), config.NormNumGroups, channels[^1], config.NormEps);
    }

    /// <summary>The stages, the finest first.</summary>
    public IReadOnlyList<PictureStage> Stages { get; }

    public int FeatureCount => _config.BlockOutChannels[^1];

    public int SampleSize => _config.SampleSize;

    /// <summary>Checks that pictures have the size that the weights were trained on.</summary>
    /// <exception cref="ArgumentException">One has another size.</exception>
    public void CheckSizes(IReadOnlyList<Image> images, string path)
    {
        ArgumentNullException.ThrowIfNull(images);
        for (int i = 0; i < images.Count; i++)
        {
            var image = images[i] ?? throw new ArgumentException($"Picture {i} is null.", nameof(images));
            if (image.Width != SampleSize || image.Height != SampleSize)
                throw new ArgumentException(
                    $"Picture {i} is {image.Width} x {image.Height}, but '{path}' reads pictures of {SampleSize} x {SampleSize}.",
                    nameof(images));
        }
    }

    /// <summary>A picture with values in [-1, 1], [1, height, width, 3].</summary>
    public static Tensor Pixels(Image image, Device device)
    {
        var pixels = Tensor.Empty(device, [1, image.Height, image.Width, 3]);
        using var view = pixels.Write();
        var values = view.Span;
        for (int i = 0; i < values.Length; i++)
            values[i] = image.Rgb[i] / 127.5f - 1;
        return pixels;
    }

    /// <summary>[1, height, width, 3] to the features [1, <see cref="FeatureCount"/>]. Consumes its input.</summary>
    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        foreach (var stage in Stages)
            x = x.Then(stage.Apply(x));
        return scope.Keep(Pool(x));
    }

    /// <summary>The last stage's output to the features: norm, SiLU, mean. The norm goes into the input.</summary>
    public Tensor Pool(Tensor x)
    {
        _normOut.Apply(x, Activation.Silu, into: x);
        float[] pixels = x.ToArray();
        float[] sum = new float[FeatureCount];
        for (int at = 0; at < pixels.Length; at += sum.Length)
            TensorPrimitives.Add(sum, pixels.AsSpan(at, sum.Length), sum);
        TensorPrimitives.Divide(sum, x.Shape[1] * x.Shape[2], sum);
        return Tensor.From(x.Device, sum, [1, FeatureCount]);
    }
}

/// <summary>A convolution with stride 2, then a residual block.</summary>
internal sealed class PictureStage(WeightCursor at, int inputs, int outputs, PictureTrunkConfig config)
{
    private readonly Conv2d _downsample = new(at.At("downsample"), inputs, outputs, kernel: 3, Conv2dGeometry.Same(1, stride: 2));
    private readonly ResnetBlock _resnet = new(at.At("resnet"), outputs, outputs, config.NormNumGroups, config.NormEps, Activation.Silu);

    /// <summary>[batch, height, width, inputs] to [batch, half the height, half the width, outputs], both rounded up.</summary>
    public Tensor Apply(Tensor x)
    {
        var half = _downsample.Apply(x);
        return half.Then(_resnet.Apply(half));
    }
}

/// <summary>The keys of config.json that shape the trunk. No reference has defaults for them: all must be there.</summary>
internal sealed record PictureTrunkConfig(int SampleSize, int[] BlockOutChannels, int NormNumGroups, float NormEps)
{
    public static PictureTrunkConfig Read(ModelConfig config, string className)
    {
        foreach (string key in (ReadOnlySpan<string>)["_class_name", "sample_size", "block_out_channels", "norm_num_groups", "norm_eps"])
        {
            if (!config.Has(key))
                throw new CheckpointException($"'{config.Path}': {key} is missing; a {className} states it.");
        }
        if (config.ClassName != className)
            throw new CheckpointException($"'{config.Path}': _class_name is '{config.ClassName}', expected '{className}'.");
        var result = new PictureTrunkConfig(
            config.Int("sample_size", 0), config.Ints("block_out_channels"), config.Int("norm_num_groups", 0), config.Float("norm_eps", 0));
        if (result.SampleSize < 1)
            throw new CheckpointException($"'{config.Path}': sample_size is {result.SampleSize}, expected 1 or more.");
        if (result.NormNumGroups < 1)
            throw new CheckpointException($"'{config.Path}': norm_num_groups is {result.NormNumGroups}, expected 1 or more.");
        if (result.BlockOutChannels.Length == 0
            || result.BlockOutChannels.Any(channels => channels < 1 || channels % result.NormNumGroups != 0))
            throw new CheckpointException(
                $"'{config.Path}': block_out_channels is [{string.Join(", ", result.BlockOutChannels)}], expected multiples of "
                    + $"norm_num_groups {result.NormNumGroups}, at least one.");
        if (!(result.NormEps > 0))
            throw new CheckpointException(
                $"'{config.Path}': norm_eps is {config.Find("norm_eps")?.GetRawText()}, expected a number above 0.");
        if (config.Int("in_channels", 3) != 3)
            throw new CheckpointException($"'{config.Path}': in_channels is {config.Int("in_channels", 3)}, expected 3: red, green, blue.");
        return result;
    }
}
