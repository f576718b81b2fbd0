using Attune.Attention;
using Attune.Tensors;

namespace Attune.Models.Sana;

/// <summary>
/// Sana-Sprint (Chen et al., arXiv 2503.09641): a network that was trained on straight flows, as a model of trigonometric flow. Latents are
/// cos(t) clean + sin(t) noise, both times sigma_data; the timestep is the angle t.
/// </summary>
/// <param name="network">The network; owned from here on.</param>
/// <param name="sigmaData">The standard deviation of the latents.</param>
internal sealed class SanaSprint(SanaTransformer network, float sigmaData) : Denoiser<SanaConditioning>
{
    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites => network.Sites;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks => network.Blocks;

    /// <inheritdoc/>
    public override long ActivationBytes(LatentGrid grid, int count) => network.ActivationBytes(grid, count);

    /// <inheritdoc/>
    internal override int StreamWidth => network.StreamWidth;

    /// <inheritdoc/>
    public override bool EmbedsGuidanceScale => network.EmbedsGuidanceScale;

    /// <inheritdoc/>
    public override void Dispose() => network.Dispose();

    /// <summary>The prediction of trigonometric flow, [batch, height, width, channels].</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, SanaConditioning positive, SanaConditioning? negative, Steering steering, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        int batch = input.Latents.Shape[0];

        // On the straight path from clean to noise, the same share of noise stands at this time, where latents are shorter by this length.
        float[] times = [.. input.Timesteps.Select(angle => MathF.Sin(angle) / (MathF.Cos(angle) + MathF.Sin(angle)))];
        float[] lengths = [.. times.Select(time => MathF.Sqrt(time * time + (1 - time) * (1 - time)))];
        Tensor Numbers(Func<int, float> of) => Tensor.From(
            input.Latents.Device, [.. Enumerable.Range(0, batch).Select(item => of(times.Length == 1 ? 0 : item))], [batch, 1, 1, 1]);
        var latents = input.Latents.Multiply(Numbers(i => lengths[i] / sigmaData));
        var output = network.Predict(input with { Latents = latents, Timesteps = times }, steering, cancellation);
        input.Watch?.Invoke("model_output", output);
        latents.Multiply(Numbers(i => (1 - 2 * times[i]) / lengths[i] * sigmaData), into: latents);
        output.Multiply(Numbers(i => (1 - 2 * times[i] + 2 * times[i] * times[i]) / lengths[i] * sigmaData), into: output);
        return scope.Keep(latents.Add(output, into: latents));
    }
}
