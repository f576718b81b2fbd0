using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// FreeU (Si et al., arXiv 2309.11497), for UNets: in the first two up blocks the first half of the backbone's channels is amplified by b,
/// and the lowest frequencies of the features from the encoder are damped by s, before they are concatenated. Acts in every pass and costs
/// next to nothing. The damped frequencies are those of the reference: 0 and -1 on both axes.
/// </summary>
public sealed record FreeU : GuidanceRule, ISkipConnection
{
    private static readonly RuleForm TextForm = new RuleForm<FreeU>("freeu")
        .Number("s1", rule => rule.S1, (rule, x) => rule with { S1 = x }, "[0, inf)", neutral: 1)
        .Number("s2", rule => rule.S2, (rule, x) => rule with { S2 = x }, "[0, inf)", neutral: 1)
        .Number("b1", rule => rule.B1, (rule, x) => rule with { B1 = x }, "[0, inf)", neutral: 1)
        .Number("b2", rule => rule.B2, (rule, x) => rule with { B2 = x }, "[0, inf)", neutral: 1);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The factor of the encoder's low frequencies in <c>up_blocks.0</c>, 0 or more; 1 is off. Default 0.9 (SDXL).</summary>
    public float S1 { get; init; } = 0.9f;

    /// <summary>The same in <c>up_blocks.1</c>. Default 0.2.</summary>
    public float S2 { get; init; } = 0.2f;

    /// <summary>The factor of the backbone's first half of channels in <c>up_blocks.0</c>, 0 or more; 1 is off. Default 1.3.</summary>
    public float B1 { get; init; } = 1.3f;

    /// <summary>The same in <c>up_blocks.1</c>. Default 1.4.</summary>
    public float B2 { get; init; } = 1.4f;

    /// <inheritdoc/>
    public override bool ActsAt(AttentionKind kind) => false;

    /// <inheritdoc/>
    public (Tensor Hidden, Tensor Skip) Adjust(string path, Tensor hidden, Tensor skip)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(skip);
        return path switch
        {
            "up_blocks.0" when Layers.Contains(path) => (Amplify(hidden, B1), Damp(skip, S1)),
            "up_blocks.1" when Layers.Contains(path) => (Amplify(hidden, B2), Damp(skip, S2)),
            _ => (hidden, skip),
        };
    }

    private static Tensor Amplify(Tensor hidden, float factor)
    {
        if (factor == 1)
            return hidden;
        var result = hidden.Clone();
        var half = result.Slice(3, 0, hidden.Shape[3] / 2);
        half.Affine(factor, into: half);
        return result;
    }

    /// <summary>
    /// x + (s - 1) times the part of x in the modes (u, v) with u and v in {-1, 0}: that part is a sum of four products with cosines and
    /// sines, so no Fourier transform is needed.
    /// </summary>
    private static Tensor Damp(Tensor skip, float factor)
    {
        if (factor == 1)
            return skip;
        var (height, width, channels) = (skip.Shape[1], skip.Shape[2], skip.Shape[3]);
        float[] values = skip.ToArray();
        float[] result = [.. values];

        // On an axis of one pixel, frequency -1 is frequency 0.
        var modes = new[] { (0, 0), (0, -1), (-1, 0), (-1, -1) }.Where(
            mode => (height > 1 || mode.Item1 == 0) && (width > 1 || mode.Item2 == 0))
            .ToArray();
        for (int item = 0; item < skip.Shape[0]; item++)
        {
            var (cosine, sine) = (new double[modes.Length * channels], new double[modes.Length * channels]);
            ForEachPixel((y, x, mode, cos, sin) =>
            {
                var row = values.AsSpan(((item * height + y) * width + x) * channels, channels);
                for (int c = 0; c < channels; c++)
                {
                    cosine[mode * channels + c] += cos * row[c];
                    sine[mode * channels + c] += sin * row[c];
                }
            });
            double share = (factor - 1.0) / ((double)height * width);
            ForEachPixel((y, x, mode, cos, sin) =>
            {
                // The real part of the coefficient (cosine - i sine) times e^(i angle).
                var row = result.AsSpan(((item * height + y) * width + x) * channels, channels);
                for (int c = 0; c < channels; c++)
                    row[c] += (float)(share * (cosine[mode * channels + c] * cos + sine[mode * channels + c] * sin));
            });
        }
        return Tensor.From(skip.Device, result, skip.Shape);

        void ForEachPixel(Action<int, int, int, double, double> visit)
        {
            for (int y = 0; y < height; y++)
            {
                for (int x = 0; x < width; x++)
                {
                    for (int mode = 0; mode < modes.Length; mode++)
                    {
                        var (sin, cos) = Math.SinCos(
                            2 * Math.PI * (modes[mode].Item1 * (double)y / height + modes[mode].Item2 * (double)x / width));
                        visit(y, x, mode, cos, sin);
                    }
                }
            }
        }
    }
}
