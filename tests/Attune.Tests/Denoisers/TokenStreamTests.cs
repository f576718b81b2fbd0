using Attune.Attention;
using Attune.Guidance;
using Attune.Models;
using Attune.Models.Flux;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Denoisers;

/// <summary>What a stream of tokens and its loop do beside the layers, seen on a small FLUX with two blocks of either kind.</summary>
[NoLeaks]
public class TokenStreamTests
{
    private const int Side = 3;
    private static readonly string Folder = Repository.Golden("checkpoints", "flux-dev", "transformer");

    private static readonly string[] Paths =
        ["transformer_blocks.0", "transformer_blocks.1", "single_transformer_blocks.0", "single_transformer_blocks.1"];

    private static readonly Dictionary<TokenKind, string> Short = new()
    {
        [TokenKind.NegativeText] = "-T", [TokenKind.Text] = "T", [TokenKind.Latent] = "L", [TokenKind.NegativeLatent] = "-L",
        [TokenKind.Reference] = "R",
    };

    private static Tensor Noise(int seed, params ReadOnlySpan<int> shape)
    {
        var values = new float[Shape.Create(shape).Count];
        new TorchRandom((ulong)seed).Normal(values);
        return Tensor.From(Host, values, Shape.Create(shape));
    }

    private static float Distance(Tensor a, Tensor b) => a.ToArray().Zip(b.ToArray(), (x, y) => Math.Abs(x - y)).Max();

    /// <summary>A forward pass over noise with two prompts of unequal length.</summary>
    private static Tensor Predict(FluxTransformer model, Steering steering, int batch = 1)
    {
        using var positive = new FluxConditioning(Noise(2, 1, 4, 64), Noise(3, 1, 48));
        using var negative = new FluxConditioning(Noise(4, 1, 2, 64), Noise(5, 1, 48));
        var input = new DenoiserInput(Noise(1, batch, Side * Side, 64), new LatentGrid(1, Side, Side), [700], positive, negative)
        {
            GuidanceScale = 3.5f,
        };
        return model.Predict(input, steering);
    }

    /// <summary>
    /// Rows that nobody reads later give keys and values alone, and end: the negative text (and the twins of the latents) after its last
    /// reader, the text in the last block. Twins appear with the first single-stream block.
    /// </summary>
    [Theory]
    [InlineData("", false, "T L<T L", "T L<T L", "T L<T L", "L<T L")]
    [InlineData("transformer_blocks.0", true, "T L<-T T L", "T L<T L", "T L<T L", "L<T L")]
    [InlineData("transformer_blocks.1", false, "-T T L<-T T L", "T L<-T T L", "T L<T L", "L<T L")]
    [InlineData("single_transformer_blocks.0", false, "-T T L<-T T L", "-T T L<-T T L", "T L<-T T L", "L<T L")]
    [InlineData("single_transformer_blocks.0", true, "-T T L<-T T L", "-T T L<-T T L", "T L -L<-T T L -L", "L<T L")]
    [InlineData("single_transformer_blocks.1", false, "-T T L<-T T L", "-T T L<-T T L", "-T T L<-T T L", "L<-T T L")]
    [InlineData("single_transformer_blocks.1", true, "-T T L<-T T L", "-T T L<-T T L", "-T T L -L<-T T L -L", "L -L<-T T L -L")]
    public void Rows_end_in_the_attention_after_which_nobody_reads_them(string reader, bool fork, params string[] expected)
    {
        using var model = FluxTransformer.Load(Folder, Host);
        using var scope = new TensorScope();
        var watching = new Watching { Reads = path => path == reader + ".attn" };
        Predict(model, new Steering(watching, fork));
        static string Kinds(TokenLayout layout) => string.Join(' ', layout.Spans.Select(span => Short[span.Kind]));
        Assert.Equal(expected, watching.Calls.Select(call => $"{Kinds(call.Queries)}<{Kinds(call.Keys)}"));
        Assert.Equal(Paths.Select(path => path + ".attn"), watching.Calls.Select(call => call.Site.Path));
        Assert.All(watching.Calls, call => Assert.Equal(
            (call.Queries.Length, call.Keys.Length, call.Keys.Length),
            (call.QueryRotary!.Tokens, call.KeyRotary!.Tokens, call.Key.Shape[1])));
    }

    /// <summary>Families that pack the image first (SD3, Z-Image) go through the same stream.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void The_image_may_come_first(int batch)
    {
        using var checkpoint = Checkpoint.Open(Folder, Host);
        var config = FluxConfig.Read(ModelConfig.Read(Path.Combine(Folder, "config.json")));
        var blocks = new BlockLoop<TimeEmbeddings>([
            new DoubleStreamBlock(checkpoint.Root.At("transformer_blocks.0"), config),
            new SingleStreamBlock(checkpoint.Root.At("single_transformer_blocks.0"), config),
            new SingleStreamBlock(checkpoint.Root.At("single_transformer_blocks.1"), config)]);
        using var scope = new TensorScope();
        TokenPart[] parts =
        [
            new(TokenKind.NegativeText, Noise(1, 1, 2, 64), TokenIds.Same(2, 0, 0, 0)),
            new(TokenKind.Text, Noise(2, 1, 4, 64), TokenIds.Same(4, 0, 0, 0)),
            new(TokenKind.Latent, Noise(3, batch, Side * Side, 64), TokenIds.Of(new LatentGrid(1, Side, Side))),
        ];
        var time = new TimeEmbeddings(Noise(4, batch, 64), Noise(5, batch, 64));
        var guidance = new GuidanceSchedule(
            RuleCatalog.Parse("nag:scale=4,tau=2,alpha=0.5,layers=transformer_blocks.0|single_transformer_blocks.0"));
        var steering = guidance.At(0, 4).Steering;
        Tensor Run(Steering steering, params TokenPart[] order)
        {
            using var stream = new TokenStream(steering.Attention, config.AttentionHeadDim, FluxConfig.Epsilon, config.Rotary, order);
            blocks.Run(stream, time, steering, CancellationToken.None);
            return stream.RowsOf(TokenKind.Latent).Clone();
        }

        var (text, image) = (Run(steering, parts), Run(steering, [.. parts.Reverse()]));
        Assert.InRange(Distance(text, image), 0, 1e-5f);
        Assert.True(Distance(text, Run(Steering.Plain, parts[1], parts[2])) > 1e-3f, "The negative text has changed nothing.");
    }

    /// <summary>Several parts of one kind, such as reference pictures, are as one part with all their rows.</summary>
    [Fact]
    public void A_kind_may_have_several_parts()
    {
        using var checkpoint = Checkpoint.Open(Folder, Host);
        var config = FluxConfig.Read(ModelConfig.Read(Path.Combine(Folder, "config.json")));
        var blocks = new BlockLoop<TimeEmbeddings>([
            new DoubleStreamBlock(checkpoint.Root.At("transformer_blocks.0"), config),
            new SingleStreamBlock(checkpoint.Root.At("single_transformer_blocks.0"), config),
            new SingleStreamBlock(checkpoint.Root.At("single_transformer_blocks.1"), config)]);
        using var scope = new TensorScope();
        var time = new TimeEmbeddings(Noise(4, 1, 64));
        var text = new TokenPart(TokenKind.Text, Noise(2, 1, 4, 64), TokenIds.Same(4, 0, 0, 0));
        var latents = new TokenPart(TokenKind.Latent, Noise(3, 1, Side * Side, 64), TokenIds.Of(new LatentGrid(1, Side, Side)));
        var pictures = Noise(6, 1, 5, 64);
        TokenPart Picture(int start, int count) =>
            new(TokenKind.Reference, pictures.Slice(1, start, count), TokenIds.Same(count, 1, 0, 0));
        Tensor Run(params TokenPart[] parts)
        {
            using var stream = new TokenStream(
                PlainAttention.Instance, config.AttentionHeadDim, FluxConfig.Epsilon, config.Rotary, parts);
            blocks.Run(stream, time, Steering.Plain, CancellationToken.None);
            return stream.RowsOf(TokenKind.Latent).Clone();
        }

        var one = Run(text, latents, Picture(0, 5));
        Assert.Equal(0, Distance(one, Run(text, latents, Picture(0, 2), Picture(2, 3))));
        Assert.True(Distance(one, Run(text, latents)) > 1e-3f, "The pictures have changed nothing.");
    }

    [Fact]
    public void Rows_that_are_read_on_must_follow_each_other()
    {
        using var checkpoint = Checkpoint.Open(Folder, Host);
        var config = FluxConfig.Read(ModelConfig.Read(Path.Combine(Folder, "config.json")));
        var block = new SingleStreamBlock(checkpoint.Root.At("single_transformer_blocks.0"), config);
        using var scope = new TensorScope();
        using var stream = new TokenStream(
            PlainAttention.Instance, config.AttentionHeadDim, FluxConfig.Epsilon, config.Rotary,
            new TokenPart(TokenKind.Text, Noise(2, 1, 4, 64), TokenIds.Same(4, 0, 0, 0)),
            new TokenPart(TokenKind.NegativeText, Noise(1, 1, 2, 64), TokenIds.Same(2, 0, 0, 0)),
            new TokenPart(TokenKind.Latent, Noise(3, 1, Side * Side, 64), TokenIds.Of(new LatentGrid(1, Side, Side))));
        stream.Begin(TokenKind.NegativeText);
        Assert.Contains(
            "do not follow each other",
            Assert.Throws<InvalidOperationException>(() => block.Apply(stream, new TimeEmbeddings(Noise(4, 1, 64)))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_policy_is_asked_before_every_block_and_told_of_those_that_ran()
    {
        using var model = FluxTransformer.Load(Folder, Host);
        using var scope = new TensorScope();
        using var policy = new Policy(at => at.Index == 1 ? BlockDecision.Skip : BlockDecision.Run);
        var watching = new Watching();
        Predict(model, new Steering(watching, Blocks: policy));
        Assert.Equal(Paths.Select((path, i) => new BlockPoint(path, i, 4)), policy.Asked.Select(asked => asked.At));
        Assert.Equal([Paths[0], Paths[2], Paths[3]], policy.Told.Select(told => told.At.Path));
        Assert.Equal([Paths[0], Paths[2], Paths[3]], watching.Calls.Select(call => call.Site.Path[..^5]));
        Assert.All(policy.Asked.Concat(policy.Told), seen => Assert.Equal([1, Side * Side, 64], seen.Latents.Shape));

        // A block that is left out hands on what it was given.
        Assert.Equal(policy.Asked[1].Latents.ToArray(), policy.Asked[2].Latents.ToArray());
        Assert.Equal(policy.Told[0].Latents.ToArray(), policy.Asked[1].Latents.ToArray());
    }

    [Theory]
    [InlineData("")]
    [InlineData("single_transformer_blocks.1")]
    public void A_residual_takes_the_place_of_the_blocks_that_follow(string reader)
    {
        using var model = FluxTransformer.Load(Folder, Host);
        using var scope = new TensorScope();
        var attention = new Watching { Reads = path => path == reader + ".attn" };
        using var whole = new Policy(_ => BlockDecision.Run);
        var plain = Predict(model, new Steering(attention, Blocks: whole), batch: 2);
        var residual = whole.Told[^1].Latents.Subtract(whole.Told[0].Latents);
        attention.Calls.Clear();
        using var cached = new Policy(at => at.Index == 1 ? BlockDecision.Finish(residual) : BlockDecision.Run);
        var finished = Predict(model, new Steering(attention, Blocks: cached), batch: 2);
        Assert.Equal([Paths[0]], cached.Told.Select(told => told.At.Path));
        Assert.Single(attention.Calls);
        Assert.InRange(Distance(plain, finished), 0, 1e-5f);
    }

    [Fact]
    public void Rotary_tables_turn_every_axis_by_its_position()
    {
        using var scope = new TensorScope();
        using var table = new RotaryAxes([4, 6], theta: 256).Table(Host, TokenIds.Same(2, -3, 5), TokenIds.Same(1, 7, -2));
        Assert.Equal(3, table.Tokens);
        for (int token = 0; token < 3; token++)
        {
            var (first, second) = token < 2 ? (-3, 5) : (7, -2);
            double[] angles = [first, first / Math.Pow(256, 0.5), second, second / Math.Pow(256, 1 / 3.0), second / Math.Pow(256, 2 / 3.0)];
            Assert.Equal(angles.Select(angle => (float)Math.Cos(angle)), table.Cosine.Slice(0, token, 1).ToArray());
            Assert.Equal(angles.Select(angle => (float)Math.Sin(angle)), table.Sine.Slice(0, token, 1).ToArray());
        }
    }

    private sealed class Watching : IAttention
    {
        public List<AttentionCall> Calls { get; } = [];

        public Func<string, bool> Reads { get; init; } = _ => false;

        public bool ReadsNegativeText(AttentionSite site) => Reads(site.Path);

        public Tensor Attend(AttentionCall call)
        {
            // The model's tensors end with the block; what is looked at afterwards is their shape and the layouts.
            Calls.Add(call);
            return PlainAttention.Instance.Attend(call);
        }
    }

    /// <summary>Remembers copies of what it was shown.</summary>
    private sealed class Policy(Func<BlockPoint, BlockDecision> decide) : IBlockPolicy, IDisposable
    {
        private readonly TensorBag _copies = new();

        public List<(BlockPoint At, Tensor Latents)> Asked { get; } = [];

        public List<(BlockPoint At, Tensor Latents)> Told { get; } = [];

        public BlockDecision Before(BlockPoint at, Tensor latents)
        {
            Asked.Add((at, _copies.Own(latents.Clone())));
            return decide(at);
        }

        public void After(BlockPoint at, Tensor latents) => Told.Add((at, _copies.Own(latents.Clone())));

        public void Dispose() => _copies.Dispose();
    }
}
