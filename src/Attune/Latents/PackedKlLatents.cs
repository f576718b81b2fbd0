using Attune.Attention;
using Attune.Autoencoders;
using Attune.Tensors;

namespace Attune.Latents;

/// <summary>
/// The latents of an <see cref="AutoencoderKl"/>, packed two by two to a token. Noise between steps is drawn packed.
/// </summary>
/// <param name="vae">The autoencoder; owned from here on.</param>
/// <param name="device">Where latents live.</param>
internal sealed class PackedKlLatents(AutoencoderKl vae, Device device) : KlLatents(vae, device, patch: 2)
{
    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) =>
        Normal(random, [count, grid.Height * grid.Width, 4 * Channels]);

    public override Tensor Pack(Tensor latents) => LatentPatches.Pack(latents);

    public override Tensor Unpack(Tensor latents, LatentGrid grid) => LatentPatches.Unpack(latents, grid);
}
