using Attune.Tensors;

namespace Attune.Bench;

/// <summary>Operands of kernels and models.</summary>
internal static class Noise
{
    /// <summary>Numbers repeat after so many, a prime, so that large operands are made as fast as they are copied.</summary>
    private const int Period = 65521;

    /// <summary>A tensor of the managed device with uniform numbers from -width / 2 to width / 2.</summary>
    public static Tensor Of(Shape shape, int seed, float width = 1)
    {
        var tensor = Tensor.Empty(Devices.Managed, shape);
        var random = new Random(seed);
        using var view = tensor.Write();
        var values = view.Span;
        for (int i = 0; i < Math.Min(Period, values.Length); i++)
            values[i] = width * (random.NextSingle() - 0.5f);
        for (int at = Period; at < values.Length; at += Period)
            values[..Math.Min(Period, values.Length - at)].CopyTo(values[at..]);
        return tensor;
    }

    /// <summary>A tensor with normal numbers.</summary>
    public static Tensor Normal(Device device, TorchRandom random, Shape shape)
    {
        var tensor = Tensor.Empty(device, shape);
        random.Normal(tensor);
        return tensor;
    }
}
