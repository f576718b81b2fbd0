using Attune.Imaging;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;

namespace Attune.Prompts;

/// <summary>What a prompt is for. Encoders treat them differently; they never ask the rules.</summary>
public enum PromptRole
{
    /// <summary>The prompt itself.</summary>
    Prompt,

    /// <summary>The negative prompt of a pass of its own, as classifier-free guidance makes it.</summary>
    NegativePass,

    /// <summary>The negative prompt that rules read in attention; it may serve a pass of its own too.</summary>
    NegativeInAttention,

    /// <summary>The empty prompt of a pass of its own.</summary>
    Empty,
}

/// <summary>How prompts are encoded.</summary>
public sealed record PromptSettings
{
    /// <summary>The length to which a sequence text encoder's prompt is padded or cut; null is the model's.</summary>
    public int? MaxSequenceLength { get; init; }

    /// <summary>The same for the negative prompt; null is as for the prompt. Lengths need not be equal.</summary>
    public int? NegativeMaxSequenceLength { get; init; }

    /// <summary>How many of the CLIP text encoder's last layers are left out of the prompt's embedding, 0 or more.</summary>
    public int ClipSkip { get; init; }

    /// <summary>Whether negative prompts are encoded as diffusers does: without <see cref="ClipSkip"/>, with an aesthetic score of their
    /// own.</summary>
    public bool NegativeAsDiffusers { get; init; }

    /// <summary>Whether prompts that are longer than CLIP's 77 tokens are encoded in pieces.</summary>
    public bool LongPrompts { get; init; }

    /// <summary>How brackets and numbers in the texts are read.</summary>
    public PromptWeighting Weights { get; init; }

    /// <summary>
    /// Whether pads of a text are read that the model was trained to leave out, the logits of the other rows being larger by 1: Chroma as
    /// the pipeline of diffusers computes it.
    /// </summary>
    public bool AdditiveTextMask { get; init; }

    /// <summary>What a language model is told before the prompt: null for what the model was trained with, empty for nothing.</summary>
    public string? Instruction { get; init; }

    /// <summary>
    /// The side, in pixels, of the square whose area a text encoder sees references at, where that is not the autoencoder's; 0 keeps their
    /// own size, null is the model's.
    /// </summary>
    public int? SightSize { get; init; }

    /// <summary>
    /// Whether a text encoder places the tokens of pictures like those of text, as Qwen-Image-Edit of diffusers 0.42.1 does with
    /// transformers 5, and not by rows and columns, as the model was trained.
    /// </summary>
    public bool PicturesInALine { get; init; }

    /// <summary>What SDXL is told about the picture's size.</summary>
    public SizeConditioning SizeConditioning { get; init; } = new();

    /// <summary>How many of CLIP's last layers are left out for a role, beside those that the model always leaves out.</summary>
    internal int ClipSkipFor(PromptRole role) => NegativeAsDiffusers && role != PromptRole.Prompt ? 0 : ClipSkip;

    /// <summary>The length for a role, or null for the model's.</summary>
    internal int? LengthFor(PromptRole role) => role is PromptRole.NegativePass or PromptRole.NegativeInAttention
        ? NegativeMaxSequenceLength ?? MaxSequenceLength : MaxSequenceLength;
}

/// <summary>One prompt to encode.</summary>
/// <param name="Text">The prompt; null for a negative prompt that was not given.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Size">The size of the pictures that are made.</param>
/// <param name="Settings">How prompts of the request are encoded.</param>
public sealed record PromptInput(string? Text, PromptRole Role, PixelSize Size, PromptSettings Settings)
{
    /// <summary>The reference images, for encoders that see pictures; empty for none.</summary>
    public IReadOnlyList<Image> Images { get; init; } = [];

    /// <summary>Receives warnings, for example that the prompt was truncated.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>How many reference images there are.</summary>
    internal int ReferenceCount => Images.Count;

    /// <summary>Height and width of a reference image.</summary>
    internal (int Height, int Width) ReferenceSize(int index) => (Images[index].Height, Images[index].Width);

    /// <summary>A reference image on white, as [1, height, width, 3], values in [0, 1]; a tensor of the current scope.</summary>
    internal Tensor ReferencePixels(int index, Device device) => Images[index].OverWhite().ToTensor(device);

    /// <summary>The reference images as a language model sees them.</summary>
    /// <param name="processor">Makes them ready.</param>
    /// <param name="side">Of the square whose area they are brought to first, in pixels; null leaves them.</param>
    internal SeenPictures Seen(QwenPictures processor, int? side) => new(
        processor,
        [
            .. Images.Select(image => side is { } length && ReferenceArea.Of(image, length) is var (height, width)
                ? image.WithoutAlpha().Resize(width, height) : image),
        ]);

    /// <summary>Height and width of the pictures, in pixels, for models that are told them.</summary>
    internal (int Height, int Width) Pixels => (Size.Height, Size.Width);
}

/// <summary>Tokenizers and text encoders of a family: what makes a conditioning of a prompt.</summary>
public abstract class PromptEncoder : IDisposable
{
    /// <summary>Encodes a prompt.</summary>
    /// <returns>The conditioning; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">A setting does not fit the encoders; the message names it.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public abstract Conditioning Encode(PromptInput input, CancellationToken cancellation = default);

    /// <summary>
    /// How many rows a prompt will have, those of reference images included, for models that keep much of each
    /// (<see cref="Models.Denoiser.KeptBytesPerTextRow"/>); 0 for the others.
    /// </summary>
    public virtual int RowsOf(PromptInput input) => 0;

    /// <summary>
    /// What the denoiser reads of the picture with which a video begins, [1, rows, channels], a tensor of the current scope; null for
    /// models that read the picture's latents alone.
    /// </summary>
    public virtual Tensor? See(PictureInput picture, CancellationToken cancellation = default) => null;

    /// <inheritdoc/>
    public abstract void Dispose();
}
