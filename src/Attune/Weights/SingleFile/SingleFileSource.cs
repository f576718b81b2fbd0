using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Attune.Tensors;

namespace Attune.Weights.SingleFile;

/// <summary>What a model in files is opened with besides the first of them.</summary>
/// <param name="ConfigFolder">A diffusers folder whose tokenizers and configurations go with the files, and whose weights where no file
/// has a component; or null.</param>
/// <param name="PredictionType"><c>epsilon</c> or <c>v_prediction</c>, or null for what files and family say.</param>
internal sealed record SingleFileSettings(string? ConfigFolder = null, string? PredictionType = null)
{
    /// <summary>Further files, each with one component or several, in any order.</summary>
    public IReadOnlyList<string> Parts { get; init; } = [];

    /// <summary>Folders of tokenizers, or folders that hold such by their names, in any order.</summary>
    public IReadOnlyList<string> Tokenizers { get; init; } = [];
}

/// <summary>
/// A model in one file or in several: safetensors or GGUF, under the names of the original code or of diffusers. What each file holds
/// follows from names and shapes (<see cref="PartKinds"/>), sizes from shapes; the rest of the configurations is that of the family's first
/// checkpoint on the Hub, or of a diffusers folder that is given. In a file with several components, tensors of none (<c>model_ema.</c>,
/// <c>alphas_cumprod</c>, ...) are ignored. A folder may take the place of the first file: then the files replace its components.
/// </summary>
internal sealed class SingleFileSource : ModelSource
{
    private static readonly string[] Denoisers = ["unet", "transformer"];

    private readonly SingleFileSettings _settings;
    private readonly string? _folder;
    private readonly List<FileComponent> _known = [];
    private readonly Dictionary<string, FileComponent> _parts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ModelConfig> _configs = new(StringComparer.Ordinal);
    private readonly JsonObject _builtIn = [];

    /// <param name="path">The file, or a folder of which files take components' places.</param>
    /// <param name="device">Where the tensors live.</param>
    /// <param name="settings">What goes with it.</param>
    /// <exception cref="CheckpointException">A file is malformed, of no kind that is known, or has no place in the model.</exception>
    public SingleFileSource(string path, Device device, SingleFileSettings settings)
        : base(device)
    {
        (Path, _settings) = (path, settings);
        bool isFolder = Directory.Exists(path);
        _folder = settings.ConfigFolder ?? (isFolder ? path : null);
        if (settings.ConfigFolder is { } folder && !Directory.Exists(folder))
            throw new CheckpointException($"The folder of configurations '{folder}' does not exist.");
        bool? predictsVelocity = null;
        bool endsInNoise = false;
        foreach (string file in isFolder ? settings.Parts : [path, .. settings.Parts])
        {
            using var source = OpenFile(file);
            _known.AddRange(PartKinds.Of(source));
            predictsVelocity ??= source.Names.Contains("v_pred") ? true : null;
            endsInNoise |= source.Names.Contains("ztsnr");
        }
        var denoiser = Denoiser();
        if (denoiser != null && FamilyOf(denoiser) is { } family)
            _builtIn = Embedded(family);
        Index = Override("", "model_index.json") ?? BuiltIn("model_index")
            ?? throw new CheckpointException(
                denoiser == null
                    ? $"'{path}' holds {string.Join(", ", _known.Select(part => part.Kind.Name))} and no denoiser; expected one, as the "
                        + "file of the model."
                    : $"'{denoiser.File}' is {denoiser.Kind.Name}: of its family no configuration is built in; expected a diffusers folder "
                        + "that goes with it (ConfigFolder, --config-folder).");
        Assign(denoiser);
        Missing = [.. Slots().Where(slot => !_parts.ContainsKey(slot) && !HasWeights(slot) && !IsOptional(slot))];
        Scheduler = ReadScheduler(predictsVelocity == true, endsInNoise);
    }

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override ModelConfig Index { get; }

    /// <inheritdoc/>
    public override ModelConfig Scheduler { get; }

    /// <summary>What the files hold.</summary>
    public IReadOnlyList<FileComponent> Parts => _known;

    /// <summary>The components that no file holds and the model needs.</summary>
    public IReadOnlyList<string> Missing { get; }

    /// <inheritdoc/>
    public override bool Has(string component)
    {
        if (ClassOf(component) == null)
            return false;
        if (IsSlot(component))
            return _parts.ContainsKey(component) || HasWeights(component) || Missing.Contains(component);
        string encoder = component.Replace("tokenizer", "text_encoder", StringComparison.Ordinal);
        return !IsSlot(encoder) || ClassOf(encoder) == null || Has(encoder);
    }

    /// <inheritdoc/>
    public override ComponentSource Component(string name)
    {
        if (_parts.TryGetValue(name, out var part))
        {
            var config = _configs[name];
            return new ComponentSource(config, Device, () => part.Open(config));
        }
        if (Missing.Count > 0)
            throw new CheckpointException(
                $"'{Path}' is not all of the model; it needs besides {string.Join("; ", Missing.Select(Needed))}.");
        return HasWeights(name) ? ComponentSource.Folder(System.IO.Path.Combine(_folder!, name), Device)
            : throw new CheckpointException($"'{Path}' holds no {name}.");
    }

    /// <summary>
    /// Files have no tokenizers: they are in the folders that are given, in that of the configurations, or beside the file.
    /// </summary>
    public override string Tokenizer(string name)
    {
        foreach (string given in _settings.Tokenizers)
        {
            if (!Directory.Exists(given))
                throw new CheckpointException($"The folder of a tokenizer '{given}' does not exist.");
            if (Directory.Exists(System.IO.Path.Combine(given, name)))
                return System.IO.Path.Combine(given, name);
            if (ClassOf(name) is { } className && TokenizerKind.Of(given) is { } kind && kind.Serves(className))
                return given;
        }
        string beside = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!, name);
        if (_folder != null && Directory.Exists(System.IO.Path.Combine(_folder, name)))
            return System.IO.Path.Combine(_folder, name);
        return Directory.Exists(beside) ? beside
            : throw new CheckpointException(
                $"'{Path}' holds no tokenizer: expected {(ClassOf(name) is { } needed ? $"the folder of a {needed} " : "one ")}"
                    + $"(Tokenizers, --tokenizer), a folder '{beside}', or '{name}' in the folder of "
                    + $"configurations{(_settings.ConfigFolder is { } folder ? $" '{folder}'" : "")} (vocab.json and merges.txt, "
                    + "spiece.model, or tokenizer.json).");
    }

    /// <summary>What would serve as a component, for messages.</summary>
    public string Needed(string slot)
    {
        int width = WidthOf(slot);
        string option = slot == "vae" ? "--vae" : Denoisers.Contains(slot) ? "--model" : "--text-encoder";
        string what = (ClassOf(slot), width) switch
        {
            ("CLIPTextModel" or "CLIPTextModelWithProjection", 768) => "CLIP-L, as clip_l.safetensors",
            ("CLIPTextModel" or "CLIPTextModelWithProjection", 1280) => "CLIP-G, as clip_g.safetensors",
            ("T5EncoderModel", 4096) => "T5 XXL, as t5xxl_fp16.safetensors or a GGUF file of it",
            ("AutoencoderKL", 16) => "an autoencoder of 16 channels, as ae.safetensors",
            ("AutoencoderKLFlux2", _) => "the autoencoder of FLUX.2, as flux2-vae.safetensors",
            ("AutoencoderKLQwenImage", _) => "the autoencoder of Qwen-Image, as qwen_image_vae.safetensors",
            (_, > 0) => string.Create(CultureInfo.InvariantCulture, $"{ClassOf(slot)} of {width} channels"),
            _ => ClassOf(slot)!,
        };
        return $"{slot}: {what} ({option}, or a folder of it in --config-folder)";
    }

    private static WeightSource OpenFile(string file)
    {
        if (System.IO.Path.GetExtension(file) is ".ckpt" or ".pt" or ".pth" or ".bin")
            throw new CheckpointException($"'{file}': {WeightFiles.Pickled}");
        if (!File.Exists(file))
            throw new CheckpointException($"The file '{file}' does not exist.");
        return WeightSource.Open(file);
    }

    private static bool IsSlot(string key) =>
        key == "vae" || Denoisers.Contains(key) || key.StartsWith("text_encoder", StringComparison.Ordinal);

    private IEnumerable<string> Slots() => Index.Keys().Where(key => IsSlot(key) && ClassOf(key) != null);

    private bool IsOptional(string component) =>
        _builtIn["optional"] is JsonArray optional && optional.Any(name => (string?)name == component);

    private bool HasWeights(string component) =>
        _folder != null && WeightFiles.AnyIn(System.IO.Path.Combine(_folder, component))
            && File.Exists(System.IO.Path.Combine(_folder, component, "config.json"));

    private FileComponent? Denoiser()
    {
        var denoisers = _known.FindAll(part => part.Kind.Role == PartRole.Denoiser);
        return denoisers.Count < 2 ? denoisers.FirstOrDefault()
            : throw new CheckpointException(
                $"'{denoisers[0].File}' and '{denoisers[1].File}' both hold a denoiser ({denoisers[0].Kind.Name}, "
                    + $"{denoisers[1].Kind.Name}); expected one.");
    }

    /// <summary>
    /// The embedded data that go with a denoiser. UNets are told from each other by the text encoders beside them, else by what they read.
    /// </summary>
    private string? FamilyOf(FileComponent denoiser)
    {
        if (denoiser.Kind.Family(denoiser.Renamed) is { } family)
            return family;
        if (!denoiser.Part.HasAny("input_blocks."))
            return null;
        bool Beside(string prefix) => _known.Exists(part => part.File == denoiser.File && part.Part.Prefix == prefix);
        if (Beside("conditioner.embedders.1.model.") || denoiser.Part.HasAny("label_emb."))
            return "sdxl";
        if (Beside("cond_stage_model.model."))
            return "sd21";
        if (Beside("cond_stage_model.transformer."))
            return "sd15";
        return denoiser.Part.ExtentOfEnd("transformer_blocks.0.attn2.to_k.weight", 1) == 1024 ? "sd21" : "sd15";
    }

    /// <summary>Gives every part the component that it is.</summary>
    private void Assign(FileComponent? denoiser)
    {
        if (denoiser != null)
        {
            string slot = Array.Find(Denoisers, name => ClassOf(name) != null)
                ?? throw new CheckpointException($"'{Index.Path}' names no denoiser.");
            CheckFamily(denoiser, slot);
            Put(slot, denoiser);
        }
        var open = _known.Where(part => part != denoiser).Select(part => (Part: part, Slots: SlotsFor(part))).ToList();
        while (open.Count > 0)
        {
            var (part, slots) = open.MinBy(entry => entry.Slots.Count(slot => !_parts.ContainsKey(slot)));
            open.RemoveAll(entry => entry.Part == part);
            string[] free = [.. slots.Where(slot => !_parts.ContainsKey(slot))];
            if (free.Length == 0)
                throw NoPlace(part, slots);
            if (free.Length > 1)
            {
                // One of two CLIP encoders projects its summary, or both do.
                bool projects = part.Renamed.Has("text_projection.weight");
                string[] fitting = [.. free.Where(slot => ClassOf(slot)!.EndsWith("WithProjection", StringComparison.Ordinal) == projects)];
                free = fitting.Length > 0 ? fitting : free;
            }
            if (free.Length > 1)
                throw new CheckpointException(
                    $"'{part.File}' holds {part.Kind.Name}, which may be {string.Join(" or ", free)}: their sizes are equal.");
            Put(free[0], part);
        }
    }

    private CheckpointException NoPlace(FileComponent part, string[] slots) => slots.Length > 0
        ? new CheckpointException($"'{part.File}' and '{_parts[slots[0]].File}' both hold {slots[0]} ({part.Kind.Name}); expected one.")
        : new CheckpointException(
            string.Create(
                CultureInfo.InvariantCulture,
                $"'{part.File}' holds {part.Kind.Name}{(part.Width > 0 ? $" of {part.Width} channels" : "")}, for which "
                    + $"{Index.ClassName} has no place; it has {string.Join(", ", Slots().Select(Place))}."));

    private string Place(string slot) =>
        WidthOf(slot) is > 0 and var width ? FormattableString.Invariant($"{slot} ({ClassOf(slot)} of {width} channels)")
            : $"{slot} ({ClassOf(slot)})";

    /// <summary>A folder that is given must be of the denoiser's family. A class may have had another name before.</summary>
    private void CheckFamily(FileComponent denoiser, string slot)
    {
        string[] expected = _builtIn["denoisers"] is JsonArray names ? [.. names.Select(name => (string)name!)]
            : BuiltIn("model_index")?.Find(slot) is { ValueKind: JsonValueKind.Array } entry ? [entry[1].GetString()!] : [];
        if (expected.Length > 0 && !expected.Contains(ClassOf(slot)))
            throw new CheckpointException(
                $"'{denoiser.File}' holds {denoiser.Name} ({expected[0]}), but '{_folder}' is a {Index.ClassName} with a {ClassOf(slot)}.");
    }

    /// <summary>The components that a part may be.</summary>
    private string[] SlotsFor(FileComponent part)
    {
        string? stated = part.Part.Prefix switch
        {
            "cond_stage_model.transformer." or "cond_stage_model.model." or "conditioner.embedders.0.transformer." => "text_encoder",
            "conditioner.embedders.1.model." => "text_encoder_2",
            _ => null,
        };
        bool Fits(int width) => width == 0 || part.Width == 0 || width == part.Width;
        return
        [
            .. Slots().Where(
                slot => part.Kind.Classes.Contains(ClassOf(slot)!) && (stated == null ? Fits(WidthOf(slot)) : slot == stated)),
        ];
    }

    /// <summary>The width that a component must have, or 0 where nothing says it.</summary>
    private int WidthOf(string slot)
    {
        if ((Override(slot, "config.json") ?? BuiltIn(slot)) is not { } config)
            return 0;
        config = config.Object("text_config") ?? config;
        return config.OptionalInt("hidden_size") ?? config.OptionalInt("d_model") ?? config.OptionalInt("latent_channels")
            ?? config.OptionalInt("z_dim") ?? 0;
    }

    private void Put(string slot, FileComponent part)
    {
        _parts[slot] = part;
        if (Override(slot, "config.json") is { } config)
        {
            _configs[slot] = config;
            return;
        }
        if (_builtIn[slot] is not JsonObject known)
            throw new CheckpointException(
                $"'{part.File}' holds {part.Kind.Name}, of which no configuration is built in; expected a diffusers folder that goes with "
                    + "it (ConfigFolder, --config-folder).");
        var own = (JsonObject)known.DeepClone();
        foreach (var (key, value) in Describe(slot, part))
            own[key] = value?.DeepClone();
        if (part.Kind.Classes.Contains("CLIPTextModel") && !part.Renamed.Has("text_projection.weight"))
            own["architectures"] = new JsonArray("CLIPTextModel");
        if ((int?)own["layers_left_out"] is { } leftOut)
            own["num_hidden_layers"] = (int)own["num_hidden_layers"]! - leftOut;
        _configs[slot] = Parse(slot, own);
    }

    private JsonObject Describe(string slot, FileComponent part)
    {
        if (slot != "unet")
            return part.Kind.Describe(part.Renamed, part.Part);
        if (!part.Part.HasAny("input_blocks."))
            throw new CheckpointException(
                $"'{part.File}' holds {part.Kind.Name}, whose configuration its shapes do not tell; expected a diffusers folder that goes "
                    + "with it (ConfigFolder, --config-folder).");

        // No shape tells the heads.
        var config = new LdmUnetLayout(channels => (int?)_builtIn["heads"] ?? Math.Max(channels / 64, 1)).Describe(part.Part);
        if (_builtIn["text_encoder_2"] is JsonObject pooled)
            AddTimeEmbedding(config, pooled);
        return config;
    }

    /// <summary>The six numbers of SDXL's size conditioning fill what the pooled embedding leaves of the added embedding's input.</summary>
    private void AddTimeEmbedding(JsonObject unet, JsonObject pooled)
    {
        var encoder = _known.Find(part => part.Kind.Classes.Contains("CLIPTextModel") && part.Renamed.Has("text_projection.weight"));
        int projection = encoder?.Renamed.Extent("text_projection.weight", 0) ?? (int)pooled["projection_dim"]!;
        int inputs = (int?)unet["projection_class_embeddings_input_dim"]
            ?? throw new CheckpointException($"'{Path}': the tensor label_emb.0.0.weight of the UNet is missing.");
        if (inputs <= projection || (inputs - projection) % 6 != 0)
            throw new CheckpointException(
                $"'{Path}': the added embedding takes {inputs} channels, expected the {projection} of the pooled embedding and a multiple "
                    + $"of 6.");
        unet["addition_time_embed_dim"] = (inputs - projection) / 6;
    }

    private ModelConfig? Override(string component, string name)
    {
        string? path = _folder == null ? null : System.IO.Path.Combine(_folder, component, name);
        return File.Exists(path) ? ModelConfig.Read(path) : null;
    }

    private ModelConfig? BuiltIn(string component) => _builtIn[component] is JsonObject config ? Parse(component, config) : null;

    /// <summary>
    /// The family's scheduler. Its prediction type is the user's, or v_prediction where a file carries the marker <c>v_pred</c>, or the
    /// family's. Files of SD 2.x do not say: as in diffusers they count as v_prediction (768 pixels), although the 512 pixel base models
    /// predict epsilon.
    /// </summary>
    private ModelConfig ReadScheduler(bool predictsVelocity, bool endsInNoise)
    {
        if (_settings.PredictionType is { } type && type is not ("epsilon" or "v_prediction" or "sample"))
            throw new ArgumentException($"The prediction type is '{type}', expected epsilon, v_prediction or sample.");
        if (_builtIn["scheduler"] is JsonObject builtIn)
        {
            if (predictsVelocity)
                builtIn["prediction_type"] = "v_prediction";
            if (endsInNoise)
                (builtIn["rescale_betas_zero_snr"], builtIn["timestep_spacing"]) = (true, "trailing");
        }
        var config = Override("scheduler", "scheduler_config.json") ?? BuiltIn("scheduler")
            ?? throw new CheckpointException($"'{_folder}' holds no scheduler/scheduler_config.json.");
        return _settings.PredictionType == null ? config : config.With("prediction_type", _settings.PredictionType);
    }

    private ModelConfig Parse(string component, JsonObject config) =>
        ModelConfig.Parse($"{Path} ({component})", Encoding.UTF8.GetBytes(config.ToJsonString()));

    /// <summary>A family's embedded data. Components that several families share stand apart and are named there.</summary>
    private static JsonObject Embedded(string family)
    {
        var data = ReadResource(family);
        var shared = ReadResource("parts");
        foreach (string key in data.Select(entry => entry.Key).ToArray())
        {
            if (data[key] is JsonValue value && IsSlot(key))
                data[key] = shared[(string)value!]!.DeepClone();
        }
        return data;
    }

    private static JsonObject ReadResource(string name)
    {
        using var stream = typeof(SingleFileSource).Assembly.GetManifestResourceStream($"Attune.Weights.SingleFile.{name}.json")!;
        return (JsonObject)JsonNode.Parse(stream)!;
    }
}
