using Attune.Attention;
using Attune.Tensors;

namespace Attune.Models.Wan;

/// <summary>
/// The two networks of Wan 2.2: one for high noise, and one for the rest. They are built alike, and rules see one model, whose layers are
/// those of the network whose turn it is. Keys of the prompts are each network's own.
/// </summary>
/// <param name="high">Predicts from the first step on; owned from here on.</param>
/// <param name="low">Predicts at timesteps below the boundary; owned from here on.</param>
/// <param name="boundary">The timestep at which the first still predicts.</param>
internal sealed class WanExperts(WanTransformer high, WanTransformer low, double boundary) : Denoiser<WanConditioning>
{
    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites => high.Sites;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks => high.Blocks;

    /// <inheritdoc/>
    public override long ActivationBytes(LatentGrid grid, int count) => high.ActivationBytes(grid, count);

    /// <inheritdoc/>
    internal override int StreamWidth => high.StreamWidth;

    /// <inheritdoc/>
    public override int Experts => 2;

    /// <inheritdoc/>
    public override int ExpertOf(double timestep) => timestep >= boundary ? 0 : 1;

    /// <inheritdoc/>
    public override IReadOnlyList<int[]> PositionsOf(
        LatentGrid latents, IReadOnlyList<LatentGrid> references) =>
        high.PositionsOf(latents, references);

    /// <inheritdoc/>
    public override void Dispose()
    {
        high.Dispose();
        low.Dispose();
    }

    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, WanConditioning positive, WanConditioning? negative, Steering steering, CancellationToken cancellation)
    {
        int[] experts = [.. input.Timesteps.Select(timestep => ExpertOf(timestep)).Distinct()];
        return experts.Length == 1 ? (experts[0] == 0 ? high : low).Predict(input, steering, cancellation)
            : throw new ArgumentException($"The timesteps lie on both sides of {boundary}, where the networks change.", nameof(input));
    }
}
