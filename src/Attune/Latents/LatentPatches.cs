using Attune.Attention;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>Latents packed two by two to a token, channels in the order (channel, row, column): FLUX.1, Qwen-Image, Chroma.</summary>
internal static class LatentPatches
{
    /// <summary>[count, height, width, channels] to [count, height / 2 width / 2, 4 channels].</summary>
    public static Tensor Pack(Tensor latents)
    {
        var (count, height, width, channels) = (latents.Shape[0], latents.Shape[1], latents.Shape[2], latents.Shape[3]);
        using var scope = new TensorScope();
        var packed = latents.Reshape(count, height / 2, 2, width / 2, 2, channels).Permute(0, 1, 3, 5, 2, 4);
        return scope.Keep(packed.Reshape(count, height / 2 * (width / 2), 4 * channels));
    }

    /// <summary>The inverse of <see cref="Pack"/>.</summary>
    public static Tensor Unpack(Tensor latents, LatentGrid grid)
    {
        var (count, channels) = (latents.Shape[0], latents.Shape[2] / 4);
        using var scope = new TensorScope();
        var unpacked = latents.Reshape(count, grid.Height, grid.Width, channels, 2, 2).Permute(0, 1, 4, 2, 5, 3);
        return scope.Keep(unpacked.Reshape(count, 2 * grid.Height, 2 * grid.Width, channels));
    }
}
