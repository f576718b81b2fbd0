using Attune.Attention;
using Attune.Latents;
using Attune.Prompts;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models;

/// <summary>
/// A family of models: how its checkpoints become a prompt encoder, a denoiser, a latent space and a scheduler. A new one is a folder and a
/// line in <see cref="All"/>.
/// </summary>
public abstract class Family
{
    /// <summary>All families.</summary>
    public static IReadOnlyList<Family> All { get; } =
        [
            new Flux.FluxFamily(), new Unet.StableDiffusionFamily(), new Unet.StableDiffusionXLFamily(),
            new StableDiffusion3.StableDiffusion3Family(), new Flux2.Flux2Family(), new ZImage.ZImageFamily(),
            new QwenImage.QwenImageFamily(), new Chroma.ChromaFamily(), new PixArt.PixArtFamily(),
            new Sana.SanaFamily(), new Sana.SanaSprintFamily(), new ErnieImage.ErnieImageFamily(),
            new Wan.WanFamily(),
            new QwenImage21.QwenImage21Family(), new Krea2.Krea2Family(),
        ];

    /// <summary>The <c>_class_name</c>s of model_index.json that the family opens.</summary>
    public abstract IReadOnlyList<string> ClassNames { get; }

    /// <summary>The family of a class name, or null.</summary>
    public static Family? Of(string className) => All.FirstOrDefault(family => family.ClassNames.Contains(className));

    /// <summary>The forms of models, as published presets name them, that the family opens.</summary>
    public abstract IReadOnlyList<string> PresetForms { get; }

    /// <summary>The kinds of noise with which its models are trained.</summary>
    internal abstract IReadOnlyList<NoiseKind> NoiseKinds { get; }

    /// <summary>Opens a model. What fails half way closes what it opened.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    internal abstract Model Open(ModelSource source);

    /// <summary>The checkpoint's scheduler, which must fit the family's kind of noise.</summary>
    /// <exception cref="CheckpointException">It does not fit, or its configuration is malformed or not supported.</exception>
    internal Scheduler OpenScheduler(ModelSource source)
    {
        var scheduler = Scheduler.From(source.Scheduler);
        return SchedulerFit.Refusal(scheduler, NoiseKinds, source.Index.ClassName!) is { } refusal
            ? throw new CheckpointException($"'{scheduler.Config.Path}': {refusal}") : scheduler;
    }
}

/// <summary>What a model is and what requests may ask of it.</summary>
/// <param name="ClassName">The <c>_class_name</c> of the checkpoint.</param>
/// <param name="Preset">The family of published parameters that class and configuration tell; null when none is known.</param>
/// <param name="DefaultSize">Width and height, in pixels, of pictures when a request does not say; see
/// <see cref="DefaultHeight"/>.</param>
/// <param name="DefaultSteps">The number of steps when neither the request nor a preset says it.</param>
/// <param name="Options">The options of a request that not all models take and this one does, by their names
/// (<see cref="ModelOption"/>).</param>
public sealed record FamilyFacts(
    string ClassName, string? Preset, int DefaultSize, int DefaultSteps, IReadOnlySet<string> Options)
{
    /// <summary>The part of an initial image that is made anew when a request does not say; null where none is taken.</summary>
    public float? DefaultStrength { get; init; }

    /// <summary>The same for an initial image with a mask; null for <see cref="DefaultStrength"/>.</summary>
    public float? DefaultMaskStrength { get; init; }

    /// <summary>
    /// Whether the denoiser itself reads a mask and what it leaves of a picture, which a request must give then. Elsewhere what a mask
    /// keeps is put back after every step.
    /// </summary>
    public bool ReadsMask { get; init; }

    /// <summary>Whether a picture of which a part is made anew is looked at too, as the first reference.</summary>
    public bool LooksAtMasked { get; init; }

    /// <summary>Whether a request must give a control picture.</summary>
    public bool NeedsControl { get; init; }

    /// <summary>How many references a request must give.</summary>
    public int FewestReferences { get; init; }

    /// <summary>
    /// The least width and height of references, in pixels, beside no mask; 0 for what makes a token.
    /// </summary>
    public int SmallestReference { get; init; }

    /// <summary>How many references a request may give, for models that take them.</summary>
    public int MostReferences { get; init; } = int.MaxValue;

    /// <summary>The embedded guidance scale when a request does not say; null for models that embed none.</summary>
    public float? DefaultGuidanceScale { get; init; }

    /// <summary>The height, in pixels, where it is not the width.</summary>
    public int? DefaultHeight { get; init; }

    /// <summary>The number of frames when a request does not say; 1 for models of pictures.</summary>
    public int DefaultFrames { get; init; } = 1;

    /// <summary>
    /// Whether an initial image is the first frame of a video, which a request must give, and not what noise is added to.
    /// </summary>
    public bool BeginsWithImage { get; init; }

    /// <summary>
    /// Whether the latents of a video's first frame stay those of an initial image while the others are denoised, and do not stand beside
    /// the latents. Such a model makes videos without an image too.
    /// </summary>
    public bool KeepsFirstFrame { get; init; }

    /// <summary>Whether an initial image, where there is one, is the first frame of a video.</summary>
    internal bool ImageIsFirstFrame => BeginsWithImage || KeepsFirstFrame;

    /// <summary>Frames a second of the videos that the model was trained with; null for models of pictures.</summary>
    public double? FrameRate { get; init; }

    /// <summary>Whether the model takes an option (<see cref="ModelOption"/>).</summary>
    public bool Takes(string option) => Options.Contains(option);
}

/// <summary>Names of options that only some models take, as the command line and all other texts have them.</summary>
public static class ModelOption
{
    /// <summary>A picture to begin with instead of noise.</summary>
    public const string Image = "image";

    /// <summary>A mask of what is made anew.</summary>
    public const string Mask = "mask";

    /// <summary>Pictures that the model looks at.</summary>
    public const string References = "reference";

    /// <summary>The area of pictures that the model looks at.</summary>
    public const string ReferenceSize = "reference-size";

    /// <summary>The area at which the text encoder sees pictures.</summary>
    public const string SightSize = "sight-size";

    /// <summary>Tokens of pictures that are placed like text.</summary>
    public const string PicturesInALine = "pictures-in-a-line";

    /// <summary>Pictures that say where things are: edges, depth, poses.</summary>
    public const string Control = "control";

    /// <summary>A number of frames.</summary>
    public const string Frames = "frames";

    /// <summary>Timesteps instead of a number of steps.</summary>
    public const string Timesteps = "timesteps";

    /// <summary>Noise levels instead of a number of steps.</summary>
    public const string Sigmas = "sigmas";

    /// <summary>How much of the noise is drawn anew.</summary>
    public const string Eta = "eta";

    /// <summary>A step cache; of the blocks or of attention layers where the blocks are one stack.</summary>
    public const string Cache = "cache";

    /// <summary>Layers of CLIP that are left out.</summary>
    public const string ClipSkip = "clip-skip";

    /// <summary>Prompts in pieces.</summary>
    public const string LongPrompts = "long-prompts";

    /// <summary>Weights of words in prompts.</summary>
    public const string PromptWeights = "prompt-weights";

    /// <summary>Pads of the prompt as rows that are read.</summary>
    public const string AdditiveTextMask = "additive-text-mask";

    /// <summary>What a language model is told before the prompt.</summary>
    public const string Instruction = "instruction";

    /// <summary>What the model is told about the picture's size.</summary>
    public const string OriginalSize = "original-size";

    /// <summary>The embedded guidance scale.</summary>
    public const string GuidanceScale = "guidance-scale";
}

/// <summary>The parts of an opened model, which it owns.</summary>
/// <param name="Facts">What it is.</param>
/// <param name="Prompts">Encodes prompts.</param>
/// <param name="Denoiser">Predicts.</param>
/// <param name="Latents">Draws, encodes and decodes latents.</param>
/// <param name="Scheduler">The scheduler of requests that name none.</param>
internal sealed record Model(FamilyFacts Facts, PromptEncoder Prompts, Denoiser Denoiser, LatentSpace Latents, Scheduler Scheduler)
    : IDisposable
{
    /// <summary>
    /// Turns what a request asks of a scheduler into what the model's pipeline asks of it: FLUX.1 gives sigmas and a shift, latent
    /// consistency models another kind of strength. By default nothing changes.
    /// </summary>
    public Func<SchedulerRequest, Scheduler, LatentGrid, SchedulerRequest> Plan { get; init; } = (asked, _, _) => asked;

    /// <inheritdoc/>
    public void Dispose()
    {
        Prompts.Dispose();
        Denoiser.Dispose();
        Latents.Dispose();
    }
}
