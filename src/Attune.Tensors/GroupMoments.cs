namespace Attune.Tensors;

/// <summary>
/// A group norm of an image that is never seen as a whole: its rows are added in order, in pieces of any number, and are normalised in
/// pieces afterwards. Sums are taken in one order however the image is cut, so that the result is that of <see cref="Device.GroupNorm"/>
/// to the last bit. Belongs to the scope it was begun in, or to its creator; not thread-safe.
/// </summary>
public abstract class GroupMoments : IDisposable
{
    /// <summary>Takes note of the next pixels.</summary>
    /// <param name="pixels">[..., channels]; nothing of it is kept.</param>
    /// <exception cref="ArgumentException">The image has fewer pixels than that, or other channels.</exception>
    public abstract void Add(Tensor pixels);

    /// <summary>Ends the image.</summary>
    /// <param name="weight">[channels], or null for 1.</param>
    /// <param name="bias">[channels], or null for 0.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <exception cref="InvalidOperationException">Pixels are missing.</exception>
    public abstract void Finish(PreparedWeight? weight, PreparedWeight? bias, float epsilon);

    /// <summary>Normalises pixels, then applies an activation.</summary>
    /// <param name="pixels">[..., channels], any of the image's.</param>
    /// <param name="activation">Applied to the result.</param>
    /// <param name="output">As the pixels; may be these.</param>
    /// <exception cref="InvalidOperationException"><see cref="Finish"/> was not called.</exception>
    public abstract void Apply(Tensor pixels, Activation activation, Tensor output);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives memory back.</summary>
    protected abstract void Dispose(bool disposing);
}
