using Attune.Tensors;

namespace Attune.Imaging;

/// <summary>An image of 8-bit RGB pixels, row by row from the top.</summary>
public sealed class Image
{
    /// <summary>Wraps pixels.</summary>
    /// <param name="width">In pixels.</param>
    /// <param name="height">In pixels.</param>
    /// <param name="pixels">Red, green, blue for each pixel: 3 width height bytes.</param>
    /// <exception cref="ArgumentException">The number of bytes does not fit the size.</exception>
    public Image(int width, int height, byte[] pixels)
    {
        ArgumentNullException.ThrowIfNull(pixels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        if (pixels.LongLength != 3L * width * height)
            throw new ArgumentException($"{pixels.LongLength} bytes do not make an RGB image of {width} x {height}.", nameof(pixels));
        (Width, Height, Pixels) = (width, height, pixels);
    }

    /// <summary>In pixels.</summary>
    public int Width { get; }

    /// <summary>In pixels.</summary>
    public int Height { get; }

    /// <summary>Red, green, blue for each pixel.</summary>
    public IReadOnlyList<byte> Rgb => Pixels;

    internal byte[] Pixels { get; }

    /// <summary>Images from a tensor [batch, height, width, 3] of values from 0 to 1, which are clamped and rounded to nearest.</summary>
    public static IReadOnlyList<Image> FromTensor(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var shape = tensor.Shape;
        if (shape.Rank != 4 || shape[3] != 3)
            throw new ArgumentException($"An image tensor is [batch, height, width, 3], not {shape}.", nameof(tensor));
        var images = new Image[shape[0]];
        for (int item = 0; item < images.Length; item++)
        {
            var pixels = new byte[shape[1] * shape[2] * 3];
            int at = 0;
            for (int y = 0; y < shape[1]; y++)
            {
                for (int x = 0; x < shape[2]; x++)
                {
                    foreach (float value in tensor.Row(item, y, x))
                        pixels[at++] = (byte)MathF.Round(Math.Clamp(float.IsNaN(value) ? 0 : value, 0, 1) * 255);
                }
            }
            images[item] = new Image(shape[2], shape[1], pixels);
        }
        return images;
    }
}
