using System.Runtime.InteropServices;
using Attune.Imaging;
using SkiaSharp;

namespace Attune.Media.Skia;

/// <summary>
/// Reads the first frame of files of one format as it is stored: alpha is not multiplied in, and colour profiles are not applied. A file
/// that is not whole is an error, never half a picture.
/// </summary>
internal sealed class SkiaReader(string name, SKEncodedImageFormat format, byte[][] starts, byte[] then, int at) : IImageReader
{
    public string Name => name;

    /// <summary>Whether the file has one of the signatures, and behind it, at a place, what else the format has there.</summary>
    public bool Matches(ReadOnlySpan<byte> bytes)
    {
        foreach (byte[] start in starts)
        {
            if (bytes.StartsWith(start) && bytes.Length >= at + then.Length && bytes[at..].StartsWith(then))
                return true;
        }
        return false;
    }

    public ImageHead ReadHead(ReadOnlySpan<byte> bytes, string name)
    {
        byte[] copy = bytes.ToArray();
        return SkiaFormats.Native(name, () =>
        {
            using var data = SKData.CreateCopy(copy);
            using var codec = Open(data, name);
            return new ImageHead(codec.Info.Width, codec.Info.Height, Math.Max(codec.FrameCount, 1));
        });
    }

    public Image Read(ReadOnlySpan<byte> bytes, string name)
    {
        byte[] copy = bytes.ToArray();
        return SkiaFormats.Native(name, () => Decode(copy, name));
    }

    private Image Decode(byte[] bytes, string name)
    {
        using var data = SKData.CreateCopy(bytes);
        using var codec = Open(data, name);
        var (width, height) = (codec.Info.Width, codec.Info.Height);

        // Without a colour space in what is asked for, Skia leaves colours as they are stored.
        var info = new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
        var rgba = new byte[4L * width * height];
        var handle = GCHandle.Alloc(rgba, GCHandleType.Pinned);
        try
        {
            var result = codec.GetPixels(info, handle.AddrOfPinnedObject(), info.RowBytes, SKCodecOptions.Default);
            if (result != SKCodecResult.Success)
                throw new ImageException($"'{name}' {Problem(result)}.");
        }
        finally
        {
            handle.Free();
        }

        byte[] rgb = new byte[3L * width * height], alpha = new byte[(long)width * height];
        for (int pixel = 0; pixel < alpha.Length; pixel++)
        {
            rgba.AsSpan(4 * pixel, 3).CopyTo(rgb.AsSpan(3 * pixel));
            alpha[pixel] = rgba[(4 * pixel) + 3];
        }
        return new Image(width, height, rgb, alpha).Upright((int)codec.EncodedOrigin);
    }

    /// <summary>What decodes a file, which is of the format and not too large.</summary>
    private SKCodec Open(SKData data, string name)
    {
        var codec = SKCodec.Create(data)
            ?? throw new ImageException($"'{name}' is no {Name} image, damaged, or of a kind of {Name} that is not read.");
        string? problem = codec.EncodedFormat != format ? $"'{name}' begins as a {Name} image and is none."
            : (long)codec.Info.Width * codec.Info.Height is < 1 or > Image.MaxPixels
                ? $"'{name}' has {codec.Info.Width} x {codec.Info.Height} pixels, expected 1 to {Image.MaxPixels}." : null;
        if (problem == null)
            return codec;
        codec.Dispose();
        throw new ImageException(problem);
    }

    private string Problem(SKCodecResult result) => result switch
    {
        SKCodecResult.IncompleteInput => "is cut off: its pixels end early",
        SKCodecResult.ErrorInInput => "is damaged: its pixels cannot be decoded",
        _ => $"is a {Name} image that cannot be decoded ({result})",
    };
}
