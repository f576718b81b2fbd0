using Attune.Attention;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>
/// Patches of latents as tokens. FLUX.1, Qwen-Image and Chroma pack latents two by two, channels in the order (channel, row, column).
/// </summary>
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

    /// <summary>
    /// Pixels of a smaller size, [count, height, width, channels]: of each block the first, as torch's nearest interpolation takes them.
    /// </summary>
    /// <param name="pixels">[count, a multiple of height, a multiple of width, channels].</param>
    /// <param name="height">In latents.</param>
    /// <param name="width">In latents.</param>
    public static Tensor Nearest(Tensor pixels, int height, int width)
    {
        var (count, channels) = (pixels.Shape[0], pixels.Shape[3]);
        using var scope = new TensorScope();
        var blocks = pixels.Reshape(count, height, pixels.Shape[1] / height, width, pixels.Shape[2] / width, channels);
        return scope.Keep(blocks.Slice(2, 0, 1).Slice(4, 0, 1).Clone().Reshape(count, height, width, channels));
    }

    /// <summary>
    /// A mask of latents that are packed: the same for all channels of a latent.
    /// </summary>
    /// <param name="mask">[1, height, width, 1] in pixels.</param>
    /// <param name="latents">The shape of the latents, [count, height, width, channels].</param>
    /// <returns>[1, height / 2 width / 2, 4 channels]; a tensor of the current scope.</returns>
    public static Tensor PackMask(Tensor mask, Shape latents)
    {
        using var scope = new TensorScope();
        var whites = Nearest(mask, latents[1], latents[2]);
        return scope.Keep(Pack(TensorOperations.Concatenate(3, [.. Enumerable.Repeat(whites, latents[3])])));
    }

    /// <summary>
    /// Rows as a transformer's last layer gives them, channels in the order (row, column, channel), as a picture: the inverse of a
    /// convolution over patches.
    /// </summary>
    /// <param name="rows">[count, rows, patch * patch * channels].</param>
    /// <param name="grid">How the rows lie.</param>
    /// <param name="patch">How many latents, in each direction, are one row.</param>
    /// <param name="channels">How many of the channels are wanted, from the first; null for all.</param>
    /// <returns>[count, patch height, patch width, channels]; a tensor of the current scope.</returns>
    public static Tensor FromRows(Tensor rows, LatentGrid grid, int patch, int? channels = null)
    {
        int count = rows.Shape[0];
        using var scope = new TensorScope();
        var patches = rows.Reshape(count, grid.Height, grid.Width, patch, patch, -1);
        int wanted = channels ?? patches.Shape[5];
        return scope.Keep(
            patches.Slice(5, 0, wanted).Permute(0, 1, 3, 2, 4, 5).Reshape(count, patch * grid.Height, patch * grid.Width, wanted));
    }

    /// <summary>The same for the frames of videos.</summary>
    /// <param name="rows">[count, rows, patch * patch * channels], frame by frame.</param>
    /// <param name="grid">How the rows lie.</param>
    /// <param name="patch">How many latents, in each direction of a frame, are one row.</param>
    /// <returns>[count, frames, patch height, patch width, channels]; a tensor of the current scope.</returns>
    public static Tensor FramesFromRows(Tensor rows, LatentGrid grid, int patch)
    {
        int count = rows.Shape[0];
        using var scope = new TensorScope();
        var frames = FromRows(rows.Reshape(count * grid.Frames, grid.Height * grid.Width, rows.Shape[2]), grid with { Frames = 1 }, patch);
        return scope.Keep(frames.Reshape(count, grid.Frames, frames.Shape[1], frames.Shape[2], frames.Shape[3]));
    }
}
