using Attune.Evaluation.Metrics;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Tests.Metrics;

[NoLeaks]
public class JudgeTests
{
    private const double Tolerance = 1e-5;

    [Fact]
    public void Every_layer_gives_what_the_reference_gives()
    {
        var fixture = new Fixture("judge.safetensors");
        using var checkpoint = Checkpoint.Open(Fixture.At("judge"), Host);
        var trunk = new PictureTrunk(
            checkpoint.Root, PictureTrunkConfig.Read(ModelConfig.Read(Fixture.At("judge", "config.json")), "ScenesJudge"));
        var pictures = fixture.Pictures();
        Assert.Equal(2, pictures.Length);
        for (int item = 0; item < pictures.Length; item++)
        {
            using var scope = new TensorScope();
            var x = PictureTrunk.Pixels(pictures[item], Host);
            for (int i = 0; i < trunk.Stages.Count; i++)
            {
                x = trunk.Stages[i].Apply(x);
                fixture.CheckMap($"stages.{i}", item, x, Tolerance);
            }
            fixture.Check("features", item, trunk.Pool(x).Span, Tolerance);
        }
    }

    [Fact]
    public void Judgements_are_those_of_the_reference()
    {
        var fixture = new Fixture("judge.safetensors");
        using var judge = Judge.Load(Fixture.At("judge"), Host);
        Assert.Equal(["face", "eyewear", "headwear", "background"], judge.Heads.Select(head => head.Name));
        Assert.Equal(["none", "sunglasses", "glasses"], judge.Heads[1].Values);
        Assert.Equal((12, 22), (judge.FeatureCount, judge.SampleSize));

        var judgements = judge.Read(fixture.Pictures());
        Assert.Equal(2, judgements.Count);
        for (int item = 0; item < judgements.Count; item++)
        {
            fixture.Check("features", item, judgements[item].Features, Tolerance);
            Assert.Equal(judge.Heads.Count, judgements[item].Probabilities.Count);
            foreach (var head in judge.Heads)
            {
                fixture.Check("probabilities." + head.Name, item, judgements[item].Probabilities[head.Name], Tolerance);
                float[] expected = fixture.Rows("probabilities." + head.Name)[item];
                Assert.Equal(head.Values[Array.IndexOf(expected, expected.Max())], judgements[item].Value(head.Name));
            }
        }
    }

    [Fact]
    public void A_judgement_does_not_depend_on_the_other_pictures()
    {
        var pictures = new Fixture("judge.safetensors").Pictures();
        using var judge = Judge.Load(Fixture.At("judge"), Host);
        var together = judge.Read([pictures[1], pictures[0], pictures[1]]);
        var alone = judge.Read([pictures[1]]);
        Assert.Equal(alone[0].Features, together[0].Features);
        Assert.Equal(alone[0].Features, together[2].Features);
        Assert.Equal(alone[0].Probabilities["face"], together[0].Probabilities["face"]);
        Assert.NotEqual(alone[0].Features, together[1].Features);
        Assert.Empty(judge.Read([]));
    }

    [Fact]
    public void The_given_device_computes()
    {
        var device = new CountingDevice();
        using var judge = Judge.Load(Fixture.At("judge"), device);
        judge.Read(new Fixture("judge.safetensors").Pictures()[..1]);
        // Two stages of a strided convolution and a residual block of two; four heads.
        Assert.Equal((6, 4), (device.Convolutions, device.LinearLayers));
    }

    [Fact]
    public void Pictures_of_another_size_are_refused()
    {
        using var judge = Judge.Load(Fixture.At("judge"), Host);
        var right = new Image(22, 22, new byte[3 * 22 * 22]);
        var wrong = new Image(24, 22, new byte[3 * 24 * 22]);
        var error = Assert.Throws<ArgumentException>(() => judge.Read([right, wrong]));
        Assert.StartsWith(
            $"Picture 1 is 24 x 22, but '{Fixture.At("judge")}' reads pictures of 22 x 22.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Unknown_heads_are_refused()
    {
        using var judge = Judge.Load(Fixture.At("judge"), Host);
        var judgement = judge.Read(new Fixture("judge.safetensors").Pictures())[0];
        var error = Assert.Throws<ArgumentException>(() => judgement.Value("shoes"));
        Assert.StartsWith(
            "The judge has no head 'shoes', expected one of face, eyewear, headwear, background.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_equal_probabilities_the_first_counts() =>
        Assert.Equal(
            "a", new Judgement([], new Dictionary<string, float[]> { ["h"] = [0.5f, 0.5f] }, [new JudgeHead("h", ["a", "b"])]).Value("h"));

    [Theory]
    [InlineData("_class_name")]
    [InlineData("sample_size")]
    [InlineData("block_out_channels")]
    [InlineData("norm_num_groups")]
    [InlineData("norm_eps")]
    public void Keys_that_are_missing_are_named(string key)
    {
        using var copy = new DamagedCopy("judge");
        copy.Replace("config.json", $"\"{key}\"", "\"other\"");
        var error = Assert.Throws<CheckpointException>(() => Judge.Load(copy.Path, Host));
        Assert.Equal($"'{copy.At("config.json")}': {key} is missing; a ScenesJudge states it.", error.Message);
    }

    [Theory]
    [InlineData("ScenesJudge", "ScenesImageEncoder", "_class_name is 'ScenesImageEncoder', expected 'ScenesJudge'.")]
    [InlineData("\"sample_size\": 22", "\"sample_size\": 0", "sample_size is 0, expected 1 or more.")]
    [
        InlineData(
            "\"norm_num_groups\": 4", "\"norm_num_groups\": 5",
            "block_out_channels is [8, 12], expected multiples of norm_num_groups 5, at least one.")]
    [InlineData("\"norm_num_groups\": 4", "\"norm_num_groups\": 0", "norm_num_groups is 0, expected 1 or more.")]
    [InlineData("\"norm_eps\": 1e-06", "\"norm_eps\": -1", "norm_eps is -1, expected a number above 0.")]
    [InlineData("\"in_channels\": 3", "\"in_channels\": 4", "in_channels is 4, expected 3: red, green, blue.")]
    [InlineData("\"heads\"", "\"tails\"", "heads is missing, expected an object of names and lists of values.")]
    [InlineData("\"glasses\"", "\"sunglasses\"", "expected values that differ.")]
    [InlineData("\"glasses\"", "7", "expected a list of strings.")]
    [InlineData("\"eyewear\"", "\"face\"", "heads.face is there twice.")]
    public void Configurations_that_make_no_sense_are_refused(string before, string after, string message)
    {
        using var copy = new DamagedCopy("judge");
        copy.Replace("config.json", before, after);
        var error = Assert.Throws<CheckpointException>(() => Judge.Load(copy.Path, Host));
        Assert.StartsWith($"'{copy.At("config.json")}': ", error.Message, StringComparison.Ordinal);
        Assert.EndsWith(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_must_fit_the_heads()
    {
        using var copy = new DamagedCopy("judge");
        copy.Replace("config.json", "\"glasses\"", "\"glasses\", \"monocle\"");
        Assert.Contains(
            "heads.eyewear.weight is [3, 12], expected [4, 12]",
            Assert.Throws<CheckpointException>(() => Judge.Load(copy.Path, Host)).Message, StringComparison.Ordinal);
        copy.Replace("config.json", "\"eyewear\"", "\"shoes\"");
        Assert.Contains(
            "heads.shoes.weight [4, 12] is missing",
            Assert.Throws<CheckpointException>(() => Judge.Load(copy.Path, Host)).Message, StringComparison.Ordinal);
    }

    private sealed class CountingDevice() : DelegatingDevice(Host)
    {
        public int Convolutions { get; private set; }

        public int LinearLayers { get; private set; }

        public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
        {
            Convolutions++;
            base.Conv2d(x, weight, bias, geometry, output);
        }

        public override void AddConv2d(
            Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
        {
            Convolutions++;
            base.AddConv2d(residual, x, weight, bias, geometry, output);
        }

        public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output)
        {
            LinearLayers++;
            base.Linear(x, weight, bias, activation, output);
        }
    }
}
