using System.Text;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Tests.Schedulers;

/// <summary>Samplers by the names of ComfyUI and AUTOMATIC1111's web UI.</summary>
public class SchedulerAliasTests
{
    private static readonly ModelConfig Own = ModelConfig.Parse(
        "scheduler_config.json",
        Encoding.UTF8.GetBytes(
            """
            {
              "_class_name": "PNDMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
              "beta_schedule": "scaled_linear", "steps_offset": 1
            }
            """));

    [Theory]
    [InlineData("euler", "EulerDiscreteScheduler")]
    [InlineData("euler_ancestral", "EulerAncestralDiscreteScheduler")]
    [InlineData("euler a", "EulerAncestralDiscreteScheduler")]
    [InlineData("Euler a", "EulerAncestralDiscreteScheduler")]
    [InlineData("heun", "HeunDiscreteScheduler")]
    [InlineData("dpm_2", "KDPM2DiscreteScheduler")]
    [InlineData("DPM2 a Karras", "KDPM2AncestralDiscreteScheduler:use_karras_sigmas=true")]
    [InlineData("dpm_2_ancestral", "KDPM2AncestralDiscreteScheduler")]
    [InlineData("lms", "LMSDiscreteScheduler")]
    [InlineData("LMS Karras", "LMSDiscreteScheduler:use_karras_sigmas=true")]
    [InlineData("dpmpp_2m", "DPMSolverMultistepScheduler")]
    [InlineData("dpmpp_2m karras", "DPMSolverMultistepScheduler:use_karras_sigmas=true")]
    [InlineData("DPM++ 2M Karras", "DPMSolverMultistepScheduler:use_karras_sigmas=true")]
    [InlineData("dpmpp_2m_sde", "DPMSolverMultistepScheduler:algorithm_type=sde-dpmsolver++")]
    [
        InlineData(
            "DPM++ 2M SDE Exponential", "DPMSolverMultistepScheduler:algorithm_type=sde-dpmsolver++,use_exponential_sigmas=true")]
    [InlineData("dpmpp_sde", "DPMSolverSDEScheduler")]
    [InlineData("uni_pc", "UniPCMultistepScheduler")]
    [InlineData("unipc", "UniPCMultistepScheduler")]
    [InlineData("lcm", "LCMScheduler")]
    [InlineData("ddim", "DDIMScheduler")]
    [InlineData("deis", "DEISMultistepScheduler")]
    [InlineData("plms", "PNDMScheduler:skip_prk_steps=true")]
    [InlineData("euler sgm_uniform", "EulerDiscreteScheduler:timestep_spacing=trailing")]
    [InlineData("dpmpp_2m karras:use_karras_sigmas=false", "DPMSolverMultistepScheduler:use_karras_sigmas=false")]
    [InlineData("dpmpp_2m:solver_order=3", "DPMSolverMultistepScheduler:solver_order=3")]
    public void A_name_is_a_class_and_values(string name, string meaning) =>
        Assert.Equal(meaning, SchedulerChoice.Parse(name).ToString());

    public static TheoryData<string> Names => [.. SchedulerAliases.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_name_begins_a_run_alone_and_with_a_spacing_that_its_class_reads(string name)
    {
        var chosen = SchedulerChoice.Parse(name).For(Own);
        using (var run = chosen.Begin(new SchedulerRequest { Steps = 6 }))
            Assert.True(run.Steps >= 6);
        Assert.Same(chosen.GetType(), SchedulerChoice.Parse(name.ToUpperInvariant()).For(Own).GetType());
        int read = 0;
        foreach (string spacing in SchedulerAliases.SpacingNames)
        {
            try
            {
                using var run = SchedulerChoice.Parse($"{name} {spacing}").For(Own).Begin(new SchedulerRequest { Steps = 6 });
                read++;
            }
            catch (CheckpointException error)
            {
                Assert.Contains(" does not read '", error.Message, StringComparison.Ordinal);
            }
        }
        Assert.True(read > 0 || chosen is PNDMScheduler or LCMScheduler or TCDScheduler or DDIMScheduler or DDPMScheduler, name);
    }
}
