using System.Globalization;
using System.Diagnostics;
using System.Runtime.Intrinsics;
using Attune.Tensors;
using Attune.Tensors.Cpu;
using Attune.Tensors.OneDnn;

namespace Attune.Bench;

/// <summary>
/// Each primitive at the shapes of real models, beside what the machine can do (measured in the same run) and, for products and
/// convolutions, beside OpenBLAS and oneDNN. Libraries are called bare: on operands that already have their type and order. All that is
/// compared runs in turn.
/// </summary>
public static unsafe class KernelBenchmark
{
    public static readonly string[] Groups = ["products", "convolutions", "attention", "norms", "elementwise"];

    private static readonly (int Rows, int Outputs, int Inputs, string Where)[] Products =
    [
        (4096, 4096, 4096, ""),
        (4096, 320, 320, "SD1.5"), (4096, 1280, 320, "SD1.5"), (4096, 320, 1280, "SD1.5"), (1024, 640, 640, "SD1.5"),
        (256, 1280, 1280, "SD1.5"), (77, 320, 768, "SD1.5"),
        (4096, 640, 640, "SDXL"), (1024, 1280, 1280, "SDXL"), (1024, 5120, 1280, "SDXL"), (1024, 1280, 5120, "SDXL"),
        (77, 1280, 2048, "SDXL"),
        (1280, 3072, 3072, "FLUX"), (1280, 12288, 3072, "FLUX"), (1280, 3072, 12288, "FLUX"), (256, 3072, 3072, "FLUX"),
        (1, 18432, 3072, "FLUX"),
    ];

    private static readonly (int Inputs, int Outputs, int Side, int Kernel, int Stride, string Where)[] Convolutions =
    [
        (320, 320, 64, 3, 1, "SD1.5"), (960, 320, 64, 3, 1, "SD1.5"), (640, 640, 32, 3, 1, "SD1.5"), (1280, 1280, 16, 3, 1, "SD1.5"),
        (1280, 1280, 8, 3, 1, "SD1.5"), (2560, 1280, 16, 3, 1, "SD1.5"),
        (320, 320, 128, 3, 1, "SDXL"), (640, 640, 64, 3, 1, "SDXL"), (1280, 1280, 32, 3, 1, "SDXL"),
        (512, 512, 64, 3, 1, "VAE"), (512, 512, 128, 3, 1, "VAE"), (256, 256, 256, 3, 1, "VAE"), (128, 128, 512, 3, 1, "VAE"),
        (320, 320, 64, 3, 2, "SD1.5"), (4, 320, 64, 3, 1, "SD1.5"), (320, 4, 64, 3, 1, "SD1.5"), (128, 3, 512, 3, 1, "VAE"),
        (640, 320, 64, 1, 1, "SD1.5"),
    ];

    private static readonly (int Batch, int Heads, int Queries, int Keys, int Channels, string Where)[] Attentions =
    [
        (1, 24, 4608, 4608, 128, "FLUX"), (1, 24, 1280, 1280, 128, "FLUX"), (2, 8, 4096, 4096, 40, "SD1.5"),
        (1, 10, 4096, 4096, 64, "SDXL"), (1, 8, 1024, 1024, 80, "SD1.5"),
        (1, 8, 4096, 77, 40, "SD1.5"), (1, 20, 1024, 77, 64, "SDXL"), (1, 1, 4096, 4096, 512, "VAE"),
    ];

    public static int Run(IReadOnlyList<string> only, int rounds, bool json, TextWriter output)
    {
        if (only.FirstOrDefault(name => !Groups.Contains(name)) is { } unknown)
            throw new ArgumentException($"--only is '{unknown}', expected {string.Join(", ", Groups)}.");
        // The peer must run its AVX-512 kernels: Debian's OpenBLAS knows no processor newer than itself, and takes a core's name from the
        // environment that the process starts with.
        if (Environment.GetEnvironmentVariable("OPENBLAS_CORETYPE") != "SkylakeX"
            && Vector512.IsHardwareAccelerated && Environment.ProcessPath is { } self)
        {
            string[] arguments = Environment.GetCommandLineArgs();
            // Under the `dotnet` host the first argument is the assembly, which the host needs again.
            bool hosted = Path.GetFileNameWithoutExtension(self).Equals("dotnet", StringComparison.OrdinalIgnoreCase);
            var start = new ProcessStartInfo(self, hosted ? arguments : arguments.Skip(1)) {
                Environment = { ["OPENBLAS_CORETYPE"] = "SkylakeX" } };
            using var process = Process.Start(start)!;
            process.WaitForExit();
            return process.ExitCode;
        }
        var bench = new Bench(rounds);
        if (!json)
            output.WriteLine(bench.Heading);
        foreach (string group in Groups.Where(group => only.Count == 0 || only.Contains(group)))
        {
            var rows = new List<Row>();
            foreach (var row in bench.Rows(group))
            {
                if (!json)
                {
                    if (rows.Count == 0)
                        output.WriteLine();
                    output.WriteLine(Bench.Text(row));
                }
                rows.Add(row);
            }
            bench.Finish(group, rows);
            if (!json)
                Bench.Summarise(group, rows, output);
        }
        if (json)
            output.WriteLine(bench.ToJson());
        return 0;
    }

    /// <summary>A kernel that was measured.</summary>
    /// <param name="Name">Shape and origin.</param>
    /// <param name="Work">GFLOP, or GB that must be read and written.</param>
    /// <param name="Unit">GFLOP/s or GB/s.</param>
    /// <param name="Bandwidth">GB/s of a copy, for a kernel that memory bounds; else null.</param>
    /// <param name="Times">Who computed it, and in what time; the managed device first.</param>
    private sealed record Row(
        string Name, double Work, string Unit, double? Bandwidth, IReadOnlyList<(string Who, Timing.Result Time)> Times)
    {
        /// <summary>What the machine can do, in that unit.</summary>
        public double Roof => Bandwidth ?? PeakProbe.Highest;

        public double Rate(string who) =>
            Times.FirstOrDefault(time => time.Who == who).Time is { Seconds: > 0 } time ? Work / time.Seconds : double.NaN;
    }

    private sealed class Bench
    {
        private readonly int _rounds;
        private readonly double _bandwidth = PeakProbe.CopyBandwidth(256 << 20);
        private readonly Dictionary<string, List<Row>> _done = [];
        private readonly OneDnnLibrary? _oneDnn;
        private readonly string _peers;

        public Bench(int rounds)
        {
            _rounds = rounds;
            PeakProbe.WarmUp();
            _oneDnn = OneDnnLibrary.TryLoad(out string problem);
            _peers = (
                OpenBlas.Available
                    ? "OpenBLAS"
                    : "no OpenBLAS (Debian: libopenblas0-pthread)") + "; " + (_oneDnn != null ? $"oneDNN {_oneDnn.Version}"
                    : problem);
        }

        public string Heading =>
            string.Create(
                CultureInfo.InvariantCulture,
                $"{Workers.MaxThreads} threads; measured: {PeakProbe.Highest:0} GFLOP/s (fp32 multiply-adds), {_bandwidth:0.0} GB/s (copy "
                    + $"of 256 MiB, read and written); peers: {_peers}");

        public IEnumerable<Row> Rows(string group) => group switch
        {
            "products" => Products.Select(p => Product(p.Rows, p.Outputs, p.Inputs, p.Where)),
            "convolutions" => Convolutions.Select(c => Convolution(c.Inputs, c.Outputs, c.Side, c.Kernel, c.Stride, c.Where)),
            "attention" =>
                Attentions.Select(a => Attention(a.Batch, a.Heads, a.Queries, a.Keys, a.Channels, a.Where))
                    .Concat([Entmax(1, 8, 4096, 77, 40, "SD1.5"), Entmax(1, 24, 4096, 256, 128, "FLUX")]),
            "norms" => Norms(),
            _ => Elementwise(),
        };

        public void Finish(string group, List<Row> rows) => _done[group] = rows;

        public static string Text(Row row)
        {
            var text = new System.Text.StringBuilder(FormattableString.Invariant($"{row.Name,-44}"));
            foreach (var (who, time) in row.Times)
            {
                double rate = row.Work / time.Seconds;
                string doubt = time.Counted == 0 ? "?" : "";
                string versus = who == "managed" ? FormattableString.Invariant($"{rate / row.Roof:0.00} of the roof")
                    : FormattableString.Invariant($"{row.Rate("managed") / rate:0.00}");
                text.Append(FormattableString.Invariant($"  {who} {rate,5:0.#}{doubt} ({versus})"));
            }
            return text.Append(' ').Append(row.Unit).ToString();
        }

        /// <summary>Geometric means of the ratios to the peers.</summary>
        public static void Summarise(string group, List<Row> rows, TextWriter output)
        {
            foreach (var (who, peer) in Pairs(rows))
            {
                double mean = Mean(rows, who, peer, out int count);
                output.WriteLine(FormattableString.Invariant($"{group}: {who} {mean:0.00} of {peer} (geometric mean of {count})"));
            }
        }

        public string ToJson() => Json.Line(json =>
        {
            json.WriteNumber("peak_gflops", Math.Round(PeakProbe.Highest, 1));
            json.WriteNumber("copy_gbytes_per_s", Math.Round(_bandwidth, 1));
            json.WriteNumber("threads", Workers.MaxThreads);
            json.WriteString("peers", _peers);
            json.WriteStartArray("kernels");
            foreach (var (group, rows) in _done)
            {
                foreach (var row in rows)
                {
                    json.WriteStartObject();
                    json.WriteString("group", group);
                    json.WriteString("name", row.Name);
                    json.WriteString("unit", row.Unit);
                    json.WriteNumber("roof", Math.Round(row.Roof, 1));
                    json.WriteStartObject("rates");
                    foreach (var (who, time) in row.Times)
                        json.WriteNumber(who, Math.Round(row.Work / time.Seconds, 1));
                    json.WriteEndObject();
                    json.WriteNumber("share_of_roof", Math.Round(row.Rate("managed") / row.Roof, 3));
                    json.WriteEndObject();
                }
            }
            json.WriteEndArray();
            json.WriteStartArray("means");
            foreach (var (group, rows) in _done)
            {
                foreach (var (who, peer) in Pairs(rows))
                {
                    json.WriteStartObject();
                    json.WriteString("group", group);
                    json.WriteString("who", who);
                    json.WriteString("peer", peer);
                    json.WriteNumber("ratio", Math.Round(Mean(rows, who, peer, out _), 3));
                    json.WriteEndObject();
                }
            }
            json.WriteEndArray();
        });

        /// <summary>The ratios that are worth a mean: each of ours to each library that computes with the same precision.</summary>
        private static IEnumerable<(string Who, string Peer)> Pairs(List<Row> rows)
        {
            var pairs = new[] {
                ("managed", "OpenBLAS"), ("managed", "oneDNN"), ("winograd4", "oneDNN winograd"), ("device bf16", "oneDNN bf16") };
            return pairs.Where(pair => rows.Any(row => !double.IsNaN(row.Rate(pair.Item1) / row.Rate(pair.Item2))));
        }

        private static double Mean(List<Row> rows, string who, string peer, out int count)
        {
            double[] ratios = [.. rows.Select(row => row.Rate(who) / row.Rate(peer)).Where(ratio => !double.IsNaN(ratio))];
            count = ratios.Length;
            return Math.Exp(ratios.Sum(Math.Log) / Math.Max(ratios.Length, 1));
        }

        private Row Measure(string name, double work, string unit, double? bandwidth, List<(string Who, Action Run)> methods)
        {
            var times = Timing.Interleave([.. methods.Select(method => method.Run)], _rounds);
            return new Row(name, work, unit, bandwidth, [.. methods.Select((method, i) => (method.Who, times[i]))]);
        }

        private Row Product(int m, int n, int k, string where)
        {
            using var scope = new TensorScope();
            var (x, w, y) = (Noise.Of([m, k], 1), Noise.Of([n, k], 2), Tensor.Empty(Devices.Managed, [m, n]));
            using var weight = Devices.Managed.Prepare(StoredWeight.Of("w", w), WeightRole.Matrix);
            var methods = new List<(string, Action)> { ("managed", () => Devices.Managed.Linear(x, weight, null, Activation.None, y)) };
            if (OpenBlas.Available)
                methods.Add(("OpenBLAS", () => OpenBlas.Product(m, n, k, x.Pointer, w.Pointer, y.Pointer)));
            using var peers = new Peers(_oneDnn, methods);
            peers.Add(
                type => Operation.Product(_oneDnn!, m, k, n, type, k, n, blocked: true, bias: false, Activation.None), x, w,
                WeightRole.Matrix, y, (device, prepared) => device.Linear(x, prepared, null, Activation.None, y));
            return Measure(FormattableString.Invariant($"product {m}x{n}x{k} {where}"), 2e-9 * m * n * k, "GFLOP/s", null, methods);
        }

        private Row Convolution(int inputs, int outputs, int side, int kernel, int stride, string where)
        {
            using var scope = new TensorScope();
            var geometry = Conv2dGeometry.Same(kernel / 2, stride);
            var (height, width) = geometry.OutputSize(side, side, kernel, kernel);
            var (x, w, y) = (
                Noise.Of([1, side, side, inputs], 1), Noise.Of([outputs, inputs, kernel, kernel], 2),
                Tensor.Empty(Devices.Managed, [1, height, width, outputs]));
            using var weight = Devices.Managed.Prepare(StoredWeight.Of("w", w), WeightRole.Convolution);
            var methods = new List<(string, Action)> { ("managed", () => Devices.Managed.Conv2d(x, weight, null, geometry, y)) };
            using var peers = new Peers(_oneDnn, methods);
            peers.Add(
                type => Operation.Convolution(_oneDnn!, x.Shape, weight.Shape, y.Shape, geometry, type, bias: false), x, w,
                WeightRole.Convolution, y, (device, prepared) => device.Conv2d(x, prepared, null, geometry, y));
            if (kernel == 3 && stride == 1)
            {
                // Each algorithm forced, whatever Auto takes.
                foreach (
                    var algorithm in new[] { ConvolutionAlgorithm.Direct, ConvolutionAlgorithm.Winograd2, ConvolutionAlgorithm.Winograd4 })
                {
                    var device = new CpuDevice(new ConvolutionOptions { Algorithm = algorithm });
                    methods.Add((algorithm.ToString().ToLowerInvariant(), () => device.Conv2d(x, weight, null, geometry, y)));
                }
                if (inputs % 16 == 0 && outputs % 16 == 0)
                    peers.AddBare(
                        "oneDNN winograd",
                        () =>
                            Operation.Convolution(
                                _oneDnn!, x.Shape, weight.Shape, y.Shape, geometry, Native.Float32, bias: false, winograd: true),
                        x, y);
            }
            string strided = stride == 1 ? "" : FormattableString.Invariant($"/{stride}");
            return Measure(
                FormattableString.Invariant($"convolution {kernel}x{kernel}{strided} {inputs}>{outputs}@{side} {where}"),
                2e-9 * y.Count * inputs * kernel * kernel, "GFLOP/s", null, methods);
        }

        private Row Attention(int batch, int heads, int queries, int keys, int channels, string where)
        {
            using var scope = new TensorScope();
            var (q, k, v) = (
                Noise.Of([batch, queries, heads, channels], 1), Noise.Of([batch, keys, heads, channels], 2),
                Noise.Of([batch, keys, heads, channels], 3));
            var (result, logSumExp) = (q.Like(q.Shape), q.Like([batch, queries, heads]));
            var arguments = new AttentionArguments(q, k, v, 1 / MathF.Sqrt(channels), result, logSumExp);
            return Measure(
                FormattableString.Invariant($"attention ({batch}, {heads}, {queries}x{keys}, {channels}) {where}"), 4e-9 * q.Count * keys,
                "GFLOP/s", null, [("managed", () => Devices.Managed.Attention(arguments))]);
        }

        /// <summary>
        /// Sparse and dense attention over text at once, as PLADIS and GAG need them: one product for the logits, two with the values.
        /// </summary>
        private Row Entmax(int batch, int heads, int queries, int keys, int channels, string where)
        {
            using var scope = new TensorScope();
            var (q, k, v) = (
                Noise.Of([batch, queries, heads, channels], 1), Noise.Of([batch, keys, heads, channels], 2),
                Noise.Of([batch, keys, heads, channels], 3));
            var (result, dense, logSumExp, support) = (
                q.Like(q.Shape), q.Like(q.Shape), q.Like([batch, queries, heads]), q.Like([batch, queries, heads]));
            var arguments = new AttentionArguments(q, k, v, 1 / MathF.Sqrt(channels), result, logSumExp);
            return Measure(
                FormattableString.Invariant($"entmax attention ({batch}, {heads}, {queries}x{keys}, {channels}) {where}"),
                6e-9 * q.Count * keys, "GFLOP/s", null,
                [("managed", () => Devices.Managed.EntmaxAttention(arguments, 1.5f, dense, support))]);
        }

        private IEnumerable<Row> Norms()
        {
            foreach (var (side, channels, where) in new[] { (64, 320, "SD1.5"), (128, 320, "SDXL"), (256, 256, "VAE"), (512, 128, "VAE") })
            {
                yield return Streaming(
                    FormattableString.Invariant($"group norm + SiLU {channels}@{side} {where}"), [1, side, side, channels], 1,
                    (x, y, device) =>
                    device.GroupNorm(x, 32, Vector(channels), Vector(channels), 1e-5f, Activation.Silu, y));
            }
            foreach (var (tokens, channels, where) in new[] { (4096, 320, "SD1.5"), (1024, 1280, "SDXL"), (4608, 3072, "FLUX") })
                yield return Streaming(
                    FormattableString.Invariant($"layer norm {tokens}x{channels} {where}"), [1, tokens, channels], 1,
                    (x, y, device) => device.LayerNorm(x, Vector(channels), Vector(channels), 1e-5f, y));
            yield return Streaming(
                "modulated layer norm 4608x3072 FLUX", [1, 4608, 3072], 1,
                (x, y, device) => device.ModulatedLayerNorm(x, Row(3072), Row(3072), 1e-6f, y));
            yield return Streaming(
                "rms norm 4608x24x128 FLUX", [1, 4608, 24, 128], 1, (x, y, device) => device.RmsNorm(x, Vector(128), 1e-6f, y));
        }

        private IEnumerable<Row> Elementwise()
        {
            yield return Streaming("add 4096x320 SD1.5", [1, 4096, 320], 2, (x, y, device) => device.Binary(BinaryOperation.Add, x, y, y));
            yield return Streaming(
                "add 512x512x128 VAE", [1, 512, 512, 128], 2, (x, y, device) => device.Binary(BinaryOperation.Add, x, y, y));
            yield return Streaming(
                "gated residual 4608x3072 FLUX", [1, 4608, 3072], 2, (x, y, device) => device.AddGated(y, Row(3072), x, y));
            yield return Streaming(
                "GELU (tanh) 4608x12288 FLUX", [1, 4608, 12288], 1, (x, y, device) => device.Activate(x, Activation.GeluTanh, y));
            yield return Streaming("SiLU 512x512x128 VAE", [1, 512, 512, 128], 1, (x, y, device) => device.Activate(x, Activation.Silu, y));
            yield return Streaming("softmax 4096x4096", [4096, 4096], 1, (x, y, device) => device.Softmax(x, y));
            yield return Streaming(
                "resize 512@64 to 128 VAE", [1, 64, 64, 512], 1, (x, y, device) => device.ResizeNearest(x, y),
                outputShape: [1, 128, 128, 512]);
        }

        /// <summary>A primitive bound by memory: what it must move, against a copy of as many bytes.</summary>
        private Row Streaming(string name, Shape shape, int inputs, Action<Tensor, Tensor, Device> run, Shape? outputShape = null)
        {
            using var scope = new TensorScope();
            var (x, y) = (Noise.Of(shape, 1), Noise.Of(outputShape ?? shape, 2));
            double bytes = sizeof(float) * ((double)inputs * x.Count + y.Count);
            double roof = PeakProbe.CopyBandwidth((long)bytes / 2 / 64 * 64);
            return Measure(name, bytes / 1e9, "GB/s", roof, [("managed", () => run(x, y, Devices.Managed))]);
        }

        private readonly Dictionary<int, PreparedWeight> _vectors = [];
        private readonly Dictionary<int, Tensor> _rows = [];

        private PreparedWeight Vector(int channels)
        {
            if (!_vectors.TryGetValue(channels, out var weight))
                _vectors[channels] = weight = Devices.Managed.Prepare(
                    StoredWeight.Owning("w", Row(channels).Reshape(channels)), WeightRole.Vector);
            return weight;
        }

        private Tensor Row(int channels)
        {
            if (!_rows.TryGetValue(channels, out var row))
                _rows[channels] = row = TensorScope.Detach(Noise.Of([1, channels], 5));
            return row;
        }
    }

    /// <summary>oneDNN's part of a comparison: its bare calls in float32 and bfloat16, and the devices that use it.</summary>
    private sealed class Peers(OneDnnLibrary? library, List<(string Who, Action Run)> methods) : IDisposable
    {
        private readonly List<Action> _free = [];

        public void Add(
            Func<int, Operation?> make, Tensor x, Tensor weight, WeightRole role, Tensor y, Action<Device, PreparedWeight> run)
        {
            if (library == null)
                return;
            library.UseThreads(Workers.MaxThreads);
            foreach (var (name, type) in new[] { ("oneDNN", Native.Float32), ("oneDNN bf16", Native.BFloat16) })
            {
                AddBare(name, () => make(type), x, y);
            }
            foreach (var (name, precision) in new[] { ("device f32", Precision.Float32), ("device bf16", Precision.BFloat16) })
            {
                var device = new OneDnnDevice(new CpuDevice(new ConvolutionOptions()), library, precision, everything: true);
                var prepared = device.Prepare(StoredWeight.Of("w", weight), role);
                methods.Add((name, () => run(device, prepared)));
                _free.Add(prepared.Dispose);
                _free.Add(device.Dispose);
            }
        }

        /// <summary>One bare call, where the library does it.</summary>
        public void AddBare(string name, Func<Operation?> make, Tensor x, Tensor y)
        {
            if (library == null || make() is not { } operation)
                return;
            // About 0.01, as a float32 and as two bfloat16.
            float small = BitConverter.Int32BitsToSingle(0x3C233C23);
            var weights = Tensor.Full(x.Device, [checked((int)(Native.SizeOf(operation.Weights) / sizeof(float) + 1))], small);
            var source = Tensor.Full(x.Device, x.Shape, small);
            nint memory = Operation.Memory(library, operation.Weights, weights.Pointer);
            methods.Add((name, () => operation.Run(source.Pointer, memory, null, y.Pointer)));
            _free.Add(() =>
            {
                _ = Native.MemoryDestroy(memory);
                operation.Dispose();
            });
        }

        public void Dispose() => _free.ForEach(free => free());
    }
}
