using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>
/// Two convolutions, each after a group norm and an activation, added to their input (ResnetBlock2D of diffusers). Where
/// <paramref name="embedding"/> gives the channels of an embedding of the timestep, its projection is added to every pixel between the
/// convolutions.
/// </summary>
public sealed class ResnetBlock(
    WeightCursor at, int inputs, int outputs, int groups, float epsilon, Activation activation, int? embedding = null)
{
    private readonly GroupNorm _norm1 = new(at.At("norm1"), groups, inputs, epsilon);
    private readonly Conv2d _conv1 = new(at.At("conv1"), inputs, outputs, kernel: 3);
    private readonly Linear? _timeEmbProj = embedding is { } channels ? new(at.At("time_emb_proj"), channels, outputs) : null;
    private readonly GroupNorm _norm2 = new(at.At("norm2"), groups, outputs, epsilon);
    private readonly Conv2d _conv2 = new(at.At("conv2"), outputs, outputs, kernel: 3);
    private readonly Linear? _convShortcut = inputs != outputs ? new(at.At("conv_shortcut"), inputs, outputs) : null;

    /// <summary>[batch, height, width, inputs] to [batch, height, width, outputs].</summary>
    /// <param name="x">The feature map.</param>
    /// <param name="time">The activated embedding of the timestep, [batch or 1, channels], for blocks that have one.</param>
    public Tensor Apply(Tensor x, Tensor? time = null)
    {
        // Every temporary ends as early as it can: in an autoencoder each is as large as the feature map, up to a gigabyte.
        using var scope = new TensorScope();
        var normalised = _norm1.Apply(x, activation);
        var hidden = _conv1.Apply(normalised);
        normalised.Dispose();
        if (_timeEmbProj != null)
            hidden.Add(_timeEmbProj.Apply(time!).Reshape(time!.Shape[0], 1, 1, outputs), into: hidden);
        _norm2.Apply(hidden, activation, into: hidden);
        var shortcut = _convShortcut?.Apply(x);
        return scope.Keep(_conv2.AddTo(shortcut ?? x, hidden, into: shortcut));
    }

    /// <summary>
    /// The same, to the last bit, for a map that is gone through in bands: beside it there is one map between the convolutions, which has
    /// the place of the input where the block halves the channels.
    /// </summary>
    /// <param name="x">[1, height, width, inputs]; disposed, or changed where it is the result.</param>
    /// <param name="bands">How it is gone through.</param>
    /// <returns>[1, height, width, outputs].</returns>
    internal BandedMap Apply(BandedMap x, Bands bands)
    {
        var shape = x.Shape.With(3, outputs);
        var (hidden, result) = _convShortcut == null ? (x.Beside() ?? bands.New(shape), x)
            : (2 * outputs <= inputs ? x.Split(outputs) : null) ?? (bands.New(shape), bands.New(shape));
        bands.Normalised(x, _norm1, activation, (band, rows) =>
        {
            // Both read the input before they take its place.
            var shortcut = _convShortcut?.Apply(x.Rows(band.First, band.Count));
            hidden.Put(band, _conv1.Apply(rows, band, into: hidden.Place(band)));
            if (shortcut == null)
                return;
            var place = result.Place(band);
            shortcut.CopyTo(place);
            result.Store(band, place);
        });
        if (result == x)
            x.Restart();
        else
            x.Dispose();
        bands.Normalised(hidden, _norm2, activation, (band, rows) =>
        {
            var sum = result.Rows(band.First, band.Count);
            result.Put(band, _conv2.Apply(rows, band, into: sum, residual: sum));
        });
        hidden.Dispose();
        return result;
    }
}
