using Attune.Imaging;
using Attune.Schedulers;
using Attune.Tensors;

namespace Attune.Generation;

/// <summary>
/// A picture of which a mask says what is made anew: what is done with both before a run, with the latents after each of its steps, and
/// with what comes out. It is the same for all families.
/// </summary>
internal sealed class Repainting : IDisposable
{
    private readonly Image? _original;
    private readonly Image _whole;
    private readonly Image _mask;
    private readonly PixelBox? _box;
    private readonly TensorBag _owned = new();
    private Tensor? _clean;
    private Tensor? _noise;
    private Tensor? _made;
    private Tensor? _kept;

    /// <param name="images">The pictures, with a mask.</param>
    /// <param name="size">Of what is made.</param>
    /// <exception cref="ArgumentException">A part is to be cut out around a mask that is black.</exception>
    public Repainting(InputImages images, PixelSize size)
    {
        (_original, _whole) = (images.Initial?.WithoutAlpha(), images.Mask!.WithoutAlpha());
        _box = images.MaskPadding is { } padding ? ImageMasks.Around(_whole, size, padding) : null;
        _mask = Fit(_whole, size);
        Picture = _original == null ? null : Fit(_original, size);
    }

    /// <summary>The picture, or its part, at the size of what is made; null where the request has it as a tensor.</summary>
    public Image? Picture { get; }

    /// <summary>Where what is made stays after a step, in the denoiser's form; null where nothing is put back.</summary>
    public Tensor? LatentMask => _made;

    /// <summary>[1, height, width, 1]: 1 where the picture is made anew, else 0; a tensor of the current scope.</summary>
    public Tensor Mask(Device device) => Tensor.From(device, ImageMasks.Binary(_mask), [1, _mask.Height, _mask.Width, 1]);

    /// <summary>Says what is put back after each step.</summary>
    /// <param name="clean">The latents of the picture, in the denoiser's form.</param>
    /// <param name="noise">The noise with which the run begins, in that form.</param>
    /// <param name="mask">How much of what a step makes stays, 0 to 1, in that form.</param>
    public void PutBack(Tensor clean, Tensor noise, Tensor mask)
    {
        using var scope = new TensorScope();
        (_clean, _noise, _made) = (_owned.Own(clean.Clone()), _owned.Own(noise.Clone()), _owned.Own(mask.Clone()));
        _kept = _owned.Own(_made.Affine(-1, 1));
    }

    /// <summary>
    /// The latents after a step, with those of the picture where it is kept: at the noise level that comes next, with the same noise as at
    /// the beginning, clean after the last step. A tensor of the current scope; the argument where nothing is put back.
    /// </summary>
    public Tensor Blend(Tensor latents, ISchedulerRun schedule, int step)
    {
        if (_kept == null)
            return latents;
        using var scope = new TensorScope();
        var known = step + 1 < schedule.Steps ? schedule.AddNoise(_clean!, _noise!, step + 1) : _clean!;
        var blended = latents.Multiply(_made!);
        return scope.Keep(blended.Add(known.Multiply(_kept), into: blended));
    }

    /// <summary>What was made, pasted into the whole picture where that is to be; disposes and replaces its argument then.</summary>
    /// <param name="pixels">[count, height, width, 3] or [count, 1, height, width, 3], values from 0 to 1.</param>
    public Tensor Finish(Tensor pixels)
    {
        if (_box is not { } box)
            return pixels;
        using var scope = new TensorScope();
        var s = pixels.Shape;
        var images = Image.FromTensor(s.Rank == 5 ? pixels.Reshape(s[0] * s[1], s[2], s[3], s[4]) : pixels);
        var whole = TensorOperations.Concatenate(
            0, [.. images.Select(image => ImageMasks.Overlay(_original!, _whole, image, box).ToTensor(pixels.Device))]);
        if (s.Rank == 5)
            whole = whole.Reshape(s[0], s[1], _original!.Height, _original.Width, 3);
        pixels.Dispose();
        return TensorScope.Detach(whole);
    }

    public void Dispose() => _owned.Dispose();

    private Image Fit(Image image, PixelSize size) =>
        _box is not { } box ? image.Resize(size.Width, size.Height)
            : image.Crop(box.Left, box.Top, box.Width, box.Height).Fit(size.Width, size.Height, ImageFit.Fill);
}
