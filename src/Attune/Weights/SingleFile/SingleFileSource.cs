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

/// <summary>A component that a model in files lacks.</summary>
/// <param name="Slot">Its name in a pipeline: <c>text_encoder_2</c>.</param>
/// <param name="What">What would serve, in words.</param>
/// <param name="Example">The name that people know such a file by; null where none is usual.</param>
/// <param name="Option">The option of the command line that takes it.</param>
public sealed record NeededPart(string Slot, string What, string? Example, string Option)
{
    /// <inheritdoc/>
    public override string ToString() =>
        $"{Slot}: {What}{(Example == null ? "" : $", as {Example}")} ({Option}, or a folder of it in --config-folder)";
}

/// <summary>
/// A model in one file or in several: safetensors or GGUF, under the names of the original code or of diffusers. What each file holds
/// follows from names and shapes (<see cref="PartKinds"/>), sizes from shapes; the rest of the configurations is that of the family's first
/// checkpoint on the Hub, or of a diffusers folder that is given. In a file with several components, tensors of none (<c>model_ema.</c>,
/// <c>alphas_cumprod</c>, ...) are ignored. A folder may take the place of the first file: then the files replace its components.
/// </summary>
internal sealed class SingleFileSource : ModelSource
{
    private const string Second = "transformer_2";
    private const string ImageEncoder = "image_encoder";
    private const string Resources = "Attune.Weights.SingleFile.";

    /// <summary>The data of components that several families share.</summary>
    private const string Shared = "parts";

    private static readonly string[] Denoisers = ["unet", "transformer", Second];

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
        var denoisers = FindDenoisers();
        var denoiser = denoisers.FirstOrDefault();
        if (denoiser != null && FamilyOf(denoisers) is { } family)
            _builtIn = Embedded(family);
        Index = Override("", "model_index.json") ?? Named(BuiltIn("model_index"), denoiser)
            ?? throw new CheckpointException(
                denoiser == null
                    ? $"'{path}' holds {string.Join(", ", _known.Select(part => part.Kind.Name))} and no denoiser; expected one, as the "
                        + "file of the model."
                    : $"'{denoiser.File}' is {denoiser.Kind.Name}: of its family no configuration is built in; expected a diffusers folder "
                        + "that goes with it (ConfigFolder, --config-folder).");
        Assign(denoisers);
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
            bool alone = Index.Keys().Count(key => IsTokenizer(key) && ClassOf(key) != null) == 1;
            if (ClassOf(name) is { } className && TokenizerKind.Of(given) is { } kind && kind.Serves(className, alone))
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

    /// <summary>What would serve as a component.</summary>
    public NeededPart Needed(string slot)
    {
        int width = WidthOf(slot);
        string option = slot == "vae" ? "--vae" : slot == ImageEncoder ? "--image-encoder" : !Denoisers.Contains(slot) ? "--text-encoder"
            : _parts.Keys.Any(Denoisers.Contains) ? "--transformer" : "--model";
        (string what, string? example) = (ClassOf(slot), width) switch
        {
            ("CLIPTextModel" or "CLIPTextModelWithProjection", 768) => ("CLIP-L", "clip_l.safetensors"),
            ("CLIPTextModel" or "CLIPTextModelWithProjection", 1280) => ("CLIP-G", "clip_g.safetensors"),
            ("CLIPVisionModel", 1280) => ("the vision tower of CLIP-H", "clip_vision_h.safetensors"),
            ("T5EncoderModel", 4096) => ("T5 XXL", "t5xxl_fp16.safetensors"),
            ("UMT5EncoderModel", 4096) => ("UMT5 XXL", "umt5_xxl_fp16.safetensors"),
            ("Qwen2_5_VLForConditionalGeneration", 3584) => ("Qwen2.5-VL 7B", "qwen_2.5_vl_7b.safetensors"),
            ("Qwen3VLModel" or "Qwen3VLForConditionalGeneration", 2560) => ("Qwen3-VL 4B", "qwen3_vl_4b.safetensors"),
            ("Qwen3VLModel" or "Qwen3VLForConditionalGeneration", 4096) => ("Qwen3-VL 8B", "qwen3_vl_8b.safetensors"),
            ("Qwen3ForCausalLM" or "Qwen3Model", 2560) => ("Qwen3 4B", "qwen_3_4b.safetensors"),
            ("Qwen3ForCausalLM" or "Qwen3Model", 4096) => ("Qwen3 8B", "qwen_3_8b.safetensors"),
            ("Mistral3Model", 3072) => ("Ministral 3 3B", "ministral_3_3b.safetensors"),
            ("Mistral3ForConditionalGeneration", 5120) => ("Mistral Small 3 24B", "mistral_3_small.safetensors"),
            ("Gemma2Model", 2304) => ("Gemma 2 2B", "gemma_2_2b.safetensors"),
            ("AutoencoderKL", 4) => ("an autoencoder of 4 channels", "vae.safetensors"),
            ("AutoencoderKL", 16) => ("an autoencoder of 16 channels", "ae.safetensors"),
            ("AutoencoderKLFlux2", _) => ("the autoencoder of FLUX.2", "flux2-vae.safetensors"),
            ("AutoencoderKLWan", 16) => ("the autoencoder of Wan 2.1", "wan_2.1_vae.safetensors"),
            ("AutoencoderKLWan", 48) => ("the autoencoder of Wan 2.2", "wan2.2_vae.safetensors"),
            ("AutoencoderKLQwenImage21", _) => ("the autoencoder of Qwen-Image-2.1", "qwen_image_2.1_vae.safetensors"),
            ("AutoencoderKLQwenImage", _) => ("the autoencoder of Qwen-Image", "qwen_image_vae.safetensors"),
            ("WanTransformer3DModel", _) when ClassOf(Second) != null =>
                ($"the network of Wan 2.2 for {NoiseOf(slot)} noise, which has that in its name", $"{NoiseOf(slot)}_noise.safetensors"),
            (_, > 0) => (string.Create(CultureInfo.InvariantCulture, $"{ClassOf(slot)} of {width} channels"), null),
            _ => (ClassOf(slot)!, null),
        };
        return new NeededPart(slot, what, example, option);

        static string NoiseOf(string slot) => slot == Second ? "low" : "high";
    }

    /// <summary>The classes of the tokenizers that the model reads texts with, and that are nowhere.</summary>
    public IEnumerable<string> MissingTokenizers()
    {
        foreach (string name in Index.Keys().Where(key => IsTokenizer(key) && ClassOf(key) != null && Has(key)))
        {
            bool found = true;
            try
            {
                Tokenizer(name);
            }
            catch (CheckpointException)
            {
                found = false;
            }
            if (!found)
                yield return ClassOf(name)!;
        }
    }

    /// <summary>The classes of the pipelines with embedded data that have a place for a component.</summary>
    public static IReadOnlyList<string> PipelinesFor(FileComponent part)
    {
        var pipelines = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var family in Families().Select(Embedded))
        {
            var index = (JsonObject)family["model_index"]!;
            foreach (string slot in index.Select(entry => entry.Key).Where(IsSlot))
            {
                bool fits = index[slot] is JsonArray { Count: 2 } entry && part.Kind.Classes.Contains((string?)entry[1] ?? "")
                    && family[slot] is JsonObject config
                    && WidthOf(ModelConfig.Parse(slot, Encoding.UTF8.GetBytes(config.ToJsonString()))) is var width
                    && (width == 0 || part.Width == 0 || width == part.Width);
                if (fits)
                    pipelines.Add((string)index["_class_name"]!);
            }
        }
        return [.. pipelines];
    }

    /// <summary>Opens a file of weights.</summary>
    /// <exception cref="CheckpointException">It is a pickle, or does not exist.</exception>
    internal static WeightSource OpenFile(string file)
    {
        if (WeightFiles.IsPickled(file))
            throw new CheckpointException($"'{file}': {WeightFiles.Pickled}");
        if (!File.Exists(file))
            throw new CheckpointException($"The file '{file}' does not exist.");
        return WeightSource.Open(file);
    }

    private static bool IsSlot(string key) =>
        key is "vae" or ImageEncoder || Denoisers.Contains(key) || key.StartsWith("text_encoder", StringComparison.Ordinal);

    private static bool IsTokenizer(string key) => key.StartsWith("tokenizer", StringComparison.Ordinal) || key == "processor";

    private IEnumerable<string> Slots() => Index.Keys().Where(key => IsSlot(key) && ClassOf(key) != null);

    private bool IsOptional(string component) =>
        _builtIn["optional"] is JsonArray optional && optional.Any(name => (string?)name == component);

    private bool HasWeights(string component) =>
        _folder != null && WeightFiles.AnyIn(System.IO.Path.Combine(_folder, component))
            && File.Exists(System.IO.Path.Combine(_folder, component, "config.json"));

    /// <summary>
    /// The denoiser, or two of one kind: the network for high noise first. Names and shapes of two are equal; the names of their files tell
    /// them apart (<c>high_noise</c>, <c>low_noise</c>), and where those do not, their order.
    /// </summary>
    private FileComponent[] FindDenoisers()
    {
        FileComponent[] found = [.. _known.Where(part => part.Kind.Role == PartRole.Denoiser)];
        if (found.Length < 2)
            return found;
        var (first, second) = (found[0], found[1]);
        if (found.Length > 2 || first.Kind != second.Kind || first.Kind.PairFamily(first.Kind.Family(first.Renamed)) == null)
            throw new CheckpointException(
                $"'{first.File}' and '{second.File}' both hold a denoiser ({first.Kind.Name}, {second.Kind.Name}); expected one.");
        return NoiseIn(first)?.IsLow == true || NoiseIn(second)?.IsLow == false ? [second, first] : found;
    }

    /// <summary>Which noise a file's name says that its network is for, or null.</summary>
    private static NoiseInName? NoiseIn(FileComponent part) =>
        NoiseInName.Of(System.IO.Path.GetFileNameWithoutExtension(part.File)).Cast<NoiseInName?>().FirstOrDefault();

    /// <summary>
    /// The embedded data that go with denoisers. UNets are told from each other by the text encoders beside them, else by what they read.
    /// A network whose file's name says that it is for high or low noise alone is one of two.
    /// </summary>
    private string? FamilyOf(FileComponent[] denoisers)
    {
        var denoiser = denoisers[0];
        if (denoiser.Kind.Family(denoiser.Renamed) is { } family)
            return (denoisers.Length == 2 || NoiseIn(denoiser)?.InFull == true ? denoiser.Kind.PairFamily(family) : null) ?? family;
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

    /// <summary>
    /// The embedded index, with the class that the file's name tells where nothing else tells models that edit pictures from those that do
    /// not: of the family's <c>named</c>, the first whose words are all in it.
    /// </summary>
    private ModelConfig? Named(ModelConfig? index, FileComponent? denoiser)
    {
        string file = System.IO.Path.GetFileNameWithoutExtension(denoiser?.File ?? "").ToLowerInvariant();
        var named = _builtIn["named"]?.AsObject().FirstOrDefault(
            entry => entry.Key.Split(' ').All(word => file.Contains(word, StringComparison.Ordinal)));
        return index != null && (string?)named?.Value is { } name ? index.With("_class_name", name) : index;
    }

    /// <summary>Gives every part the component that it is.</summary>
    private void Assign(FileComponent[] denoisers)
    {
        string[] places = [.. Denoisers.Where(name => ClassOf(name) != null)];
        if (places.Length < denoisers.Length)
        {
            throw new CheckpointException(
                places.Length == 0 ? $"'{Index.Path}' names no denoiser."
                    : $"'{denoisers[0].File}' and '{denoisers[1].File}' both hold a denoiser, for which {Index.ClassName} has one place.");
        }
        if (denoisers.Length == 1 && NoiseIn(denoisers[0])?.IsLow == true && places.Contains(Second))
            places = [Second];
        foreach (var (denoiser, slot) in denoisers.Zip(places))
        {
            CheckFamily(denoiser, slot);
            Put(slot, denoiser);
        }
        var open = _known.Where(part => !denoisers.Contains(part)).Select(part => (Part: part, Slots: SlotsFor(part))).ToList();
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
        return (Override(slot, "config.json") ?? BuiltIn(slot)) is { } config ? WidthOf(config) : 0;
    }

    private static int WidthOf(ModelConfig config)
    {
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
        var shared = ReadResource(Shared);
        foreach (string key in data.Select(entry => entry.Key).ToArray())
        {
            if (data[key] is JsonValue value && IsSlot(key))
                data[key] = shared[(string)value!]!.DeepClone();
        }
        if (data["model_index"]![Second] != null)
            data[Second] = data["transformer"]!.DeepClone();
        return data;
    }

    /// <summary>The names of all embedded data of families.</summary>
    private static IEnumerable<string> Families() => typeof(SingleFileSource).Assembly.GetManifestResourceNames()
        .Where(name => name.StartsWith(Resources, StringComparison.Ordinal) && name.EndsWith(".json", StringComparison.Ordinal))
        .Select(name => name[Resources.Length..^".json".Length]).Where(name => name != Shared);

    private static JsonObject ReadResource(string name)
    {
        using var stream = typeof(SingleFileSource).Assembly.GetManifestResourceStream($"{Resources}{name}.json")!;
        return (JsonObject)JsonNode.Parse(stream)!;
    }
}
