using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Decoder;

/// <summary>What turns queries and keys of a sequence, and what queries are multiplied by beside that.</summary>
/// <param name="Rotary">The turns of tokens 0, 1, 2, ...</param>
/// <param name="QueryScales">[tokens, 1, 1], or null where all are 1.</param>
internal readonly record struct RotaryPositions(RotaryEmbedding Rotary, Tensor? QueryScales)
{
    /// <summary>Those of the tokens from one on: views.</summary>
    public RotaryPositions From(int first)
    {
        int count = Rotary.Tokens - first;
        return first == 0 ? this : new RotaryPositions(Rotary.Slice(first, count), QueryScales?.Slice(0, first, count));
    }
}

/// <summary>
/// The rotary embedding of language models ("rotate half"), plain or stretched by YaRN (Peng et al., arXiv 2309.00071). Frequencies and
/// angles are rounded to float32 where transformers rounds them. The axes of multi-axis embeddings (Qwen-VL) agree for text.
/// </summary>
internal sealed class RotaryPositionTable
{
    private readonly float[] _frequencies;
    private readonly float _amplitude;
    private readonly double _queryBeta;
    private readonly int _originalLength;

    private RotaryPositionTable(float[] frequencies, float amplitude, double queryBeta, int originalLength) =>
        (_frequencies, _amplitude, _queryBeta, _originalLength) = (frequencies, amplitude, queryBeta, originalLength);

    /// <summary>How many pairs turn by time, row and column where these differ.</summary>
    private int[] Sections { get; init; } = [];

    /// <summary>
    /// Whether pairs take the axes in turn, those that are left over time (Qwen3-VL), and not one section after the other (Qwen2.5-VL).
    /// </summary>
    private bool InTurn { get; init; }

    /// <summary>The turns of tokens at positions (time, row, column), which differ for pictures.</summary>
    public RotaryPositions Table(Device device, IReadOnlyList<(int Time, int Row, int Column)> positions)
    {
        int half = _frequencies.Length;
        var (cosine, sine) = (new float[positions.Count * half], new float[positions.Count * half]);
        for (int token = 0; token < positions.Count; token++)
        {
            for (int i = 0; i < half; i++)
            {
                var (time, row, column) = positions[token];
                int at = InTurn ? (i % 3 == 1 && i < 3 * Sections[1] ? row : i % 3 == 2 && i < 3 * Sections[2] ? column : time)
                    : i < Sections[0] ? time : i < Sections[0] + Sections[1] ? row : column;
                float angle = at * _frequencies[i];
                (cosine[token * half + i], sine[token * half + i]) = (MathF.Cos(angle), MathF.Sin(angle));
            }
        }
        Shape shape = [positions.Count, half];
        return new RotaryPositions(
            new RotaryEmbedding(Tensor.From(device, cosine, shape), Tensor.From(device, sine, shape), RotaryPairing.Halves), null);
    }

    /// <summary>Reads rope_parameters (transformers 5), or rope_theta and rope_scaling.</summary>
    /// <param name="config">The text part of config.json.</param>
    /// <param name="channels">Of a head.</param>
    /// <param name="defaultTheta">Where it states none.</param>
    /// <param name="inTurn">Whether pairs take the axes of pictures in turn.</param>
    public static RotaryPositionTable Read(ModelConfig config, int channels, double defaultTheta, bool inTurn)
    {
        var scaling = config.Object("rope_parameters") ?? config.Object("rope_scaling");
        double theta = scaling?.OptionalPositive("rope_theta") ?? config.Positive("rope_theta", defaultTheta);
        string type = scaling == null ? "default" : scaling.String("rope_type", scaling.String("type", "default"));
        int[] sections = inTurn ? [24, 20, 20] : [16, 24, 24];
        float[] plain = [.. Enumerable.Range(0, channels / 2).Select(i => 1 / (float)Math.Pow(theta, (float)(2 * i) / channels))];
        sections = scaling?.Ints("mrope_section", sections) ?? sections;
        if (sections.Length != 3)
            throw new CheckpointException($"'{config.Path}': mrope_section has {sections.Length} entries, expected 3.");
        return type switch
        {
            "default" or "mrope" => new(plain, 1, 0, 0) { Sections = sections, InTurn = inTurn },
            "yarn" => Yarn(config, scaling!, plain, theta),
            _ => throw new CheckpointException($"'{config.Path}': rope_type is '{type}', expected default, mrope or yarn."),
        };
    }

    /// <summary>The turns of tokens 0 to <paramref name="length"/> - 1; tensors of the current scope.</summary>
    public RotaryPositions Table(Device device, int length)
    {
        int half = _frequencies.Length;
        var (cosine, sine, scales) = (new float[length * half], new float[length * half], new float[length]);
        for (int token = 0; token < length; token++)
        {
            for (int i = 0; i < half; i++)
            {
                float angle = token * _frequencies[i];
                cosine[token * half + i] = MathF.Cos(angle) * _amplitude;
                sine[token * half + i] = MathF.Sin(angle) * _amplitude;
            }
            scales[token] = _queryBeta == 0 ? 1 : (float)(1 + _queryBeta * Math.Log(1 + token / _originalLength));
        }
        var (cosines, sines) = (Tensor.From(device, cosine, [length, half]), Tensor.From(device, sine, [length, half]));
        return new RotaryPositions(
            new RotaryEmbedding(cosines, sines, RotaryPairing.Halves),
            scales.All(scale => scale == 1) ? null : Tensor.From(device, scales, [length, 1, 1]));
    }

    /// <summary>
    /// Fast frequencies stay, slow ones are divided by the factor, those between are blended. llama_4_scaling_beta beside it (Ministral 3)
    /// lengthens queries beyond the original length.
    /// </summary>
    private static RotaryPositionTable Yarn(ModelConfig config, ModelConfig scaling, float[] plain, double theta)
    {
        int channels = 2 * plain.Length;
        double factor = scaling.OptionalPositive("factor")
            ?? throw new CheckpointException($"'{config.Path}': rope_type yarn needs a factor.");
        int original = scaling.OptionalLength("original_max_position_embeddings") ?? config.OptionalLength("max_position_embeddings")
            ?? throw new CheckpointException($"'{config.Path}': rope_type yarn needs original_max_position_embeddings.");
        double PlaceOf(double turns) => channels * Math.Log(original / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
        double low = PlaceOf(scaling.Positive("beta_fast", 32));
        double high = PlaceOf(scaling.Positive("beta_slow", 1));
        if (scaling.Bool("truncate", true))
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, channels - 1));
        if (low == high)
            high += 0.001;
        float[] frequencies = new float[plain.Length];
        for (int i = 0; i < plain.Length; i++)
        {
            float slow = (float)Math.Clamp((i - low) / (high - low), 0, 1);
            float stretched = 1 / ((float)factor * (float)Math.Pow(theta, (float)(2 * i) / channels));
            frequencies[i] = stretched * slow + plain[i] * (1 - slow);
        }
        return new(frequencies, (float)Amplitude(scaling, factor), scaling.Double("llama_4_scaling_beta", 0), original);
    }

    private static double Amplitude(ModelConfig scaling, double factor)
    {
        double Scale(double weight) => factor <= 1 ? 1 : 0.1 * weight * Math.Log(factor) + 1;
        if (scaling.OptionalDouble("attention_factor") is { } given)
            return given;
        var (scale, all) = (scaling.Double("mscale", 0), scaling.Double("mscale_all_dim", 0));
        return scale != 0 && all != 0 ? Scale(scale) / Scale(all) : Scale(1);
    }
}
