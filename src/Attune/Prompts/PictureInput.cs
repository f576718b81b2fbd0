using Attune.Imaging;
using Attune.Tensors;

namespace Attune.Prompts;

/// <summary>A picture that an encoder sees.</summary>
/// <param name="Image">The picture, of any size.</param>
public sealed record PictureInput(Image Image)
{
    private static readonly float[] Mean = [0.48145466f, 0.4578275f, 0.40821073f];
    private static readonly float[] Deviation = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary>
    /// As CLIPImageProcessor of transformers 5 makes it ready: the shorter side is brought to a size, the middle is cut out, and channels
    /// are normalised as CLIP's are. [1, size, size, 3], a tensor of the current scope.
    /// </summary>
    internal Tensor ForClip(int size, Device device)
    {
        int shorter = Math.Min(Image.Width, Image.Height);
        int Side(int pixels) => (int)((long)size * pixels / shorter);
        var (width, height) = (Side(Image.Width), Side(Image.Height));
        var middle = new Resampling(ResizeLibrary.Torch, ResizeFilter.Bicubic).Resize(Image.WithoutAlpha(), width, height)
            .Crop((width - size) / 2, (height - size) / 2, size, size);
        var pixels = middle.ToTensor(device).Subtract(Tensor.From(device, Mean, [3]));
        return pixels.Multiply(Tensor.From(device, [.. Deviation.Select(deviation => 1 / deviation)], [3]), into: pixels);
    }
}
