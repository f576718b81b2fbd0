using Attune.Tensors;

namespace Attune.Layers;

/// <summary>
/// How feature maps of an image are gone through that are too large to be held as often as a layer likes: in bands of rows, whose
/// temporaries are small. What comes out is what layers make of whole maps, to the last bit.
/// </summary>
/// <param name="device">What computes; it has to see images in pieces (<see cref="Device.BeginGroupNorm"/>).</param>
/// <param name="groups">The groups of all norms.</param>
/// <param name="images">How many images there are, though one is gone through at a time.</param>
/// <param name="limits">How much memory is taken.</param>
/// <param name="cancellation">Checked before every band.</param>
internal sealed class Bands(Device device, int groups, int images, BandLimits limits, CancellationToken cancellation) : IDisposable
{
    /// <summary>The tiles of all convolutions begin at multiples of it.</summary>
    private const int Unit = 4;

    private readonly List<FiledMap> _filed = [];

    /// <summary>Bytes of the maps that are held in memory.</summary>
    public long Held { get; set; }

    /// <summary>Whether a device can go through images in bands.</summary>
    public static bool Has(Device device)
    {
        using var moments = device.BeginGroupNorm(1, 1, 1);
        return moments != null;
    }

    /// <summary>Rows of a band of a map; the last one may have up to twice as many.</summary>
    public static int RowsOf(long width, int channels, long bytes) =>
        (int)Math.Clamp(bytes / (sizeof(float) * width * channels) / Unit * Unit, Unit, 1 << 20);

    /// <summary>A tensor of the device that is no map.</summary>
    public Tensor Empty(Shape shape) => Tensor.Empty(device, shape);

    /// <summary>A map of one image, [1, height, width, channels], that nothing was put into yet.</summary>
    public BandedMap New(Shape shape)
    {
        if (sizeof(float) * shape.Count <= limits.Maps - Held)
            return new HeldMap(this, Tensor.Empty(device, shape), groups);
        var map = new FiledMap(shape, device, groups);
        _filed.Add(map);
        return map;
    }

    /// <summary>Closes files that are still there.</summary>
    public void Dispose() => _filed.ForEach(map => map.Dispose());

    /// <summary>A map that is there as a whole, [1, height, width, channels], which is the map's from here on.</summary>
    public BandedMap Of(Tensor values)
    {
        var map = new HeldMap(this, values, groups);
        map.Moments.Add(values);
        return map;
    }

    /// <summary>
    /// A map without the gaps that others have left it in, in the place of the one that is given; nothing is normalised by it.
    /// </summary>
    public BandedMap Compact(BandedMap x)
    {
        if (x is not HeldMap { Values.IsContiguous: false })
            return x;
        var map = New(x.Shape);
        foreach (var band in Of(x.Shape))
        {
            using var scope = new TensorScope();
            var place = map.Place(band);
            x.Rows(band.First, band.Count).CopyTo(place);
            map.Store(band, place);
        }
        x.Dispose();
        return map;
    }

    /// <summary>The values of a map, which is disposed.</summary>
    public Tensor Whole(BandedMap x)
    {
        var values = Compact(x) is var map && map is HeldMap held ? held.Values.View() : map.Rows(0, map.Shape[1]);
        map.Dispose();
        return values;
    }

    /// <summary>A convolution of an image that keeps its size.</summary>
    public BandedMap Convolve(Conv2d convolution, Tensor image, int channels)
    {
        var map = New(image.Shape.With(3, channels));
        foreach (var band in Of(map.Shape))
        {
            using var scope = new TensorScope();
            int start = Math.Max(band.First - 1, 0);
            var rows = image.Slice(1, start, Math.Min(band.End + 1, band.Height) - start);
            map.Put(band, convolution.Apply(rows, band, into: map.Place(band)));
        }
        return map;
    }

    /// <summary>The last layers of a coder, of a map that is disposed.</summary>
    /// <param name="x">The map.</param>
    /// <param name="norm">Its norm, behind which SiLU follows.</param>
    /// <param name="convolution">What comes then.</param>
    /// <param name="into">Where the result goes, [1, height, width, outputs].</param>
    public void End(BandedMap x, GroupNorm norm, Conv2d convolution, Tensor into)
    {
        Normalised(x, norm, Activation.Silu, (band, rows) =>
            convolution.Apply(rows, band, into: into.Slice(1, band.First, band.Count)));
        x.Dispose();
    }

    /// <summary>The bands of a map.</summary>
    public IEnumerable<Band> Of(Shape map)
    {
        int rows = RowsOf(map[2], map[3], limits.Band);
        int count = Math.Max(1, map[1] / rows);
        for (int i = 0; i < count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            yield return new Band(i * rows, i == count - 1 ? map[1] : (i + 1) * rows, map[1], images);
        }
    }

    /// <summary>
    /// Goes through a normalised map, each band with the row above and the row below it, where these exist. Rows of the map before the end
    /// of a band are not read again, so that others may take their place.
    /// </summary>
    /// <param name="x">The map.</param>
    /// <param name="norm">Its norm.</param>
    /// <param name="activation">Applied to what is normalised.</param>
    /// <param name="body">What is done with a band; its tensors are disposed afterwards.</param>
    public void Normalised(BandedMap x, GroupNorm norm, Activation activation, Action<Band, Tensor> body)
    {
        norm.Finish(x.Moments);
        var moments = x.Moments;
        var bands = Of(x.Shape).ToList();
        using var room = Tensor.Empty(device, x.Shape.With(1, Math.Min(bands.Max(band => band.Count) + 2, x.Shape[1])));
        int filled = 0;
        foreach (var band in bands)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = new TensorScope();
            int kept = 0;
            if (band.First > 0)
            {
                kept = 2;
                room.Slice(1, filled - kept, kept).CopyTo(room.Slice(1, 0, kept));
            }
            int next = kept == 0 ? 0 : band.First + 1;
            int count = Math.Min(band.End + 1, band.Height) - next;
            if (count > 0)
            {
                using var rows = x.Rows(next, count);
                moments.Apply(rows, activation, room.Slice(1, kept, count));
            }
            filled = kept + count;
            body(band, room.Slice(1, 0, filled));
        }
    }
}

/// <summary>How much memory is taken for maps that are gone through in bands.</summary>
/// <param name="Band">What a band takes, if 4 rows do not take more already: kernels of convolutions are transformed anew for each, so that
/// fewer bytes than the default cost time.</param>
/// <param name="Maps">What the maps beside it may take; others wait in files.</param>
internal sealed record BandLimits(long Band = 16 << 20, long Maps = long.MaxValue)
{
    /// <summary>Those with which decoding and encoding take no more than some bytes, beside what layers of small maps take.</summary>
    public static BandLimits Of(long bytes)
    {
        var limits = new BandLimits();
        return limits with { Maps = Math.Max(bytes - 4 * limits.Band - Kernels, 0) };
    }

    /// <summary>What kernels take while they run.</summary>
    private const long Kernels = 64 << 20;

    /// <summary>Whether an image of such a map is large enough to be cut: others gain little.</summary>
    public bool IsLarge(Shape map) => sizeof(float) * (long)map[1] * map[2] * map[3] > 2 * Band;
}

/// <summary>Some rows of a map.</summary>
/// <param name="First">The first.</param>
/// <param name="End">The one after the last.</param>
/// <param name="Height">The rows of the map.</param>
/// <param name="Images">How many such maps there are.</param>
internal readonly record struct Band(int First, int End, int Height, int Images)
{
    public int Count => End - First;

    /// <summary>The geometry with which rows that overlap this band make it, from the one that makes the whole map.</summary>
    public Conv2dGeometry Of(Conv2dGeometry whole) => whole with
    {
        Top = First == 0 ? whole.Top : 0,
        Bottom = End == Height ? whole.Bottom : 0,
        Whole = (Images, Height),
    };
}
