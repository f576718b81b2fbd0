using Attune.Imaging;
using SkiaSharp;

namespace Attune.Media.Skia;

/// <summary>Writes animated WebP files, which repeat for ever.</summary>
public static class AnimatedWebP
{
    /// <summary>Writes frames at an even pace.</summary>
    /// <param name="stream">Where to write.</param>
    /// <param name="frames">One or more images of one size.</param>
    /// <param name="framesPerSecond">Above 0, at most 1000. Files have whole milliseconds: what rounding takes from a frame the next gets,
    /// so that the whole has its length.</param>
    /// <param name="quality">1 to 100; null is without loss.</param>
    public static void Write(Stream stream, IReadOnlyList<Image> frames, double framesPerSecond, int? quality = 95)
    {
        ArgumentNullException.ThrowIfNull(frames);
        if (framesPerSecond is not (> 0 and <= 1000))
            throw new ArgumentOutOfRangeException(nameof(framesPerSecond), framesPerSecond, "Expected more than 0 and at most 1000.");
        Write(stream, frames, [.. frames.Select(_ => TimeSpan.FromSeconds(1 / framesPerSecond))], quality);
    }

    /// <summary>Writes frames with a duration each.</summary>
    /// <param name="stream">Where to write.</param>
    /// <param name="frames">One or more images of one size.</param>
    /// <param name="durations">How long each is shown, above 0. See the other method for fractions of milliseconds.</param>
    /// <param name="quality">1 to 100; null is without loss.</param>
    /// <exception cref="ArgumentException">The numbers of frames and durations differ, or the frames' sizes do.</exception>
    /// <exception cref="ImageException">The frames are larger than the format takes.</exception>
    public static void Write(Stream stream, IReadOnlyList<Image> frames, IReadOnlyList<TimeSpan> durations, int? quality = 95)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(frames);
        ArgumentNullException.ThrowIfNull(durations);
        if (quality is < 1 or > 100)
            throw new ArgumentOutOfRangeException(nameof(quality), quality, "Expected 1 to 100.");
        if (frames.Count == 0 || frames.Count != durations.Count)
            throw new ArgumentException($"{frames.Count} frames have {durations.Count} durations, expected one each.", nameof(durations));
        foreach (var frame in frames)
        {
            if ((frame.Width, frame.Height) != (frames[0].Width, frames[0].Height))
            {
                throw new ArgumentException(
                    $"A frame is {frame.Width} x {frame.Height}, expected {frames[0].Width} x {frames[0].Height} as the first.",
                    nameof(frames));
            }
        }
        var whole = Whole(durations);
        stream.Write(SkiaFormats.Native("WebP", () => Encode(frames, whole, quality)));
    }

    /// <summary>Whole milliseconds with the sum of the durations: ends are rounded, not lengths.</summary>
    private static TimeSpan[] Whole(IReadOnlyList<TimeSpan> durations)
    {
        var result = new TimeSpan[durations.Count];
        var (end, shown) = (TimeSpan.Zero, 0L);
        for (int i = 0; i < result.Length; i++)
        {
            if (durations[i] <= TimeSpan.Zero)
                throw new ArgumentException($"Frame {i} is shown for {durations[i]}, expected a time above 0.", nameof(durations));
            end += durations[i];
            long until = Math.Max((long)Math.Round(end.TotalMilliseconds), shown + 1);
            result[i] = TimeSpan.FromMilliseconds(until - shown);
            shown = until;
        }
        return result;
    }

    private static byte[] Encode(IReadOnlyList<Image> frames, TimeSpan[] durations, int? quality)
    {
        var pixels = new List<SkiaPixels>();
        try
        {
            pixels.AddRange(frames.Select(frame => new SkiaPixels(frame)));
            var options = new SKWebpEncoderOptions(
                quality == null ? SKWebpEncoderCompression.Lossless : SKWebpEncoderCompression.Lossy, quality ?? 100);
            SKWebpEncoderFrame[] all = [.. pixels.Select((frame, i) => new SKWebpEncoderFrame(frame.Map, durations[i]))];
            using var data = SKWebpEncoder.EncodeAnimated(all, options) ?? throw WebPContainer.TooLarge(frames[0]);
            return data.ToArray();
        }
        finally
        {
            pixels.ForEach(frame => frame.Dispose());
        }
    }
}
