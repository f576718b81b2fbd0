using Attune.Attention;
using Attune.Autoencoders;
using Attune.Latents;
using Attune.Tensors;

namespace Attune.Models.Flux;

/// <summary>
/// The latents of FLUX.1: packed two by two to a token, channels in the order (channel, row, column). Noise between steps is drawn packed.
/// </summary>
internal sealed class FluxLatents(AutoencoderKl vae, Device device) : KlLatents(vae, device, patch: 2)
{
    public override Tensor DrawStep(TorchRandom random, LatentGrid grid, int count) =>
        Normal(random, [count, grid.Height * grid.Width, 4 * Channels]);

    public override Tensor Pack(Tensor latents) => LatentPatches.Pack(latents);

    public override Tensor Unpack(Tensor latents, LatentGrid grid) => LatentPatches.Unpack(latents, grid);
}
