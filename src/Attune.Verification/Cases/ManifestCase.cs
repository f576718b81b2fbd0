using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Attune.Autoencoders;
using Attune.Models;
using Attune.Models.Chroma;
using Attune.Models.ErnieImage;
using Attune.Models.Flux;
using Attune.Models.Flux2;
using Attune.Models.Krea2;
using Attune.Models.PixArt;
using Attune.Models.QwenImage;
using Attune.Models.QwenImage21;
using Attune.Models.Sana;
using Attune.Models.StableDiffusion3;
using Attune.Models.Unet;
using Attune.Models.Wan;
using Attune.Models.ZImage;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.TextEncoders.Decoder;
using Attune.TextEncoders.T5;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// A released model by its configuration and the names and shapes of its tensors, without their values: the component is built from them,
/// every tensor is asked for once, and none is missing. A pipeline is the class of its folder, its scheduler and its components.
/// </summary>
internal sealed partial class ManifestCase : CaseKind
{
    private static readonly Dictionary<string, Func<ComponentSource, IDisposable>> Loaders = new()
    {
        ["UNet2DConditionModel"] = Unet2DConditionModel.Load,
        ["FluxTransformer2DModel"] = FluxTransformer.Load,
        ["Flux2Transformer2DModel"] = Flux2Transformer.Load,
        ["SD3Transformer2DModel"] = StableDiffusion3Transformer.Load,
        ["ZImageTransformer2DModel"] = ZImageTransformer.Load,
        ["QwenImageTransformer2DModel"] = QwenImageTransformer.Load,
        ["ChromaTransformer2DModel"] = ChromaTransformer.Load,
        ["PixArtTransformer2DModel"] = PixArtTransformer.Load,
        ["SanaTransformer2DModel"] = SanaTransformer.Load,
        ["Krea2Transformer2DModel"] = Krea2Transformer.Load,
        ["QwenImage21Transformer2DModel"] = QwenImage21Transformer.Load,
        ["ErnieImageTransformer2DModel"] = ErnieImageTransformer.Load,
        ["WanTransformer3DModel"] = WanTransformer.Load,
        ["AutoencoderKL"] = AutoencoderKl.Load,
        ["AutoencoderKLFlux2"] = AutoencoderKlFlux2.Load,
        ["AutoencoderKLQwenImage"] = AutoencoderKlCausal.Load,
        ["AutoencoderKLWan"] = AutoencoderKlCausal.Load,
        ["AutoencoderKLQwenImage21"] = AutoencoderKlQwenImage21.Load,
        ["AutoencoderDC"] = AutoencoderDC.Load,
        ["AutoencoderTiny"] = AutoencoderTiny.Load,
        ["CLIPTextModel"] = ClipTextModel.Load,
        ["CLIPTextModelWithProjection"] = ClipTextModel.Load,
        ["T5EncoderModel"] = T5EncoderModel.Load,
        ["UMT5EncoderModel"] = T5EncoderModel.Load,
        ["Qwen2_5_VLForConditionalGeneration"] = DecoderTextModel.Load,
        ["Qwen3ForCausalLM"] = DecoderTextModel.Load,
        ["Qwen3Model"] = DecoderTextModel.Load,
        ["Qwen3VLModel"] = DecoderTextModel.Load,
        ["Qwen3VLForConditionalGeneration"] = DecoderTextModel.Load,
        ["Mistral3ForConditionalGeneration"] = DecoderTextModel.Load,
        ["Mistral3Model"] = DecoderTextModel.Load,
        ["Gemma2Model"] = DecoderTextModel.Load,
    };

    public override string Kind => "manifest";

    public override IReadOnlyCollection<string> Arguments { get; } =
    [
        "repository", "folder", "config", "dtype", "dtypes", "count", "parameters", "published", "verified", "source", "unverified",
        "ignorable", "sha256", "tensors", "model_index", "scheduler", "components", "tokenizers", "note",
    ];

    public override bool Takes(string? className) => Loaders.ContainsKey(className ?? "") || Family.Of(className ?? "") != null;

    public override void Run(GoldenCase golden, Comparison results)
    {
        if (golden.Arguments.TryGetProperty("tensors", out _))
            RunComponent(golden, results);
        else
            RunPipeline(golden, results);
    }

    private static void RunPipeline(GoldenCase golden, Comparison results)
    {
        var index = golden.Arguments.GetProperty("model_index");
        results.Require(
            index.GetProperty("_class_name").GetString() == golden.Class, "model_index.json names another class than the case");
        if (golden.Arguments.TryGetProperty("scheduler", out var scheduler) && scheduler.ValueKind == JsonValueKind.Object)
        {
            string name = scheduler.GetProperty("_class_name").GetString()!;
            if (!Scheduler.SupportedClasses.Contains(name))
                throw new UnsupportedCaseException($"scheduler {name}");

            // The released file has the bare token, as Python writes it.
            string text = scheduler.GetRawText().Replace("\"-Infinity\"", "-Infinity", StringComparison.Ordinal);
            Scheduler.From(ModelConfig.Parse("scheduler_config.json", Encoding.UTF8.GetBytes(text)));
        }
        foreach (var component in golden.Arguments.GetProperty("components").EnumerateObject())
        {
            var part = golden.Other("manifests/" + component.Value.GetString());
            if (!Loaders.ContainsKey(part.Class ?? ""))
                throw new UnsupportedCaseException($"class {part.Class} of {component.Name}");
            RunComponent(part, results);
        }
    }

    private static void RunComponent(GoldenCase golden, Comparison results)
    {
        if (!Loaders.TryGetValue(golden.Class ?? "", out var load))
            throw new UnsupportedCaseException($"class {golden.Class}");
        using var source = new ShapeSource(golden);
        results.Require(source.Sha256 == golden.Text("sha256"), $"{golden.Name}: the list of names and shapes has another SHA-256");
        var config = ModelConfig.Parse(
            golden.Name + "/config.json", Encoding.UTF8.GetBytes(golden.Arguments.GetProperty("config").GetRawText()));
        using var component = Supported(() => load(new ComponentSource(config, golden.Device, () => source)));
        var ignorable = golden.Arguments.TryGetProperty("ignorable", out var list)
            ? list.EnumerateObject().Select(entry => entry.Name).ToArray() : [];
        foreach (string name in source.Names)
        {
            int asked = source.Asked.GetValueOrDefault(name);
            bool mayBeLeft = ignorable.Any(
                pattern => pattern.EndsWith('*') ? name.StartsWith(pattern[..^1], StringComparison.Ordinal) : name == pattern);
            results.Require(
                asked == 1 || (asked == 0 && mayBeLeft), FormattableString.Invariant($"{golden.Name}: {name} is read {asked} times"));
        }
    }

    /// <summary>Names and shapes of tensors; their values are those of one file without contents, as long as the largest.</summary>
    private sealed partial class ShapeSource : WeightSource
    {
        private readonly SortedDictionary<string, (string Type, int[] Shape)> _tensors = new(StringComparer.Ordinal);
        private readonly string _file = System.IO.Path.GetTempFileName();
        private readonly MappedFile _zeros;

        public ShapeSource(GoldenCase golden)
        {
            string type = TypeOf(golden.OptionalText("dtype"));
            foreach (var entry in golden.Arguments.GetProperty("tensors").EnumerateObject())
            {
                int[] shape = [.. entry.Value.EnumerateArray().Select(extent => extent.GetInt32())];
                foreach (string name in Expand(entry.Name))
                    _tensors.Add(name, (type, shape));
            }
            if (golden.Arguments.TryGetProperty("dtypes", out var others))
            {
                foreach (var entry in others.EnumerateObject())
                    _tensors[entry.Name] = (TypeOf(entry.Value.GetString()), _tensors[entry.Name].Shape);
            }
            long longest = _tensors.Values.Max(tensor => 8 * Count(tensor.Shape));
            using (var file = new FileStream(_file, FileMode.Create))
                file.SetLength(longest);
            _zeros = new MappedFile(_file);
        }

        public override string Path => _file;

        public override IReadOnlyCollection<string> Names => _tensors.Keys;

        /// <summary>How often each weight was asked for.</summary>
        public Dictionary<string, int> Asked { get; } = [];

        /// <summary>Of the lines "name d0,d1,...\n", sorted by the bytes of the name.</summary>
        public string Sha256
        {
            get
            {
                var text = new StringBuilder();
                foreach (var (name, tensor) in _tensors)
                    text.Append(name).Append(' ').AppendJoin(',', tensor.Shape).Append('\n');
                return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
            }
        }

        public override TensorEntry? Describe(string name) => !_tensors.TryGetValue(name, out var tensor) ? null
            : new TensorEntry(name, tensor.Type, [.. tensor.Shape.Select(extent => (long)extent)], _file, 0, 8 * Count(tensor.Shape));

        public override StoredWeight? Find(string name, Shape? expected = null)
        {
            if (!_tensors.TryGetValue(name, out var tensor))
                return null;
            Asked[name] = Asked.GetValueOrDefault(name) + 1;
            var format = WeightFormat.Find(tensor.Type)
                ?? throw new CheckpointException($"{name} is of type {tensor.Type}, which is no weight.");
            return new StoredWeight(
                name, Shape.Create(tensor.Shape), format, WeightBytes.Of(_zeros, 0, format.BytesOf(Count(tensor.Shape))));
        }

        protected override void Dispose(bool disposing)
        {
            _zeros.Dispose();
            File.Delete(_file);
        }

        private static long Count(int[] shape) => shape.Aggregate(1L, (product, extent) => product * extent);

        private static string TypeOf(string? dtype) => dtype switch
        {
            "float32" => "F32",
            "float16" => "F16",
            "int64" => "I64",
            _ => "BF16",
        };

        /// <summary>All names of a pattern: {0..2,5} stands for 0, 1, 2, 5.</summary>
        private static IEnumerable<string> Expand(string pattern)
        {
            var brace = Braces().Match(pattern);
            if (!brace.Success)
                return [pattern];
            var (before, after) = (pattern[..brace.Index], pattern[(brace.Index + brace.Length)..]);
            return brace.Groups[1].Value.Split(',').SelectMany(Range)
                .SelectMany(number => Expand(FormattableString.Invariant($"{before}{number}{after}")));
        }

        private static IEnumerable<int> Range(string text)
        {
            string[] ends = text.Split("..");
            int first = int.Parse(ends[0], System.Globalization.CultureInfo.InvariantCulture);
            return Enumerable.Range(first, int.Parse(ends[^1], System.Globalization.CultureInfo.InvariantCulture) - first + 1);
        }

        [GeneratedRegex(@"\{([^}]*)\}")]
        private static partial Regex Braces();
    }
}
