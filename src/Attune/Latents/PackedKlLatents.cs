using Attune.Attention;
using Attune.Autoencoders;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>
/// The latents of an <see cref="AutoencoderKl"/>, packed two by two to a token. Noise between steps is drawn packed.
/// </summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
internal class PackedKlLatents(AutoencoderKl vae, Device device) : KlLatents(vae, device, patch: 2)
{
    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) =>
        Normal(random, [count, grid.Height * grid.Width, 4 * Channels]);

    public override Tensor Pack(Tensor latents) => LatentPatches.Pack(latents);

    public override Tensor Unpack(Tensor latents, LatentGrid grid) => LatentPatches.Unpack(latents, grid);

    public override Tensor PackMask(Tensor mask, LatentGrid grid) => LatentPatches.PackMask(mask, ShapeOf(grid, 1));

    /// <summary>
    /// [latents of the picture without what is made anew, mask], as FLUX.1 Fill reads them: the mask's pixels under a latent are its
    /// channels, row by row, which are packed as those of latents are.
    /// </summary>
    public override Tensor BesideMasked(Tensor latents, Tensor mask)
    {
        using var scope = new TensorScope();
        var s = latents.Shape;
        var (rows, columns) = (mask.Shape[1] / s[1], mask.Shape[2] / s[2]);
        var whites = mask.Reshape(1, s[1], rows, s[2], columns).Permute(0, 1, 3, 2, 4).Reshape(1, s[1], s[2], rows * columns);
        var (picture, packed) = (Pack(latents), LatentPatches.Pack(whites));
        return scope.Keep(TensorOperations.Concatenate(2, picture, packed.Expand(0, s[0])));
    }
}
