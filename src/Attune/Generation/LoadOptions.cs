using Attune.Tensors;
using Attune.Tokenizers;
using Attune.Weights;
using Attune.Weights.Embeddings;
using Attune.Weights.Lora;
using Attune.Weights.SingleFile;

namespace Attune.Generation;

/// <summary>A LoRA file (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021) and how strongly it acts.</summary>
/// <param name="Path">A .safetensors file, or a folder with one. Dialects: peft and diffusers (old and new), kohya, ComfyUI, OneTrainer,
/// Black Forest Labs, xlabs, LyCORIS; with LoHa, LoKr, GLoRA, OFT, BOFT, (IA)^3, LoCon, whole differences, and DoRA over any product.
/// </param>
/// <param name="Scale">A factor on the change, besides each layer's own alpha / rank: any finite number; 0 switches the file off.</param>
public sealed record LoraWeights(string Path, float Scale = 1);

/// <summary>An embedding of textual inversion (Gal et al., arXiv 2208.01618): vectors that a name in prompts stands for.</summary>
/// <param name="Path">A .safetensors file: of AUTOMATIC1111 and kohya, of diffusers, or a pair for SDXL.</param>
/// <param name="Token">The name in prompts, of any case; null for the one that the file has, else the file's own name.</param>
public sealed record EmbeddingWeights(string Path, string? Token = null);

/// <summary>How a model is loaded.</summary>
public sealed record LoadOptions
{
    /// <summary>LoRA files; their changes add up, in this order.</summary>
    public IReadOnlyList<LoraWeights> Loras { get; init; } = [];

    /// <summary>
    /// Embeddings for prompts, and for negative prompts. Those that come in LoRA files are loaded with them, behind these.
    /// </summary>
    public IReadOnlyList<EmbeddingWeights> Embeddings { get; init; } = [];

    /// <summary>
    /// Where the model's tensors live and which kernels act on them. Default: the managed kernels of the CPU
    /// (<see cref="Devices.Managed"/>), on any machine; others are opened by name (<see cref="Devices.Open"/>).
    /// </summary>
    public Device Device { get; init; } = Devices.Managed;

    /// <summary>Whether keys of a LoRA file that match nothing in the model are a <see cref="Warning"/> rather than an error.</summary>
    public bool LenientLora { get; init; }

    /// <summary>
    /// Whether LoRA is merged into the weights when they are loaded. A merged weight is float32 in memory (4 bytes a parameter), while all
    /// others stay on disk, mapped; generation then costs nothing more. Otherwise linear layers and convolutions compute the low-rank part
    /// beside the mapped weight, which takes no memory and some time; what has no such form (DoRA, whole differences) is merged anyway.
    /// </summary>
    public bool MergeLora { get; init; } = true;

    /// <summary>
    /// Files with the components that the model's file lacks, or that take the places of a folder's: text encoders, an autoencoder,
    /// safetensors or GGUF, in any order. Each is told by its names and shapes. What no file and no folder has is an error that says what
    /// would serve.
    /// </summary>
    public IReadOnlyList<string> Parts { get; init; } = [];

    /// <summary>
    /// For a model in files: folders of tokenizers, or folders that hold such (<c>tokenizer/</c>, <c>tokenizer_2/</c>), in any order.
    /// </summary>
    public IReadOnlyList<string> Tokenizers { get; init; } = [];

    /// <summary>
    /// For a model in files: a diffusers folder with the tokenizers, which no file of weights holds. Where it has configurations of
    /// components or of the scheduler, they replace the built-in ones; where it has weights of a component that no file holds, they are
    /// used. Without it, tokenizers are looked for beside the file (<c>tokenizer/</c>, for SDXL <c>tokenizer_2/</c> too).
    /// </summary>
    public string? ConfigFolder { get; init; }

    /// <summary>
    /// For a model in files: <c>epsilon</c>, <c>v_prediction</c> or <c>sample</c>. Null is what the file says, else the family's:
    /// v_prediction for SD 2.x (as diffusers assumes; its 512 pixel base models need <c>epsilon</c>), epsilon for the others.
    /// </summary>
    public string? PredictionType { get; init; }

    /// <summary>
    /// The folder of an AutoencoderTiny (TAESD) that decodes the pictures of single steps (<see cref="DenoisingStep.DecodePreview"/>); null
    /// leaves that to the full autoencoder.
    /// </summary>
    public string? PreviewVae { get; init; }

    /// <summary>
    /// How many bytes of encoded prompts are kept for requests with the same prompt, the last ones that were used; 0 keeps none. A server
    /// gains by it; results do not change.
    /// </summary>
    public long KeptPromptBytes { get; init; }

    /// <summary>
    /// The most bytes of activations that decoding and encoding pictures may take: larger feature maps wait in files of the folder for
    /// temporary files, to the same bits. Null takes what it takes, and no files. For AutoencoderKL and AutoencoderKLFlux2 on managed
    /// kernels; others, which ignore it, warn. What they hold at an eighth of the size, about 256 bytes for each pixel of all pictures,
    /// is taken in any case.
    /// </summary>
    public long? AutoencoderBytes { get; init; }

    /// <summary>Receives a warning for everything that was ignored.</summary>
    public Action<string>? Warning { get; init; }

    /// <summary>A diffusers folder, or files.</summary>
    /// <param name="path">The folder, or the file of the denoiser, which may hold more; <see cref="Parts"/> go with it.</param>
    /// <exception cref="CheckpointException">It is neither, or malformed.</exception>
    /// <exception cref="ArgumentException">An option for files is given with a folder.</exception>
    public ModelSource Open(string path)
    {
        bool isFolder = Directory.Exists(path);
        if (!isFolder && !File.Exists(path))
            throw new CheckpointException($"The folder or file '{path}' does not exist.");
        string? forFiles = ConfigFolder != null ? nameof(ConfigFolder) : PredictionType != null ? nameof(PredictionType) : null;
        if (isFolder && forFiles is { } option)
            throw new ArgumentException(
                $"{option} is for a model in a single file; '{path}' is a folder, which has configurations of its own.");
        return Apply(
            isFolder && Parts.Count == 0 && Tokenizers.Count == 0 ? new ModelFolder(path, Device)
                : new SingleFileSource(
                    path, Device, new SingleFileSettings(ConfigFolder, PredictionType) { Parts = Parts, Tokenizers = Tokenizers }));
    }

    /// <summary>The source with what these options change.</summary>
    /// <exception cref="CheckpointException">A file does not fit the model.</exception>
    public ModelSource Apply(ModelSource source)
    {
        TokenVectors[] embeddings =
        [
            .. Embeddings.SelectMany(embedding => EmbeddingFile.Read(embedding.Path, embedding.Token)),
            .. Loras.SelectMany(lora => EmbeddingFile.ReadBundled(LoraFile.Find(lora.Path))),
        ];
        if (embeddings.Length > 0)
        {
            var plain = source;
            source = new EmbeddingSource(source, embeddings, name => Tokenizer.Load(plain, name).VocabularySize);
        }
        return Loras.Count == 0 ? source
            : new LoraSource(source, Loras.Select(lora => (lora.Path, lora.Scale)), new LoraSettings(MergeLora, LenientLora, Warning));
    }
}
