using Attune.Attention;
using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>
/// The latents of a family of models: what they look like, how noise is drawn in them, and how pictures become latents and back. Latents
/// have two forms: that of the autoencoder, [count, height, width, channels], of videos [count, frames, height, width, channels], and that
/// of the denoiser, which some families pack into tokens.
/// </summary>
public abstract class LatentSpace : IDisposable
{
    /// <summary>Where latents live.</summary>
    public abstract Device Device { get; }

    /// <summary>The channels of latents as the autoencoder has them.</summary>
    public abstract int Channels { get; }

    /// <summary>Width and height of pictures are multiples of this many pixels.</summary>
    public abstract int SizeMultiple { get; }

    /// <summary>Numbers of frames are one more than a multiple of this; 1 for families that make pictures.</summary>
    public virtual int FrameMultiple => 1;

    /// <summary>Whether latents and pictures have an axis of frames, behind that of the count.</summary>
    public virtual bool HasFrames => false;

    /// <summary>How the denoiser's tokens lie for pictures of a size.</summary>
    public abstract LatentGrid GridOf(PixelSize size, int frames = 1);

    /// <summary>The shape of latents in the autoencoder's form, [count, height, width, channels].</summary>
    public abstract Shape ShapeOf(LatentGrid grid, int count);

    /// <summary>Standard normal noise in the autoencoder's form, drawn in the order in which the reference draws it.</summary>
    /// <returns>[count, height, width, channels]; a tensor of the current scope.</returns>
    public abstract Tensor Draw(TorchRandom random, LatentGrid grid, int count);

    /// <summary>Standard normal noise in the denoiser's form, as stochastic schedulers draw it between steps.</summary>
    /// <returns>A tensor of the current scope.</returns>
    public abstract Tensor DrawStep(TorchRandom random, LatentGrid grid, int count);

    /// <summary>Latents from the autoencoder's form to the denoiser's. May return its argument.</summary>
    public virtual Tensor Pack(Tensor latents) => latents;

    /// <summary>Latents from the denoiser's form to the autoencoder's. May return its argument.</summary>
    public virtual Tensor Unpack(Tensor latents, LatentGrid grid) => latents;

    /// <summary>Encodes pictures for image to image: latents are drawn from the encoder's distribution.</summary>
    /// <param name="pixels">[count, height, width, 3], values in [-1, 1].</param>
    /// <param name="random">What is drawn with.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>Clean latents in the autoencoder's form; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The pictures have a wrong shape.</exception>
    public abstract Tensor Encode(Tensor pixels, TorchRandom random, CancellationToken cancellation = default);

    /// <summary>Whether latents of pictures are drawn from the encoder's distribution, and not its means.</summary>
    public virtual bool DrawsToEncode => true;

    /// <summary>How much of what a step makes stays where a mask says what is made anew.</summary>
    /// <param name="mask">[1, height, width, 1] in pixels, 1 where the picture is made anew, else 0.</param>
    /// <param name="grid">How the latents lie.</param>
    /// <returns>In the denoiser's form, broadcast over channels and the count; a tensor of the current scope.</returns>
    public virtual Tensor PackMask(Tensor mask, LatentGrid grid)
    {
        var s = ShapeOf(grid, 1);
        return LatentPatches.Nearest(mask, s[1], s[2]);
    }

    /// <summary>What stands beside the latents of a model that reads what a mask leaves of a picture.</summary>
    /// <param name="latents">Those of the picture without what is made anew, in the autoencoder's form.</param>
    /// <param name="mask">[1, height, width, 1] in pixels, 1 where the picture is made anew, else 0.</param>
    /// <returns>In the denoiser's form but for the channels; a tensor of the current scope.</returns>
    /// <exception cref="NotSupportedException">The family has no such models.</exception>
    public virtual Tensor BesideMasked(Tensor latents, Tensor mask) =>
        throw new NotSupportedException($"{GetType().Name} puts no mask beside latents.");

    /// <summary>What stands beside the latents of a model that reads a control picture.</summary>
    /// <param name="pixels">The picture, [1, height, width, 3], values in [-1, 1], of the size that is made.</param>
    /// <param name="random">What is drawn with, before the noise is.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>In the denoiser's form; a tensor of the current scope.</returns>
    public virtual Tensor EncodeControl(Tensor pixels, TorchRandom random, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        return scope.Keep(Pack(Encode(pixels, random, cancellation)).Clone());
    }

    /// <summary>Whether references are seen with their alpha; elsewhere their colours alone are.</summary>
    public virtual bool ReferencesHaveAlpha => false;

    /// <summary>
    /// A picture that the model looks at, brought to the size at which all of its parts see it; itself where the autoencoder alone does.
    /// </summary>
    /// <param name="image">The picture.</param>
    /// <param name="size">The side of the square whose area is meant; null is the model's.</param>
    public virtual Image FitReference(Image image, int? size) => image;

    /// <summary>
    /// The size of pictures for which a request states none but whose last reference is a picture; null where that says nothing.
    /// </summary>
    /// <param name="reference">The picture.</param>
    /// <param name="size">The side of the square whose area references are brought to; null is the model's.</param>
    public virtual PixelSize? SizeLike(Image reference, int? size) => null;

    /// <summary>Encodes a picture that the model looks at, after it was brought to a size that the model takes.</summary>
    /// <param name="image">The picture, as <see cref="FitReference"/> gives it.</param>
    /// <param name="size">As there, for models whose autoencoder alone sees it at that size.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>Its latents in the denoiser's form; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The picture is too small, or too narrow, for the model.</exception>
    /// <exception cref="NotSupportedException">The family takes no references.</exception>
    public virtual ReferenceLatents EncodeReference(Image image, int? size, CancellationToken cancellation = default) =>
        throw new NotSupportedException($"{GetType().Name} encodes no references.");

    /// <summary>What stands beside the latents of a model that is given a video's first frame.</summary>
    /// <param name="pixels">The frame, [count, height, width, 3], values in [-1, 1].</param>
    /// <param name="grid">How the latents of the whole video lie.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>A tensor of the current scope, shaped as the latents in the denoiser's form but for the channels.</returns>
    /// <exception cref="NotSupportedException">The family takes no first frame.</exception>
    public virtual Tensor EncodeBeside(Tensor pixels, LatentGrid grid, CancellationToken cancellation = default) =>
        throw new NotSupportedException($"{GetType().Name} encodes no first frame.");

    /// <summary>The latents of a video's first frame, for models that keep them while the others are denoised.</summary>
    /// <param name="pixels">The frame, [count, height, width, 3], values in [-1, 1].</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>[count, 1, height, width, channels], in the denoiser's form; a tensor of the current scope.</returns>
    /// <exception cref="NotSupportedException">The family takes no first frame.</exception>
    public virtual Tensor EncodeFirstFrame(Tensor pixels, CancellationToken cancellation = default) =>
        throw new NotSupportedException($"{GetType().Name} encodes no first frame.");

    /// <summary>What the autoencoder's decoder is given for latents: without the scaling that the denoiser works with.</summary>
    /// <param name="latents">[count, height, width, channels], in the autoencoder's form.</param>
    /// <returns>[count, height, width, channels] of the decoder; a tensor of the current scope.</returns>
    public abstract Tensor Denormalize(Tensor latents);

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">[count, height, width, channels], in the autoencoder's form.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>Pictures [count, height, width, 3] with values around [-1, 1], not clamped; a tensor of the current scope.</returns>
    public abstract Tensor Decode(Tensor latents, CancellationToken cancellation = default);

    /// <summary>Decodes latents and hands on frames as soon as they are there, so that no more than some of them are held.</summary>
    /// <param name="latents">In the autoencoder's form.</param>
    /// <param name="receive">Receives the next frames of all pictures or videos, [count, frames, height, width, 3], values around [-1, 1];
    /// valid during the call. A picture is one frame.</param>
    /// <param name="cancellation">Checked before every block.</param>
    public virtual void DecodeFrames(Tensor latents, Action<Tensor> receive, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(receive);
        using var scope = new TensorScope();
        var pictures = Decode(latents, cancellation);
        var s = pictures.Shape;
        receive(s.Rank == 5 ? pictures : pictures.Reshape(s[0], 1, s[1], s[2], s[3]));
    }

    /// <summary>
    /// About how many bytes decoding takes at its peak, beside weights, of videos whatever the number of frames; 0 where nothing is known.
    /// </summary>
    /// <param name="size">Of the pictures.</param>
    /// <param name="count">How many.</param>
    public virtual long DecodingBytes(PixelSize size, int count) => 0;

    /// <summary>Bounds the activations of decoding and encoding; false where the autoencoder cannot.</summary>
    internal virtual bool LimitMemory(long bytes) => false;

    /// <inheritdoc/>
    public abstract void Dispose();
}
