using Attune.Tensors;

namespace Attune.Models.Flux;

/// <summary>The inputs of one forward pass of <see cref="FluxTransformer"/>.</summary>
/// <param name="Latents">Packed latents, [batch, latents, in_channels].</param>
/// <param name="LatentIds">[latents, axes]: the position of each latent token on each rotary axis (0, row, column).</param>
/// <param name="Timesteps">The noise level t of each batch item, from 0 to 1 (the scheduler's timestep / 1000).</param>
/// <param name="Positive">The prompt.</param>
/// <param name="Negative">The negative prompt, for rules that read it in attention; null leaves it out. Any length.</param>
/// <param name="GuidanceScale">The embedded guidance scale, for models with <c>guidance_embeds</c>.</param>
public sealed record FluxInput(
    Tensor Latents, Tensor LatentIds, IReadOnlyList<float> Timesteps, Conditioning Positive, Conditioning? Negative = null,
    float? GuidanceScale = null);
