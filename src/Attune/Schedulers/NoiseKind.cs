namespace Attune.Schedulers;

/// <summary>What kind of noise a model was trained with, and so which schedulers can undo it.</summary>
public enum NoiseKind
{
    /// <summary>Diffusion: latents are sqrt(abar) clean + sqrt(1 - abar) noise over a schedule of betas (DDPM, Stable Diffusion).</summary>
    Diffusion,

    /// <summary>Flow matching: latents are (1 - sigma) clean + sigma noise, the model predicts noise - clean (FLUX, SD3).</summary>
    FlowMatching,

    /// <summary>The preconditioning of Karras et al. (arXiv 2206.00364), whose timesteps are log(sigma) / 4 (Playground v2.5).</summary>
    Edm,

    /// <summary>Consistency models in trigonometric flow (arXiv 2410.11081; Sana-Sprint).</summary>
    Consistency,
}
