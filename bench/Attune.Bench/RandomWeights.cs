using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Bench;

/// <summary>
/// Weights of any name and shape without a file: numbers of about the size that trained weights have, in bfloat16 (uniform; xorshift) or,
/// of matrices, in another format (random codes, with scales that bring them to that size).
/// </summary>
internal sealed class RandomWeights(int seed, WeightFormat? format = null) : WeightSource
{
    /// <summary>Numbers repeat after so many, a prime, so that making billions takes no longer than copying them.</summary>
    private const int Period = 1048573;

    /// <summary>Where blocks have their scales, in binary16.</summary>
    private static readonly Dictionary<string, int[]> Scales = new()
    {
        ["Q4_0"] = [0], ["Q4_1"] = [0, 2], ["Q5_0"] = [0], ["Q5_1"] = [0, 2], ["Q8_0"] = [0], ["Q2_K"] = [80, 82], ["Q3_K"] = [108],
        ["Q4_K"] = [0, 2], ["Q5_K"] = [0, 2], ["Q6_K"] = [208], ["IQ4_NL"] = [0], ["IQ4_XS"] = [0], ["F8_E4M3"] = [],
    };

    private ulong _state = 0x9E3779B97F4A7C15 * (ulong)(seed + 1);

    /// <summary>The formats in which matrices can be made, besides bfloat16.</summary>
    public static IReadOnlyCollection<string> Formats => Scales.Keys;

    public override string Path => "random weights";

    public override IReadOnlyCollection<string> Names => [];

    public static Checkpoint Checkpoint(Device device, int seed, WeightFormat? format = null) =>
        new(new RandomWeights(seed, format), device);

    public override TensorEntry? Describe(string name) => null;

    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        var shape = expected ?? throw new ArgumentNullException(nameof(expected));
        float scale = shape.Rank > 1 ? MathF.Sqrt(3f * shape[0] / shape.Count) : 0.1f;
        if (format != null && format != WeightFormat.BFloat16 && shape.Rank > 1 && shape[shape.Rank - 1] % format.BlockLength == 0)
            return Blocks(name, shape, format, scale);
        var bytes = WeightBytes.Allocate(2 * shape.Count);
        bool norm = shape.Rank == 1 && (name.EndsWith("weight", StringComparison.Ordinal)
            || name.EndsWith("running_var", StringComparison.Ordinal));
        int made = (int)Math.Min(shape.Count, Period);
        var bits = MemoryMarshal.Cast<byte, ushort>(bytes.Write(0, 2 * made));
        for (int i = 0; i < made; i++)
            bits[i] = Conversion.ToBFloat16((norm ? 1 : 0) + scale * ((Next() >> 40) * (2f / (1 << 24)) - 1));
        Repeat(bytes, 2 * made);
        return new StoredWeight(name, shape, WeightFormat.BFloat16, bytes);
    }

    protected override void Dispose(bool disposing)
    {
    }

    private static void Repeat(WeightBytes bytes, int made)
    {
        for (long at = made; at < bytes.Length; at += made)
        {
            int count = (int)Math.Min(made, bytes.Length - at);
            bytes.Read(0, count).CopyTo(bytes.Write(at, count));
        }
    }

    private StoredWeight Blocks(string name, Shape shape, WeightFormat format, float scale)
    {
        if (!Scales.TryGetValue(format.Name, out int[]? halves))
            throw new ArgumentException($"Weights of {format.Name} cannot be made; expected one of {string.Join(", ", Formats)}.");
        var bytes = WeightBytes.Allocate(format.BytesOf(shape.Count));
        int blocks = (int)Math.Min(bytes.Length / format.BlockBytes, Period / format.BlockLength);
        var made = bytes.Write(0, blocks * format.BlockBytes);
        foreach (ref ulong word in MemoryMarshal.Cast<byte, ulong>(made))
            word = format.BlockLength == 1 ? Next() & 0xBFBFBFBFBFBFBFBF : Next();        // numbers of eight bits: no large ones
        var values = new float[format.BlockLength];
        for (int at = 0; at < made.Length && format.BlockLength > 1; at += format.BlockBytes)
        {
            var block = made.Slice(at, format.BlockBytes);
            foreach (int half in halves)
                BinaryPrimitives.WriteHalfLittleEndian(block[half..], (Half)1);
            format.Widen(block, values);
            foreach (int half in halves)
                BinaryPrimitives.WriteHalfLittleEndian(block[half..], (Half)(scale / values.Max(MathF.Abs)));
        }
        Repeat(bytes, made.Length);
        return new StoredWeight(name, shape, format, bytes);
    }

    private ulong Next()
    {
        _state ^= _state << 13;
        _state ^= _state >> 7;
        _state ^= _state << 17;
        return _state;
    }
}
