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
