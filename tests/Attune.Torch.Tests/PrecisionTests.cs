using System.Text.Json;
using Attune.Tensors;
using Attune.Tests;
using Attune.Verification;

namespace Attune.Torch.Tests;

/// <summary>
/// How far bfloat16 and float16 may be from float32. A rounding is off by u = 2^-9 of a value at most in bfloat16 (8 bits of mantissa),
/// 2^-12 in float16 (11 bits); sums are float32.
/// </summary>
public class PrecisionTests
{
    private readonly Random _random = new(51);

    public static TheoryData<Precision> Halves() => [Precision.BFloat16, Precision.Float16];

    /// <summary>
    /// A product of n pairs, both factors rounded and the sum rounded once: each term is off by 2 u of itself at most, so that the sum is
    /// off by no more than 2 u sum |x w|, and u of the result (and second order, covered by the factor 1.01).
    /// </summary>
    [Theory]
    [MemberData(nameof(Halves))]
    public void Products_are_within_their_bound(Precision precision)
    {
        using var scope = new TensorScope();
        using var device = Open(precision);
        double u = Unit(precision);
        foreach (var (rows, inputs, outputs) in new[] { (3, 17, 5), (40, 320, 64), (2, 1000, 8) })
        {
            float[] x = Noise(rows * inputs), w = Noise(outputs * inputs);
            using var memory = TensorScope.Detach(Tensor.From(Devices.Managed, w, [outputs, inputs]));
            using var weight = device.Prepare(StoredWeight.Of("w", memory), WeightRole.Matrix);
            float[] actual = Tensor.From(device, x, [rows, inputs]).Linear(weight).ToArray();
            for (int i = 0; i < rows; i++)
            {
                for (int k = 0; k < outputs; k++)
                {
                    double sum = 0, magnitudes = 0;
                    for (int j = 0; j < inputs; j++)
                    {
                        double term = (double)x[i * inputs + j] * w[k * inputs + j];
                        sum += term;
                        magnitudes += Math.Abs(term);
                    }
                    double bound = 1.01 * (2 * u * magnitudes + u * Math.Abs(sum));
                    Assert.InRange(actual[i * outputs + k] - sum, -bound, bound);
                }
            }
        }
    }

    /// <summary>
    /// Attention of queries, keys and values within [-1, 1]: a logit of n products is off by 2 u scale sum |q k|, at most 2 u scale n =
    /// e; weights then by a factor within exp(2 e), and by u where they are rounded; the output, a mean of values, by (exp(2 e) - 1) + 3 u
    /// (weights, values, itself). The log-sum-exp is off by e.
    /// </summary>
    [Theory]
    [MemberData(nameof(Halves))]
    public void Attention_is_within_its_bound(Precision precision)
    {
        using var scope = new TensorScope();
        using var device = Open(precision);
        const int channels = 40, queries = 33, keys = 70, heads = 3;
        const float scale = 1 / 6.3f;
        Shape q = [2, queries, heads, channels], k = [2, keys, heads, channels];
        float[][] inputs = [Noise((int)q.Count), Noise((int)k.Count), Noise((int)k.Count)];
        var (expected, expectedSums) = Attend(Devices.Managed);
        var (actual, sums) = Attend(device);
        double u = Unit(precision), e = 2 * u * scale * channels;
        double bound = 1.01 * (Math.Exp(2 * e) - 1 + 3 * u);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, bound));
        Assert.All(expectedSums.Zip(sums), pair => Assert.Equal(pair.First, pair.Second, 1.01 * e + 1e-5));

        (float[], float[]) Attend(Device on)
        {
            var logSumExp = Tensor.Empty(on, q.Take(..3));
            var output = Tensor.From(on, inputs[0], q).Attention(
                Tensor.From(on, inputs[1], k), Tensor.From(on, inputs[2], k), scale, null, null, logSumExp);
            return (output.ToArray(), logSumExp.ToArray());
        }
    }

    /// <summary>What is added to a residual stream is not lost, however small beside it: the stream is float32.</summary>
    [Theory]
    [MemberData(nameof(Halves))]
    public void The_residual_stream_is_float32(Precision precision)
    {
        using var scope = new TensorScope();
        using var device = Open(precision);
        using var memory = TensorScope.Detach(Tensor.From(Devices.Managed, [1], [1, 1]));
        using var weight = device.Prepare(StoredWeight.Of("w", memory), WeightRole.Matrix);
        var small = Tensor.Full(device, [1, 2, 1], MathF.Pow(2, -16));
        var gate = Tensor.Full(device, [1, 1], 1);

        // The stream begins as an output of a layer, in parts, and so in few bits.
        var stream = Tensor.Empty(device, [1, 4, 1]);
        var begin = Tensor.Full(device, [1, 2, 1], 1);
        begin.Linear(weight, into: stream.Slice(1, 0, 2));
        begin.Linear(weight, into: stream.Slice(1, 2, 2));
        var part = stream.Slice(1, 1, 2);
        part.AddGated(gate, small, part);
        part.AddLinear(small, weight, null, part);
        part.Add(small, part);
        float sum = 1 + 3 * MathF.Pow(2, -16);
        Assert.Equal([1, sum, sum, 1], stream.ToArray());
    }

    /// <summary>Sums of norms are float32: squares beyond 65504 are none too many for float16.</summary>
    [Fact]
    public void Norms_add_up_in_float32()
    {
        using var scope = new TensorScope();
        using var device = Open(Precision.Float16);
        using var memory = TensorScope.Detach(Tensor.From(Devices.Managed, [300, 300], [2, 1]));
        using var weight = device.Prepare(StoredWeight.Of("w", memory), WeightRole.Matrix);
        var x = Tensor.Full(device, [1, 1], 1).Linear(weight);      // in float16
        Assert.Equal([1f, 1], x.RmsNorm(null, 0).ToArray());
        Assert.Equal(300 * MathF.Sqrt(2), x.RowNorms().ToArray()[0], .05f);
        Assert.Equal(180000, x.RowDots(x).ToArray()[0], 1f);
    }

    /// <summary>
    /// A whole guided picture of a trained model: some 64 roundings in a row (of layers, in two steps and the decoder), each off by u of
    /// the values at most, as often up as down: sqrt(64) u of 256 levels, 4 on average.
    /// </summary>
    [Fact]
    public async Task Guided_pictures_in_bfloat16_are_those_of_float32_within_the_bound()
    {
        TorchCpu.Require();
        byte[] expected = await Picture(TorchCpu.Device);
        using var device = Open(Precision.BFloat16);
        byte[] actual = await Picture(device);
        Assert.InRange(expected.Zip(actual, (a, b) => Math.Abs(a - b)).Average(), 1e-6, 4);

        static async Task<byte[]> Picture(Device device)
        {
            using var pipeline = Guided.Load("models/scenes-flux-schnell", device);
            return await Guided.Pixels(pipeline, 7);
        }
    }

    public static TheoryData<string> GoldenCases() =>
    [
        "attention/plain-1x37x37x2x8", "attention/joint-plain", "text-encoders/clip-projection", "text-encoders/t5-masked",
        "text-encoders/gemma2", "autoencoders/kl-4-old-names-decode", "autoencoders/taesd-decode", "flux/transformer-schnell",
        "unet/denoiser-sd15", "z-image/transformer-one",
    ];

    /// <summary>
    /// Golden cases of float32 in bfloat16. A product's factors are off by up to u of themselves and so is its result, evenly distributed:
    /// deviations of u / sqrt(3) each, together sqrt(3) u / sqrt(3) = u of the result's root mean square. Through D products one after the
    /// other, whose errors do not depend on each other and are not amplified by norms and residual streams, that is sqrt(D) u, and of a
    /// million outputs the farthest is sqrt(2 ln 10^6) = 5.3 deviations off. Tolerances are relative to the largest output, which is no
    /// less than the root mean square. D is counted: as if all products of the case came one after the other.
    /// </summary>
    [Theory]
    [MemberData(nameof(GoldenCases))]
    public void Golden_cases_hold_within_the_bound_of_their_depth(string name)
    {
        using var device = Open(Precision.BFloat16);
        int products = 0;
        device.Watch = primitive => products += primitive is "a linear layer" or "a convolution" ? 1 : primitive == "attention" ? 2 : 0;
        var result = new CaseRunner(GoldenFolder.Open(Repository.Golden()), device).Run(name);
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Repository.Golden("cases", name + ".json")));
        double tolerance = golden.RootElement.GetProperty("outputs").EnumerateObject().Max(output => output.Value.GetDouble());
        double off = result.WorstRatio * tolerance, bound = 5.3 * Math.Sqrt(products) * Unit(Precision.BFloat16);
        Assert.True(off <= bound, $"{off} with {products} products, bound {bound}: {result}");
        Assert.True(off > Unit(Precision.BFloat16) / 64, $"{off}: nothing was rounded");
    }

    private static double Unit(Precision precision) => Math.ScaleB(1, precision == Precision.BFloat16 ? -9 : -12);

    private static TorchDevice Open(Precision precision)
    {
        TorchCpu.Require();
        return TorchDevice.Open("torch:cpu", precision);
    }

    private float[] Noise(int count) => [.. Enumerable.Range(0, count).Select(_ => 2 * _random.NextSingle() - 1)];
}
