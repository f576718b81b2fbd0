using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// The shift mu by the size of the picture: linear in the number of latent tokens, through base_shift and max_shift; not clamped beyond
/// them. As calculate_shift of diffusers' pipelines, which ask the configuration of whatever scheduler they have.
/// </summary>
internal sealed class ImageShift(ModelConfig config)
{
    private readonly double _baseShift = config.Double("base_shift", 0.5);
    private readonly double _maxShift = config.Double("max_shift", 1.15);
    private readonly int _baseLength = config.Int("base_image_seq_len", 256);
    private readonly int _maxLength = config.Int("max_image_seq_len", 4096);

    /// <summary>Mu for a number of tokens.</summary>
    public double At(int tokens)
    {
        double slope = (_maxShift - _baseShift) / (_maxLength - _baseLength);
        return (tokens * slope) + (_baseShift - (slope * _baseLength));
    }
}
