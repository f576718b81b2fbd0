using Attune.Tensors;

namespace Attune.Imaging;

/// <summary>
/// An image of 8-bit RGB pixels, row by row from the top, and how opaque each is. Colours are straight: not multiplied by alpha.
/// </summary>
public sealed class Image
{
    /// <summary>
    /// The most pixels that a file may have; more is taken for a file that means to exhaust memory. Pillow draws the line here too.
    /// </summary>
    public const long MaxPixels = 178_956_970;

    /// <summary>An image of a copy of some pixels.</summary>
    /// <param name="width">In pixels.</param>
    /// <param name="height">In pixels.</param>
    /// <param name="pixels">Red, green, blue for each pixel: 3 width height bytes.</param>
    /// <exception cref="ArgumentException">The number of bytes does not fit the size.</exception>
    public Image(int width, int height, ReadOnlySpan<byte> pixels)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        if (pixels.Length != 3L * width * height)
            throw new ArgumentException($"{pixels.Length} bytes do not make an RGB image of {width} x {height}.", nameof(pixels));
        (Width, Height, Pixels) = (width, height, pixels.ToArray());
    }

    /// <summary>An image of a copy of some pixels, not all of which need be opaque.</summary>
    /// <param name="width">In pixels.</param>
    /// <param name="height">In pixels.</param>
    /// <param name="pixels">Red, green, blue for each pixel, not multiplied by alpha: 3 width height bytes.</param>
    /// <param name="alpha">For each pixel from 0, invisible, to 255, opaque: width height bytes.</param>
    /// <exception cref="ArgumentException">The number of bytes does not fit the size.</exception>
    public Image(int width, int height, ReadOnlySpan<byte> pixels, ReadOnlySpan<byte> alpha)
        : this(width, height, pixels)
    {
        if (alpha.Length != (long)width * height)
            throw new ArgumentException($"{alpha.Length} bytes are no alpha of {width} x {height} pixels.", nameof(alpha));
        int transparent = alpha.Length - alpha.Count((byte)255);
        if (transparent > 0)
            (AlphaPlane, TransparentShare) = (alpha.ToArray(), (double)transparent / alpha.Length);
    }

    private Image(byte[] pixels, byte[]? alpha, int width, int height) =>
        (Width, Height, Pixels, AlphaPlane) = (width, height, pixels, alpha);

    /// <summary>In pixels.</summary>
    public int Width { get; }

    /// <summary>In pixels.</summary>
    public int Height { get; }

    /// <summary>Red, green, blue for each pixel.</summary>
    public ReadOnlySpan<byte> Rgb => Pixels;

    /// <summary>How opaque each pixel is, from 0 to 255; empty where all are.</summary>
    public ReadOnlySpan<byte> Alpha => AlphaPlane;

    /// <summary>
    /// Which part of the pixels, from 0 to 1, was not opaque in the file that the image was read from. Their colours are those that the
    /// file stores below its alpha. Models that take no alpha drop it, as Pillow's <c>convert("RGB")</c> does: what was invisible shows. A
    /// run that is given such an image warns.
    /// </summary>
    public double TransparentShare { get; init; }

    internal byte[] Pixels { get; }

    /// <summary>Null where all pixels are opaque.</summary>
    internal byte[]? AlphaPlane { get; }

    /// <summary>Reads a PNG or JPEG file, whatever its extension.</summary>
    /// <exception cref="ImageException">The file is no image, damaged, too large, or uses a feature that is not read.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static Image Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Read(File.ReadAllBytes(path), path);
    }

    /// <summary>Reads an image from where a stream stands to its end; see <see cref="Read"/>.</summary>
    /// <param name="stream">It need not be seekable, and stays open.</param>
    /// <param name="name">What errors call it.</param>
    /// <exception cref="ImageException">The data are no image, damaged, too large, or use a feature that is not read.</exception>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    public static Image Load(Stream stream, string name = "stream")
    {
        ArgumentNullException.ThrowIfNull(stream);
        var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return Read(bytes.GetBuffer().AsSpan(0, (int)bytes.Length), name);
    }

    /// <summary>
    /// Decodes a PNG (see <see cref="Png.Read"/>) or JPEG file (see <see cref="Jpeg.Read"/>), or one of a format that was added to
    /// <see cref="ImageFormats"/>; the content tells which. The image is turned upright where Exif metadata says how the camera was held,
    /// as diffusers' <c>load_image</c> does; colour profiles are not applied.
    /// </summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">What errors call it: its path.</param>
    /// <exception cref="ImageException">The file is no image, damaged, too large, or uses a feature that is not read.</exception>
    public static Image Read(ReadOnlySpan<byte> bytes, string name) => ReaderOf(bytes, name).Read(bytes, name);

    /// <summary>How large an image file is by its head, whose pixels are not decoded: for files that may be too large.</summary>
    /// <inheritdoc cref="Read"/>
    public static ImageHead ReadHead(ReadOnlySpan<byte> bytes, string name) => ReaderOf(bytes, name).ReadHead(bytes, name);

    /// <summary>
    /// Writes the image to a file in the format that its extension names (<see cref="ImageFormats.Writers"/>). The file is replaced only
    /// when it is complete, as <see cref="OutputFile"/> does.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="texts">Keywords and texts that go with the picture, where the format can hold them.</param>
    /// <exception cref="ArgumentException">No format is written that has the extension.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path, params ReadOnlySpan<KeyValuePair<string, string>> texts)
    {
        var writer = ImageFormats.WriterOf(path);
        KeyValuePair<string, string>[] all = [.. texts];
        OutputFile.Write(path, stream => writer.Write(this, stream, all));
    }

    /// <summary>
    /// The image at another size, with Pillow's antialiased Lanczos resampling (<c>Image.resize(size, Resampling.LANCZOS)</c>, Pillow to
    /// 12.3), which diffusers uses for the images that it is given. The aspect ratio is not kept. <see cref="Resampling"/> has others, and
    /// says what becomes of alpha.
    /// </summary>
    /// <param name="width">In pixels.</param>
    /// <param name="height">In pixels.</param>
    /// <exception cref="ArgumentOutOfRangeException">A side is not positive, or the image or its rows alone at the new width have more than
    /// 178,956,970 pixels.</exception>
    public Image Resize(int width, int height) =>
        (width, height) == (Width, Height) ? this
            : new Resampling(ResizeLibrary.Pillow12, ResizeFilter.Lanczos).Resize(this, width, height);

    /// <summary>The image as it is meant to be seen: turned and mirrored as Exif's orientation says (CIPA DC-008, section 4.6.4).</summary>
    /// <param name="orientation">1, upright, to 8.</param>
    public Image Upright(int orientation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(orientation, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(orientation, 8);
        if (orientation == 1)
            return this;
        var (width, height) = orientation < 5 ? (Width, Height) : (Height, Width);
        return Wrap(
            width, height, Turned(Pixels, 3, orientation), TransparentShare,
            AlphaPlane == null ? null : Turned(AlphaPlane, 1, orientation));
    }

    private byte[] Turned(byte[] plane, int channels, int orientation)
    {
        int lastX = Width - 1, lastY = Height - 1;
        var (width, height) = orientation < 5 ? (Width, Height) : (Height, Width);
        var turned = new byte[plane.Length];
        int at = 0;
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++, at += channels)
            {
                var (fromX, fromY) = orientation switch
                {
                    2 => (lastX - x, y),
                    3 => (lastX - x, lastY - y),
                    4 => (x, lastY - y),
                    5 => (y, x),
                    6 => (y, lastY - x),
                    7 => (lastX - y, lastY - x),
                    _ => (lastX - y, x),
                };
                plane.AsSpan(((fromY * Width) + fromX) * channels, channels).CopyTo(turned.AsSpan(at));
            }
        }
        return turned;
    }

    /// <summary>A part of the image.</summary>
    /// <param name="left">The columns left of it.</param>
    /// <param name="top">The rows above it.</param>
    /// <param name="width">In pixels.</param>
    /// <param name="height">In pixels.</param>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie within the image.</exception>
    public Image Crop(int left, int top, int width, int height)
    {
        if (left < 0 || top < 0 || width < 1 || height < 1 || left > Width - width || top > Height - height)
        {
            throw new ArgumentOutOfRangeException(
                nameof(width), $"{width} x {height} at ({left}, {top}) do not lie within {Width} x {Height}.");
        }
        if ((width, height) == (Width, Height))
            return this;
        return Wrap(width, height, Part(Pixels, 3), TransparentShare, AlphaPlane == null ? null : Part(AlphaPlane, 1));

        byte[] Part(byte[] plane, int channels)
        {
            byte[] part = new byte[channels * width * height];
            for (int row = 0; row < height; row++)
                plane.AsSpan(channels * ((top + row) * Width + left), channels * width).CopyTo(part.AsSpan(channels * row * width));
            return part;
        }
    }

    /// <summary>The colours alone, as Pillow's <c>convert("RGB")</c>: what was below alpha shows.</summary>
    public Image WithoutAlpha() => AlphaPlane == null ? this : Wrap(Width, Height, Pixels, TransparentShare);

    /// <summary>The opaque image that is seen on white paper, rounded as Pillow's <c>paste</c> with a mask does.</summary>
    public Image OverWhite()
    {
        if (AlphaPlane == null)
            return this;
        byte[] pixels = new byte[Pixels.Length];
        for (int i = 0; i < pixels.Length; i++)
        {
            int alpha = AlphaPlane[i / 3];
            pixels[i] = DividedBy255(255 * (255 - alpha) + Pixels[i] * alpha);
        }
        return Wrap(Width, Height, pixels);
    }

    /// <summary>A product of two bytes, or a sum of such that is no larger, over 255 and rounded, as Pillow computes it.</summary>
    internal static byte DividedBy255(int value) => (byte)((value + 128 + ((value + 128) >> 8)) >> 8);

    /// <summary>
    /// The colours as a tensor [1, height, width, 3] of values from 0 to 1, owned by the current <see cref="TensorScope"/>.
    /// </summary>
    /// <param name="device">Where the tensor lives.</param>
    public Tensor ToTensor(Device device) => Values(device, Pixels, 3);

    /// <summary>
    /// Alpha as a tensor [1, height, width, 1] of values from 0, invisible, to 1, owned by the current <see cref="TensorScope"/>.
    /// </summary>
    /// <param name="device">Where the tensor lives.</param>
    public Tensor AlphaTensor(Device device) =>
        AlphaPlane == null ? Tensor.Full(device, [1, Height, Width, 1], 1) : Values(device, AlphaPlane, 1);

    private Tensor Values(Device device, byte[] plane, int channels)
    {
        var tensor = Tensor.Empty(device, [1, Height, Width, channels]);
        using var view = tensor.Write();
        var values = view.Span;
        for (int i = 0; i < values.Length; i++)
            values[i] = plane[i] / 255f;
        return tensor;
    }

    /// <summary>
    /// Images from a tensor [batch, height, width, 3] of values from 0 to 1, which are clamped and rounded to nearest. A fourth channel is
    /// how opaque a pixel is: it is laid over white.
    /// </summary>
    /// <exception cref="NotFiniteException">A value is NaN or infinite: no colour stands for it.</exception>
    public static IReadOnlyList<Image> FromTensor(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var shape = tensor.Shape;
        if (shape.Rank != 4 || shape[3] is not (3 or 4))
            throw new ArgumentException($"An image tensor is [batch, height, width, 3 or 4], not {shape}.", nameof(tensor));
        using var view = tensor.Read();
        if (view.CountNotFinite() is > 0 and var wrong)
            throw new NotFiniteException($"The pixels are not finite: {wrong} of {shape.Count} values are NaN or infinite.");
        var images = new Image[shape[0]];
        for (int item = 0; item < images.Length; item++)
        {
            var pixels = new byte[shape[1] * shape[2] * 3];
            int at = 0;
            for (int y = 0; y < shape[1]; y++)
            {
                for (int x = 0; x < shape[2]; x++)
                {
                    var row = view.Row(item, y, x);
                    float opaque = shape[3] == 4 ? Math.Clamp(row[3], 0, 1) : 1;
                    foreach (float value in row[..3])
                        pixels[at++] = (byte)MathF.Round((1 - opaque + opaque * Math.Clamp(value, 0, 1)) * 255);
                }
            }
            images[item] = Wrap(shape[2], shape[1], pixels);
        }
        return images;
    }

    /// <summary>Pictures of one height next to each other.</summary>
    /// <exception cref="ArgumentException">There is none, or their heights differ.</exception>
    public static Image SideBySide(IReadOnlyList<Image> images)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.Count == 0 || images.Any(image => image.Height != images[0].Height))
            throw new ArgumentException("Pictures side by side are one or more of one height.", nameof(images));
        int width = images.Sum(image => image.Width);
        byte[] pixels = new byte[3 * width * images[0].Height];
        int left = 0;
        foreach (var image in images)
        {
            for (int row = 0; row < image.Height; row++)
                image.Pixels.AsSpan(3 * row * image.Width, 3 * image.Width).CopyTo(pixels.AsSpan(3 * (row * width + left)));
            left += image.Width;
        }
        return Wrap(width, images[0].Height, pixels);
    }

    /// <summary>An image of pixels that belong to nobody else; they are not copied.</summary>
    internal static Image Wrap(int width, int height, byte[] pixels, double transparentShare = 0, byte[]? alpha = null) =>
        new(pixels, alpha, width, height) { TransparentShare = transparentShare };

    /// <summary>Refuses sizes before anything is allocated for them.</summary>
    internal static void CheckSize(long width, long height, string name)
    {
        if (width * height > MaxPixels)
            throw new ImageException($"'{name}' has {width} x {height} pixels, expected {MaxPixels} at most.");
    }

    private static IImageReader ReaderOf(ReadOnlySpan<byte> bytes, string name)
    {
        foreach (var reader in ImageFormats.Readers)
        {
            if (reader.Matches(bytes))
                return reader;
        }
        throw new ImageException(
            $"'{name}' is {Describe(bytes)}; {ImageFormats.InWords(ImageFormats.Readers.Select(reader => reader.Name), "and")} images are "
                + "read.");
    }

    private static string Describe(ReadOnlySpan<byte> bytes) => bytes switch
    {
        [] => "empty",
        [0x89, (byte)'P', (byte)'N', (byte)'G', ..] => "a PNG file with a damaged signature, cut off or once copied as text",
        [(byte)'G', (byte)'I', (byte)'F', (byte)'8', ..] => "a GIF image",
        [(byte)'B', (byte)'M', ..] => "a BMP image",
        [(byte)'R', (byte)'I', (byte)'F', (byte)'F', _, _, _, _, (byte)'W', (byte)'E', (byte)'B', (byte)'P', ..] => "a WebP image",
        [(byte)'I', (byte)'I', 42, 0, ..] or [(byte)'M', (byte)'M', 0, 42, ..] => "a TIFF image",
        [_, _, _, _, (byte)'f', (byte)'t', (byte)'y', (byte)'p', ..] => "an AVIF, HEIF or video file",
        _ => "no image of a known format",
    };
}
