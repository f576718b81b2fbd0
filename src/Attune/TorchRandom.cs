using Attune.Tensors;

namespace Attune;

/// <summary>
/// The normal numbers of PyTorch's CPU generator, bit for bit as its integer stream goes: MT19937 seeded with the low 32 bits of the seed,
/// and the Box-Muller transform in the two forms that <c>torch.randn</c> takes. A call draws one tensor; the stream goes on from call to
/// call.
/// </summary>
public sealed class TorchRandom
{
    private const int Words = 624;
    private const int Shift = 397;
    private readonly uint[] _state = new uint[Words];
    private int _next = Words;
    private double? _spare;

    /// <summary>Seeds the generator as <c>torch.Generator("cpu").manual_seed(seed)</c>.</summary>
    public TorchRandom(ulong seed)
    {
        _state[0] = unchecked((uint)seed);
        for (uint i = 1; i < Words; i++)
            _state[i] = 1812433253u * (_state[i - 1] ^ (_state[i - 1] >> 30)) + i;
    }

    /// <summary>Draws one tensor of standard normal numbers, as <c>torch.randn</c> does for that many elements.</summary>
    public void Normal(Span<float> destination)
    {
        if (destination.Length < 16)
        {
            for (int i = 0; i < destination.Length; i++)
                destination[i] = (float)Single();
            return;
        }
        for (int i = 0; i < destination.Length; i++)
            destination[i] = Uniform();
        int whole = destination.Length / 16 * 16;
        for (int at = 0; at < whole; at += 16)
            Transform(destination.Slice(at, 16));
        if (whole == destination.Length)
            return;

        // The tail: the last 16 places are drawn anew.
        var last = destination[^16..];
        for (int i = 0; i < 16; i++)
            last[i] = Uniform();
        Transform(last);
    }

    /// <summary>Fills a contiguous tensor, as <c>torch.randn</c> does for its shape.</summary>
    public void Normal(Tensor destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        using var view = destination.Write();
        Normal(view.Span);
    }

    /// <summary>The next 32 bits of the generator (MT19937).</summary>
    public uint NextUInt32()
    {
        if (_next == Words)
            Refill();
        uint y = _state[_next++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C5680;
        y ^= (y << 15) & 0xEFC60000;
        return y ^ (y >> 18);
    }

    private static void Transform(Span<float> block)
    {
        for (int j = 0; j < 8; j++)
        {
            // float32 at each stage, as the reference rounds; the functions themselves in double, so that no libm's last bit matters.
            float u1 = 1 - block[j];
            float radius = (float)Math.Sqrt(-2f * (float)Math.Log(u1));
            float angle = (float)(2 * Math.PI) * block[j + 8];
            var (sine, cosine) = Math.SinCos(angle);
            block[j] = radius * (float)cosine;
            block[j + 8] = radius * (float)sine;
        }
    }

    private float Uniform() => (NextUInt32() & 0xFFFFFF) * (1f / (1 << 24));

    /// <summary>Fewer than 16 numbers: double precision, two at a time, the second kept for the next number.</summary>
    private double Single()
    {
        if (_spare is { } spare)
        {
            _spare = null;
            return spare;
        }
        double u1 = UniformDouble();
        double u2 = UniformDouble();
        double radius = Math.Sqrt(-2 * Log1P(-u2));
        var (sine, cosine) = Math.SinCos(2 * Math.PI * u1);
        _spare = radius * sine;
        return radius * cosine;
    }

    private double UniformDouble()
    {
        ulong high = NextUInt32();
        ulong low = NextUInt32();
        return (((high << 32) | low) & ((1UL << 53) - 1)) * (1.0 / (1UL << 53));
    }

    /// <summary>log(1 + x) without the cancellation of small x.</summary>
    private static double Log1P(double x)
    {
        double y = 1 + x;
        return y == 1 ? x : Math.Log(y) * (x / (y - 1));
    }

    private void Refill()
    {
        for (int i = 0; i < Words; i++)
        {
            uint y = (_state[i] & 0x80000000) | (_state[(i + 1) % Words] & 0x7FFFFFFF);
            _state[i] = _state[(i + Shift) % Words] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908B0DF : 0);
        }
        _next = 0;
    }
}
