using Attune.Guidance;
using Attune.Prompts;
using Attune.Schedulers;
using Attune.Tensors;

namespace Attune.Generation;

/// <summary>
/// What to generate. Values that are null take the model's defaults (<see cref="DiffusionPipeline.Resolve"/>). Every value but pictures and
/// tensors has a name and a text form in <see cref="OptionCatalog"/>.
/// </summary>
public sealed record GenerationRequest
{
    /// <summary>What the images show.</summary>
    public required string Prompt { get; init; }

    /// <summary>
    /// What they must not show. Read only by rules that need it. Null is the same as empty, except for models that were trained with zeros
    /// for a missing negative prompt (<c>force_zeros_for_empty_prompt</c> of SDXL) when no rule reads it in attention.
    /// </summary>
    public string? NegativePrompt { get; init; }

    /// <summary>In pixels; must be a multiple of <see cref="DiffusionPipeline.SizeMultiple"/>.</summary>
    public int? Width { get; init; }

    /// <summary>In pixels; must be a multiple of <see cref="DiffusionPipeline.SizeMultiple"/>.</summary>
    public int? Height { get; init; }

    /// <summary>The number of frames, for families that make videos.</summary>
    public int? Frames { get; init; }

    /// <summary>
    /// Frames a second of the video, for families that make videos: how fast it is shown (<see cref="Imaging.Frames.Rate"/>). It changes no
    /// frame. Null is the rate that the model was trained with.
    /// </summary>
    public float? FrameRate { get; init; }

    /// <summary>The number of denoising steps, 1 to 1000.</summary>
    public int? Steps { get; init; }

    /// <summary>
    /// The seed of the noise: the same bits as <c>torch.randn</c> with a CPU generator of this seed, which takes the low 32 bits; seeds
    /// that differ by a multiple of 2^32 make the same picture.
    /// </summary>
    public ulong Seed { get; init; }

    /// <summary>The number of images, 1 or more; their noise is one draw.</summary>
    public int Count { get; init; } = 1;

    /// <summary>The guidance: by default what is published for the model.</summary>
    public GuidanceChoice Guidance { get; init; } = GuidanceChoice.Default;

    /// <summary>
    /// The family of models whose published parameters count (<see cref="GuidancePresets"/>), for guidance and for sampling; null is the
    /// one that the model tells.
    /// </summary>
    public string? Preset { get; init; }

    /// <summary>
    /// The guidance scale that some models embed (FLUX.1-dev, latent consistency models); not classifier-free guidance. An error for models
    /// that embed none.
    /// </summary>
    public float? GuidanceScale { get; init; }

    /// <summary>The scheduler instead of the checkpoint's.</summary>
    public SchedulerChoice? Scheduler { get; init; }

    /// <summary>
    /// The timesteps to do, from high to low, instead of a number of steps, as few-step models want them (DMD2: 999, 749, 499, 249).
    /// </summary>
    public IReadOnlyList<int>? Timesteps { get; init; }

    /// <summary>The noise levels, from high to low, instead of a number of steps; see <see cref="SchedulerRequest.Sigmas"/>.</summary>
    public IReadOnlyList<double>? Sigmas { get; init; }

    /// <summary>
    /// How much of the noise schedulers with this option draw anew (DDIM, TCD), 0 to 1; null is the scheduler's default.
    /// </summary>
    public float? Eta { get; init; }

    /// <summary>
    /// Leaves out blocks in steps that hardly differ from those before: faster, and not exact; null computes all. An error for models
    /// whose blocks are no stack (UNets).
    /// </summary>
    public StepCacheChoice? Cache { get; init; }

    /// <summary>
    /// How strongly each of <see cref="LoadOptions.Loras"/> acts in this request, in their order; 0 switches one off. Null: as they were
    /// loaded. Weights are computed from the files each time, never from those of another request, so equal scales give equal pictures.
    /// What was computed stays until a request asks for other scales; with <see cref="LoadOptions.MergeLora"/> that takes the memory of the
    /// changed weights a second time.
    /// </summary>
    public IReadOnlyList<float>? LoraScales { get; init; }

    /// <summary>The length to which a sequence text encoder's prompt is padded or cut; null is the model's.</summary>
    public int? MaxSequenceLength { get; init; }

    /// <summary>The same for the negative prompt; null is as for the prompt. Lengths need not be equal.</summary>
    public int? NegativeMaxSequenceLength { get; init; }

    /// <summary>
    /// Whether a prompt that is longer than its CLIP text encoder takes (77 tokens) is encoded in pieces of 75 tokens, whose embeddings
    /// follow one another; otherwise the rest is cut off, as in the reference. Both prompts may have different numbers of pieces. The
    /// pooled embedding is that of the first piece.
    /// </summary>
    public bool LongPrompts { get; init; }

    /// <summary>
    /// How brackets and numbers in both prompts are read, by models whose text encoders are CLIP alone: as text (diffusers), or as weights
    /// of words, as web interfaces do.
    /// </summary>
    public PromptWeighting PromptWeights { get; init; }

    /// <summary>
    /// Whether Chroma reads pads of the prompt as the pipeline of diffusers does, which adds its mask to the logits instead of masking.
    /// </summary>
    public bool AdditiveTextMask { get; init; }

    /// <summary>
    /// What Sana's text encoder is told before the prompt, never before a negative one: null for the instruction that the model was trained
    /// with, empty for none (<c>complex_human_instruction</c> of diffusers, its lines joined).
    /// </summary>
    public string? Instruction { get; init; }

    /// <summary>
    /// Whether the text encoder of Qwen-Image-Edit places the tokens of pictures like those of text, as diffusers 0.42.1 does with
    /// transformers 5, and not by rows and columns, as it was trained.
    /// </summary>
    public bool PicturesInALine { get; init; }

    /// <summary>
    /// How many of the CLIP text encoder's last layers are left out of the prompt's embedding ("clip skip"), 0 or more, as
    /// <c>clip_skip</c> of diffusers: SDXL leaves out one layer more than this by itself. It counts for both prompts; see
    /// <see cref="NegativeAsDiffusers"/>.
    /// </summary>
    public int? ClipSkip { get; init; }

    /// <summary>
    /// Encodes negative prompts as diffusers does where it differs from the prompt: without <see cref="ClipSkip"/>, and for SDXL's refiner
    /// with an aesthetic score of 2.5 where none is given. By default both prompts are encoded alike, so that equal prompts never guide.
    /// </summary>
    public bool NegativeAsDiffusers { get; init; }

    /// <summary>What SDXL is told about the picture's size; null is that of the picture that is made.</summary>
    public SizeConditioning? SizeConditioning { get; init; }

    /// <summary>The pictures that the model is given.</summary>
    public InputImages Images { get; init; } = new();

    /// <summary>
    /// Initial noise instead of the seed's: [count, height / 8, width / 8, latent channels], standard normal. Read, never disposed.
    /// </summary>
    public Tensor? InitialNoise { get; init; }

    /// <summary>How prompts are encoded.</summary>
    internal PromptSettings PromptSettings => new()
    {
        MaxSequenceLength = MaxSequenceLength,
        NegativeMaxSequenceLength = NegativeMaxSequenceLength,
        ClipSkip = ClipSkip ?? 0,
        NegativeAsDiffusers = NegativeAsDiffusers,
        LongPrompts = LongPrompts,
        Weights = PromptWeights,
        AdditiveTextMask = AdditiveTextMask,
        Instruction = Instruction,
        SightSize = Images.SightSize,
        PicturesInALine = PicturesInALine,
        SizeConditioning = SizeConditioning ?? new SizeConditioning(),
    };

    /// <summary>
    /// The request with what a preset says about sampling, where the request itself says nothing: a scheduler, steps, timesteps or sigmas,
    /// how much noise that scheduler draws anew; the embedded guidance scale, for models that take one.
    /// </summary>
    internal GenerationRequest With(SamplingPreset? sampling, bool takesGuidanceScale)
    {
        if (sampling == null)
            return this;
        bool counted = Steps != null || Timesteps != null || Sigmas != null;
        return this with
        {
            Scheduler = Scheduler ?? (sampling.Scheduler == null ? null : SchedulerChoice.Parse(sampling.Scheduler)),
            Steps = counted ? Steps : sampling.Steps,
            Timesteps = counted ? Timesteps : sampling.Timesteps,
            Sigmas = counted ? Sigmas : sampling.Sigmas,
            Eta = Eta ?? (Scheduler == null ? sampling.Eta : null),
            GuidanceScale = GuidanceScale ?? (takesGuidanceScale ? sampling.GuidanceScale : null),
        };
    }
}
