using System.Diagnostics;
using Attune.Attention;
using Attune.Guidance;
using Attune.Models;
using Attune.Models.Flux;
using Attune.Models.Unet;
using Attune.Tensors;

namespace Attune.Cli.Benchmarks;

/// <summary>
/// What attention-space guidance costs on blocks of real size with random bfloat16 weights: unguided, with each rule, and with a second pass (CFG), interleaved. A rule's floor is the
/// arithmetic that it cannot do without, beside that of the unguided pass: NAG in joint attention n T products of the latents with the negative text and that text's own rows, in
/// cross-attention n T products; GAG and PLADIS the values of the text once more.
/// </summary>
internal static class NagBenchmark
{
    private static readonly (string Name, GuidanceRule Rule)[] Rules =
        [("nag", new NormalizedAttentionGuidance()), ("gag", RuleCatalog.Create("gag", new Dictionary<string, string>())), ("pladis", RuleCatalog.Create("pladis", new Dictionary<string, string>()))];

    /// <summary>Measures and prints a table; the last line states the ratios to the unguided pass.</summary>
    /// <param name="shape">flux, sdxl or sd15.</param>
    /// <param name="latents">Latent tokens; null is the shape's own number. A UNet's deeper levels have a quarter of the tokens each.</param>
    /// <param name="text">Text tokens of each prompt; null is the shape's own number.</param>
    /// <param name="rounds">Interleaved rounds, of which medians are taken.</param>
    /// <param name="output">Where the table goes.</param>
    public static int Run(string shape, int? latents, int? text, int rounds, TextWriter output)
    {
        using var scope = new TensorScope();
        using Blocks blocks = shape switch
        {
            "flux" => new FluxBlocks(latents ?? 1024, text ?? 256),
            "sdxl" => new UnetBlocks("SDXL", UnetConfig.StableDiffusionXL, [(1, 1), (2, 3)], latents ?? 4096, text ?? 77),
            "sd15" => new UnetBlocks("SD1.5", UnetConfig.StableDiffusion15, [(0, 1)], latents ?? 4096, text ?? 77),
            _ => throw new ArgumentException($"--shape is '{shape}', expected flux, sdxl or sd15."),
        };
        var plain = blocks.Operations;
        var methods = new List<(string Name, double Operations, Action Run)> { ("unguided", plain, () => blocks.Pass(PlainAttention.Instance, false)) };
        foreach (var (name, rule) in Rules)
        {
            var attention = new GuidanceSchedule(rule).At(0, 1).Steering.Attention;
            methods.Add((name, plain + (name == "nag" ? blocks.NegativeOperations : blocks.SparseOperations), () => blocks.Pass(attention, rule.ReadsNegativeText)));
        }
        methods.Add(("cfg", 2 * plain, () =>
        {
            blocks.Pass(PlainAttention.Instance, false);
            blocks.Pass(PlainAttention.Instance, false);
        }));

        foreach (var method in methods)
            method.Run();           // warm-up: the JIT, and every buffer's first touch
        var seconds = methods.Select(_ => new List<double>()).ToArray();
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < seconds.Length; i++)
            {
                long start = Stopwatch.GetTimestamp();
                methods[i].Run();
                seconds[i].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        double[] medians = [.. seconds.Select(Median)];
        output.WriteLine(FormattableString.Invariant($"{blocks.Description}, bf16 weights, {Workers.MaxThreads} threads, medians of {rounds} rounds without those at half speed"));
        for (int i = 0; i < medians.Length; i++)
        {
            var (name, operations, _) = methods[i];
            output.WriteLine(FormattableString.Invariant($"{name,-10}{medians[i],8:0.0000} s  {operations / medians[i] / 1e9,7:0} GFLOP/s  ratio {medians[i] / medians[0]:0.000}  floor {operations / plain:0.000}"));
        }
        double Ratio(string name) => medians[methods.FindIndex(method => method.Name == name)] / medians[0];
        double sparse = 1 + blocks.SparseOperations / plain;
        output.WriteLine(FormattableString.Invariant($"nag {Ratio("nag"):0.000} floor {1 + blocks.NegativeOperations / plain:0.000} cfg {Ratio("cfg"):0.000} gag {Ratio("gag"):0.000} floor {sparse:0.000} pladis {Ratio("pladis"):0.000} floor {sparse:0.000}"));
        return 0;
    }

    /// <summary>The median of the rounds that did not run at half speed, as shared machines do for seconds at a time.</summary>
    private static double Median(List<double> values)
    {
        double fastest = values.Min();
        double[] sorted = [.. values.Where(value => value < 1.6 * fastest).Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>Blocks of a model, and the arithmetic of a pass through them.</summary>
    private abstract class Blocks : IDisposable
    {
        private readonly TorchRandom _random = new(2);

        public abstract string Description { get; }

        /// <summary>Of the unguided pass.</summary>
        public abstract double Operations { get; }

        /// <summary>What the negative text adds.</summary>
        public abstract double NegativeOperations { get; }

        /// <summary>What sparse attention over the text adds: its product with the values.</summary>
        public abstract double SparseOperations { get; }

        /// <summary>One forward pass.</summary>
        public abstract void Pass(IAttention attention, bool negative);

        public abstract void Dispose();

        protected Tensor Noise(Shape shape)
        {
            var tensor = Tensor.Empty(shape);
            _random.Normal(tensor.Span);
            return tensor;
        }
    }

    /// <summary>One double-stream and two single-stream FLUX.1 blocks (24 heads of 128 channels). No block is the last: all rows are computed.</summary>
    private sealed class FluxBlocks : Blocks
    {
        private readonly FluxConfig _config = FluxConfig.Real;
        private readonly int _latents;
        private readonly int _text;
        private readonly DoubleStreamBlock _double;
        private readonly SingleStreamBlock[] _singles;
        private readonly Tensor _positive;
        private readonly Tensor _negative;
        private readonly Tensor _hidden;
        private readonly Tensor _ids;

        public FluxBlocks(int latents, int text)
        {
            (_latents, _text) = (latents, text);
            var weights = RandomWeights.Checkpoint(seed: 1);
            _double = new DoubleStreamBlock(weights.Root.At("transformer_blocks.0"), _config);
            _singles = [.. Enumerable.Range(0, 2).Select(i => new SingleStreamBlock(weights.Root.At("single_transformer_blocks", i), _config))];
            (_positive, _negative) = (Noise([1, _config.Width]), Noise([1, _config.Width]));
            _hidden = Noise([1, 2 * text + latents, _config.Width]);
            _ids = Tensor.Zeros([latents, 3]);
            for (int i = 0, columns = (int)Math.Sqrt(latents); i < latents; i++)
                (_ids.Row(i)[1], _ids.Row(i)[2]) = (i / columns, i % columns);
        }

        public override string Description => $"FLUX.1 blocks (1 double, 2 single), {_latents} latents, {_text} + {_text} text tokens";

        // 24 d^2 for each token of a block's linear layers, 4 d for each pair of query and key.
        public override double Operations => 3 * (Linear * (_latents + _text) + Pair * (_latents + _text) * ((double)_latents + _text));

        public override double NegativeOperations => 3 * (Linear * _text + Pair * (_text * ((double)_text + _latents) + (double)_latents * _text));

        public override double SparseOperations => 3 * Pair / 2 * _latents * _text;

        public override void Dispose()
        {
        }

        private double Linear => 24.0 * _config.Width * _config.Width;

        private double Pair => 4.0 * _config.Width;

        public override void Pass(IAttention attention, bool negative)
        {
            using var inner = new TensorScope();
            int negativeText = negative ? _text : 0;
            var rows = _hidden.Slice(1, _text - negativeText, negativeText + _text + _latents).Clone();
            var sequence = new FluxTransformer.Sequence(rows, negativeText, _text, _latents, _config, _ids);
            _double.Apply(sequence, _positive, _negative, attention, keepNegative: true);
            foreach (var block in _singles)
                block.Apply(sequence, _positive, _negative, attention, keepNegative: true, keepText: true);
        }
    }

    /// <summary>Transformer blocks of some of a UNet's levels. The prompts' keys and values are computed once, as in a run.</summary>
    private sealed class UnetBlocks : Blocks
    {
        private readonly string _name;
        private readonly int _text;
        private readonly List<(UnetTransformerBlock Block, Tensor Hidden, TokenLayout Layout, UnetLevel Level)> _blocks = [];
        private readonly UnetInput _input;
        private readonly Tensor _embedding;

        public UnetBlocks(string name, UnetConfig config, (int Level, int Count)[] levels, int latents, int text)
        {
            (_name, _text) = (name, text);
            var weights = RandomWeights.Checkpoint(seed: 1);
            foreach (var (level, count) in levels)
            {
                var down = config.Down[level];
                int side = (int)Math.Sqrt(latents) >> (level - levels[0].Level);
                var layout = new TokenLayout(new TokenSpan(TokenKind.Latent, 0, side * side, new LatentGrid(side, side)));
                for (int i = 0; i < count; i++)
                {
                    var cursor = weights.Root.At(FormattableString.Invariant($"down_blocks.{level}.attentions.0.transformer_blocks.{i}"));
                    _blocks.Add((new UnetTransformerBlock(cursor, down.Channels, down.Heads, down.TextChannels), Noise([1, side * side, down.Channels]), layout, down));
                }
            }
            _embedding = Noise([1, config.TimeEmbedDim]);
            Conditioning Prompt() => new(TensorScope.Detach(Noise([1, text, config.CrossAttentionDim])));
            _input = new UnetInput(_embedding, [500], Prompt(), Prompt());
        }

        public override string Description => $"{_name} transformer blocks ({string.Join(", ", _blocks.Select(block => FormattableString.Invariant($"{block.Level.Channels}@{block.Layout.Length}")))}), {_text} + {_text} text tokens";

        // Linear layers: 8 C^2 of self-attention, 4 C^2 of cross-attention's queries and output, 24 C^2 of the feed-forward network, for each token.
        public override double Operations => _blocks.Sum(block => Tokens(block) * (36.0 * block.Level.Channels * block.Level.Channels + 4.0 * block.Level.Channels * (Tokens(block) + _text)));

        public override double NegativeOperations => _blocks.Sum(block => 4.0 * block.Level.Channels * Tokens(block) * _text);

        public override double SparseOperations => NegativeOperations / 2;

        public override void Pass(IAttention attention, bool negative)
        {
            using var inner = new TensorScope();
            var pass = new UnetPass(negative ? _input : _input with { Negative = null }, _embedding, new Steering(attention), CancellationToken.None);
            foreach (var (block, hidden, layout, _) in _blocks)
                block.AddTo(hidden.Clone(), layout, pass);
        }

        public override void Dispose()
        {
            _input.Positive.Dispose();
            _input.Negative!.Dispose();
        }

        private static double Tokens((UnetTransformerBlock Block, Tensor Hidden, TokenLayout Layout, UnetLevel Level) block) => block.Layout.Length;
    }
}
