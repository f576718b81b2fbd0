using System.Globalization;
using System.Diagnostics;
using System.Text.Json;
using Attune.Attention;
using Attune.Autoencoders;
using Attune.Evaluation.Metrics;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Models;
using Attune.Models.Unet;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Weights;

namespace Attune.Bench;

/// <summary>Whole forward passes of models of real size with random bfloat16 weights, and where their time goes.</summary>
public static class ModelBenchmark
{
    public static readonly string[] Shapes = ["sd15", "sdxl", "flux-block", "vae-512", "wan-vae", "clip-l", "inception"];

    /// <summary>Measures and prints a table, or one line of JSON.</summary>
    /// <param name="device">What computes.</param>
    /// <param name="shape">One of <see cref="Shapes"/>.</param>
    /// <param name="latents">The side of the latents, for flux-block the number of latent tokens; null is the shape's own.</param>
    /// <param name="text">Tokens of the prompt; null is the shape's own number.</param>
    /// <param name="guidance">Rules that act in attention, as <c>nag</c>, for the UNets.</param>
    /// <param name="frames">Frames of a video, for wan-vae; null is the shape's own number.</param>
    /// <param name="autoencoderBytes">What decoding may take, for vae-512; null bounds nothing.</param>
    /// <param name="rounds">Forward passes that are measured.</param>
    /// <param name="json">Print JSON.</param>
    /// <param name="output">Where to print.</param>
    public static int Run(
        Device device, string shape, int? latents, int? text, string guidance, int? frames, long? autoencoderBytes, int rounds, bool json,
        TextWriter output)
    {
        var counting = new CountingDevice(device);
        using var scope = new TensorScope();
        using Subject subject = shape switch
        {
            "sd15" => new Unet(
                counting, "UNet of Stable Diffusion 1.5", UnetConfig.StableDiffusion15, latents ?? 64, text ?? 77, guidance),
            "sdxl" => new Unet(counting, "UNet of SDXL", UnetConfig.StableDiffusionXL, latents ?? 64, text ?? 77, guidance),
            "flux-block" => new Flux(counting, latents ?? 1024, text ?? 256),
            "vae-512" => new Decoder(counting, latents ?? 64, autoencoderBytes),
            "wan-vae" => new VideoDecoder(counting, latents ?? 32, frames ?? 9),
            "clip-l" => new Clip(counting),
            "inception" => new Inception(counting),
            _ => throw new ArgumentException($"--shape is '{shape}', expected {string.Join(", ", Shapes)}."),
        };
        var report = Measure(subject, shape, device, counting, rounds);
        output.WriteLine(json ? report.ToJson() : report.ToText());
        return 0;
    }

    private static Report Measure(Subject subject, string shape, Device device, CountingDevice counting, int rounds)
    {
        PeakProbe.WarmUp();
        subject.Forward();          // warm-up: the JIT, every buffer's first touch, weights that are gathered or that a library reorders
        long weights = TensorMemory.LiveBytes;
        subject.Forward();
        TensorMemory.ResetPeak();
        var samples = new List<(double Seconds, double Probe)>();
        var processors = new List<double>();
        var counts = new List<IReadOnlyDictionary<string, CountingDevice.Entry>>();
        counting.Take();
        double before = PeakProbe.Sample(20);
        for (int round = 0; round < rounds; round++)
        {
            var processor = Environment.CpuUsage.TotalTime;
            long start = Stopwatch.GetTimestamp();
            subject.Forward();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            processors.Add((Environment.CpuUsage.TotalTime - processor).TotalSeconds);
            double after = PeakProbe.Sample(20);
            samples.Add((seconds, Math.Min(before, after)));
            counts.Add(counting.Take());
            before = after;
        }
        long activations = TensorMemory.PeakBytes - weights;
        var result = Timing.Evaluate(samples);
        // The breakdown is that of the pass whose time is nearest to the one that is reported.
        int typical = Enumerable.Range(0, rounds).MinBy(i => Math.Abs(samples[i].Seconds - result.Seconds));
        return new Report(
            shape, subject.Description, device, result, counts[typical], samples[typical].Seconds, processors[typical], PeakProbe.Highest,
            PeakProbe.CopyBandwidth(256 << 20), activations, subject.Frames);
    }

    /// <summary>What is measured.</summary>
    private abstract class Subject(Device device) : IDisposable
    {
        private readonly TorchRandom _random = new(2);

        public abstract string Description { get; }

        /// <summary>The frames of a video that a pass makes; null for other passes.</summary>
        public virtual int? Frames => null;

        public abstract void Forward();

        public virtual void Dispose()
        {
        }

        protected Tensor Noise(Shape shape) => Bench.Noise.Normal(device, _random, shape);
    }

    /// <summary>
    /// One pass of a UNet without guidance, batch 1. The prompt's keys and values are computed each time, as in the first step of a run.
    /// </summary>
    private sealed class Unet : Subject
    {
        private readonly Unet2DConditionModel _model;
        private readonly string _name;
        private readonly Tensor _latents;
        private readonly Tensor _text;
        private readonly Tensor? _pooled;
        private readonly Tensor? _timeIds;
        private readonly GuidanceSchedule _guidance;
        private readonly Tensor? _negative;

        public Unet(Device device, string name, UnetConfig config, int side, int text, string guidance)
            : base(device)
        {
            _name = name;
            _guidance = new GuidanceSchedule(RuleCatalog.Parse(guidance));
            _model = new Unet2DConditionModel(RandomWeights.Checkpoint(device, seed: 1), config);
            _latents = Noise([1, side, side, config.InChannels]);
            _text = Noise([1, text, config.CrossAttentionDim]);
            _negative = _guidance.Rules.Any(rule => rule.ReadsNegativeText) ? Noise(_text.Shape) : null;
            if (!config.HasTextTime)
                return;
            _timeIds = Tensor.From(device, [8 * side, 8 * side, 0, 0, 8 * side, 8 * side], [1, 6]);
            _pooled = Noise([1, config.ProjectionClassEmbeddingsInputDim - 6 * config.AdditionTimeEmbedDim]);
        }

        public override string Description =>
            string.Create(
                CultureInfo.InvariantCulture, $"{_name}, latents {_latents.Shape[1]}x{_latents.Shape[2]}, {_text.Shape[1]} text "
                    + $"tokens{string.Concat(_guidance.Rules.Select(rule => ", " + RuleCatalog.Format(rule)))}");

        public override void Forward()
        {
            using var inner = new TensorScope();
            using var prompt = Prompt(_text);
            using var negative = _negative == null ? null : Prompt(_negative);
            var grid = new LatentGrid(1, _latents.Shape[1], _latents.Shape[2]);
            _model.Predict(new DenoiserInput(_latents, grid, [500], prompt, negative), _guidance.At(0, 1).Steering);
        }

        private UnetConditioning Prompt(Tensor text) => new(text.View(), _pooled?.View(), _timeIds?.View());

        public override void Dispose()
        {
            _model.Dispose();
            base.Dispose();
        }
    }

    /// <summary>Blocks of FLUX.1, unguided.</summary>
    private sealed class Flux : Subject
    {
        private readonly FluxBlocks _blocks;

        public Flux(Device device, int latents, int text)
            : base(device) => _blocks = new FluxBlocks(device, latents, text, negativeText: 0, Noise);

        public override string Description =>
            FormattableString.Invariant($"{FluxBlocks.Description}, {_blocks.Latents} latents, {_blocks.Text} text tokens");

        public override void Forward() => _blocks.Pass(PlainAttention.Instance, negative: false);
    }

    /// <summary>The decoder of the autoencoder of Stable Diffusion.</summary>
    private sealed class Decoder : Subject
    {
        private const string Config = """
            { "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4, "norm_num_groups": 32,
              "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
              "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"] }
            """;

        private readonly KlCoders _coders;
        private readonly Tensor _latents;

        public Decoder(Device device, int side, long? bytes)
            : base(device)
        {
            var config = KlConfig.Read(
                ModelConfig.Parse("the autoencoder of Stable Diffusion", System.Text.Encoding.UTF8.GetBytes(Config)),
                blockOutChannels: [64], layersPerBlock: 1, latentChannels: 4);
            _coders = new KlCoders(RandomWeights.Checkpoint(device, seed: 1).Root, config);
            if (bytes is { } most)
                _coders.LimitMemory(most);
            _latents = Noise([1, side, side, config.LatentChannels]);
        }

        public override string Description =>
            FormattableString.Invariant(
                $"decoder of Stable Diffusion's autoencoder, {8 * _latents.Shape[1]}x{8 * _latents.Shape[2]} pixels");

        public override void Forward()
        {
            using var inner = new TensorScope();
            _coders.Decode(_latents, CancellationToken.None);
        }
    }

    /// <summary>The decoder of the video autoencoder of Wan 2.1, frame by frame.</summary>
    private sealed class VideoDecoder : Subject
    {
        private readonly CausalDecoder _decoder;
        private readonly Tensor _latents;

        public VideoDecoder(Device device, int side, int frames)
            : base(device)
        {
            if (frames % 4 != 1)
                throw new ArgumentException($"--frames is {frames}, expected one more than a multiple of 4.");
            string numbers = string.Join(", ", Enumerable.Repeat("1", 16));
            var config = CausalConfig.Read(ModelConfig.Parse(
                "the autoencoder of Wan 2.1",
                System.Text.Encoding.UTF8.GetBytes($$"""{ "latents_mean": [{{numbers}}], "latents_std": [{{numbers}}] }""")));
            _decoder = new CausalDecoder(RandomWeights.Checkpoint(device, seed: 1).Root, config);
            _latents = Noise([1, 1 + (frames - 1) / 4, side, side, config.LatentChannels]);
            Frames = frames;
        }

        public override int? Frames { get; }

        public override string Description => FormattableString.Invariant(
            $"decoder of Wan 2.1's autoencoder, {Frames} frames of {8 * _latents.Shape[2]}x{8 * _latents.Shape[3]} pixels");

        public override void Forward()
        {
            using var cache = new FrameCache();
            for (int i = 0; i < _latents.Shape[1]; i++)
            {
                using var inner = new TensorScope();
                cache.Begin(i, _latents.Shape[1]);
                _decoder.Apply(_latents.Slice(1, i, 1).Clone(), cache, _ => { }, null, CancellationToken.None);
            }
        }
    }

    /// <summary>Reads a picture: prepares it and encodes it.</summary>
    private abstract class PictureEncoder(Device device) : Subject(device)
    {
        private const int Side = 512;

        /// <summary>Noise of 512 x 512 pixels.</summary>
        protected static Image Picture { get; } = Make();

        private static Image Make()
        {
            byte[] pixels = new byte[3 * Side * Side];
            new Random(1).NextBytes(pixels);
            return new Image(Side, Side, pixels);
        }
    }

    /// <summary>The encoder of pictures of CLIP ViT-L/14.</summary>
    private sealed class Clip : PictureEncoder
    {
        private static readonly ClipVisionConfig Config = new(
            224, 14, 768, 24, new ClipLayerConfig(1024, 4096, 16, Activation.QuickGelu, 1e-5f, Causal: false));

        private readonly ClipVisionTower _tower;
        private readonly Device _device;

        public Clip(Device device)
            : base(device) => (_device, _tower) = (device, new ClipVisionTower(RandomWeights.Checkpoint(device, seed: 1), Config));

        public override string Description => "pictures of CLIP ViT-L/14, preparation included";

        public override void Forward()
        {
            using var inner = new TensorScope();
            _tower.Apply(Preparation.Clip.Apply(Picture, Config.ImageSize, _device));
        }

        public override void Dispose()
        {
            _tower.Dispose();
            base.Dispose();
        }
    }

    /// <summary>Inception v3 of FID.</summary>
    private sealed class Inception(Device device) : PictureEncoder(device)
    {
        private readonly InceptionModel _model = InceptionModel.Load(new RandomWeights(1), device);

        public override string Description => "Inception v3 of FID, preparation included";

        public override void Forward() => _model.Apply(Picture, Preparation.PytorchFid);

        public override void Dispose()
        {
            _model.Dispose();
            base.Dispose();
        }
    }

    private sealed record Report(
        string Shape, string Description, Device Device, Timing.Result Time, IReadOnlyDictionary<string, CountingDevice.Entry> Counts,
        double CountedSeconds, double ProcessorSeconds, double Peak, double Bandwidth, long Activations, int? Frames)
    {
        private double Operations => Counts.Values.Sum(entry => entry.Operations);

        private double Rate => Operations / Time.Seconds / 1e9;

        /// <summary>Of the primitives that are products or convolutions, by their own time.</summary>
        private double ProductRate
        {
            get
            {
                var products = Counts.Where(pair => pair.Key.StartsWith("linear", StringComparison.Ordinal)
                    || pair.Key.StartsWith("convolution", StringComparison.Ordinal)).ToList();
                return products.Sum(pair => pair.Value.Operations) / products.Sum(pair => pair.Value.Seconds) / 1e9;
            }
        }

        private IEnumerable<KeyValuePair<string, CountingDevice.Entry>> Sorted => Counts.OrderByDescending(pair => pair.Value.Seconds);

        /// <summary>How much of the processors' time this process had; far below 1, others had the rest.</summary>
        private double Busy => ProcessorSeconds / CountedSeconds / Workers.MaxThreads;

        public string ToText()
        {
            var text = new System.Text.StringBuilder();
            text.AppendLine(
                FormattableString.Invariant(
                    $"{Description}, batch 1, bf16 weights, {Workers.MaxThreads} threads, device: {Device.Description}"));
            text.AppendLine(FormattableString.Invariant($"measured: {Peak:0} GFLOP/s (fp32 multiply-adds), {Bandwidth:0.0} GB/s (copy)"));
            text.AppendLine(
                string.Create(
                    CultureInfo.InvariantCulture, $"{Time.Seconds:0.000} s per forward pass, median of {Math.Max(Time.Counted, 1)} of "
                        + $"{Time.Taken}{(Time.Counted == 0 ? " (the machine ran below its peak around all of them)" : "")}; "
                            + $"{ProcessorSeconds:0.000} s of processor time, {100 * Busy:0} % of {Workers.MaxThreads} threads"));
            text.AppendLine(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{Operations / 1e9:0.0} GFLOP, {Rate:0} effective GFLOP/s, {Rate / Peak:0.00} of the peak; peak of activations "
                        + $"{Activations / 1048576.0:0} MiB"));
            text.AppendLine(FormattableString.Invariant(
                $"products and convolutions alone: {ProductRate:0} GFLOP/s, {ProductRate / Peak:0.00} of the peak"));
            if (Frames is { } frames)
                text.AppendLine(FormattableString.Invariant($"{frames / Time.Seconds:0.00} frames a second"));
            text.AppendLine();
            text.AppendLine("primitive                 calls   time ms   share     GFLOP   GFLOP/s   of peak      GB/s");
            foreach (var (name, entry) in Sorted)
            {
                double rate = entry.Operations / entry.Seconds / 1e9;
                string arithmetic = entry.Operations == 0 ? new string(' ', 29)
                    : FormattableString.Invariant($"{entry.Operations / 1e9,9:0.0} {rate,9:0} {rate / Peak,9:0.00}");
                text.AppendLine(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{name,-24} {entry.Calls,6} {1e3 * entry.Seconds,9:0.0} {100 * entry.Seconds / CountedSeconds,6:0.0}% "
                            + $"{arithmetic} {entry.Bytes / entry.Seconds / 1e9,9:0.0}"));
            }
            double rest = CountedSeconds - Counts.Values.Sum(entry => entry.Seconds);
            text.Append(
                FormattableString.Invariant($"{"between primitives",-24} {"",6} {1e3 * rest,9:0.0} {100 * rest / CountedSeconds,6:0.0}%"));
            return text.ToString();
        }

        public string ToJson() => Json.Line(json =>
        {
            json.WriteNumber("gflops", Math.Round(Rate, 1));
            json.WriteString("shape", Shape);
            json.WriteString("description", Description);
            json.WriteString("device", Device.Name);
            json.WriteString("device_description", Device.Description);
            json.WriteNumber("threads", Workers.MaxThreads);
            json.WriteNumber("seconds", Math.Round(Time.Seconds, 5));
            json.WriteNumber("processor_seconds", Math.Round(ProcessorSeconds, 5));
            json.WriteNumber("passes", Time.Taken);
            json.WriteNumber("passes_counted", Time.Counted);
            json.WriteNumber("gflop", Math.Round(Operations / 1e9, 2));
            json.WriteNumber("peak_gflops", Math.Round(Peak, 1));
            json.WriteNumber("share_of_peak", Math.Round(Rate / Peak, 3));
            json.WriteNumber("products_gflops", Math.Round(ProductRate, 1));
            json.WriteNumber("products_share_of_peak", Math.Round(ProductRate / Peak, 3));
            json.WriteNumber("copy_gbytes_per_s", Math.Round(Bandwidth, 1));
            json.WriteNumber("activation_bytes", Activations);
            if (Frames is { } frames)
                json.WriteNumber("frames_per_second", Math.Round(frames / Time.Seconds, 3));
            json.WriteStartArray("primitives");
            foreach (var (name, entry) in Sorted)
            {
                json.WriteStartObject();
                json.WriteString("name", name);
                json.WriteNumber("calls", entry.Calls);
                json.WriteNumber("seconds", Math.Round(entry.Seconds, 6));
                json.WriteNumber("share", Math.Round(entry.Seconds / CountedSeconds, 4));
                json.WriteNumber("gflop", Math.Round(entry.Operations / 1e9, 3));
                json.WriteNumber("gflops", Math.Round(entry.Operations / entry.Seconds / 1e9, 1));
                json.WriteNumber("gbytes_per_s", Math.Round(entry.Bytes / entry.Seconds / 1e9, 1));
                json.WriteEndObject();
            }
            json.WriteEndArray();
        });
    }
}

/// <summary>JSON on one line.</summary>
internal static class Json
{
    public static string Line(Action<Utf8JsonWriter> members)
    {
        using var stream = new MemoryStream();
        using (
            var json = new Utf8JsonWriter(
                stream, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }
}
