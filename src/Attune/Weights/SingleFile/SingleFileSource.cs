using System.Text.Json.Nodes;
using Attune.Tensors;

namespace Attune.Weights.SingleFile;

/// <summary>What a single file lacks.</summary>
/// <param name="ConfigFolder">A diffusers folder (weights not needed) whose tokenizers and configurations go with the file, or
/// null.</param>
/// <param name="PredictionType"><c>epsilon</c> or <c>v_prediction</c>, or null for what file and family say.</param>
internal sealed record SingleFileSettings(string? ConfigFolder = null, string? PredictionType = null);

/// <summary>
/// A .safetensors file with all of a model under the names of the original latent diffusion code: Stable Diffusion 1.x, 2.x and XL. The
/// kind follows from the names; sizes from the shapes; the rest of the configurations is that of the family's first checkpoint on the Hub.
/// Tensors outside of the components (<c>model_ema.</c>, <c>alphas_cumprod</c>, ...) are ignored.
/// </summary>
internal sealed class SingleFileSource : ModelSource
{
    private const string UnetPrefix = "model.diffusion_model.";
    private readonly Dictionary<string, (string Prefix, ILdmLayout Layout)> _parts;
    private readonly Dictionary<string, ModelConfig> _configs = new(StringComparer.Ordinal);
    private readonly SingleFileSettings _settings;
    private readonly string _family;

    /// <exception cref="CheckpointException">The file is malformed, or of no kind that is known.</exception>
    public SingleFileSource(string path, Device device, SingleFileSettings settings)
        : base(device)
    {
        (Path, _settings) = (path, settings);
        if (System.IO.Path.GetExtension(path) is ".ckpt" or ".pt" or ".pth" or ".bin")
            throw new CheckpointException($"'{path}': pickled weights (.bin, .pt, .pth, .ckpt) are not read, expected .safetensors.");
        if (settings.ConfigFolder is { } folder && !Directory.Exists(folder))
            throw new CheckpointException($"The folder of configurations '{folder}' does not exist.");
        using var file = WeightSource.Open(path);
        (_family, _parts) = Detect(file);

        var builtIn = ReadResource(_family);
        Index = Parse("model_index", (JsonObject)builtIn["model_index"]!);
        foreach (var (component, (prefix, layout)) in _parts)
        {
            var config = (JsonObject)builtIn[component]!;
            foreach (var (key, value) in layout.Describe(new LdmPart(file, prefix)))
                config[key] = value?.DeepClone();
            if (component == "unet" && builtIn["text_encoder_2"] is JsonObject pooled)
                AddTimeEmbedding(config, pooled, file);
            _configs[component] = Override(component, "config.json") ?? Parse(component, config);
        }
        Scheduler = ReadScheduler(file, (JsonObject)builtIn["scheduler"]!);
    }

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override ModelConfig Index { get; }

    /// <inheritdoc/>
    public override ModelConfig Scheduler { get; }

    /// <inheritdoc/>
    public override bool Has(string component) =>
        _parts.ContainsKey(component) || (component is "scheduler" or "tokenizer" or "tokenizer_2" && Index.Has(component));

    /// <inheritdoc/>
    public override ComponentSource Component(string name)
    {
        if (!_parts.TryGetValue(name, out var part))
            throw new CheckpointException($"'{Path}' holds no {name}.");
        return new ComponentSource(
            _configs[name], Device, () => RenamedSource.Open(Path, file => part.Layout.Map(new LdmPart(file, part.Prefix))));
    }

    /// <summary>A single file has no tokenizer: one lies in the folder of configurations, or beside the file.</summary>
    public override string Tokenizer(string name)
    {
        string beside = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!, name);
        if (_settings.ConfigFolder is { } folder && Directory.Exists(System.IO.Path.Combine(folder, name)))
            return System.IO.Path.Combine(folder, name);
        return Directory.Exists(beside) ? beside
            : throw new CheckpointException(
                $"'{Path}' holds no tokenizer: expected a folder '{beside}', or '{name}' in the folder of "
                    + $"configurations{(_settings.ConfigFolder is { } given ? $" '{given}'" : "")} (vocab.json and merges.txt, or "
                        + $"tokenizer.json).");
    }

    private static (string Family, Dictionary<string, (string, ILdmLayout)> Parts) Detect(WeightSource file)
    {
        bool Has(string start) => file.Names.Any(name => name.StartsWith(start, StringComparison.Ordinal));
        CheckpointException Unknown(string what) =>
            new($"'{file.Path}' is no single-file checkpoint of Stable Diffusion 1.x, 2.x or XL: {what}.");
        if (file.Describe(UnetPrefix + "input_blocks.0.0.weight") == null)
            throw Unknown($"the tensor {UnetPrefix}input_blocks.0.0.weight is missing");
        if (file.Describe("edm_mean") != null)
            throw Unknown("it has the latent statistics edm_mean of Playground 2.5, which is not supported");
        var parts = new Dictionary<string, (string, ILdmLayout)> { ["vae"] = ("first_stage_model.", new LdmVaeLayout()) };
        var unet = new LdmUnetLayout(channels => Math.Max(channels / 64, 1));
        string family;
        if (Has("conditioner.embedders.1.model."))
        {
            family = "sdxl";
            parts["text_encoder"] = ("conditioner.embedders.0.transformer.", new TransformersClipLayout());
            parts["text_encoder_2"] = ("conditioner.embedders.1.model.", new OpenClipLayout(penultimate: false));
        }
        else if (Has("cond_stage_model.model."))
        {
            family = "sd21";
            parts["text_encoder"] = ("cond_stage_model.model.", new OpenClipLayout(penultimate: true));
        }
        else if (Has("cond_stage_model.transformer."))
        {
            family = "sd15";
            unet = new LdmUnetLayout(_ => 8);
            parts["text_encoder"] = ("cond_stage_model.transformer.", new TransformersClipLayout());
        }
        else
        {
            throw Unknown(
                Has("conditioner.embedders.0.model.") ? "it is the refiner of SDXL, which is not supported"
                    : "it has no text encoder (cond_stage_model. or conditioner.embedders.0. and 1.)");
        }
        parts["unet"] = (UnetPrefix, unet);
        return (family, parts);
    }

    private ModelConfig? Override(string component, string name)
    {
        string? path = _settings.ConfigFolder == null ? null : System.IO.Path.Combine(_settings.ConfigFolder, component, name);
        return File.Exists(path) ? ModelConfig.Read(path) : null;
    }

    /// <summary>The six numbers of SDXL's size conditioning fill what the pooled embedding leaves of the added embedding's input.</summary>
    private void AddTimeEmbedding(JsonObject unet, JsonObject pooled, WeightSource file)
    {
        var (prefix, layout) = _parts["text_encoder_2"];
        int projection = (int)(layout.Describe(new LdmPart(file, prefix))["projection_dim"] ?? pooled["projection_dim"])!;
        int inputs = (int?)unet["projection_class_embeddings_input_dim"]
            ?? throw new CheckpointException($"'{Path}': the tensor {UnetPrefix}label_emb.0.0.weight is missing.");
        if (inputs <= projection || (inputs - projection) % 6 != 0)
            throw new CheckpointException(
                $"'{Path}': the added embedding takes {inputs} channels, expected the {projection} of the pooled embedding and a multiple "
                    + $"of 6.");
        unet["addition_time_embed_dim"] = (inputs - projection) / 6;
    }

    /// <summary>
    /// The family's scheduler. Its prediction type is the user's, or v_prediction where the file carries the marker <c>v_pred</c>, or the
    /// family's. Files of SD 2.x do not say: as in diffusers they count as v_prediction (768 pixels), although the 512 pixel base models
    /// predict epsilon.
    /// </summary>
    private ModelConfig ReadScheduler(WeightSource file, JsonObject builtIn)
    {
        if (_settings.PredictionType is { } type && type is not ("epsilon" or "v_prediction" or "sample"))
            throw new ArgumentException($"The prediction type is '{type}', expected epsilon, v_prediction or sample.");
        if (file.Describe("v_pred") != null)
            builtIn["prediction_type"] = "v_prediction";
        if (file.Describe("ztsnr") != null)
            (builtIn["rescale_betas_zero_snr"], builtIn["timestep_spacing"]) = (true, "trailing");
        var config = Override("scheduler", "scheduler_config.json") ?? Parse("scheduler", builtIn);
        return _settings.PredictionType == null ? config : config.With("prediction_type", _settings.PredictionType);
    }

    private ModelConfig Parse(string component, JsonObject config) =>
        ModelConfig.Parse($"{Path} ({component})", System.Text.Encoding.UTF8.GetBytes(config.ToJsonString()));

    private static JsonObject ReadResource(string family)
    {
        using var stream = typeof(SingleFileSource).Assembly.GetManifestResourceStream($"Attune.Weights.SingleFile.{family}.json")!;
        return (JsonObject)JsonNode.Parse(stream)!;
    }
}
