using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// How a configuration keeps the clean sample in range: by clipping, or by dynamic thresholding (Saharia et al., arXiv 2205.11487, section
/// 2.3).
/// </summary>
internal sealed class CleanLimits
{
    private readonly bool _thresholds;
    private readonly double _ratio;
    private readonly double _maximum;
    private readonly float? _clip;

    private CleanLimits(bool thresholds, double ratio, double maximum, float? clip) =>
        (_thresholds, _ratio, _maximum, _clip) = (thresholds, ratio, maximum, clip);

    /// <summary>Nothing is done.</summary>
    public static CleanLimits None { get; } = new(false, 0, 0, null);

    /// <summary>Whether nothing is done.</summary>
    public bool IsNone => !_thresholds && _clip == null;

    /// <summary>
    /// Reads a configuration; <paramref name="clips"/> is the class's default of clip_sample, or null when it has no such option.
    /// </summary>
    public static CleanLimits Read(ModelConfig config, bool? clips) => new(
        config.Bool("thresholding", false),
        config.Positive("dynamic_thresholding_ratio", 0.995, 1),
        config.Positive("sample_max_value", 1),
        clips is { } missing && config.Bool("clip_sample", missing) ? (float)config.Positive("clip_sample_range", 1) : null);

    /// <summary>For classes that clip but know no thresholding.</summary>
    public static CleanLimits Clips(ModelConfig config, bool missing) =>
        new(false, 0, 0, config.Bool("clip_sample", missing) ? (float)config.Positive("clip_sample_range", 1) : null);

    /// <summary>The sample in range: a new tensor, or the same when nothing is done.</summary>
    public Tensor Apply(Tensor clean)
    {
        if (_thresholds)
            return Threshold(clean);
        return _clip is { } range ? clean.Clamp(-range, range) : clean;
    }

    private Tensor Threshold(Tensor clean)
    {
        using var scope = new TensorScope();
        var result = clean.Clone();
        for (int item = 0; item < clean.Shape[0]; item++)
        {
            var sample = result.Slice(0, item, 1);
            float[] magnitudes = Array.ConvertAll(sample.ToArray(), Math.Abs);
            Array.Sort(magnitudes);
            float rank = (float)_ratio * (magnitudes.Length - 1);
            int low = (int)rank;
            float below = magnitudes[low];
            float quantile = below + ((rank - low) * (magnitudes[Math.Min(low + 1, magnitudes.Length - 1)] - below));
            float limit = (float)Math.Min(Math.Max(quantile, 1), _maximum);
            sample.Clamp(-limit, limit, into: sample);
            sample.Divide(Tensor.Full(clean.Device, [1], limit), into: sample);
        }
        return scope.Keep(result);
    }
}
