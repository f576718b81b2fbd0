using System.Text.Json.Nodes;
using Attune.Generation;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Tests.Pipelines;

/// <summary>Which scheduler fits which model: all of them times all families, from the user and from the folder.</summary>
[NoLeaks]
public class SchedulerFitTests
{
    private const string Flow = "prediction_type=flow_prediction,use_flow_sigmas=true";

    /// <summary>What each scheduler is made for. A new one gets its line.</summary>
    private static readonly Dictionary<string, NoiseKind> Kinds = new()
    {
        ["DDIMScheduler"] = NoiseKind.Diffusion,
        ["DDPMScheduler"] = NoiseKind.Diffusion,
        ["DEISMultistepScheduler"] = NoiseKind.Diffusion,
        ["DPMSolverMultistepScheduler"] = NoiseKind.Diffusion,
        ["DPMSolverSDEScheduler"] = NoiseKind.Diffusion,
        ["DPMSolverSinglestepScheduler"] = NoiseKind.Diffusion,
        ["EDMDPMSolverMultistepScheduler"] = NoiseKind.Edm,
        ["EDMEulerScheduler"] = NoiseKind.Edm,
        ["EulerAncestralDiscreteScheduler"] = NoiseKind.Diffusion,
        ["EulerDiscreteScheduler"] = NoiseKind.Diffusion,
        ["FlowMatchEulerDiscreteScheduler"] = NoiseKind.FlowMatching,
        ["FlowMatchHeunDiscreteScheduler"] = NoiseKind.FlowMatching,
        ["FlowMatchLCMScheduler"] = NoiseKind.FlowMatching,
        ["HeunDiscreteScheduler"] = NoiseKind.Diffusion,
        ["KDPM2AncestralDiscreteScheduler"] = NoiseKind.Diffusion,
        ["KDPM2DiscreteScheduler"] = NoiseKind.Diffusion,
        ["LCMScheduler"] = NoiseKind.Diffusion,
        ["LMSDiscreteScheduler"] = NoiseKind.Diffusion,
        ["PNDMScheduler"] = NoiseKind.Diffusion,
        ["SCMScheduler"] = NoiseKind.Consistency,
        ["TCDScheduler"] = NoiseKind.Diffusion,
        ["UniPCMultistepScheduler"] = NoiseKind.Diffusion,
    };

    private static readonly string[] Solvers =
        ["DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler"];

    public static TheoryData<string, NoiseKind> Models => new()
    {
        { "flux-schnell", NoiseKind.FlowMatching }, { "flux-dev", NoiseKind.FlowMatching }, { "sd35-medium", NoiseKind.FlowMatching },
        { "sd15", NoiseKind.Diffusion }, { "sd21", NoiseKind.Diffusion }, { "sdxl", NoiseKind.Diffusion },
    };

    private static GenerationRequest Request(string scheduler) => new()
    {
        Prompt = "a cat", Width = 64, Height = 64, Steps = 2, Scheduler = SchedulerChoice.Parse(scheduler), Guidance = GuidanceChoice.None,
    };

    [Fact]
    public void Every_scheduler_has_its_kind() =>
        Assert.Equal(Scheduler.SupportedClasses.Order(StringComparer.Ordinal), Kinds.Keys.Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Models))]
    public async Task A_scheduler_for_another_kind_of_noise_is_refused_before_a_step(string model, NoiseKind noise)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        foreach (var (name, kind) in Kinds)
        {
            if (kind == noise)
            {
                Assert.Equal(name, pipeline.Resolve(Request(name)).Scheduler.ClassName);
                continue;
            }
            string message = Assert.Throws<ArgumentException>(() => pipeline.Resolve(Request(name))).Message;
            Assert.Contains($"{name} does not fit {pipeline.Facts.ClassName}", message, StringComparison.Ordinal);
            Assert.All(Kinds.Where(other => other.Value == noise), fit => Assert.Contains(fit.Key, message, StringComparison.Ordinal));
            Assert.DoesNotContain("takes no", message, StringComparison.Ordinal);
            if (noise == NoiseKind.FlowMatching)
                Assert.Contains("UniPCMultistepScheduler with use_flow_sigmas=true,prediction_type=flow_prediction", message);
        }

        // It goes by what is computed, not by the class.
        foreach (string solver in Solvers)
        {
            if (noise == NoiseKind.FlowMatching)
                Assert.NotEmpty(await pipeline.GenerateAsync(Request($"{solver}:{Flow}")));
            else
                Assert.Throws<ArgumentException>(() => pipeline.Resolve(Request($"{solver}:{Flow}")));
            Assert.Contains(
                "mixes two kinds",
                Assert.Throws<ArgumentException>(() => pipeline.Resolve(Request($"{solver}:use_flow_sigmas=true"))).Message,
                StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("flux-schnell")]
    [InlineData("flux-dev")]
    [InlineData("sd35-medium")]
    public async Task Euler_heun_and_lcm_mean_flow_matching_on_its_models_and_this_is_said(string model)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
        var pictures = new List<string>();
        foreach (var (name, full) in new[]
        {
            ("euler", "FlowMatchEulerDiscreteScheduler"), ("Heun", "FlowMatchHeunDiscreteScheduler"), ("lcm", "FlowMatchLCMScheduler"),
        })
        {
            var resolved = pipeline.Resolve(Request(name));
            Assert.Equal(full, resolved.Scheduler.ClassName);
            Assert.Equal(full, resolved.Request.Scheduler!.ToString());         // what metadata say
            Assert.Contains(resolved.Warnings, warning => warning.Contains($"is {full}", StringComparison.Ordinal));
            Assert.Empty(pipeline.Resolve(Request(full)).Warnings);
            byte[] pixels = await Pictures.Pixels(pipeline, Request(name));
            Assert.Equal(pixels, await Pictures.Pixels(pipeline, Request(full)));
            pictures.Add(Convert.ToHexString(pixels));
        }
        Assert.Equal(3, pictures.Distinct().Count());
    }

    /// <summary>use_karras_sigmas is obeyed or refused, never ignored.</summary>
    [Fact]
    public async Task Spacings_are_obeyed_or_refused()
    {
        using var flux = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        byte[] plain = await Pictures.Pixels(flux, Request("euler") with { Steps = 4 });
        Assert.NotEqual(plain, await Pictures.Pixels(flux, Request("euler:use_karras_sigmas=true") with { Steps = 4 }));
        foreach (string refused in new[] { "heun:use_karras_sigmas=true", $"DPMSolverMultistep:{Flow},use_karras_sigmas=true" })
            Assert.ThrowsAny<Exception>(() => flux.Resolve(Request(refused)));
        using var sd = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var given = Request("euler:use_karras_sigmas=true") with { Steps = null, Sigmas = [14.6, 5, 1, 0] };
        Assert.Contains(
            "takes no Sigmas when its configuration spaces them",
            (await Assert.ThrowsAsync<ArgumentException>(() => sd.GenerateAsync(given))).Message, StringComparison.Ordinal);
    }

    /// <summary>The shift by the size of the picture, which FLUX.1-dev states, counts for every scheduler that fits.</summary>
    [Theory]
    [InlineData("heun")]
    [InlineData("UniPCMultistepScheduler:" + Flow)]
    [InlineData("DPMSolverMultistepScheduler:" + Flow)]
    public async Task The_shift_of_the_checkpoint_counts_for_other_schedulers(string scheduler)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-dev"));
        string separator = scheduler.Contains(':', StringComparison.Ordinal) ? "," : ":";
        Assert.NotEqual(
            await Pictures.Pixels(pipeline, Request(scheduler)),
            await Pictures.Pixels(pipeline, Request($"{scheduler}{separator}base_shift=2,max_shift=3")));
    }

    [Theory]
    [InlineData("flux-schnell")]
    [InlineData("sd35-medium")]
    [InlineData("sd15")]
    [InlineData("sdxl")]
    public void The_scheduler_of_a_folder_must_fit_too(string model)
    {
        using var folder = new TemporaryFolder();
        Repository.Copy(Repository.Golden("checkpoints", model), folder.Path);
        string config = folder.At(Path.Combine("scheduler", "scheduler_config.json"));
        bool flow = model is "flux-schnell" or "sd35-medium";
        foreach (var (name, kind) in Kinds)
        {
            File.WriteAllText(config, new JsonObject { ["_class_name"] = name }.ToJsonString());

            // Models with EDM's scaling have the form of SDXL: their folder tells.
            bool fits = flow ? kind == NoiseKind.FlowMatching : kind is NoiseKind.Diffusion or NoiseKind.Edm;
            if (fits)
            {
                using var pipeline = DiffusionPipeline.Load(folder.Path);
                continue;
            }
            string message = Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(folder.Path)).Message;
            Assert.Contains("scheduler_config.json", message, StringComparison.Ordinal);
            Assert.Contains($"{name} does not fit", message, StringComparison.Ordinal);
        }
        if (flow)
        {
            var json = new JsonObject
            {
                ["_class_name"] = "UniPCMultistepScheduler", ["use_flow_sigmas"] = true, ["prediction_type"] = "flow_prediction",
            };
            File.WriteAllText(config, json.ToJsonString());
            using var pipeline = DiffusionPipeline.Load(folder.Path);
        }
    }

    /// <summary>Where the number of steps does not divide 1000, the reference's last step misses the end of trailing timesteps.</summary>
    [Theory]
    [InlineData(7, false, false)]
    [InlineData(7, true, true)]
    [InlineData(20, false, true)]
    [InlineData(20, true, true)]
    public void DDIM_meets_trailing_timesteps_on_request(int steps, bool meets, bool arrives)
    {
        using var scope = new Attune.Tensors.TensorScope();
        var scheduler = Scheduler.From(
            ModelConfig.Parse("test", System.Text.Encoding.UTF8.GetBytes(new JsonObject
            {
                ["_class_name"] = "DDIMScheduler", ["timestep_spacing"] = "trailing", ["prediction_type"] = "sample",
                ["clip_sample"] = false, ["meets_timesteps"] = meets,
            }.ToJsonString())));
        using var run = scheduler.Begin(new SchedulerRequest { Steps = steps });
        var latents = Attune.Tensors.Tensor.Full(Host, [1, 4], 1);
        var clean = Attune.Tensors.Tensor.Full(Host, [1, 4], 0);
        for (int i = 0; i < run.Steps; i++)
            latents = run.Step(clean, i, latents, () => throw new InvalidOperationException("DDIM without eta draws no noise."));
        Assert.Equal(arrives, latents.ToArray().All(value => value == 0));
    }
}
