using System.Runtime.InteropServices;
using Attune.Tensors;

namespace Attune.Layers;

/// <summary>The feature map of one image, [1, height, width, channels], with the sums that the norm after it needs.</summary>
internal abstract class BandedMap : IDisposable
{
    private readonly Device _device;
    private readonly int _groups;

    protected BandedMap(Shape shape, Device device, int groups)
    {
        (Shape, _device, _groups) = (shape, device, groups);
        Moments = Begin();
    }

    public Shape Shape { get; }

    public GroupMoments Moments { get; private set; }

    /// <summary>The values of rows, in the current scope. They may be changed, and stored again.</summary>
    public abstract Tensor Rows(int first, int count);

    /// <summary>A place for the values of a band, in the current scope.</summary>
    public abstract Tensor Place(Band band);

    /// <summary>Takes the values of a band.</summary>
    /// <param name="band">Which.</param>
    /// <param name="rows">What <see cref="Rows"/> or <see cref="Place"/> gave for it.</param>
    public abstract void Store(Band band, Tensor rows);

    /// <summary>Takes the values of the next band, and adds them to the sums.</summary>
    public void Put(Band band, Tensor rows)
    {
        Store(band, rows);
        Moments.Add(rows);
    }

    /// <summary>Sums the values anew, after they were changed.</summary>
    /// <param name="bands">How it is gone through.</param>
    public void Sum(Bands bands)
    {
        Restart();
        foreach (var band in bands.Of(Shape))
        {
            using var rows = Rows(band.First, band.Count);
            Moments.Add(rows);
        }
    }

    /// <summary>The map gets other values, from the first row on.</summary>
    public void Restart()
    {
        Moments.Dispose();
        Moments = Begin();
    }

    /// <summary>
    /// Two maps of fewer channels that take the place of this one, row by row: nothing reads it once they are written. It is disposed
    /// before they are. Null where maps cannot share a place.
    /// </summary>
    public virtual (BandedMap Hidden, BandedMap Result)? Split(int channels) => null;

    /// <summary>A map of this one's shape in the place that is free beside it since a map was split; null where none was.</summary>
    public virtual BandedMap? Beside() => null;

    public virtual void Dispose() => Moments.Dispose();

    private GroupMoments Begin() => _device.BeginGroupNorm((long)Shape[1] * Shape[2], Shape[3], _groups)
        ?? throw new NotSupportedException($"The device '{_device.Name}' sees images as a whole only.");
}

/// <summary>A map in memory.</summary>
internal sealed class HeldMap : BandedMap
{
    private readonly Bands _bands;
    private readonly int _groups;
    private readonly long _bytes;
    private Tensor? _beside;

    /// <param name="bands">What counts it.</param>
    /// <param name="values">Its values, or the place for them.</param>
    /// <param name="groups">The groups of its norm.</param>
    public HeldMap(Bands bands, Tensor values, int groups)
        : this(bands, values, groups, sizeof(float) * values.Count)
    {
    }

    private HeldMap(Bands bands, Tensor values, int groups, long bytes)
        : base(values.Shape, values.Device, groups)
    {
        (_bands, Values, _groups, _bytes) = (bands, values, groups, bytes);
        bands.Held += bytes;
    }

    public Tensor Values { get; }

    public override Tensor Rows(int first, int count) => Values.Slice(1, first, count);

    public override Tensor Place(Band band) => Rows(band.First, band.Count);

    public override void Store(Band band, Tensor rows)
    {
    }

    /// <summary>The second map counts for both.</summary>
    public override (BandedMap Hidden, BandedMap Result)? Split(int channels)
    {
        var result = new HeldMap(_bands, Values.Slice(3, Shape[3] - channels, channels), _groups, _bytes)
        {
            _beside = Values.Slice(3, 0, channels),
        };
        return (result.Beside()!, result);
    }

    public override BandedMap? Beside() => _beside == null ? null : new HeldMap(_bands, _beside.View(), _groups, bytes: 0);

    public override void Dispose()
    {
        if (Values.IsDisposed)
            return;
        base.Dispose();
        _beside?.Dispose();
        Values.Dispose();
        _bands.Held -= _bytes;
    }
}

/// <summary>
/// A map that waits in a file of the folder for temporary files, which is gone with it, even if the process is killed. The system keeps of
/// it in memory what it likes.
/// </summary>
internal sealed class FiledMap : BandedMap
{
    /// <summary>Bytes that one thread reads or writes at a time.</summary>
    private const long Piece = 4 << 20;

    private readonly Device _device;
    private readonly FileStream _file;

    public FiledMap(Shape shape, Device device, int groups)
        : base(shape, device, groups)
    {
        _device = device;
        string path = Path.Combine(Folder, $"attune-map-{Guid.NewGuid():n}");
        long bytes = sizeof(float) * shape.Count;
        try
        {
            var options = new FileStreamOptions
            {
                Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Share = FileShare.Delete, BufferSize = 0,
                PreallocationSize = bytes, Options = FileOptions.DeleteOnClose,
            };
            if (!OperatingSystem.IsWindows())
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            _file = new FileStream(path, options);
            if (!OperatingSystem.IsWindows())
                File.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            base.Dispose();
            throw new IOException(
                $"A feature map of {bytes >> 20} MiB cannot wait in '{Folder}' (TMPDIR names another folder): {exception.Message}",
                exception);
        }
    }

    /// <summary>That of the system, unless it lies in memory and there is the one for large files.</summary>
    private static string Folder
    {
        get
        {
            string folder = Path.GetTempPath();
            const string large = "/var/tmp";
            return OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("TMPDIR") is null or "" && Directory.Exists(large)
                ? large : folder;
        }
    }

    public override Tensor Rows(int first, int count)
    {
        var rows = Tensor.Empty(_device, Shape.With(1, count));
        InPieces(rows, (part, at) =>
        {
            using var view = part.Write();
            var bytes = MemoryMarshal.AsBytes(view.Span);
            for (int read = 0; read < bytes.Length;)
            {
                int more = RandomAccess.Read(_file.SafeFileHandle, bytes[read..], Offset(first + at) + read);
                read += more > 0 ? more
                    : throw new EndOfStreamException($"A feature map in '{Folder}' ends before its row {first + count}.");
            }
        });
        return rows;
    }

    public override Tensor Place(Band band) => Tensor.Empty(_device, Shape.With(1, band.Count));

    public override void Store(Band band, Tensor rows) => InPieces(rows, (part, at) =>
    {
        using var view = part.Read();
        RandomAccess.Write(_file.SafeFileHandle, MemoryMarshal.AsBytes(view.Span), Offset(band.First + at));
    });

    /// <summary>May be called again.</summary>
    public override void Dispose()
    {
        base.Dispose();
        _file.Dispose();
    }

    private long Offset(int row) => sizeof(float) * (long)row * Shape[2] * Shape[3];

    /// <summary>Hands out parts of rows, and where each begins.</summary>
    private void InPieces(Tensor rows, Action<Tensor, int> body)
    {
        int perPiece = (int)Math.Max(Piece / Offset(1), 1);
        Workers.For((rows.Shape[1] + perPiece - 1) / perPiece, piece =>
        {
            int at = piece * perPiece;
            using var part = rows.Slice(1, at, Math.Min(perPiece, rows.Shape[1] - at));
            body(part, at);
        });
    }
}
