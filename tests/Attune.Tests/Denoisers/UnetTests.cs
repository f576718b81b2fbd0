using System.Text;
using System.Text.Json.Nodes;
using Attune.Attention;
using Attune.Layers;
using Attune.Models;
using Attune.Models.Flux;
using Attune.Models.Unet;
using Attune.Tensors;
using Attune.Tests.Weights;
using Attune.Weights;

namespace Attune.Tests.Denoisers;

[NoLeaks]
public class UnetTests
{
    private const string Small = """
        "block_out_channels": [16, 32], "layers_per_block": 1, "attention_head_dim": 2, "cross_attention_dim": 16, "norm_num_groups": 8,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]
        """;

    private static readonly string Folder = Repository.Golden("checkpoints", "sdxl", "unet");

    private static Tensor Noise(int seed, params ReadOnlySpan<int> shape)
    {
        var tensor = Tensor.Empty(Host, Shape.Create(shape));
        new TorchRandom((ulong)seed).Normal(tensor.Span);
        return tensor;
    }

    private static UnetConfig Read(string keys) =>
        UnetConfig.Read(ModelConfig.Parse("unet/config.json", Encoding.UTF8.GetBytes("{" + keys + "}")));

    private static float Distance(Tensor a, Tensor b) => a.ToArray().Zip(b.ToArray(), (x, y) => Math.Abs(x - y)).Max();

    [Theory]
    [InlineData(11, 14)]
    [InlineData(1, 1)]
    [InlineData(5, 3)]
    public void Items_of_a_batch_are_as_if_alone_at_odd_sizes(int height, int width)
    {
        using var model = Unet2DConditionModel.Load(Folder, Host);
        using var scope = new TensorScope();
        var latents = Noise(1, 2, height, width, 4);
        var (text, pooled, ids) = (Noise(2, 2, 7, 64), Noise(3, 2, 40), Noise(4, 2, 6).Affine(100, 500));
        using var both = new UnetConditioning(text, pooled, ids);
        var together = model.Predict(Input(latents, [20, 980], both), Steering.Plain);
        Assert.Equal(latents.Shape, together.Shape);
        for (int i = 0; i < 2; i++)
        {
            using var one = new UnetConditioning(
                text.Slice(0, i, 1).Clone(), pooled.Slice(0, i, 1).Clone(), ids.Slice(0, i, 1).Clone());
            var alone = model.Predict(
                Input(latents.Slice(0, i, 1), [i == 0 ? 20 : 980], one), Steering.Plain);
            Assert.InRange(Distance(together.Slice(0, i, 1), alone), 0, 2e-5f);
        }
    }

    [Fact]
    public void Negative_text_of_any_length_is_packed_where_a_rule_reads_it_and_nowhere_else()
    {
        using var model = Unet2DConditionModel.Load(Folder, Host);
        using var scope = new TensorScope();
        using var positive = new UnetConditioning(Noise(2, 1, 9, 64), Noise(3, 1, 40), Tensor.Zeros(Host, [1, 6]));
        using var negative = new UnetConditioning(Noise(5, 1, 4, 64));
        string site = "mid_block.attentions.0.transformer_blocks.1.attn2";
        var attention = new Watching { Reads = path => path == site };
        var input = Input(Noise(1, 1, 6, 10, 4), [500], positive, negative);
        var result = model.Predict(input, new Steering(attention));
        Assert.Equal(model.Sites, attention.Calls.Select(call => call.Site));
        foreach (var call in attention.Calls)
        {
            bool cross = call.Site.Kind == AttentionKind.Cross;
            Assert.Equal(
                call.Site.Path == site ? [TokenKind.NegativeText, TokenKind.Text] : cross ? [TokenKind.Text] : [TokenKind.Latent],
                call.Keys.Spans.Select(span => span.Kind));
            Assert.Equal(call.Site.Path == site ? 13 : cross ? 9 : call.Queries.Length, call.Key.Shape[1]);
            var grid = Assert.Single(call.Queries.Spans).Grid!.Value;
            Assert.Equal(call.Query.Shape[1], grid.Height * grid.Width);
        }

        // The negative text changes nothing unless the attention uses it; keys are taken from the conditioning the second time.
        Assert.Equal(0, Distance(result, model.Predict(input with { Negative = null }, Steering.Plain)));
        Assert.Equal(0, Distance(result, model.Predict(input, new Steering(attention))));
    }

    [Fact]
    public void Blocks_that_are_left_out_do_not_attend()
    {
        using var model = Unet2DConditionModel.Load(Folder, Host);
        using var scope = new TensorScope();
        using var positive = new UnetConditioning(Noise(2, 1, 9, 64), Noise(3, 1, 40), Tensor.Zeros(Host, [1, 6]));
        var input = Input(Noise(1, 1, 6, 10, 4), [500], positive);
        string block = "up_blocks.0.attentions.1.transformer_blocks.2";
        Assert.Contains(block, model.Blocks);
        var attention = new Watching();
        var left = model.Predict(input, new Steering(attention, Blocks: new Filter(block)));
        Assert.Equal(
            model.Sites.Where(site => !site.Path.StartsWith(block + ".", StringComparison.Ordinal)),
            attention.Calls.Select(call => call.Site));
        Assert.NotEqual(0, Distance(left, model.Predict(input, Steering.Plain)));
    }

    [Fact]
    public void Skip_connections_are_shown_in_order_and_can_be_changed()
    {
        using var model = Unet2DConditionModel.Load(Folder, Host);
        using var scope = new TensorScope();
        using var positive = new UnetConditioning(Noise(2, 1, 9, 64), Noise(3, 1, 40), Tensor.Zeros(Host, [1, 6]));
        var input = Input(Noise(1, 1, 7, 5, 4), [500], positive);
        var same = new Skips(1);
        Assert.Equal(
            0, Distance(model.Predict(input, Steering.Plain), model.Predict(input, new Steering(PlainAttention.Instance, Skips: same))));
        Assert.Equal(
            ["up_blocks.0 2x2", "up_blocks.0 2x2", "up_blocks.1 4x3", "up_blocks.1 4x3", "up_blocks.2 7x5", "up_blocks.2 7x5"], same.Seen);
        Assert.NotEqual(
            0,
            Distance(
                model.Predict(input, Steering.Plain), model.Predict(input, new Steering(PlainAttention.Instance, Skips: new Skips(0.5f)))));
    }

    [Fact]
    public void A_cancelled_token_is_seen_within_a_block()
    {
        using var model = Unet2DConditionModel.Load(Folder, Host);
        using var scope = new TensorScope();
        using var positive = new UnetConditioning(Noise(2, 1, 9, 64), Noise(3, 1, 40), Tensor.Zeros(Host, [1, 6]));
        using var source = new CancellationTokenSource();
        var attention = new Watching();
        attention.Called = () =>
        {
            if (attention.Calls.Count == 4)
                source.Cancel();
        };
        var input = Input(Noise(1, 1, 6, 10, 4), [500], positive);
        Assert.Throws<OperationCanceledException>(() => model.Predict(input, new Steering(attention), source.Token));
        Assert.Equal(4, attention.Calls.Count);
    }

    [Fact]
    public void The_presets_have_as_many_parameters_as_the_released_models()
    {
        Assert.Equal(859_520_964, Parameters(UnetConfig.StableDiffusion15));
        Assert.Equal(2_567_463_684, Parameters(UnetConfig.StableDiffusionXL));
    }

    [Fact]
    public void A_guidance_scale_is_embedded_where_the_model_has_room_for_one()
    {
        using var scope = new TensorScope();
        var config = Read(Small + """, "time_cond_proj_dim": 8""");
        Assert.Equal(8, config.TimeCondProjDim);
        using var model = new Unet2DConditionModel(Random(), config);
        using var positive = new UnetConditioning(Noise(2, 1, 3, 16));
        var input = Input(Noise(1, 1, 4, 4, 4), [500], positive) with { GuidanceScale = 8 };
        Assert.NotEqual(0, Distance(model.Predict(input, Steering.Plain), model.Predict(input with { GuidanceScale = 7 }, Steering.Plain)));
        Assert.Contains(
            "guidance scale",
            Assert.Throws<ArgumentException>(() => model.Predict(input with { GuidanceScale = null }, Steering.Plain)).Message,
            StringComparison.Ordinal);

        // get_guidance_scale_embedding of latent consistency models: sines, then cosines, of 1000 w 10000^(-i / (half - 1)).
        float[] features = Sinusoid.Of(Host, [7000], 8, cosineFirst: false, frequencyShift: 1).ToArray();
        for (int i = 0; i < 4; i++)
        {
            double angle = 7000 * Math.Pow(10000, -i / 3.0);
            Assert.Equal(Math.Sin(angle), features[i], 1e-3);
            Assert.Equal(Math.Cos(angle), features[4 + i], 1e-3);
        }
    }

    [Fact]
    public void Levels_may_differ_in_every_way_that_released_models_use()
    {
        using var scope = new TensorScope();

        // Segmind's SSD-1B: transformer blocks per residual block, other ones in the decoder, and a middle without attention.
        var config = Read(Small + """
            , "transformer_layers_per_block": [[2], 0], "reverse_transformer_layers_per_block": [0, [1, 3]],
            "mid_block_type": "UNetMidBlock2D" 
            """);
        Assert.Equal([2], config.Down[0].TransformerLayers);
        Assert.Equal([1, 3], config.Up[1].TransformerLayers);
        using var model = new Unet2DConditionModel(Random(), config);
        Assert.Equal(
            [
                "down_blocks.0.attentions.0.transformer_blocks.0", "down_blocks.0.attentions.0.transformer_blocks.1",
                "up_blocks.1.attentions.0.transformer_blocks.0",
             "up_blocks.1.attentions.1.transformer_blocks.0", "up_blocks.1.attentions.1.transformer_blocks.1",
             "up_blocks.1.attentions.1.transformer_blocks.2"],
            model.Blocks);

        // No middle at all.
        using var none = new Unet2DConditionModel(Random(), Read(Small + """, "mid_block_type": null"""));
        using var positive = new UnetConditioning(Noise(2, 1, 3, 16));
        Assert.True(float.IsFinite(none.Predict(Input(Noise(1, 1, 5, 3, 4), [500], positive), Steering.Plain).ToArray().Sum()));
    }

    [Theory]
    [InlineData("down_block_types", """["AttnDownBlock2D", "DownBlock2D"]""", "AttnDownBlock2D")]
    [InlineData("up_block_types", """["UpBlock2D"]""", "expected 2")]
    [InlineData("mid_block_type", "\"UNetMidBlock2DSimpleCrossAttn\"", "UNetMidBlock2DSimpleCrossAttn")]
    [InlineData("layers_per_block", "[1, 2, 3]", "[1,2,3]")]
    [InlineData("attention_head_dim", "3", "into equal heads")]
    [InlineData("attention_head_dim", "\"two\"", "two")]
    [InlineData("transformer_layers_per_block", "[[1], [1]]", "reverse_transformer_layers_per_block")]
    [InlineData("transformer_layers_per_block", "[1]", "2 entries")]
    [InlineData("transformer_layers_per_block", "-1", "-1")]
    [InlineData("class_embed_type", "\"timestep\"", "timestep")]
    [InlineData("addition_embed_type", "\"image\"", "text_time")]
    [InlineData("addition_embed_type", "\"text_time\"", "addition_time_embed_dim")]
    [InlineData("encoder_hid_dim_type", "\"text_proj\"", "text_proj")]
    [InlineData("resnet_time_scale_shift", "\"scale_shift\"", "scale_shift")]
    [InlineData("only_cross_attention", "[true, false]", "only_cross_attention")]
    [InlineData("norm_num_groups", "7", "multiples of norm_num_groups")]
    [InlineData("act_fn", "\"gelu\"", "gelu")]
    [InlineData("conv_in_kernel", "4", "odd")]
    [InlineData("downsample_padding", "2", "downsample_padding")]
    [InlineData("mid_block_scale_factor", "1.4", "1.4")]
    public void What_is_not_supported_is_named_with_file_and_key(string key, string value, string expected)
    {
        var json = JsonNode.Parse("{" + Small + "}")!.AsObject();
        json[key] = JsonNode.Parse(value);
        var exception = Assert.Throws<CheckpointException>(
            () => UnetConfig.Read(ModelConfig.Parse("unet/config.json", Encoding.UTF8.GetBytes(json.ToJsonString()))));
        Assert.Contains("unet/config.json", exception.Message, StringComparison.Ordinal);
        Assert.Contains(expected, exception.Message, StringComparison.Ordinal);
        Assert.Contains(key, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_inputs_are_named()
    {
        using var model = Unet2DConditionModel.Load(Folder, Host);
        using var scope = new TensorScope();
        using var positive = new UnetConditioning(Noise(2, 1, 9, 64), Noise(3, 1, 40), Tensor.Zeros(Host, [1, 6]));
        using var narrow = new UnetConditioning(Noise(2, 1, 9, 32), positive.Pooled!.Clone(), Tensor.Zeros(Host, [1, 6]));
        var input = Input(Noise(1, 1, 6, 10, 4), [500], positive);
        string Message(DenoiserInput wrong) => Assert.Throws<ArgumentException>(() => model.Predict(wrong, Steering.Plain)).Message;
        Assert.Contains("[1, 6, 10, 3]", Message(input with { Latents = Noise(1, 1, 6, 10, 3) }), StringComparison.Ordinal);
        Assert.Contains("3 timesteps", Message(input with { Timesteps = [1, 2, 3] }), StringComparison.Ordinal);
        Assert.Contains("[1, 9, 32]", Message(input with { Positive = narrow }), StringComparison.Ordinal);
        foreach (var ids in new[] { null, Tensor.Zeros(Host, [1, 5]) })
        {
            using var wrong = new UnetConditioning(Noise(2, 1, 9, 64), Noise(3, 1, 40), ids);
            Assert.Contains("time ids", Message(input with { Positive = wrong }), StringComparison.Ordinal);
        }
        using var other = new FluxConditioning(Noise(2, 1, 9, 64), Noise(3, 1, 40));
        Assert.Contains(
            "takes a UnetConditioning, not a FluxConditioning", Message(input with { Positive = other }), StringComparison.Ordinal);
    }

    private static DenoiserInput Input(Tensor latents, float[] timesteps, UnetConditioning positive, UnetConditioning? negative = null) =>
        new(latents, new LatentGrid(1, latents.Shape[1], latents.Shape[2]), timesteps, positive, negative);

    private static long Parameters(UnetConfig config)
    {
        // Weights that nobody reads: views on a file that has no content.
        using var folder = new TemporaryFolder();
        using (var empty = File.Create(folder.At("weights")))
            empty.SetLength(200_000_000);
        using var file = new MappedFile(folder.At("weights"));
        long count = 0;
        var checkpoint = new Checkpoint(new MadeWeights((name, shape) =>
        {
            count += shape.Count;
            return new StoredWeight(name, shape, WeightFormat.BFloat16, WeightBytes.Of(file, 0, 2 * shape.Count));
        }), Host);
        using var model = new Unet2DConditionModel(checkpoint, config);
        return count;
    }

    /// <summary>Weights of the current scope.</summary>
    private static Checkpoint Random()
    {
        ulong seed = 0;
        return new Checkpoint(new MadeWeights((name, shape) =>
        {
            var tensor = Tensor.Empty(Host, shape);
            new TorchRandom(++seed).Normal(tensor.Span);
            tensor.Affine(0.2f, into: tensor);
            return StoredWeight.Of(name, tensor);
        }), Host);
    }

    /// <summary>Plain attention over all keys but the negative text, which keeps what it is called with.</summary>
    private sealed class Watching : IAttention
    {
        public List<AttentionCall> Calls { get; } = [];

        public Func<string, bool>? Reads { get; init; }

        public Action? Called { get; set; }

        public bool ReadsNegativeText(AttentionSite site) => Reads?.Invoke(site.Path) == true;

        public Tensor Attend(AttentionCall call)
        {
            Calls.Add(call);
            Called?.Invoke();
            return PlainAttention.Instance.Attend(call);
        }
    }

    private sealed class Filter(string left) : IBlockPolicy
    {
        public BlockDecision Before(BlockPoint at, Tensor latents) => at.Path == left ? BlockDecision.Skip : BlockDecision.Run;
    }

    private sealed class Skips(float factor) : ISkipConnection
    {
        public List<string> Seen { get; } = [];

        public (Tensor Hidden, Tensor Skip) Adjust(string path, Tensor hidden, Tensor skip)
        {
            Assert.Equal(hidden.Shape.Take(..3), skip.Shape.Take(..3));
            Seen.Add($"{path} {skip.Shape[1]}x{skip.Shape[2]}");
            return factor == 1 ? (hidden, skip) : (hidden, skip.Affine(factor));
        }
    }
}
