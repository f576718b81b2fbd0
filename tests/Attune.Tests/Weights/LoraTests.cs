using System.Text.Json;
using Attune.Attention;
using Attune.Layers;
using Attune.Models;
using Attune.Models.Flux;
using Attune.Models.Unet;
using Attune.Generation;
using Attune.Tensors;
using Attune.Weights;
using Attune.Weights.Lora;

namespace Attune.Tests.Weights;

/// <summary>LoRA files against the golden values, and against W + scale alpha / rank up down written out in double precision.</summary>
[NoLeaks]
public class LoraTests
{
    private const int Out = 6;
    private const int In = 5;
    private const int Rank = 2;

    public static TheoryData<string> Cases() =>
        [
            .. new[] { "lora", "lycoris" }.SelectMany(
                group => Directory.GetFiles(Repository.Golden("cases", group), "*.json")
                    .Select(file => Path.GetFileNameWithoutExtension(file))
                    .Where(name => name != "refuse")
                    .Order(StringComparer.Ordinal)
                    .Select(name => $"{group}/{name}"))];

    /// <summary>Weights alone, so that files for models that are not here yet are checked too.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Golden_weights_merge(string name)
    {
        string file = Repository.Golden("cases", name);
        using var json = JsonDocument.Parse(File.ReadAllBytes(file + ".json"));
        var arguments = json.RootElement.GetProperty("arguments");
        var source = TestSource.Folders(Repository.Golden(json.RootElement.GetProperty("checkpoint").GetString()!));
        var merged = new LoraSource(
            source,
            arguments.GetProperty("loras")
                .EnumerateArray()
                .Select(lora => (Repository.Golden(lora.GetProperty("file").GetString()!), lora.GetProperty("scale").GetSingle()))
                .ToArray(),
            new LoraSettings(Merge: true, Lenient: false, Warn: null));
        var expectedChanges = arguments.GetProperty("changed")
            .EnumerateArray()
            .Select(change => change.GetString()!)
            .Order(StringComparer.Ordinal)
            .ToArray();
        var changes = new List<string>();
        using var reference = WeightSource.Open(file + ".safetensors");
        int compared = 0;
        foreach (string component in expectedChanges.Select(change => change.Split('.')[0]).Distinct())
        {
            using var before = source.Component(component).OpenWeights();
            using var after = merged.Component(component).OpenWeights();
            foreach (string tensor in before.Entries.Where(entry => entry.Type != "I64").Select(entry => entry.Name))
            {
                float[] value = after.Read(tensor);
                string full = $"{component}.{tensor}";
                if (!value.SequenceEqual(before.Read(tensor)))
                    changes.Add(full);
                if (reference.Describe("output.merged." + full) == null)
                    continue;
                compared++;
                Assert.Equal(reference.ShapeOf("output.merged." + full), after.ShapeOf(tensor));
                AssertNear(Doubles(reference.Read("output.merged." + full)), value, 2e-6);
            }
        }
        Assert.Equal(expectedChanges, changes.Order(StringComparer.Ordinal));
        Assert.Equal(reference.Names.Count(output => output.StartsWith("output.merged.", StringComparison.Ordinal)), compared);
    }

    /// <summary>The same outputs when the factors are computed beside the weights, and with no weight in memory.</summary>
    [Theory]
    [InlineData("flux-kohya-1_0")]
    [InlineData("flux-peft-1_0")]
    [InlineData("flux-dora-1_0")]
    [InlineData("flux-two-files")]
    [InlineData("sd-kohya-conv-1_0")]
    [InlineData("sd-peft-1_0")]
    public void Golden_outputs_hold_with_factors_kept_apart(string name)
    {
        string file = Repository.Golden("cases", "lora", name);
        using var json = JsonDocument.Parse(File.ReadAllBytes(file + ".json"));
        var options = new LoadOptions
        {
            MergeLora = false,
            Loras = [
                .. json.RootElement.GetProperty("arguments")
                    .GetProperty("loras")
                    .EnumerateArray()
                    .Select(
                        lora => new LoraWeights(
                            Repository.Golden(lora.GetProperty("file").GetString()!), lora.GetProperty("scale").GetSingle()))],
        };
        var source = options.Apply(TestSource.Folders(Repository.Golden(json.RootElement.GetProperty("checkpoint").GetString()!)));
        string component = source.Has("unet") ? "unet" : "transformer";
        using var scope = new TensorScope();
        using var tensors = WeightSource.Open(file + ".safetensors");
        Tensor Read(string key) => tensors.Find(key)!.ToTensor(Host);
        Tensor Input(string key) => Read($"input.{component}.{key}");
        var expected = Read($"output.{component}.output");
        Tensor output;
        long live = TensorMemory.LiveTensors;
        if (component == "unet")
        {
            using var model = Unet2DConditionModel.Load(source.Component("unet"));
            Assert.Equal(live, TensorMemory.LiveTensors);
            using var conditioning = new UnetConditioning(Input("encoder_hidden_states"));
            var sample = Input("sample").Permute(0, 2, 3, 1);
            var grid = new LatentGrid(1, sample.Shape[1], sample.Shape[2]);
            output = model.Predict(new DenoiserInput(sample, grid, Input("timestep").ToArray(), conditioning), Steering.Plain)
                .Permute(0, 3, 1, 2);
        }
        else
        {
            using var model = FluxTransformer.Load(source.Component("transformer"));
            Assert.True(name.Contains("dora", StringComparison.Ordinal) == TensorMemory.LiveTensors > live);
            using var conditioning = new FluxConditioning(Input("encoder_hidden_states"), Input("pooled_projections"));
            int columns = (int)Input("img_ids").ToArray()[^1] + 1;
            var latents = Input("hidden_states");
            var grid = new LatentGrid(1, latents.Shape[1] / columns, columns);
            float[] timesteps = [.. Input("timestep").ToArray().Select(t => t * 1000)];
            output = model.Predict(new DenoiserInput(latents, grid, timesteps, conditioning), Steering.Plain);
        }
        AssertNear(
            Doubles(expected.ToArray()), output.Span,
            json.RootElement.GetProperty("outputs").GetProperty(component + ".output").GetDouble());
    }

    [Theory]
    [InlineData("unet.block.to_q", "lora_A.weight", "lora_B.weight")]
    [InlineData("unet.block.to_q", "lora_A.default.weight", "lora_B.default.weight")]
    [InlineData("unet.block.to_q", "lora.down.weight", "lora.up.weight")]
    [InlineData("unet.block.to_q", "lora_linear_layer.down.weight", "lora_linear_layer.up.weight")]
    [InlineData("block.to_q", "lora_down.weight", "lora_up.weight")]
    [InlineData("lora_unet_block_to_q", "lora_down.weight", "lora_up.weight")]
    [InlineData("unet.block.processor.to_q_lora", "down.weight", "up.weight")]
    [InlineData("base_model.model.block.to_q", "lora_A.weight", "lora_B.weight")]
    [InlineData("diffusion_model.block.to_q", "lora_A.weight", "lora_B.weight")]
    public void Every_dialect_means_the_same(string layer, string down, string up)
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        string file = new SafetensorsWriter()
            .Add($"{layer}.{down}", a, Rank, In)
            .Add($"{layer}.{up}", b, Out, Rank)
            .Write(test.Folder.At("lora.safetensors"));
        AssertNear(Sum(test.Matrix, Product(b, a, Rank), 0.7f), test.Read([(file, 0.7f)], "block.to_q.weight"), 1e-6);
    }

    [Theory]
    [InlineData("F32", new byte[] { 0, 0, 64, 64 }, 1.5)]
    [InlineData("F64", new byte[] { 0, 0, 0, 0, 0, 0, 8, 64 }, 1.5)]
    [InlineData("F16", new byte[] { 0, 0x42 }, 1.5)]
    [InlineData("BF16", new byte[] { 64, 64 }, 1.5)]
    [InlineData("I64", new byte[] { 3, 0, 0, 0, 0, 0, 0, 0 }, 1.5)]
    [InlineData("I32", new byte[] { 3, 0, 0, 0 }, 1.5)]
    [InlineData("U8", new byte[] { 3 }, 1.5)]
    [InlineData(null, null, 1.0)]
    public void A_layers_own_alpha_counts(string? type, byte[]? alpha, double scale)
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        var writer = new SafetensorsWriter()
            .Add("lora_unet_block_to_q.lora_down.weight", a, Rank, In)
            .Add("lora_unet_block_to_q.lora_up.weight", b, Out, Rank);
        if (type != null)
            writer.Add("lora_unet_block_to_q.alpha", type, alpha!);
        string file = writer.Write(test.Folder.At("lora.safetensors"));
        AssertNear(Sum(test.Matrix, Product(b, a, Rank), scale * -0.5), test.Read([(file, -0.5f)], "block.to_q.weight"), 1e-6);
    }

    [Theory]
    [InlineData("""{"unet.r":2,"unet.lora_alpha":5}""", 2.5)]
    [InlineData("""{"unet.r":2,"unet.lora_alpha":5,"unet.use_rslora":true}""", 3.5355339059327378)]
    [InlineData("""{"unet.r":2,"unet.lora_alpha":5,"unet.alpha_pattern":{"block.to_q":8}}""", 4.0)]
    [InlineData("""{"unet.r":2,"unet.lora_alpha":5,"unet.alpha_pattern":{"^.*to_q":8}}""", 4.0)]
    [InlineData("""{"unet.r":2,"unet.lora_alpha":5,"unet.alpha_pattern":{"lock.to_q":8}}""", 2.5)]
    [InlineData("""{"text_encoder.lora_alpha":5}""", 1.0)]
    public void Alpha_may_stand_in_the_header(string metadata, double scale)
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        var writer = new SafetensorsWriter { Metadata = { ["lora_adapter_metadata"] = metadata } };
        string file = writer.Add("unet.block.to_q.lora_A.weight", a, Rank, In)
            .Add("unet.block.to_q.lora_B.weight", b, Out, Rank)
            .Write(test.Folder.At("lora.safetensors"));
        AssertNear(Sum(test.Matrix, Product(b, a, Rank), scale), test.Read([(file, 1)], "block.to_q.weight"), 1e-6);
    }

    /// <summary>The first pattern that fits counts; that a later one says otherwise is worth a warning, since peft sorts them.</summary>
    [Theory]
    [InlineData("\"to_q\":3,\"block.to_q\":8", 1.5, true)]
    [InlineData("\"block.to_q\":8,\"to_q\":3", 4, true)]
    [InlineData("\"block.to_q\":8,\"to_q\":8", 4, false)]
    public void Patterns_count_in_the_order_of_the_file(string patterns, double scale, bool warned)
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        var writer = new SafetensorsWriter
        {
            Metadata = { ["lora_adapter_metadata"] = $"{{\"unet.lora_alpha\":5,\"unet.alpha_pattern\":{{{patterns}}}}}" },
        };
        string file = writer.Add("unet.block.to_q.lora_A.weight", a, Rank, In)
            .Add("unet.block.to_q.lora_B.weight", b, Out, Rank)
            .Write(test.Folder.At("lora.safetensors"));
        var warnings = new List<string>();
        using var source = test.Open([(file, 1)], merge: true, warn: warnings.Add);
        AssertNear(Sum(test.Matrix, Product(b, a, Rank), scale), source.Read("block.to_q.weight"), 1e-6);
        Assert.Equal(warned ? 1 : 0, warnings.Count);
        Assert.All(warnings, warning => Assert.Contains("the first counts", warning, StringComparison.Ordinal));
    }

    /// <summary>
    /// A control file widens the denoiser's input: old columns, zeros, then the product on all; another file is for the old ones.
    /// </summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_control_file_widens_the_input(bool merge)
    {
        using var folder = new TemporaryFolder();
        var (w, q) = (Values(1, Out * In), Values(2, Out * In));
        string weights = new SafetensorsWriter()
            .Add("x_embedder.weight", w, Out, In)
            .Add("block.to_q.weight", q, Out, In)
            .Write(folder.At("model.safetensors"));
        var (a, b, c, d) = (Values(3, Rank * 9), Values(4, Out * Rank), Values(5, Rank * In), Values(6, Out * Rank));
        string control = new SafetensorsWriter()
            .Add("img_in.lora_A.weight", a, Rank, 9)
            .Add("img_in.lora_B.weight", b, Out, Rank)
            .Write(folder.At("control.safetensors"));
        string ordinary = new SafetensorsWriter()
            .Add("transformer.x_embedder.lora_A.weight", c, Rank, In)
            .Add("transformer.x_embedder.lora_B.weight", d, Out, Rank)
            .Write(folder.At("ordinary.safetensors"));
        double[] expected = new double[Out * 9];
        for (int o = 0; o < Out; o++)
        {
            for (int i = 0; i < 9; i++)
            {
                expected[o * 9 + i] = i < In ? w[o * In + i] : 0;
                for (int r = 0; r < Rank; r++)
                    expected[o * 9 + i] += 0.5 * b[o * Rank + r] * a[r * 9 + i] + (i < In ? 2.0 * d[o * Rank + r] * c[r * In + i] : 0);
            }
        }
        foreach (var files in new (string, float)[][] { [(control, 0.5f), (ordinary, 2)], [(ordinary, 2), (control, 0.5f)] })
        {
            var model = new LoraSource(
                new TestSource(new Dictionary<string, Func<WeightSource>> { ["transformer"] = () => WeightSource.Open(weights) }), files,
                new LoraSettings(merge, Lenient: false, Warn: null));
            var component = model.Component("transformer");
            Assert.Equal((9, In), (component.Config.Int("in_channels", 0), component.Config.Int("out_channels", 0)));
            using var source = component.OpenWeights();
            Assert.Equal([Out, 9], source.ShapeOf("x_embedder.weight")!.Value);
            AssertNear(expected, source.Read("x_embedder.weight"), 1e-6);
            Assert.Equal(q, source.Read("block.to_q.weight"));
        }
        using var off = Patched(weights, "transformer", [(control, 0)], merge);
        Assert.Equal([Out, In], off.ShapeOf("x_embedder.weight")!.Value);
        string wrong = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", a, Rank, 9)
            .Add("block.to_q.lora_B.weight", b, Out, Rank)
            .Write(folder.At("wrong.safetensors"));
        Assert.Contains(
            "6 rows of 9 numbers, expected 6 of 5",
            Assert.Throws<CheckpointException>(() => Patched(weights, "transformer", [(wrong, 1)], merge)).Message,
            StringComparison.Ordinal);
    }

    /// <summary>Norms of a control file take the place of the old ones at any strength but 0.</summary>
    [Fact]
    public void A_vector_may_be_replaced()
    {
        using var test = new Model();
        string file = new SafetensorsWriter().Add("block.norm.scale", Values(3, Out), Out).Write(test.Folder.At("lora.safetensors"));
        Assert.Equal(Values(3, Out), test.Read([(file, 0.3f)], "block.norm.weight"));
        Assert.Equal(test.Bias, test.Read([(file, 0)], "block.norm.weight"));
        string matrix = new SafetensorsWriter()
            .Add("block.to_q.scale", Values(3, Out * In), Out, In)
            .Write(test.Folder.At("matrix.safetensors"));
        string length = new SafetensorsWriter().Add("block.norm.scale", Values(3, In), In).Write(test.Folder.At("length.safetensors"));
        foreach (var (wrong, reason) in new[] { (matrix, "takes the place of a norm's vector"), (length, "expected 6 numbers") })
            Assert.Contains(
                reason, Assert.Throws<CheckpointException>(() => test.Open([(wrong, 1)], merge: true)).Message, StringComparison.Ordinal);
    }

    /// <summary>What cannot compute addends beside its weight gets them merged, also where the user wants LoRA kept apart.</summary>
    [Fact]
    public void Tables_and_host_code_get_addends_merged()
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        string file = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", a, Rank, In)
            .Add("block.to_q.lora_B.weight", b, Out, Rank)
            .Write(test.Folder.At("lora.safetensors"));
        double[] expected = Sum(test.Matrix, Product(b, a, Rank), 0.7f);
        using var source = test.Open([(file, 0.7f)], merge: false);
        using (var stored = source.Find("block.to_q.weight")!)
            Assert.Single(stored.LowRank);
        using var checkpoint = new Checkpoint(test.Open([(file, 0.7f)], merge: false), Host);
        using var scope = new TensorScope();
        var table = checkpoint.Root.Get("block.to_q.weight", [Out, In], WeightRole.Table);
        AssertNear(expected, table.Embed([.. Enumerable.Range(0, Out)]).ToArray(), 1e-6);
        using var read = checkpoint.Root.Read("block.to_q.weight", [Out, In]);
        AssertNear(expected, read.ToTensor(Host).ToArray(), 1e-6);
    }

    [Fact]
    public void Alpha_may_stand_beside_the_file_of_peft()
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        new SafetensorsWriter()
            .Add("base_model.model.block.to_q.lora_A.weight", a, Rank, In)
            .Add("base_model.model.block.to_q.lora_B.weight", b, Out, Rank)
            .Write(test.Folder.At("adapter_model.safetensors"));
        File.WriteAllText(test.Folder.At("adapter_config.json"), """{"r":2,"lora_alpha":6}""");
        AssertNear(Sum(test.Matrix, Product(b, a, Rank), 3), test.Read([(test.Folder.Path, 1)], "block.to_q.weight"), 1e-6);
    }

    [Fact]
    public void Several_files_add_up()
    {
        using var test = new Model();
        var (a, b, c, d) = (Values(1, Rank * In), Values(2, Out * Rank), Values(3, 3 * In), Values(4, Out * 3));
        string first = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", a, Rank, In)
            .Add("block.to_q.lora_B.weight", b, Out, Rank)
            .Write(test.Folder.At("1.safetensors"));
        string second = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", c, 3, In)
            .Add("block.to_q.lora_B.weight", d, Out, 3)
            .Write(test.Folder.At("2.safetensors"));
        var expected = Sum(Sum(test.Matrix, Product(b, a, Rank), 0.5), Product(d, c, 3), -2);
        AssertNear(expected, test.Read([(first, 0.5f), (second, -2)], "block.to_q.weight"), 1e-6);
        Assert.Equal(test.Matrix, test.Read([(first, 0)], "block.to_q.weight"));
    }

    [Fact]
    public void Whole_differences_and_biases()
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        string file = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", a, Rank, In).Add("block.to_q.lora_B.weight", b, Out, Rank).Add("block.to_q.alpha", [4])
            .Add("block.to_q.lora_B.bias", Values(3, Out), Out).Add("block.to_q.diff_b", Values(4, Out), Out)
            .Add("block.norm.diff", Values(5, Out), Out).Write(test.Folder.At("lora.safetensors"));
        AssertNear(
            Sum(Sum(test.Bias, Doubles(Values(3, Out)), 2 * 0.5), Doubles(Values(4, Out)), 0.5),
            test.Read([(file, 0.5f)], "block.to_q.bias"), 1e-6);
        AssertNear(Sum(test.Bias, Doubles(Values(5, Out)), 0.5), test.Read([(file, 0.5f)], "block.norm.weight"), 1e-6);
        AssertNear(Sum(test.Matrix, Product(b, a, Rank), 2 * 0.5), test.Read([(file, 0.5f)], "block.to_q.weight"), 1e-6);
    }

    [Theory]
    [InlineData("lora_magnitude_vector", new long[] { Out }, false)]
    [InlineData("dora_scale", new long[] { Out, 1 }, false)]
    [InlineData("dora_scale", new long[] { 1, In }, true)]
    public void Dora_sets_the_lengths_of_the_sum(string key, long[] shape, bool byInput)
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        var magnitude = Values(3, byInput ? In : Out);
        string file = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", a, Rank, In)
            .Add("block.to_q.lora_B.weight", b, Out, Rank)
            .Add("block.to_q." + key, magnitude, shape)
            .Write(test.Folder.At("lora.safetensors"));
        double[] expected = Sum(test.Matrix, Product(b, a, Rank), 0.7f);
        for (int group = 0; group < magnitude.Length; group++)
        {
            int[] members = [.. Enumerable.Range(0, Out * In).Where(i => (byInput ? i % In : i / In) == group)];
            double norm = Math.Sqrt(members.Sum(i => expected[i] * expected[i]));
            foreach (int i in members)
                expected[i] *= magnitude[group] / norm;
        }
        AssertNear(expected, test.Read([(file, 0.7f)], "block.to_q.weight"), 2e-6);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Convolutions(bool core)
    {
        using var test = new Model();
        var (up, mid, down) = (Values(1, 4 * 3), Values(2, 3 * 2 * 9), Values(3, core ? 2 * 3 : 3 * 3 * 9));
        var writer = new SafetensorsWriter().Add("lora_unet_conv.lora_up.weight", up, 4, 3, 1, 1).Add("lora_unet_conv.alpha", [6]);
        if (core)
            writer.Add("lora_unet_conv.lora_mid.weight", mid, 3, 2, 3, 3).Add("lora_unet_conv.lora_down.weight", down, 2, 3, 1, 1);
        else
            writer.Add("lora_unet_conv.lora_down.weight", down, 3, 3, 3, 3);
        string file = writer.Write(test.Folder.At("lora.safetensors"));
        double[] expected = Doubles(test.Kernel);
        for (int o = 0; o < 4; o++)
        {
            for (int i = 0; i < 3; i++)
            {
                for (int k = 0; k < 9; k++)
                {
                    for (int r = 0; r < 3; r++)
                    {
                        double inner = core ? Enumerable.Range(0, 2).Sum(j => (double)mid[(r * 2 + j) * 9 + k] * down[j * 3 + i])
                            : down[(r * 3 + i) * 9 + k];
                        expected[(o * 3 + i) * 9 + k] += up[o * 3 + r] * inner * 6 / (core ? 2 : 3);
                    }
                }
            }
        }
        AssertNear(expected, test.Read([(file, 1)], "conv.weight"), 1e-6);

        // The layer computes the same with the factors apart.
        using var scope = new TensorScope();
        var x = Tensor.From(Host, Values(9, 2 * 5 * 6 * 3), [2, 5, 6, 3]);
        using var merged = new Checkpoint(test.Open([(file, 1)], merge: true), Host);
        using var apart = new Checkpoint(test.Open([(file, 1)], merge: false), Host);
        foreach (var geometry in new[] { Conv2dGeometry.Same(1), new Conv2dGeometry(Stride: 2, Top: 0, Left: 0, Bottom: 1, Right: 1) })
        {
            var reference = new Conv2d(merged.Root.At("conv"), 3, 4, 3, geometry, bias: false).Apply(x);
            AssertNear(Doubles(reference.ToArray()), new Conv2d(apart.Root.At("conv"), 3, 4, 3, geometry, bias: false).Apply(x).Span, 2e-6);
        }
    }

    [Fact]
    public void A_linear_layer_computes_factors_beside_its_weight()
    {
        using var test = new Model();
        var (a, b) = (Values(1, Rank * In), Values(2, Out * Rank));
        string file = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", a, Rank, In)
            .Add("block.to_q.lora_B.weight", b, Out, Rank)
            .Write(test.Folder.At("lora.safetensors"));
        using var scope = new TensorScope();
        var x = Tensor.From(Host, Values(9, 2 * 3 * In), [2, 3, In]);
        using var merged = new Checkpoint(test.Open([(file, 0.7f)], merge: true), Host);
        using var apart = new Checkpoint(test.Open([(file, 0.7f)], merge: false), Host);
        var (expected, actual) = (new Linear(merged.Root.At("block.to_q"), In, Out), new Linear(apart.Root.At("block.to_q"), In, Out));
        AssertNear(Doubles(expected.Apply(x, Activation.Silu).ToArray()), actual.Apply(x, Activation.Silu).Span, 2e-6);
        AssertNear(Doubles(expected.Apply(x, 2, 3).ToArray()), actual.Apply(x, 2, 3).Span, 2e-6);
        var wide = Tensor.Zeros(Host, [2, 3, Out + 2]);
        actual.Apply(x, Activation.Gelu, into: wide.Slice(2, 1, Out));
        AssertNear(Doubles(expected.Apply(x, Activation.Gelu).ToArray()), wide.Slice(2, 1, Out).Contiguous().Span, 2e-6);
    }

    /// <summary>A fused projection that is not square, and a final layer whose halves are the other way round.</summary>
    [Fact]
    public void Fused_and_swapped_rows()
    {
        using var folder = new TemporaryFolder();
        var writer = new SafetensorsWriter();
        foreach (var (name, rows) in new[] { ("to_q", 4), ("to_k", 2), ("to_v", 3) })
            writer.Add($"transformer_blocks.0.attn.{name}.weight", Values(rows, rows * In), rows, In);
        writer.Add("norm_out.linear.weight", Values(8, 6 * In), 6, In).Add("norm_out.linear.bias", Values(9, 6), 6);
        string weights = writer.Write(folder.At("model.safetensors"));
        var (a, b) = (Values(10, Rank * In), Values(11, 9 * Rank));
        var (c, d) = (Values(12, Rank * In), Values(13, 6 * Rank));
        string lora = new SafetensorsWriter()
            .Add("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", a, Rank, In)
                .Add("lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight", b, 9, Rank)
            .Add("lora_unet_final_layer_adaLN_modulation_1.lora_down.weight", c, Rank, In)
                .Add("lora_unet_final_layer_adaLN_modulation_1.lora_up.weight", d, 6, Rank)
            .Add("lora_unet_final_layer_adaLN_modulation_1.diff_b", Values(14, 6), 6).Write(folder.At("lora.safetensors"));
        foreach (bool merge in new[] { true, false })
        {
            using var checkpoint = Patched(weights, "transformer", [(lora, 1)], merge);
            double[] product = Product(b, a, Rank);
            foreach (var (name, first, rows) in new[] { ("to_q", 0, 4), ("to_k", 4, 2), ("to_v", 6, 3) })
                AssertNear(
                    Sum(Values(rows, rows * In), product[(first * In)..((first + rows) * In)], 1),
                    checkpoint.Read($"transformer_blocks.0.attn.{name}.weight"), 1e-6);
            double[] swapped = Product(d, c, Rank);
            AssertNear(
                Sum(Values(8, 6 * In), [.. swapped[(3 * In)..], .. swapped[..(3 * In)]], 1), checkpoint.Read("norm_out.linear.weight"),
                1e-6);
            double[] bias = Doubles(Values(14, 6));
            AssertNear(Sum(Values(9, 6), [.. bias[3..], .. bias[..3]], 1), checkpoint.Read("norm_out.linear.bias"), 1e-6);
        }
    }

    [Fact]
    public void Only_changed_weights_are_in_memory()
    {
        using var test = new Model();
        string file = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", Values(1, Rank * In), Rank, In)
            .Add("block.to_q.lora_B.weight", Values(2, Out * Rank), Out, Rank)
            .Write(test.Folder.At("lora.safetensors"));
        long before = TensorMemory.LiveTensors;
        using (var checkpoint = new Checkpoint(test.Open([(file, 1)], merge: true), Host))
        {
            Assert.Equal(before, TensorMemory.LiveTensors);
            checkpoint.Root.Get("block.to_q.bias", [Out], WeightRole.Vector);
            Assert.Equal(before, TensorMemory.LiveTensors);
            using (new TensorScope())
                checkpoint.Root.Get("block.to_q.weight", [Out, In], WeightRole.Matrix);
            Assert.Equal(before + 1, TensorMemory.LiveTensors);
        }
        Assert.Equal(before, TensorMemory.LiveTensors);
    }

    /// <summary>A weight that is merged in several blocks of rows.</summary>
    [Fact]
    public void A_large_weight()
    {
        const int Rows = 3100;
        const int Columns = 1500;
        using var folder = new TemporaryFolder();
        var (w, a, b) = (Values(1, Rows * Columns), Values(2, 4 * Columns), Values(3, Rows * 4));
        string weights = new SafetensorsWriter().Add("x.weight", w, Rows, Columns).Write(folder.At("model.safetensors"));
        string lora = new SafetensorsWriter()
            .Add("x.lora_A.weight", a, 4, Columns)
            .Add("x.lora_B.weight", b, Rows, 4)
            .Write(folder.At("lora.safetensors"));
        using var checkpoint = Patched(weights, "unet", [(lora, 0.3f)], merge: true);
        float[] merged = checkpoint.Read("x.weight");
        double[] expected = new double[merged.Length];
        for (int i = 0; i < merged.Length; i++)
        {
            expected[i] = w[i];
            for (int r = 0; r < 4; r++)
                expected[i] += 0.3f * (double)b[i / Columns * 4 + r] * a[r * Columns + i % Columns];
        }
        AssertNear(expected, merged, 1e-6);
    }

    [Fact]
    public void Keys_that_match_nothing_are_an_error_or_a_warning()
    {
        using var test = new Model();
        var writer = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", Values(1, Rank * In), Rank, In)
            .Add("block.to_q.lora_B.weight", Values(2, Out * Rank), Out, Rank);
        for (int i = 0; i < 30; i++)
            writer.Add($"lora_unet_other_{i:00}.lora_down.weight", [1, 2], 1, 2)
                .Add($"lora_unet_other_{i:00}.lora_up.weight", [1, 2], 2, 1);
        writer.Add("block.lone.lora_A.weight", [1, 2], 1, 2)
            .Add("block.to_q.hada_w1_a", [1, 2], 1, 2)
            .Add("block.norm.lora_A.weight", [1], 1, 1);
        string file = writer.Write(test.Folder.At("lora.safetensors"));
        string message = Assert.Throws<CheckpointException>(() => test.Open([(file, 1)], merge: true)).Message;
        Assert.Contains(file, message, StringComparison.Ordinal);
        Assert.Contains("63 of 65 keys", message, StringComparison.Ordinal);
        Assert.Contains("block.to_q.hada_w1_a", message, StringComparison.Ordinal);
        Assert.Contains("block.lone.lora_A.weight", message, StringComparison.Ordinal);
        Assert.Contains("lora_unet_other_00.{lora_down.weight, lora_up.weight}", message, StringComparison.Ordinal);
        Assert.Contains("and 13 more", message, StringComparison.Ordinal);
        const string Hint = " LenientLora (--lora-lenient) leaves them out with a warning.";
        Assert.EndsWith(Hint, message, StringComparison.Ordinal);

        var warnings = new List<string>();
        using var checkpoint = test.Open([(file, 1)], merge: true, warn: warnings.Add);
        Assert.Equal([message[..^Hint.Length]], warnings);
        Assert.NotEqual(test.Matrix, checkpoint.Read("block.to_q.weight"));
    }

    [Theory]
    [InlineData(Rank, In + 1, Out, Rank, "numbers, expected 6 of 5")]
    [InlineData(Rank, In, Out - 1, Rank, "5 rows")]
    [InlineData(Rank, In, Out, Rank + 1, "expected [rank, in, ...]")]
    public void Factors_that_do_not_fit_are_refused(int rank, int inputs, int outputs, int rank2, string reason)
    {
        using var test = new Model();
        string file = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", new float[rank * inputs], rank, inputs)
            .Add("block.to_q.lora_B.weight", new float[outputs * rank2], outputs, rank2)
            .Write(test.Folder.At("lora.safetensors"));
        var exception = Assert.Throws<CheckpointException>(() => test.Open([(file, 1)], merge: true, warn: _ => { }));
        Assert.Contains("block.to_q", exception.Message, StringComparison.Ordinal);
        Assert.Contains(reason, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_not_there_is_named()
    {
        using var test = new Model();
        Assert.Contains(
            "/no/such.safetensors", Assert.Throws<CheckpointException>(() => test.Open([("/no/such.safetensors", 1)], merge: true)).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => test.Open([("/no/such.safetensors", float.NaN)], merge: true));
    }

    /// <summary>The component that a text encoder's layer belongs to, by its name and by what the families' encoders are.</summary>
    [Theory]
    [InlineData("flux", "lora_te1_", "clip", "text_encoder")]
    [InlineData("flux", "lora_te2_", "t5", "text_encoder_2")]
    [InlineData("flux", "lora_te3_", "t5", "text_encoder_2")]
    [InlineData("flux", "text_encoder_2.", "t5", "text_encoder_2")]
    [InlineData("flux", "text_encoders.t5xxl.transformer.", "t5", "text_encoder_2")]
    [InlineData("flux", "text_encoders.t5xxl.", "t5", "text_encoder_2")]
    [InlineData("flux", "t5xxl.transformer.", "t5", "text_encoder_2")]
    [InlineData("flux", "text_encoders.clip_l.transformer.", "clip", "text_encoder")]
    [InlineData("flux", "clip_l.", "clip", "text_encoder")]
    [InlineData("flux", "lora_te2_", "clip", null)]
    [InlineData("flux", "lora_te3_", "clip", null)]
    [InlineData("flux", "text_encoders.clip_g.transformer.", "clip", null)]
    [InlineData("sd3", "lora_te1_", "clip", "text_encoder")]
    [InlineData("sd3", "lora_te2_", "clip", "text_encoder_2")]
    [InlineData("sd3", "lora_te2_", "t5", "text_encoder_3")]
    [InlineData("sd3", "lora_te3_", "t5", "text_encoder_3")]
    [InlineData("sd3", "lora_te3_", "clip", null)]
    [InlineData("sd3", "text_encoder_3.", "t5", "text_encoder_3")]
    [InlineData("sd3", "text_encoders.t5xxl.transformer.", "t5", "text_encoder_3")]
    [InlineData("sd3", "text_encoders.clip_g.transformer.", "clip", "text_encoder_2")]
    [InlineData("sdxl", "lora_te1_", "clip", "text_encoder")]
    [InlineData("sdxl", "lora_te2_", "clip", "text_encoder_2")]
    [InlineData("sdxl", "text_encoders.clip_l.transformer.", "clip", "text_encoder")]
    [InlineData("sdxl", "clip_g.transformer.", "clip", "text_encoder_2")]
    [InlineData("sdxl", "lora_te3_", "t5", null)]
    [InlineData("sd", "lora_te_", "clip", "text_encoder")]
    [InlineData("sd", "text_encoders.clip_h.transformer.", "clip", "text_encoder")]
    [InlineData("pixart", "lora_te1_", "t5", "text_encoder")]
    [InlineData("pixart", "lora_te3_", "t5", "text_encoder")]
    [InlineData("pixart", "t5xxl.", "t5", "text_encoder")]
    public void A_text_layer_belongs_to_the_encoder_that_it_is_of(string family, string prefix, string kind, string? component)
    {
        using var folder = new TemporaryFolder();
        var encoders = (family switch { "sd" => "c", "sdxl" => "cc", "sd3" => "cct", "flux" => "ct", _ => "t" })
            .Select((letter, i) => (Name: i == 0 ? "text_encoder" : $"text_encoder_{i + 1}", Clip: letter == 'c'));
        var opened = new Dictionary<string, Func<WeightSource>>();
        foreach (var (name, clip) in encoders)
        {
            string layer = clip ? "text_model.encoder.layers.0.self_attn.q_proj" : "encoder.block.0.layer.0.SelfAttention.q";
            string weights = new SafetensorsWriter()
                .Add(layer + ".weight", Values(1, Out * In), Out, In)
                .Add(clip ? "text_model.final_layer_norm.weight" : "encoder.final_layer_norm.weight", [1], 1)
                .Write(folder.At(name));
            opened[name] = () => WeightSource.Open(weights);
        }
        string module = kind == "clip" ? "text_model.encoder.layers.0.self_attn.q_proj" : "encoder.block.0.layer.0.SelfAttention.q";
        string full = prefix + (prefix.EndsWith('_') ? module.Replace('.', '_') : module);
        string file = new SafetensorsWriter()
            .Add(full + ".lora_down.weight", Values(2, Rank * In), Rank, In)
            .Add(full + ".lora_up.weight", Values(3, Out * Rank), Out, Rank)
            .Write(folder.At("lora.safetensors"));
        LoraSource Open() => new(new TestSource(opened), [(file, 1)], new LoraSettings(Merge: true, Lenient: false, Warn: null));
        if (component == null)
        {
            Assert.Contains(full, Assert.Throws<CheckpointException>(Open).Message, StringComparison.Ordinal);
            return;
        }
        var model = Open();
        foreach (string name in opened.Keys)
        {
            using var source = model.Component(name).OpenWeights();
            string weight = source.Names.Single(tensor => tensor.Contains("elf", StringComparison.Ordinal));
            Assert.Equal(name == component, !Values(1, Out * In).SequenceEqual(source.Read(weight)));
        }
    }

    [Fact]
    public void A_layer_under_two_names_is_refused()
    {
        using var test = new Model();
        var writer = new SafetensorsWriter();
        foreach (string name in new[] { "lora_unet_block_to_q", "unet.block.to_q" })
            writer.Add(name + ".lora_down.weight", Values(1, Rank * In), Rank, In)
                .Add(name + ".lora_up.weight", Values(2, Out * Rank), Out, Rank);
        string file = writer.Write(test.Folder.At("lora.safetensors"));
        Assert.Equal(
            $"'{file}': the layers lora_unet_block_to_q and unet.block.to_q both change unet.block.to_q.weight.",
            Assert.Throws<CheckpointException>(() => test.Open([(file, 1)], merge: true)).Message);
    }

    /// <summary>Strengths are read from the file each time: what was loaded before leaves nothing behind.</summary>
    [Fact]
    public void A_strength_belongs_to_one_use_of_the_file()
    {
        using var test = new Model();
        string file = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", Values(1, Rank * In), Rank, In)
            .Add("block.to_q.lora_B.weight", Values(2, Out * Rank), Out, Rank)
            .Write(test.Folder.At("lora.safetensors"));
        float[][] read = [.. new[] { 0.5f, 0, 0.5f }.Select(scale => test.Read([(file, scale)], "block.to_q.weight"))];
        Assert.Equal(read[0], read[2]);
        Assert.Equal(test.Matrix, read[1]);
        Assert.NotEqual(read[0], read[1]);
    }

    [Theory]
    [InlineData("block.to_q.base_layer.weight")]
    [InlineData("block.to_q.lora_A.default.weight")]
    [InlineData("block.to_q.lora_B.style.weight")]
    [InlineData("block.attn.processor.to_q_lora.down.weight")]
    public void A_folder_with_a_lora_inside_is_refused(string name)
    {
        using var folder = new TemporaryFolder();
        string weights = new SafetensorsWriter().Add(name, [1, 2], 1, 2).Write(folder.At("model.safetensors"));
        string message = Assert.Throws<CheckpointException>(() => Checkpoint.Open(weights, Host)).Message;
        Assert.StartsWith($"'{weights}' was saved with a LoRA inside ({name})", message, StringComparison.Ordinal);
        Assert.Equal(
            message, Assert.Throws<CheckpointException>(() => Patched(weights, "unet", [], merge: true)).Message);
    }

    /// <summary>What comes in LoRA files and is none is named.</summary>
    [Theory]
    [InlineData("base_model.model.block.to_q.oft_R.weight", "The OFT of peft, which rotates inputs, is not supported.")]
    [InlineData("lora_unet_block_to_q.oft_blocks.0", "OFT blocks in tensors of their own are not supported.")]
    [InlineData("emb_params", "It is an embedding (textual inversion): --embedding takes it.")]
    public void Other_kinds_of_adapters_are_named(string key, string reason)
    {
        using var test = new Model();
        string file = new SafetensorsWriter().Add(key, [1], 1).Write(test.Folder.At("lora.safetensors"));
        string message = Assert.Throws<CheckpointException>(() => test.Open([(file, 1)], merge: true)).Message;
        Assert.Contains(key, message, StringComparison.Ordinal);
        Assert.EndsWith(reason, message, StringComparison.Ordinal);
    }

    /// <summary>A type that cannot be merged is refused before anything is, and not as a fault of the file's form.</summary>
    [Fact]
    public void Factors_of_a_type_that_is_not_read_are_refused()
    {
        using var test = new Model();
        string file = new SafetensorsWriter()
            .Add("block.to_q.lora_A.weight", "I8", new byte[Rank * In], Rank, In)
            .Add("block.to_q.lora_B.weight", Values(2, Out * Rank), Out, Rank)
            .Write(test.Folder.At("lora.safetensors"));
        Assert.Contains(
            "block.to_q.lora_A.weight holds a type that is not supported, I8",
            Assert.Throws<CheckpointException>(() => test.Open([(file, 1)], merge: true)).Message, StringComparison.Ordinal);
    }

    /// <summary>Wan 2.2 has a network for high and one for low noise with the same names; so have their LoRA files.</summary>
    [Theory]
    [InlineData("wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors", "", true, false)]
    [InlineData("wan2.2_t2v_lightx2v_4steps_lora_v1.1_low_noise.safetensors", "", false, true)]
    [InlineData("lora-rank64/low_noise_model.safetensors", "diffusion_model.", false, true)]
    [InlineData("Wan2.2-Lightning_T2V-4steps-lora_HIGH_fp16.safetensors", "", true, false)]
    [InlineData("style-low.safetensors", "transformer.", false, true)]
    [InlineData("style LowNoise v2.safetensors", "", false, true)]
    [InlineData("low_noise/pytorch_lora_weights.safetensors", "transformer.", false, true)]
    [InlineData("anything.safetensors", "transformer_2.", false, true)]
    [InlineData("low-poly.safetensors", "", true, true)]
    [InlineData("high_contrast_wan21.safetensors", "", true, true)]
    [InlineData("flow_noise.safetensors", "", true, true)]
    public void Files_for_high_and_for_low_noise_change_one_network(string name, string prefix, bool high, bool low)
    {
        using var test = new Model();
        string file = test.Folder.At(name);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        new SafetensorsWriter()
            .Add($"{prefix}block.to_q.lora_A.weight", Values(1, Rank * In), Rank, In)
            .Add($"{prefix}block.to_q.lora_B.weight", Values(2, Out * Rank), Out, Rank)
            .Write(file);
        var warnings = new List<string>();
        var source = new LoraSource(
            new TestSource(new Dictionary<string, Func<WeightSource>> { ["transformer"] = test.Plain, ["transformer_2"] = test.Plain }),
            [(file, 1)], new LoraSettings(Merge: true, Lenient: false, warnings.Add));
        Assert.Equal((high, low), (Changes("transformer"), Changes("transformer_2")));
        Assert.Equal(high && low ? 1 : 0, warnings.Count(text => text.Contains("changes both networks", StringComparison.Ordinal)));

        bool Changes(string component)
        {
            using var weights = source.Component(component).OpenWeights();
            return !weights.Read("block.to_q.weight").SequenceEqual(test.Matrix);
        }
    }

    [Fact]
    public void A_file_of_both_networks_changes_each_with_its_own()
    {
        using var test = new Model();
        string file = new SafetensorsWriter()
            .Add("transformer.block.to_q.diff", Values(1, Out * In), Out, In)
            .Add("transformer_2.block.to_q.diff", Values(2, Out * In), Out, In)
            .Write(test.Folder.At("both.safetensors"));
        var source = new LoraSource(
            new TestSource(new Dictionary<string, Func<WeightSource>> { ["transformer"] = test.Plain, ["transformer_2"] = test.Plain }),
            [(file, 1)], new LoraSettings(Merge: true, Lenient: false, Warn: null));
        foreach (var (component, seed) in new[] { ("transformer", 1), ("transformer_2", 2) })
        {
            using var weights = source.Component(component).OpenWeights();
            AssertNear(Sum(test.Matrix, Doubles(Values(seed, Out * In)), 1), weights.Read("block.to_q.weight"), 1e-6);
        }
        Assert.Contains(
            "1 of 2 keys match nothing",
            Assert.Throws<CheckpointException>(() => test.Open([(file, 1)], merge: true)).Message, StringComparison.Ordinal);
    }

    private static WeightSource Patched(
        string weights, string component, (string, float)[] files, bool merge, Action<string>? warn = null) =>
        new LoraSource(
            new TestSource(new Dictionary<string, Func<WeightSource>> { [component] = () => WeightSource.Open(weights) }), files,
            new LoraSettings(merge, warn != null, warn))
            .Component(component)
            .OpenWeights();

    private static float[] Values(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 2 - 1)];
    }

    private static double[] Doubles(float[] values) => [.. values.Select(value => (double)value)];

    private static double[] Product(float[] up, float[] down, int rank)
    {
        int inputs = down.Length / rank;
        return [
            .. Enumerable.Range(0, up.Length / rank * inputs)
                .Select(i => Enumerable.Range(0, rank).Sum(r => (double)up[i / inputs * rank + r] * down[r * inputs + i % inputs]))];
    }

    private static double[] Sum(float[] a, double[] b, double scale) => Sum(Doubles(a), b, scale);

    private static double[] Sum(double[] a, double[] b, double scale) => [.. a.Select((value, i) => value + scale * b[i])];

    private static void AssertNear(double[] expected, ReadOnlySpan<float> actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        double bound = tolerance * expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= bound, $"element {i} is {actual[i]}, expected {expected[i]}");
    }

    /// <summary>A UNet of four parameters.</summary>
    private sealed class Model : IDisposable
    {
        private readonly string _weights;

        public Model() => _weights = new SafetensorsWriter()
            .Add("block.to_q.weight", Matrix, Out, In)
                .Add("block.to_q.bias", Bias, Out)
                .Add("block.norm.weight", Bias, Out)
                .Add("conv.weight", Kernel, 4, 3, 3, 3)
            .Write(Folder.At("model.safetensors.weights"));

        public TemporaryFolder Folder { get; } = new();

        public float[] Matrix { get; } = Values(100, Out * In);

        public float[] Bias { get; } = Values(101, Out);

        public float[] Kernel { get; } = Values(102, 4 * 3 * 9);

        public WeightSource Plain() => WeightSource.Open(_weights);

        public WeightSource Open((string, float)[] files, bool merge, Action<string>? warn = null) =>
            Patched(_weights, "unet", files, merge, warn);

        public float[] Read((string, float)[] files, string name)
        {
            using var checkpoint = Open(files, merge: true);
            return checkpoint.Read(name);
        }

        public void Dispose() => Folder.Dispose();
    }
}
