namespace Attune.Schedulers;

/// <summary>
/// The names of samplers in ComfyUI and in AUTOMATIC1111's web UI, and what they are here: a class, with values that make it compute the
/// same. A name may be followed by that of a spacing of the noise levels: <c>dpmpp_2m karras</c>. Case, spaces, hyphens and underscores do
/// not count, and <c>++</c> is <c>pp</c>. Sampler by sampler as k-diffusion and diffusers compute them: <c>dpmpp_sde</c> is
/// <c>sample_dpmpp_sde</c>, hence DPMSolverSDEScheduler, though diffusers' table of names says DPMSolverSinglestepScheduler.
/// </summary>
internal static class SchedulerAliases
{
    private static readonly KeyValuePair<string, string>[] Sde = [new("algorithm_type", "sde-dpmsolver++")];

    private static readonly KeyValuePair<string, string>[] Plms = [new("skip_prk_steps", "true")];

    /// <summary>Samplers: the names in both programs, the class, its values.</summary>
    private static readonly (string[] Names, string ClassName, KeyValuePair<string, string>[] Values)[] Samplers =
    [
        (["euler"], nameof(EulerDiscreteScheduler), []),
        (["euler_ancestral", "euler a"], nameof(EulerAncestralDiscreteScheduler), []),
        (["heun"], nameof(HeunDiscreteScheduler), []),
        (["dpm_2", "dpm2"], nameof(KDPM2DiscreteScheduler), []),
        (["dpm_2_ancestral", "dpm2 a"], nameof(KDPM2AncestralDiscreteScheduler), []),
        (["lms"], nameof(LMSDiscreteScheduler), []),
        (["dpmpp_2m", "dpm++ 2m"], nameof(DPMSolverMultistepScheduler), []),
        (["dpmpp_2m_sde", "dpm++ 2m sde"], nameof(DPMSolverMultistepScheduler), Sde),
        (["dpmpp_sde", "dpm++ sde"], nameof(DPMSolverSDEScheduler), []),
        (["ddim"], nameof(DDIMScheduler), []),
        (["ddpm"], nameof(DDPMScheduler), []),
        (["plms"], nameof(PNDMScheduler), Plms),
        (["uni_pc", "unipc"], nameof(UniPCMultistepScheduler), []),
        (["deis"], nameof(DEISMultistepScheduler), []),
        (["lcm"], nameof(LCMScheduler), []),
        (["tcd"], nameof(TCDScheduler), []),
    ];

    /// <summary>Spacings of the noise levels, as they follow the name of a sampler.</summary>
    private static readonly (string Name, string Key, string Value)[] Spacings =
    [
        ("karras", "use_karras_sigmas", "true"), ("exponential", "use_exponential_sigmas", "true"), ("beta", "use_beta_sigmas", "true"),
        ("sgm_uniform", "timestep_spacing", "trailing"),
    ];

    /// <summary>The names of samplers, as the two programs write them.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Samplers.SelectMany(sampler => sampler.Names)];

    /// <summary>The names of spacings.</summary>
    public static IReadOnlyList<string> SpacingNames { get; } = [.. Spacings.Select(spacing => spacing.Name)];

    /// <summary>The class and the values that a name stands for; null when it is none of these.</summary>
    public static (string ClassName, IReadOnlyList<KeyValuePair<string, string>> Values)? Find(string text)
    {
        string bare = Bare(text);
        foreach (var (names, className, values) in Samplers)
        {
            foreach (string name in names.Select(Bare))
            {
                if (bare == name)
                    return (className, values);
                foreach (var (spacing, key, value) in Spacings)
                {
                    if (bare == name + Bare(spacing))
                        return (className, [.. values, new(key, value)]);
                }
            }
        }
        return null;
    }

    private static string Bare(string text) => string.Concat(
        text.Replace("++", "pp", StringComparison.Ordinal).Where(c => c is not (' ' or '-' or '_'))).ToUpperInvariant();
}
