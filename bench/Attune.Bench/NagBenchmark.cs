using System.Globalization;
using System.Diagnostics;
using Attune.Attention;
using Attune.Guidance;
using Attune.Models;
using Attune.Prompts;
using Attune.Models.Flux;
using Attune.Models.QwenImage21;
using Attune.Models.Unet;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Bench;

/// <summary>
/// What attention-space guidance costs on blocks of real size with random bfloat16 weights: unguided, with each rule, and with a second
/// pass (CFG), interleaved. A rule's floor is the arithmetic that it cannot do without, beside that of the unguided pass: NAG in joint
/// attention n T products of the latents with the negative text and that text's own rows (and the latents' attention to each other where
/// it depends on the text), in cross-attention n T products; GAG and PLADIS the values of the text once more.
/// </summary>
public static class NagBenchmark
{
    private static readonly (string Name, GuidanceRule Rule)[] Rules =
        [
            ("nag", new NormalizedAttentionGuidance()), ("gag", RuleCatalog.Create("gag", new Dictionary<string, string>())),
            ("pladis", RuleCatalog.Create("pladis", new Dictionary<string, string>()))];

    /// <summary>The shapes that there are.</summary>
    public static IReadOnlyList<string> Shapes { get; } = ["flux", "sdxl", "sd15", .. StreamBlocks.Shapes.Keys, TurboRun.Name];

    /// <summary>What is measured beside no guidance.</summary>
    public static IReadOnlyList<string> Methods { get; } = [.. Rules.Select(rule => rule.Name), "cfg"];

    /// <summary>Measures and prints a table; the last line states the ratios to the unguided pass.</summary>
    /// <param name="device">What computes.</param>
    /// <param name="shape">One of <see cref="Shapes"/>; of no account where there is a model.</param>
    /// <param name="model">A folder of FLUX whose own denoiser runs, or null for blocks with random weights.</param>
    /// <param name="latents">Latent tokens; null is the shape's own number. A UNet's deeper levels have a quarter of the tokens
    /// each.</param>
    /// <param name="text">Text tokens of each prompt; null is the shape's own number.</param>
    /// <param name="rounds">Interleaved rounds, of which medians are taken.</param>
    /// <param name="only">Those of <see cref="Methods"/> that are measured; none are all.</param>
    /// <param name="breakdown">Print what each primitive took as well: calls, seconds, operations.</param>
    /// <param name="output">Where the table goes.</param>
    /// <exception cref="ArgumentException">There is no such shape or method, or the text or latents do not fit.</exception>
    /// <exception cref="CheckpointException">The folder holds no denoiser of FLUX.</exception>
    public static int Run(
        Device device, string shape, string? model, int? latents, int? text, int rounds, IReadOnlyList<string> only, bool breakdown,
        TextWriter output)
    {
        if (only.FirstOrDefault(name => !Methods.Contains(name)) is { } unknown)
            throw new ArgumentException($"--only is '{unknown}', expected {string.Join(", ", Methods)}.");
        using var scope = new TensorScope();
        var counting = breakdown ? new CountingDevice(device) : null;
        device = counting ?? device;
        using Blocks blocks = model != null ? new FluxModel(device, model, latents ?? 64, text ?? 32) : shape switch
        {
            "flux" => new Flux(device, latents ?? 1024, text ?? 256),
            "sdxl" => new UnetBlocks(device, "SDXL", UnetConfig.StableDiffusionXL, [(1, 1), (2, 3)], latents ?? 4096, text ?? 77),
            "sd15" => new UnetBlocks(device, "SD1.5", UnetConfig.StableDiffusion15, [(0, 1)], latents ?? 4096, text ?? 77),
            TurboRun.Name => new TurboRun(device, latents ?? 1024, text ?? 64),
            _ when StreamBlocks.Shapes.TryGetValue(shape, out int tokens) => new Stream(device, shape, latents ?? 1024, text ?? tokens),
            _ => throw new ArgumentException(
                $"--shape is '{shape}', expected {string.Join(", ", Shapes)}."),
        };
        var plain = blocks.Operations;
        var methods = new List<(string Name, double Operations, Action Run)> {
            ("unguided", plain, () => blocks.Pass(PlainAttention.Instance, false)) };
        foreach (var (name, rule) in Rules)
        {
            var attention = new GuidanceSchedule(rule).At(0, 1).Steering.Attention;
            methods.Add(
                (
                    name, plain + (name == "nag" ? blocks.NegativeOperations : blocks.SparseOperations),
                    () => blocks.Pass(attention, rule.ReadsNegativeText)));
        }
        methods.Add(("cfg", 2 * plain, () =>
        {
            blocks.Pass(PlainAttention.Instance, false);
            blocks.Pass(PlainAttention.Instance, false);
        }));
        if (only.Count > 0)
            methods.RemoveAll(method => method.Name != "unguided" && !only.Contains(method.Name));

        // A card computes on when a pass returns; it is done with it when something can be read.
        var last = Tensor.Full(device, [1], 0);
        void Pass(Action run)
        {
            run();
            using var done = last.Read();
        }

        // Warm-up: the JIT, and every buffer's first touch. What is live at most does not depend on the machine.
        long[] peaks = [.. methods.Select(method => PeakOf(device, () => Pass(method.Run)))];
        var seconds = methods.Select(_ => new List<double>()).ToArray();
        var counts = seconds.Select(_ => new List<IReadOnlyDictionary<string, CountingDevice.Entry>>()).ToArray();
        counting?.Take();
        for (int round = 0; round < rounds; round++)
        {
            // Every other round backwards, so that what changes slowly on the machine, or hangs on what ran before, meets all alike.
            for (int turn = 0; turn < seconds.Length; turn++)
            {
                int i = round % 2 == 0 ? turn : seconds.Length - 1 - turn;
                long start = Stopwatch.GetTimestamp();
                Pass(methods[i].Run);
                seconds[i].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
                if (counting != null)
                    counts[i].Add(counting.Take());
            }
        }

        double[] medians = [.. seconds.Select(Median)];
        output.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{blocks.Description}, {device.Description}, {Workers.MaxThreads} threads, "
                    + $"medians of {rounds} rounds without those at half speed"));
        for (int i = 0; i < medians.Length; i++)
        {
            var (name, operations, _) = methods[i];
            output.WriteLine(
                string.Create(
                    CultureInfo.InvariantCulture, $"{name,-10}{medians[i],8:0.0000} s  {operations / medians[i] / 1e9,7:0} GFLOP/s  ratio "
                        + $"{medians[i] / medians[0]:0.000}  floor {operations / plain:0.000}  activations {peaks[i] / 1048576.0:0} MiB"));
        }
        if (breakdown)
            Break([.. methods.Select(method => method.Name)], counts, output);
        output.WriteLine(string.Join(" ", methods.Select((method, i) => string.Create(
            CultureInfo.InvariantCulture,
            $"{method.Name} {medians[i] / medians[0]:0.000} floor {method.Operations / plain:0.000}")).Skip(1)));
        return 0;
    }

    /// <summary>
    /// What each primitive took, medians of the rounds, and with a rule what more than without: calls, milliseconds, 10^9 operations.
    /// </summary>
    private static void Break(
        string[] methods, List<IReadOnlyDictionary<string, CountingDevice.Entry>>[] counts, TextWriter output)
    {
        string[] names = [.. counts.SelectMany(rounds => rounds[0].Keys).Distinct().Order(StringComparer.Ordinal)];
        foreach (string name in names)
        {
            var plain = Typical(counts[0], name);
            for (int i = 0; i < methods.Length; i++)
            {
                var entry = Typical(counts[i], name);
                var (more, operations) = (1e3 * (entry.Seconds - plain.Seconds), (entry.Operations - plain.Operations) / 1e9);
                output.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"  {(i == 0 ? name : ""),-22}{methods[i],-10}{entry.Calls,5} calls  "
                        + $"{1e3 * entry.Seconds,9:0.00} ms {more,9:+0.00;-0.00;0.00}  {entry.Operations / 1e9,9:0.000} GFLOP "
                        + $"{operations,9:+0.000;-0.000;0.000}  {entry.Bytes / 1048576,7:0} MiB"));
            }
        }

        static CountingDevice.Entry Typical(List<IReadOnlyDictionary<string, CountingDevice.Entry>> rounds, string name)
        {
            CountingDevice.Entry[] entries =
                [.. rounds.Select(round => round.GetValueOrDefault(name)).OrderBy(entry => entry.Seconds)];
            return entries[entries.Length / 2];
        }
    }

    /// <summary>The most bytes of tensors that live at once during a pass, beside those that lived before.</summary>
    private static long PeakOf(Device device, Action pass)
    {
        long before = TensorMemory.LiveBytes + device.LiveBytes;
        TensorMemory.ResetPeak();
        device.ResetPeak();
        pass();
        return TensorMemory.PeakBytes + device.PeakBytes - before;
    }

    /// <summary>The median of the rounds that did not run at half speed, as shared machines do for seconds at a time.</summary>
    private static double Median(List<double> values)
    {
        double fastest = values.Min();
        return Timing.Median([.. values.Where(value => value < 1.6 * fastest).Order()]);
    }

    /// <summary>Blocks of a model, and the arithmetic of a pass through them.</summary>
    private abstract class Blocks(Device device) : IDisposable
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

        protected Tensor Noise(Shape shape) => Bench.Noise.Normal(device, _random, shape);
    }

    /// <summary>Blocks of FLUX.1 whose negative prompt is as long as the prompt.</summary>
    private sealed class Flux : Blocks
    {
        private readonly FluxBlocks _blocks;

        public Flux(Device device, int latents, int text)
            : base(device) => _blocks = new FluxBlocks(device, latents, text, negativeText: text, Noise);

        public override string Description =>
            $"{FluxBlocks.Description}, {_blocks.Latents} latents, {_blocks.Text} + {_blocks.NegativeText} text tokens, bf16 weights";

        // 24 d^2 for each token of a block's linear layers, 4 d for each pair of query and key.
        public override double Operations => 3 * (Linear * (Latents + Text) + Pair * (Latents + Text) * (Latents + Text));

        public override double NegativeOperations => 3 * (Linear * Text + Pair * (Text * (Text + Latents) + Latents * Text));

        public override double SparseOperations => 3 * Pair / 2 * Latents * Text;

        private static double Linear => 24.0 * FluxBlocks.Config.Width * FluxBlocks.Config.Width;

        private static double Pair => 4.0 * FluxBlocks.Config.Width;

        private double Latents => _blocks.Latents;

        private double Text => _blocks.Text;

        public override void Pass(IAttention attention, bool negative) => _blocks.Pass(attention, negative);

        public override void Dispose()
        {
        }
    }

    /// <summary>Blocks of the other transformers; the negative prompt is as long as the prompt.</summary>
    private sealed class Stream : Blocks
    {
        private readonly StreamBlocks _blocks;
        private readonly double _latents;
        private readonly double _text;

        public Stream(Device device, string shape, int latents, int text)
            : base(device) =>
            (_blocks, _latents, _text) = (StreamBlocks.Of(shape, device, latents, text, Noise), latents, text);

        public override string Description => FormattableString.Invariant(
            $"{_blocks.Description}, {_latents} latents, {_text} + {_text} text tokens, bf16 weights");

        public override double Operations => _blocks.Operations;

        public override double NegativeOperations => _blocks.NegativeOperations;

        public override double SparseOperations => _blocks.SparseOperations;

        public override void Pass(IAttention attention, bool negative) => _blocks.Pass(attention, negative);

        public override void Dispose()
        {
        }
    }

    /// <summary>
    /// The whole denoiser of a FLUX checkpoint with its own weights; the negative prompt is as long as the prompt. Its last layer needs of
    /// both texts their keys and values alone.
    /// </summary>
    private sealed class FluxModel : Blocks
    {
        private readonly FluxTransformer _transformer;
        private readonly DenoiserInput _input;
        private readonly string _name;
        private readonly double _latents;
        private readonly double _text;

        public FluxModel(Device device, string folder, int latents, int text)
            : base(device)
        {
            int side = (int)Math.Sqrt(latents);
            if (side * side != latents)
                throw new ArgumentException($"--latents is {latents}, expected the square of a whole number for a model.");
            _transformer = FluxTransformer.Load(Path.Combine(folder, "transformer"), device);
            (_latents, _text, _name) = (latents, text, Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)));
            FluxConditioning Prompt() => new(Noise([1, text, Config.JointAttentionDim]), Noise([1, Config.PooledProjectionDim]));
            _input = new DenoiserInput(
                Noise([1, latents, Config.InChannels]), new LatentGrid(1, side, side), [500], Prompt(), Prompt())
            {
                GuidanceScale = Config.GuidanceEmbeds ? 3.5f : null,
            };
        }

        public override string Description => FormattableString.Invariant($"{_name}, {_latents} latents, {_text} + {_text} text tokens");

        public override double Operations =>
            (Layers - 1) * (
                Token
                    * (_latents + _text) + Pair * (_latents + _text)
                    * (_latents + _text)) + Token * _latents + KeysAndValues * _text + Pair * _latents * (_latents + _text)
            + 2 * Width * ((Config.InChannels + Config.OutChannels) * _latents + Config.JointAttentionDim * _text)
            + Width * Width * (24 * Config.NumLayers + 6 * Config.NumSingleLayers);

        // A negative text has rows, keys and values in all layers but the last, and modulations of its own.
        public override double NegativeOperations =>
            (Layers - 1) * (
                Token * _text + Pair * (_text * (_text + _latents) + _latents * _text)) + KeysAndValues * _text + Pair * _latents * _text
            + 2 * Width * Config.JointAttentionDim * _text
            + Width * Width * (12 * Config.NumLayers + 6 * Config.NumSingleLayers);

        public override double SparseOperations => Layers * Pair / 2 * _latents * _text;

        private FluxConfig Config => _transformer.Config;

        private double Layers => Config.NumLayers + Config.NumSingleLayers;

        private double Width => Config.Width;

        // The linear layers of one token; those of keys and values alone; the two products of a query and a key.
        private double Token => 24 * Width * Width;

        private double KeysAndValues => 4 * Width * Width;

        private double Pair => 4 * Width;

        public override void Pass(IAttention attention, bool negative)
        {
            using var inner = new TensorScope();
            _transformer.Predict(negative ? _input : _input with { Negative = null }, new Steering(attention));
        }

        public override void Dispose()
        {
            _input.Positive.Dispose();
            _input.Negative!.Dispose();
            _transformer.Dispose();
        }
    }

    /// <summary>
    /// A whole run of Qwen-Image-2.1 Turbo, eight steps of its denoiser with two blocks, in which keys and values of the prompts are made
    /// as in a request: in the first step. Language model and decoder are left out.
    /// </summary>
    private sealed class TurboRun : Blocks
    {
        public const string Name = "qwen-image-2.1-run";

        /// <summary>The noise levels of the released model_index.json, and 0.</summary>
        private static readonly float[] Sigmas = [1, .978453f, .95418f, .926626f, .89508f, .845148f, .704534f, .414568f, 0];

        private readonly QwenImage21Transformer _transformer;
        private readonly LatentGrid _grid;
        private readonly Tensor _latents;
        private readonly Tensor _text;
        private readonly Tensor _negative;

        public TurboRun(Device device, int latents, int text)
            : base(device)
        {
            int side = (int)Math.Sqrt(latents);
            if (side * side != latents)
                throw new ArgumentException($"--latents is {latents}, expected the square of a whole number.");
            var config = ModelConfig.Parse("released model", """{ "num_layers": 2 }"""u8.ToArray());
            _transformer = QwenImage21Transformer.Load(new ComponentSource(config, device, () => new RandomWeights(1)));
            _grid = new LatentGrid(1, side, side);
            _latents = Noise([1, latents, Config.InChannels]);
            (_text, _negative) = (Noise([1, text, Config.ContextInDim]), Noise([1, text, Config.ContextInDim]));
        }

        public override string Description => FormattableString.Invariant(
            $"Qwen-Image-2.1 Turbo, {Steps} steps of {Config.NumLayers} blocks, {_grid.Count} latents, {Text} + {Text} text tokens");

        public override double Operations => Prefix + Steps
            * (Config.NumLayers * (Row * _grid.Count + Pair * _grid.Count * (_grid.Count + Text))
                + 4 * Width * Config.InChannels * _grid.Count);

        public override double NegativeOperations => Prefix + Steps * Config.NumLayers * Pair * _grid.Count * Text;

        public override double SparseOperations => Steps * Config.NumLayers * Pair / 2 * _grid.Count * Text;

        private static int Steps => Sigmas.Length - 1;

        private QwenImage21Config Config => _transformer.Config;

        private double Width => Config.Width;

        private double Text => _text.Shape[1];

        private double Row => 26 * Width * Width;

        private double Pair => 4 * Width;

        /// <summary>Of a prompt's rows, once a run: of the last block keys and values alone. A row sees half of them.</summary>
        private double Prefix => Text * (2 * Width * (Config.ContextInDim + Width) + (Config.NumLayers - 1) * (Row + Pair * Text / 2)
            + 4 * Width * Width);

        public override void Pass(IAttention attention, bool negative)
        {
            using var inner = new TensorScope();
            using var prompt = new QwenImage21Conditioning(_text.View());
            using var other = negative ? new QwenImage21Conditioning(_negative.View()) : null;
            var latents = _latents.Clone();
            for (int i = 0; i < Steps; i++)
            {
                using var step = new TensorScope();
                var input = new DenoiserInput(latents, _grid, [1000 * Sigmas[i]], prompt, other);
                var velocity = _transformer.Predict(input, new Steering(attention));
                latents.Add(velocity.Affine(Sigmas[i + 1] - Sigmas[i]), into: latents);
            }
        }

        public override void Dispose() => _transformer.Dispose();
    }

    /// <summary>Transformer blocks of some of a UNet's levels. The prompts' keys and values are computed once, as in a run.</summary>
    private sealed class UnetBlocks : Blocks
    {
        private readonly string _name;
        private readonly int _text;
        private readonly List<(UnetTransformerBlock Block, Tensor Hidden, TokenLayout Layout, UnetLevel Level)> _blocks = [];
        private readonly UnetConditioning _prompt;
        private readonly UnetConditioning _negative;
        private readonly Memo _memo = new();
        private readonly Tensor _embedding;

        public UnetBlocks(Device device, string name, UnetConfig config, (int Level, int Count)[] levels, int latents, int text)
            : base(device)
        {
            (_name, _text) = (name, text);
            var weights = RandomWeights.Checkpoint(device, seed: 1);
            foreach (var (level, count) in levels)
            {
                var down = config.Down[level];
                int side = (int)Math.Sqrt(latents) >> (level - levels[0].Level);
                var layout = new TokenLayout(new TokenSpan(TokenKind.Latent, 0, side * side, new LatentGrid(1, side, side)));
                for (int i = 0; i < count; i++)
                {
                    var cursor = weights.Root.At(FormattableString.Invariant($"down_blocks.{level}.attentions.0.transformer_blocks.{i}"));
                    _blocks.Add(
                        (
                            new UnetTransformerBlock(cursor, down.Channels, down.Heads, down.TextChannels),
                            Noise([1, side * side, down.Channels]), layout, down));
                }
            }
            _embedding = Noise([1, config.TimeEmbedDim]);
            (_prompt, _negative) = (new(Noise([1, text, config.CrossAttentionDim])), new(Noise([1, text, config.CrossAttentionDim])));
        }

        public override string Description =>
            $"{_name} transformer blocks ("
                + string.Join(", ", _blocks.Select(block => FormattableString.Invariant($"{block.Level.Channels}@{block.Layout.Length}")))
                + $"), {_text} + {_text} text tokens, bf16 weights";

        // Linear layers: 8 C^2 of self-attention, 4 C^2 of cross-attention's queries and output, 24 C^2 of the feed-forward network, for
        // each token.
        public override double Operations =>
            _blocks.Sum(
                block => Tokens(block) * (
                    36.0 * block.Level.Channels * block.Level.Channels + 4.0 * block.Level.Channels * (Tokens(block) + _text)));

        public override double NegativeOperations => _blocks.Sum(block => 4.0 * block.Level.Channels * Tokens(block) * _text);

        public override double SparseOperations => NegativeOperations / 2;

        public override void Pass(IAttention attention, bool negative)
        {
            using var inner = new TensorScope();
            var pass = new UnetPass(
                _memo, _prompt, negative ? _negative : null, _embedding, _blocks.Count, new Steering(attention), CancellationToken.None);
            foreach (var (block, hidden, layout, _) in _blocks)
                block.AddTo(hidden.Clone(), layout, pass);
        }

        public override void Dispose()
        {
            _memo.Dispose();
            _prompt.Dispose();
            _negative.Dispose();
        }

        private static double Tokens((UnetTransformerBlock Block, Tensor Hidden, TokenLayout Layout, UnetLevel Level) block) =>
            block.Layout.Length;
    }
}
