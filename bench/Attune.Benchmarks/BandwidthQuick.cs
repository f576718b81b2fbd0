using System.Globalization;
using Attune.Bench;
using Attune.Tensors;

namespace Attune.Benchmarks;

/// <summary>
/// <c>--bandwidth [rounds] [names...]</c>: norms and elementwise primitives on one and on all threads, in bytes read and
/// written a second, beside a copy of as many bytes in the same moment.
/// </summary>
internal static class BandwidthQuick
{
    public static int Run(string[] args)
    {
        var (rounds, names) = Quick.Rounds(args, 10);
        using var scope = new TensorScope();
        // FLUX rows: 4608 tokens of 3072 channels; SD1.5 rows: 4096 tokens of 320 channels.
        foreach (var (tokens, channels) in new[] { (4608, 3072), (4096, 320) })
        {
            using var inner = new TensorScope();
            Tensor Noise(Shape shape, int seed) => Bench.Noise.Of(shape, seed, 3);
            var (x, y, z) = (Noise([1, tokens, channels], 1), Noise([1, tokens, channels], 2), Noise([1, tokens, channels], 3));
            var (a, b) = (Noise([1, channels], 4), Noise([1, channels], 5));
            int headChannels = channels == 320 ? 40 : 128;
            using var weight = Devices.Managed.Prepare(StoredWeight.Of("w", a.Reshape(channels)), WeightRole.Vector);
            using var bias = Devices.Managed.Prepare(StoredWeight.Of("b", b.Reshape(channels)), WeightRole.Vector);
            using var head = Devices.Managed.Prepare(
                StoredWeight.Of("w", a.Reshape(channels).Slice(0, 0, headChannels)), WeightRole.Vector);
            var (xh, yh, zh) = (Heads(x, headChannels), Heads(y, headChannels), Heads(z, headChannels));
            var (l1, l2, l3) = (Noise(xh.Shape.Take(..3), 6), Noise(xh.Shape.Take(..3), 7), Noise(xh.Shape.Take(..3), 8));
            var rotary = new RotaryEmbedding(
                TensorScope.Detach(Noise([tokens, headChannels / 2], 9)), TensorScope.Detach(Noise([tokens, headChannels / 2], 10)));
            var halves = new RotaryEmbedding(
                TensorScope.Detach(Noise([tokens, headChannels / 2], 9)), TensorScope.Detach(Noise([tokens, headChannels / 2], 10)),
                RotaryPairing.Halves);
            var wide = Noise([1, tokens, 2 * channels], 11);
            var (left, right) = (wide.Slice(2, 0, channels), wide.Slice(2, channels, channels));
            var image = x.Reshape(1, 64, tokens / 64, channels);
            var small = image.Slice(1, 0, 32).Slice(2, 0, tokens / 128).Clone();
            var large = Tensor.Empty(Devices.Managed, [1, 64, tokens / 128 * 2, channels]);
            var transposed = Tensor.Empty(Devices.Managed, [1, channels, tokens]);
            var device = x.Device;
            // Streams: how many arrays of this size the primitive cannot do without reading or writing.
            (string Name, double Streams, Action Run)[] primitives =
            [
                ("Copy", 2, () => x.CopyTo(z)),
                ("LayerNorm", 2, () => device.LayerNorm(x, weight, bias, 1e-5f, z)),
                ("ModulatedLayerNorm", 2, () => device.ModulatedLayerNorm(x, a, b, 1e-5f, z)),
                ("RmsNorm", 2, () => device.RmsNorm(x, weight, 1e-5f, z)),
                ("RmsNorm heads", 2, () => device.RmsNorm(xh, head, 1e-5f, zh)),
                ("GroupNorm+SiLU", 3, () => device.GroupNorm(x, 32, weight, bias, 1e-5f, Activation.Silu, z)),
                ("AddGated", 3, () => device.AddGated(x, a, y, z)),
                ("AddGated in place", 3, () => device.AddGated(x, a, y, x)),
                ("Modulate", 2, () => device.Modulate(x, a, b, z)),
                ("Add", 3, () => device.Binary(BinaryOperation.Add, x, y, z)),
                ("Add in place", 3, () => device.Binary(BinaryOperation.Add, x, y, x)),
                ("Add bias", 2, () => device.Binary(BinaryOperation.Add, x, a, z)),
                ("Multiply halves", 3, () => device.Binary(BinaryOperation.Multiply, left, right, z)),
                ("Affine", 2, () => device.Affine(x, 2, 1, z)),
                ("Combine", 3, () => device.Combine(2, x, 3, y, z)),
                ("Gelu", 2, () => device.Activate(x, Activation.Gelu, z)),
                ("GeluTanh", 2, () => device.Activate(x, Activation.GeluTanh, z)),
                ("Silu", 2, () => device.Activate(x, Activation.Silu, z)),
                ("Transpose", 2, () => device.Permute(x, [0, 2, 1], transposed)),
                ("Permute heads", 2, () => device.Permute(xh, [0, 2, 1, 3], z.Reshape(1, channels / headChannels, tokens, headChannels))),
                ("Softmax", 2, () => device.Softmax(x, z)),
                ("Rotate", 2, () => device.Rotate(xh, rotary, zh)),
                ("Rotate halves", 2, () => device.Rotate(xh, halves, zh)),
                ("ResizeNearest", 1.25, () => device.ResizeNearest(small, large)),
                ("MergeAttention", 3, () => device.MergeAttention(xh, l1, yh, l2, zh, l3)),
            ];
            foreach (var (name, streams, run) in primitives)
            {
                if (names.Length > 0 && !names.Any(begin => name.StartsWith(begin, StringComparison.OrdinalIgnoreCase)))
                    continue;
                string line = string.Create(CultureInfo.InvariantCulture, $"{tokens}x{channels,-5} {name,-20}");
                Quick.ForThreads(threads =>
                {
                    var times = Timing.Interleave([run, () => PeakProbe.Copy(y, z)], rounds);
                    double bytes = 4.0 * tokens * channels;
                    double copy = 2 * bytes / times[1].Seconds * 1e-9;
                    double mine = streams * bytes / times[0].Seconds * 1e-9;
                    line += string.Create(
                        CultureInfo.InvariantCulture,
                        $"   {threads} thr {times[0].Seconds * 1e3,7:f3} ms {mine,6:f1} GB/s, copy {copy,6:f1}, ratio {mine / copy:f2}");
                });
                Console.WriteLine(line);
            }
            rotary.Dispose();
            halves.Dispose();
        }
        return 0;
    }

    private static Tensor Heads(Tensor x, int channels) => x.Reshape(x.Shape[0], x.Shape[1], x.Shape[2] / channels, channels);
}
