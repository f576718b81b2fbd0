using Attune.Tensors;

namespace Attune.Attention;

/// <summary>
/// A rotary embedding over several axes (Su et al., "RoFormer", arXiv 2104.09864; as FLUX and its kin have it): the channels of a head are
/// divided among the axes, and pair i of an axis with d channels is turned by position / theta^(2 i / d). Angles are computed in double
/// precision and rounded once, as the references do.
/// </summary>
/// <param name="channels">The channels of a head that each axis turns, even numbers.</param>
/// <param name="theta">The base of the frequencies.</param>
/// <param name="pairing">Which channels form a pair.</param>
internal sealed class RotaryAxes(IReadOnlyList<int> channels, double theta, RotaryPairing pairing = RotaryPairing.Adjacent)
{
    /// <summary>The table of tokens at some positions, one run after the other; its tensors belong to the current scope.</summary>
    public RotaryEmbedding Table(Device device, params IReadOnlyList<TokenIds> runs)
    {
        int half = channels.Sum() / 2;
        int tokens = runs.Sum(run => run.Count);
        var (cosine, sine) = (new float[tokens * half], new float[tokens * half]);
        int column = 0;
        for (int axis = 0; axis < channels.Count; axis++)
        {
            // Many tokens share a position on an axis: its sines are computed once.
            var known = new Dictionary<int, (float[] Cosine, float[] Sine)>();
            int row = 0;
            foreach (var run in runs)
            {
                for (int token = 0; token < run.Count; token++, row++)
                {
                    int position = run[token, axis];
                    if (!known.TryGetValue(position, out var angles))
                        known[position] = angles = Angles(position, channels[axis]);
                    angles.Cosine.CopyTo(cosine, row * half + column);
                    angles.Sine.CopyTo(sine, row * half + column);
                }
            }
            column += channels[axis] / 2;
        }
        return new RotaryEmbedding(Tensor.From(device, cosine, [tokens, half]), Tensor.From(device, sine, [tokens, half]), pairing);
    }

    private (float[] Cosine, float[] Sine) Angles(double position, int count)
    {
        var (cosine, sine) = (new float[count / 2], new float[count / 2]);
        for (int i = 0; i < cosine.Length; i++)
        {
            var (s, c) = Math.SinCos(position / Math.Pow(theta, 2.0 * i / count));
            (cosine[i], sine[i]) = ((float)c, (float)s);
        }
        return (cosine, sine);
    }
}
