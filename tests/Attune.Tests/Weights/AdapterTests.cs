using Attune.Weights;
using Attune.Weights.Lora;

namespace Attune.Tests.Weights;

/// <summary>Adapters beyond LoRA, against their formulas written out in double precision (the golden cases are in LoraTests).</summary>
[NoLeaks]
public class AdapterTests
{
    private const int In = 6;
    private static readonly (string Name, int Rows)[] Parts = [("to_q", 4), ("to_k", 2), ("to_v", 6)];

    /// <summary>
    /// A rotation whose blocks reach over the borders of query, key and value: they are put together, whatever was merged into them before.
    /// </summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_rotation_of_modules_that_are_one_in_the_file(bool butterfly)
    {
        using var model = new Fused();
        var (blocks, size) = butterfly ? (3, 4) : (4, 3);
        var values = Values(20, blocks * size * size);
        string rotation = new SafetensorsWriter()
            .Add(
                Fused.Layer + ".oft_blocks", values, butterfly ? [1, blocks, size, size] : [blocks, size, size])
            .Add(Fused.Layer + ".alpha", [0])
            .Write(model.Folder.At("rotation.safetensors"));
        var difference = Values(21, 2 * In);
        string before = new SafetensorsWriter()
            .Add("transformer_blocks.0.attn.to_k.diff", difference, 2, In)
            .Write(model.Folder.At("before.safetensors"));
        double[] w = model.All();
        for (int i = 0; i < difference.Length; i++)
            w[4 * In + i] += 0.5 * difference[i];
        double[] expected = new double[w.Length];
        for (int block = 0; block < blocks; block++)
        {
            double[] r = Rotation([.. values.Skip(block * size * size).Take(size * size).Select(value => (double)value)], size, 0.7f);
            int Row(int i) => block * size + (butterfly ? i % 2 * (size / 2) + i / 2 : i);
            for (int j = 0; j < size; j++)
            {
                for (int i = 0; i < size; i++)
                {
                    for (int column = 0; column < In; column++)
                        expected[Row(j) * In + column] += (butterfly ? r[j * size + i] : r[i * size + j]) * w[Row(i) * In + column];
                }
            }
        }
        model.AssertMerged(expected, (before, 0.5f), (rotation, 0.7f));
    }

    [Fact]
    public void Lengths_of_inputs_are_those_of_all_rows_of_the_file()
    {
        using var model = new Fused();
        var (a, b, lengths) = (Values(1, 2 * In), Values(2, 12 * 2), Values(3, In));
        string file = new SafetensorsWriter()
            .Add(Fused.Layer + ".lora_down.weight", a, 2, In)
            .Add(Fused.Layer + ".lora_up.weight", b, 12, 2)
            .Add(Fused.Layer + ".dora_scale", lengths, 1, In)
            .Write(model.Folder.At("dora.safetensors"));
        double[] v = model.All();
        for (int i = 0; i < v.Length; i++)
            v[i] += 0.7f * Enumerable.Range(0, 2).Sum(r => (double)b[i / In * 2 + r] * a[r * In + i % In]);
        double Norm(int column) => Math.Sqrt(Enumerable.Range(0, 12).Sum(row => v[row * In + column] * v[row * In + column]));
        double[] norms = [.. Enumerable.Range(0, In).Select(Norm)];
        model.AssertMerged([.. v.Select((value, i) => value * lengths[i % In] / norms[i % In])], (file, 0.7f));
    }

    /// <summary>The product first, then its rows: neither kind can be cut before.</summary>
    [Fact]
    public void Products_of_modules_that_are_one_in_the_file()
    {
        using var model = new Fused();
        var (w1, w2) = (Values(1, 3 * 2), Values(2, 4 * 3));
        string kronecker = new SafetensorsWriter()
            .Add(Fused.Layer + ".lokr_w1", w1, 3, 2)
            .Add(Fused.Layer + ".lokr_w2", w2, 4, 3)
            .Add(Fused.Layer + ".alpha", [5])
            .Write(model.Folder.At("lokr.safetensors"));
        double[] expected = model.All();
        for (int i = 0; i < expected.Length; i++)
            expected[i] += -0.5 * w1[i / In / 4 * 2 + i % In / 3] * w2[i / In % 4 * 3 + i % In % 3];
        model.AssertMerged(expected, (kronecker, -0.5f));

        float[][] factors = [Values(3, 12 * 2), Values(4, 2 * In), Values(5, 12 * 2), Values(6, 2 * In)];
        string hadamard = new SafetensorsWriter()
            .Add(Fused.Layer + ".hada_w1_a", factors[0], 12, 2)
            .Add(Fused.Layer + ".hada_w1_b", factors[1], 2, In)
            .Add(Fused.Layer + ".hada_w2_a", factors[2], 12, 2)
            .Add(Fused.Layer + ".hada_w2_b", factors[3], 2, In)
            .Add(Fused.Layer + ".alpha", [3])
            .Write(model.Folder.At("loha.safetensors"));
        expected = model.All();
        for (int i = 0; i < expected.Length; i++)
        {
            double Factor(int n) => Enumerable.Range(0, 2).Sum(r => (double)factors[n][i / In * 2 + r] * factors[n + 1][r * In + i % In]);
            expected[i] += 0.5 * 3 / 2 * Factor(0) * Factor(2);
        }
        model.AssertMerged(expected, (hadamard, 0.5f));
    }

    /// <summary>GLoRA acts on the weight as it is, with the present and with the old order of its factors.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Glora_in_both_orders(bool old)
    {
        using var model = new Fused();
        var (a1, a2, b1, b2) = (Values(1, In * 2), Values(2, 2 * In), Values(3, 12 * 2), Values(4, 2 * In));
        var writer = new SafetensorsWriter().Add(Fused.Layer + ".alpha", [1]);
        writer.Add($"{Fused.Layer}.{(old ? "a2" : "a1")}.weight", a1, In, 2).Add($"{Fused.Layer}.{(old ? "a1" : "a2")}.weight", a2, 2, In);
        writer.Add($"{Fused.Layer}.{(old ? "b2" : "b1")}.weight", b1, 12, 2).Add($"{Fused.Layer}.{(old ? "b1" : "b2")}.weight", b2, 2, In);
        double[] w = model.All();
        double[] expected = [.. w];
        for (int i = 0; i < w.Length; i++)
        {
            for (int r = 0; r < 2; r++)
            {
                double through = Enumerable.Range(0, In).Sum(k => w[i / In * In + k] * a1[k * 2 + r]);
                expected[i] += 2 * 0.5 * (through * a2[r * In + i % In] + (double)b1[i / In * 2 + r] * b2[r * In + i % In]);
            }
        }
        model.AssertMerged(expected, (writer.Write(model.Folder.At("glora.safetensors")), 2));
    }

    [Fact]
    public void Several_kinds_in_one_file_and_several_files_add_up()
    {
        using var model = new Fused();
        var (diff, m) = (Values(1, 4 * In), Values(2, 4));
        string first = new SafetensorsWriter()
            .Add("transformer_blocks.0.attn.to_q.diff", diff, 4, In)
            .Write(model.Folder.At("1.safetensors"));
        string second = new SafetensorsWriter()
            .Add("lycoris_transformer_blocks_0_attn_to_q.weight", m, 4)
            .Add("lycoris_transformer_blocks_0_attn_to_q.on_input", "I64", new byte[8])
            .Write(model.Folder.At("2.safetensors"));
        double[] expected = model.All();
        for (int i = 0; i < 4 * In; i++)
            expected[i] = (expected[i] + 0.5 * diff[i]) * (1 - 0.3f * m[i / In]);
        model.AssertMerged(expected, (first, 0.5f), (second, -0.3f));
    }

    /// <summary>Whole factors have no alpha; one that is not the file's rank may have been meant all the same.</summary>
    [Theory]
    [InlineData("32", true)]
    [InlineData("5", false)]
    [InlineData(null, false)]
    public void An_alpha_that_does_not_count_is_said(string? rank, bool said)
    {
        using var model = new Fused();
        var writer = new SafetensorsWriter();
        if (rank != null)
            writer.Metadata["ss_network_dim"] = rank;
        string file = writer.Add(Fused.Layer + ".lokr_w1", Values(1, 6), 3, 2).Add(Fused.Layer + ".lokr_w2", Values(2, 12), 4, 3)
            .Add(Fused.Layer + ".alpha", [5]).Write(model.Folder.At("lokr.safetensors"));
        var warnings = new List<string>();
        model.Open([(file, 1)], warnings.Add).Dispose();
        Assert.Equal(said ? 1 : 0, warnings.Count);
        Assert.All(warnings, warning => Assert.Contains("a scale of 0.1563 is meant", warning, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("hada_w1_a", new long[] { 12, 2 }, "match nothing")]
    [InlineData("lokr_w1_a", new long[] { 12, 2 }, "match nothing")]
    [InlineData("oft_blocks", new long[] { 4, 3, 2 }, "expected [blocks, size, size]")]
    [InlineData("oft_blocks", new long[] { 5, 3, 3 }, "rotates 15 rows, expected 12")]
    [InlineData("oft_blocks", new long[] { 3, 3, 4, 4 }, "has 3 stages, which 12 rows cannot be divided for")]
    [InlineData("oft_blocks", new long[] { 1, 4, 3, 3 }, "blocks of an even size")]
    [InlineData("diff", new long[] { 12, 5 }, "expected 72 numbers")]
    [InlineData("w_norm", new long[] { 12 }, "expected 72 numbers")]
    public void What_does_not_fit_is_refused_before_a_weight_is_read(string part, long[] shape, string reason)
    {
        using var model = new Fused();
        string file = new SafetensorsWriter()
            .Add($"{Fused.Layer}.{part}", new float[shape.Aggregate(1L, (a, b) => a * b)], shape)
            .Write(model.Folder.At("wrong.safetensors"));
        string message = Assert.Throws<CheckpointException>(() => model.Open([(file, 1)])).Message;
        Assert.Contains(file, message, StringComparison.Ordinal);
        Assert.Contains(part, message, StringComparison.Ordinal);
        Assert.Contains(reason, message, StringComparison.Ordinal);
    }

    /// <summary>A file of which nothing matches is no adapter of the model, however lenient one is.</summary>
    [Fact]
    public void A_file_of_which_nothing_matches_is_an_error()
    {
        using var model = new Fused();
        string file = new SafetensorsWriter().Add("lora_unet_other.diff", [1], 1).Write(model.Folder.At("other.safetensors"));
        Assert.Contains(
            "1 of 1 keys match nothing",
            Assert.Throws<CheckpointException>(() => model.Open([(file, 1)], _ => { })).Message, StringComparison.Ordinal);
    }

    private static float[] Values(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 2 - 1)];
    }

    /// <summary>
    /// s R + (1 - s) I with R = (I + Q)(I - Q)^-1 = (I + Q)^2 (I - Q^2)^-1. I - Q^2 is symmetric and positive, since Q is skew:
    /// Richardson's iteration finds its inverse.
    /// </summary>
    private static double[] Rotation(double[] b, int n, float strength)
    {
        double[] q = [.. Enumerable.Range(0, n * n).Select(i => b[i] - b[i % n * n + i / n])];
        double[] x = [.. Enumerable.Range(0, n * n).Select(i => i % (n + 1) == 0 ? 1.0 : 0)];
        double norm = q.Sum(value => value * value);
        double[] square = Multiply(q, q, n);
        double[] inverse = [.. x];
        for (int step = 0; step < 2000; step++)
        {
            double[] product = Multiply([.. x.Select((value, i) => value - square[i])], inverse, n);
            inverse = [.. inverse.Select((value, i) => value + (x[i] - product[i]) / (1 + norm))];
        }
        double[] plus = [.. x.Select((value, i) => value + q[i])];
        double[] r = Multiply(Multiply(plus, plus, n), inverse, n);
        return [.. r.Select((value, i) => strength * value + (1 - (double)strength) * x[i])];
    }

    private static double[] Multiply(double[] a, double[] b, int n) =>
        [.. Enumerable.Range(0, n * n).Select(i => Enumerable.Range(0, n).Sum(k => a[i / n * n + k] * b[k * n + i % n]))];

    /// <summary>A transformer of which the file has query, key and value, of unequal heights, as one layer.</summary>
    private sealed class Fused : IDisposable
    {
        public const string Layer = "lora_unet_double_blocks_0_img_attn_qkv";
        private readonly string _weights;

        public Fused()
        {
            var writer = new SafetensorsWriter();
            foreach (var (name, rows) in Parts)
                writer.Add($"transformer_blocks.0.attn.{name}.weight", Values(10 + rows, rows * In), rows, In);
            _weights = writer.Write(Folder.At("model.safetensors"));
        }

        public TemporaryFolder Folder { get; } = new();

        public double[] All() => [.. Parts.SelectMany(part => Values(10 + part.Rows, part.Rows * In)).Select(value => (double)value)];

        public WeightSource Open((string, float)[] files, Action<string>? warn = null) =>
            new LoraSource(
                new TestSource(new Dictionary<string, Func<WeightSource>> { ["transformer"] = () => WeightSource.Open(_weights) }), files,
                new LoraSettings(Merge: true, warn != null, warn))
                .Component("transformer")
                .OpenWeights();

        public void AssertMerged(double[] expected, params (string, float)[] files)
        {
            using var source = Open(files);
            float[] merged = [.. Parts.SelectMany(part => source.Read($"transformer_blocks.0.attn.{part.Name}.weight"))];
            double bound = 2e-6 * expected.Max(Math.Abs);
            for (int i = 0; i < expected.Length; i++)
                Assert.InRange(merged[i], expected[i] - bound, expected[i] + bound);
        }

        public void Dispose() => Folder.Dispose();
    }
}
