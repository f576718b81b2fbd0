using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// The shift mu by the size of the picture: linear in the number of latent tokens, through base_shift and max_shift; not clamped beyond
/// them. As calculate_shift of diffusers' pipelines, which ask the configuration of whatever scheduler they have.
/// </summary>
internal sealed class ImageShift
{
    /// <summary>mu is an exponent: beyond this, all of a run would be at one level of noise.</summary>
    private const double LargestShift = 50;

    private readonly double _baseShift;
    private readonly double _maxShift;
    private readonly int _baseLength;
    private readonly int _maxLength;

    /// <exception cref="CheckpointException">A value is out of range, or both lengths are the same.</exception>
    public ImageShift(ModelConfig config)
    {
        _baseShift = config.Number("base_shift", 0.5, -LargestShift, LargestShift);
        _maxShift = config.Number("max_shift", 1.15, -LargestShift, LargestShift);
        _baseLength = config.Length("base_image_seq_len", 256);
        _maxLength = config.Length("max_image_seq_len", 4096);
        if (_baseLength == _maxLength)
        {
            throw new CheckpointException(
                $"'{config.Path}': base_image_seq_len and max_image_seq_len are both {_maxLength}, expected two lengths.");
        }
    }

    /// <summary>Mu for a number of tokens.</summary>
    public double At(int tokens)
    {
        double slope = (_maxShift - _baseShift) / (_maxLength - _baseLength);
        return (tokens * slope) + (_baseShift - (slope * _baseLength));
    }
}
