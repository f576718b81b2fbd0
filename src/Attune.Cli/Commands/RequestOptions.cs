using System.CommandLine;
using System.Globalization;
using Attune.Generation;

namespace Attune.Cli.Commands;

/// <summary>What a command line asks for: a model, how it is opened, and what is generated with it.</summary>
/// <param name="Folder">The diffusers folder, or a single file.</param>
/// <param name="Options">How it is opened.</param>
/// <param name="Request">What is generated.</param>
internal sealed record ModelRequest(string Folder, LoadOptions Options, GenerationRequest Request);

/// <summary>
/// The options of every command that generates: those of <see cref="OptionCatalog"/>, and those that say how a model is opened.
/// </summary>
internal sealed class RequestOptions
{
    private readonly Argument<string> _prompt;
    private readonly List<(RequestOption Option, Option Line)> _request = [];
    private readonly Option<string?> _model = new("--model", "-m") {
        Description =
            "A diffusers folder, or a .safetensors or .gguf file: of a whole model, or of a denoiser with --text-encoder and --vae beside "
                + "it. Default: the checkpoint that comes with Attune." };
    private readonly Option<string[]> _encoders = new("--text-encoder") {
        Description =
            "A file with a text encoder (CLIP, T5, Qwen, ...; .safetensors or .gguf) for a model in files, or in the place of a folder's. "
                + "May be given several times, in any order.",
        DefaultValueFactory = _ => [] };
    private readonly Option<string[]> _imageEncoders = new("--image-encoder") {
        Description =
            "A file with what sees a picture for the denoiser (Wan 2.1 image to video: the vision tower of CLIP-H), for a model in files, "
                + "or in the place of a folder's.",
        DefaultValueFactory = _ => [] };
    private readonly Option<string[]> _transformers = new("--transformer") {
        Description =
            "A file with a denoiser: the second network of Wan 2.2, or one in the place of a folder's. Of two networks the names of their "
                + "files say which is for high and which for low noise, else the first is for high.",
        DefaultValueFactory = _ => [] };
    private readonly Option<string[]> _autoencoders = new("--vae") {
        Description = "A file with the autoencoder, for a model in files, or in the place of a folder's.", DefaultValueFactory = _ => [] };
    private readonly Option<string?> _autoencoderMemory = new("--vae-memory") {
        Description =
            "The most that decoding and encoding pictures may take, such as 400MiB: larger feature maps wait in temporary files (TMPDIR, "
                + "else /var/tmp), to the same bits, but slower. For AutoencoderKL on managed kernels. Default: no bound, no files." };
    private readonly Option<string[]> _tokenizers = new("--tokenizer") {
        Description = "For a model in files: the folder of a tokenizer, or one that holds tokenizer/ and such. May be given several times.",
        DefaultValueFactory = _ => [] };
    private readonly Option<string[]> _lora = new("--lora") {
        Description = "A LoRA file, with its scale behind a colon: style.safetensors:0.8. May be given several times.",
        DefaultValueFactory = _ => [] };
    private readonly Option<string[]> _embeddings = new("--embedding") {
        Description =
            "An embedding (textual inversion), with the name that prompts have for it behind a colon: bad.safetensors:badhands. Default "
                + "name: the file's. May be given several times.",
        DefaultValueFactory = _ => [] };
    private readonly Option<bool> _lenient = new("--lora-lenient") {
        Description = "Warn of keys of a LoRA file that match nothing in the model, rather than fail." };
    private readonly Option<bool> _apart = new("--lora-apart") {
        Description = "Compute LoRA beside the weights rather than merge it into them: slower, but takes no memory." };
    private readonly Option<string?> _configs = new("--config-folder") {
        Description =
            "For a model in files: a diffusers folder with the tokenizers (and configurations, and components that no file has) that go "
                + "with them. Default: tokenizer/ beside the file." };
    private readonly Option<string?> _prediction = new("--prediction-type") {
        Description = "For a model in files: epsilon or v_prediction. Default: the family's (SD 2.x: v_prediction)." };

    public RequestOptions()
    {
        _prompt = new Argument<string>("prompt") { Description = OptionCatalog.Find("prompt")!.Description };
        foreach (var option in OptionCatalog.All.Where(option => option.Name != "prompt"))
        {
            string[] aliases = [.. option.Aliases.Select(alias => "-" + alias)];
            Option line = option.Kind == OptionKind.Flag ? new Option<bool>(Label(option), aliases)
                : option.IsRepeatable ? new Option<string[]>(Label(option), aliases) { DefaultValueFactory = _ => [] }
                : new Option<string?>(Label(option), aliases);
            line.Description = option.Description;
            _request.Add((option, line));
        }
    }

    /// <summary>Makes a command understand the options.</summary>
    public void AddTo(Command command)
    {
        command.Arguments.Add(_prompt);
        foreach (var (_, line) in _request)
            command.Options.Add(line);
        foreach (
            var option in new Option[] {
                _model, _transformers, _encoders, _imageEncoders, _autoencoders, _autoencoderMemory, _tokenizers, _configs, _prediction,
                _lora, _lenient, _apart, _embeddings })
            command.Options.Add(option);
    }

    /// <summary>The texts that a command line gives an option.</summary>
    private static string[] Given(ParseResult result, Option line)
    {
        if (line is Option<string[]> several)
            return result.GetValue(several) ?? [];
        if (line is Option<bool> flag)
            return result.GetValue(flag) ? ["true"] : [];
        return result.GetValue((Option<string?>)line) is { } text ? [text] : [];
    }

    /// <summary>What a command line says.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="words">Takes warnings while the model is opened.</param>
    /// <exception cref="FormatException">An option's value is malformed; the message names it.</exception>
    /// <exception cref="ArgumentException">An option names what there is not.</exception>
    public ModelRequest Read(ParseResult result, Words words)
    {
        var request = new GenerationRequest { Prompt = result.GetRequiredValue(_prompt) };
        foreach (var (option, line) in _request)
        {
            request = Given(result, line).Aggregate(request, (known, text) => option.Set(known, text, Label(option)));
        }
        var options = new LoadOptions
        {
            Device = DeviceOptions.Open(result),
            Loras = [.. result.GetValue(_lora)!.Select(ParseLora)],
            Embeddings = [.. result.GetValue(_embeddings)!.Select(ParseEmbedding)],
            LenientLora = result.GetValue(_lenient),
            MergeLora = !result.GetValue(_apart),
            Parts =
            [
                .. result.GetValue(_transformers)!, .. result.GetValue(_encoders)!, .. result.GetValue(_imageEncoders)!,
                .. result.GetValue(_autoencoders)!,
            ],
            Tokenizers = result.GetValue(_tokenizers)!,
            ConfigFolder = result.GetValue(_configs),
            PredictionType = result.GetValue(_prediction),
            AutoencoderBytes = result.GetValue(_autoencoderMemory) is { } bytes
                ? DeviceOptions.ParseBytes(bytes, _autoencoderMemory.Name) : null,
            Warning = words.Warn,
        };
        return new ModelRequest(DefaultModel.FindPipeline(result.GetValue(_model)), options, request);
    }

    /// <summary>FILE or FILE:SCALE. A colon belongs to the file's name when no number follows it.</summary>
    internal static LoraWeights ParseLora(string text)
    {
        int colon = text.LastIndexOf(':');
        return colon > 0
            && float.TryParse(text.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out float scale)
            && float.IsFinite(scale)
            ? new LoraWeights(text[..colon], scale)
            : new LoraWeights(text);
    }

    /// <summary>FILE or FILE:TOKEN. A colon belongs to the file's name where a file of the whole name is there.</summary>
    internal static EmbeddingWeights ParseEmbedding(string text)
    {
        int colon = text.LastIndexOf(':');
        return colon > 1 && colon < text.Length - 1 && !File.Exists(text) ? new EmbeddingWeights(text[..colon], text[(colon + 1)..])
            : new EmbeddingWeights(text);
    }

    private static string Label(RequestOption option) => "--" + option.Name;
}
