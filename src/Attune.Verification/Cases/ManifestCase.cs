using System.Text;
using System.Text.Json;
using Attune.Autoencoders;
using Attune.Evaluation.Metrics;
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
using Attune.TextEncoders.Clip;
using Attune.TextEncoders.Decoder;
using Attune.TextEncoders.T5;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// A released model by its configuration and the names and shapes of its tensors, without their values: the component is built from them,
/// every tensor is asked for once, and none is missing. A pipeline is the class of its folder, its scheduler and its components.
/// </summary>
internal sealed class ManifestCase : CaseKind
{
    /// <summary>How components are built, by the names of their classes.</summary>
    internal static readonly IReadOnlyDictionary<string, Func<ComponentSource, IDisposable>> Loaders =
        new Dictionary<string, Func<ComponentSource, IDisposable>>
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
        ["CLIPModel"] = ClipModel.Load,
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
        var tensors = ManifestTensors.Of(golden, results);
        var config = ManifestTensors.Config(golden);
        using var source = new CountedSource(new ShapeSource(tensors));
        using var component = Supported(() => load(new ComponentSource(config, golden.Device, () => source)));
        source.RequireReadOnce(golden.Name, tensors.MayBeLeft, results);
    }
}
