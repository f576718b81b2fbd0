using System.Text;
using System.Text.Json.Nodes;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Schedulers;

/// <summary>
/// What holds for every scheduler, beyond the golden values: each test runs over all configurations of the golden set, or over those that
/// it is about.
/// </summary>
[NoLeaks]
public class SchedulerTests
{
    private const string StableDiffusion = """ "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear" """;
    private static readonly string Folder = Repository.Golden("checkpoints", "schedulers");

    public static TheoryData<string> Configurations() =>
        [.. Directory.EnumerateDirectories(Folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    [Fact]
    public void Every_class_has_a_configuration()
    {
        var seen = Directory.EnumerateDirectories(Folder).Select(folder => Scheduler.Load(folder).ClassName);
        Assert.Empty(Scheduler.SupportedClasses.Except(seen));
    }

    /// <summary>If the model always means the same clean sample, the run ends there, as far as its last level is free of noise.</summary>
    [Theory]
    [MemberData(nameof(Configurations))]
    public void A_model_that_knows_the_answer_ends_at_it(string name)
    {
        var scheduler = Scheduler.Load(Path.Combine(Folder, name));
        foreach (int steps in new[] { 1, 2, 3, 5, 7, 11, 16, 23 })
        {
            if (name == "pndm-prk" && steps < 4)
                continue;
            using var scope = new TensorScope();
            using var run = scheduler.Begin(Request(scheduler, steps));
            var clean = Clean();
            var noise = new NoiseFrom(7);
            var latents = run.AddNoise(clean, noise.Draw());
            for (int i = 0; i < run.Steps; i++)
            {
                var prediction = run.FromCleanSample(clean, i, latents);
                latents = run.Step(WithVariance(name, prediction), i, latents, noise.Draw);
                Assert.All(latents.ToArray(), value => Assert.True(float.IsFinite(value), $"{name}, step {i} of {steps}"));
            }
            AssertEndsAt(clean, latents, scheduler, run, $"{name}, {steps} steps");
        }
    }

    [Theory]
    [MemberData(nameof(Configurations))]
    public void Clean_samples_and_predictions_are_inverse(string name)
    {
        var scheduler = Scheduler.Load(Path.Combine(Folder, name));
        using var scope = new TensorScope();
        using var run = scheduler.Begin(Request(scheduler, 5));
        var noise = new NoiseFrom(3);
        for (int i = 0; i < run.Steps; i++)
        {
            var latents = run.AddNoise(Clean(), noise.Draw(), i);
            var prediction = noise.Draw();
            var back = run.FromCleanSample(run.ToCleanSample(WithVariance(name, prediction), i, latents), i, latents);

            // Where there is little noise, the clean sample hardly depends on the prediction, and digits are lost.
            var clean = run.ToCleanSample(WithVariance(name, back), i, latents);
            Assert.True(
                Distance(clean, run.ToCleanSample(WithVariance(name, prediction), i, latents)) < 1e-3 * Math.Max(1, Largest(clean)),
                $"{name}, step {i}");
            if (run.SigmaOf(i) > 0.05)
                Assert.True(Distance(back, prediction) < 1e-2, $"{name}, step {i}: {Distance(back, prediction)}");
        }
    }

    [Theory]
    [MemberData(nameof(Configurations))]
    public void Lists_are_consistent(string name)
    {
        var scheduler = Scheduler.Load(Path.Combine(Folder, name));
        foreach (int steps in new[] { 4, 9, 28, 50 })
        {
            using var run = scheduler.Begin(Request(scheduler, steps));
            int expected = scheduler is PNDMScheduler ? (name == "pndm-prk" ? steps + 9 : steps + 1)
                : (scheduler.Order * steps) - (scheduler.Order - 1);
            Assert.Equal(expected, run.Steps);
            Assert.True(run.Sigmas.Count > run.Steps);
            Assert.True(run.InitialNoiseSigma > 0);
            if (scheduler is PNDMScheduler or FlowMatchEulerDiscreteScheduler)
                continue;
            for (int i = 1; i < run.Steps; i++)
            {
                Assert.True(
                    run.TimestepOf(i) <= run.TimestepOf(i - 1) + 1e-3,
                    $"{name}: timestep {run.TimestepOf(i)} after {run.TimestepOf(i - 1)}");
                Assert.True(run.SigmaOf(i) <= run.SigmaOf(i - 1) * 1.00001, $"{name}: sigma {run.SigmaOf(i)} after {run.SigmaOf(i - 1)}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Configurations))]
    public void Strength_is_a_begin_index(string name)
    {
        var scheduler = Scheduler.Load(Path.Combine(Folder, name));
        if (name == "pndm-prk")
        {
            Assert.Throws<ArgumentException>(() => scheduler.Begin(Request(scheduler, 10) with { Strength = 0.35 }));
            return;
        }
        using var whole = scheduler.Begin(Request(scheduler, 10));
        using var part = scheduler.Begin(Request(scheduler, 10) with { Strength = 0.35 });

        // 10 x 0.35 is 3 or 4 steps: down in the family of Stable Diffusion, up for flow matching.
        int steps = scheduler is FlowMatchScheduler ? 4 : 3;
        int begin = (10 - steps) * scheduler.Order;
        Assert.Equal(begin, scheduler.BeginIndexOf(10, 0.35));
        Assert.Equal(whole.Steps - begin, part.Steps);
        Assert.Equal(whole.TimestepOf(begin), part.TimestepOf(0));
        Assert.Equal(whole.Timesteps, part.Timesteps);
        using var scope = new TensorScope();
        var noise = new NoiseFrom(1);
        var clean = Clean();
        var latents = part.AddNoise(clean, noise.Draw());
        for (int i = 0; i < part.Steps; i++)
            latents = part.Step(WithVariance(name, part.FromCleanSample(clean, i, latents)), i, latents, noise.Draw);
        AssertEndsAt(clean, latents, scheduler, part, name);
    }

    /// <summary>
    /// For normal data the best model and its path are known in closed form: with twice the steps between the same levels the error of a
    /// solver of order p falls by 2^p.
    /// </summary>
    [Theory]
    [InlineData("DDIMScheduler", "", 1)]
    [InlineData("EulerDiscreteScheduler", "\"use_exponential_sigmas\": true", 1)]
    [InlineData("HeunDiscreteScheduler", "\"use_exponential_sigmas\": true", 2)]
    [InlineData("KDPM2DiscreteScheduler", "\"use_exponential_sigmas\": true", 2)]
    [InlineData("LMSDiscreteScheduler", "\"use_exponential_sigmas\": true", 2)]
    [InlineData("DPMSolverMultistepScheduler", "\"use_exponential_sigmas\": true, \"solver_order\": 1", 1)]
    [InlineData("DPMSolverMultistepScheduler", "\"use_exponential_sigmas\": true", 2)]
    [InlineData("DPMSolverMultistepScheduler", "\"use_exponential_sigmas\": true, \"solver_type\": \"heun\"", 2)]
    // Its first step is of order 1, which shows here.
    [InlineData("DPMSolverMultistepScheduler", "\"use_exponential_sigmas\": true, \"solver_order\": 3", 2)]
    [
        InlineData(
            "DPMSolverMultistepScheduler",
            "\"use_exponential_sigmas\": true, \"solver_order\": 3, \"algorithm_type\": \"dpmsolver\", \"final_sigmas_type\": "
                + "\"sigma_min\"",
            2)]
    [InlineData("DPMSolverSinglestepScheduler", "\"use_exponential_sigmas\": true, \"solver_order\": 2", 2)]
    [InlineData("DPMSolverSinglestepScheduler", "\"use_exponential_sigmas\": true, \"solver_order\": 3, \"solver_type\": \"heun\"", 2)]
    [InlineData("DEISMultistepScheduler", "\"use_exponential_sigmas\": true, \"solver_order\": 1", 1)]
    [InlineData("DEISMultistepScheduler", "\"use_exponential_sigmas\": true, \"solver_order\": 2", 2)]
    [InlineData("DEISMultistepScheduler", "\"use_exponential_sigmas\": true, \"solver_order\": 3", 3)]
    [InlineData("UniPCMultistepScheduler", "\"use_exponential_sigmas\": true", 2)]
    [InlineData("UniPCMultistepScheduler", "\"use_exponential_sigmas\": true, \"solver_order\": 3", 3)]
    [
        InlineData(
            "UniPCMultistepScheduler",
            "\"use_exponential_sigmas\": true, \"solver_type\": \"bh1\", \"predict_x0\": false, \"final_sigmas_type\": \"sigma_min\"", 2)]
    [InlineData("FlowMatchEulerDiscreteScheduler", "", 1)]
    [InlineData("FlowMatchHeunDiscreteScheduler", "", 2)]
    [InlineData("EDMEulerScheduler", "", 1)]
    [InlineData("EDMDPMSolverMultistepScheduler", "", 2)]
    public void Solvers_converge_as_their_order_says(string type, string options, int order)
    {
        string betas = type.StartsWith("EDM", StringComparison.Ordinal) || type.StartsWith("Flow", StringComparison.Ordinal) ? ""
            : ", " + StableDiffusion;
        var scheduler = Parse($$"""{"_class_name": "{{type}}"{{betas}}{{(options.Length > 0 ? ", " + options : "")}}}""");
        double coarse = PathError(scheduler, 20);
        double fine = PathError(scheduler, 40);
        Assert.True(fine < 0.1 && (coarse / fine > 0.75 * Math.Pow(2, order) || fine < 1e-5), $"{coarse} with 20 steps, {fine} with 40");
    }

    /// <summary>Samplers that add noise keep the variance of normal data.</summary>
    [Theory]
    [InlineData("EulerAncestralDiscreteScheduler", "")]
    [InlineData("KDPM2AncestralDiscreteScheduler", "")]
    [InlineData("DPMSolverMultistepScheduler", "\"algorithm_type\": \"sde-dpmsolver++\"")]
    [InlineData("DPMSolverMultistepScheduler", "\"algorithm_type\": \"sde-dpmsolver++\", \"solver_type\": \"heun\"")]
    [InlineData("DPMSolverMultistepScheduler", "\"algorithm_type\": \"sde-dpmsolver\", \"final_sigmas_type\": \"sigma_min\"")]
    [InlineData("DDPMScheduler", "\"clip_sample\": false")]
    [InlineData("DDPMScheduler", "\"clip_sample\": false, \"variance_type\": \"fixed_large\"")]
    [InlineData("DDIMScheduler", "\"clip_sample\": false")]
    public void Noise_keeps_the_variance(string type, string options)
    {
        var scheduler = Parse($$"""{"_class_name": "{{type}}", {{StableDiffusion}}{{(options.Length > 0 ? ", " + options : "")}}}""");
        using var run = scheduler.Begin(new SchedulerRequest { Steps = 100, Eta = scheduler is DDIMScheduler ? 1 : null });
        using var scope = new TensorScope();
        var random = new TorchRandom(5);
        Tensor Draw()
        {
            var drawn = Tensor.Empty(Host, [8192]);
            random.Normal(drawn.Span);
            return drawn;
        }
        const double Deviation = 0.6;
        var latents = Draw().Affine(run.InitialNoiseSigma);
        for (int i = 0; i < run.Steps; i++)
            latents = run.Step(
                run.FromCleanSample(latents.Affine((float)BestModel(scheduler, run, i, Deviation)), i, latents), i, latents, Draw);
        double variance = latents.ToArray().Average(value => (double)value * value);
        Assert.InRange(Math.Sqrt(variance), Deviation * 0.93, Deviation * 1.07);
    }

    [Theory]
    [InlineData("DDIMScheduler")]
    [InlineData("EulerDiscreteScheduler")]
    [InlineData("DPMSolverMultistepScheduler")]
    public void Trailing_timesteps_are_as_many_as_asked_for(string type)
    {
        var scheduler = Parse($$"""{"_class_name": "{{type}}", {{StableDiffusion}}, "timestep_spacing": "trailing"}""");
        for (int steps = 1; steps <= 1000; steps += steps < 130 ? 1 : 29)
        {
            using var run = scheduler.Begin(new SchedulerRequest { Steps = steps });
            Assert.Equal(steps, run.Steps);
            Assert.Equal(999, run.TimestepOf(0));
            Assert.True(run.TimestepOf(steps - 1) >= 0);
        }
    }

    [Theory]
    [InlineData("EulerAncestralDiscreteScheduler")]
    [InlineData("LCMScheduler")]
    [InlineData("TCDScheduler")]
    [InlineData("SCMScheduler")]
    [InlineData("FlowMatchLCMScheduler")]
    [InlineData("DPMSolverSDEScheduler")]
    public void Missing_noise_is_an_error_that_names_the_scheduler(string type)
    {
        using var scope = new TensorScope();
        using var run = Parse($$"""{"_class_name": "{{type}}"}""").Begin(new SchedulerRequest { Steps = 3 });
        var latents = Clean();
        Assert.Contains(type, Assert.Throws<ArgumentException>(() => run.Step(latents, 0, latents)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "[2]", Assert.Throws<ArgumentException>(() => run.Step(latents, 0, latents, () => Tensor.From(Host, [1f, 2], [2]))).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("PNDMScheduler", "\"skip_prk_steps\": true")]
    [InlineData("HeunDiscreteScheduler", "")]
    [InlineData("UniPCMultistepScheduler", "")]
    [InlineData("DPMSolverMultistepScheduler", "")]
    [InlineData("LMSDiscreteScheduler", "")]
    public void Steps_out_of_order_are_an_error_where_history_counts(string type, string options)
    {
        using var scope = new TensorScope();
        using var run = Parse($$"""
            {"_class_name": "{{type}}"{{(options.Length > 0 ? ", " + options : "")}}}
            """).Begin(new SchedulerRequest { Steps = 5 });
        var latents = Clean();
        Assert.Contains(
            "1 was asked for, 0 comes next", Assert.Throws<InvalidOperationException>(() => run.Step(latents, 1, latents)).Message,
            StringComparison.Ordinal);
        latents = run.Step(latents, 0, latents);
        latents = run.Step(latents, 1, latents);
        Assert.Throws<InvalidOperationException>(() => run.Step(latents, 1, latents));
        Assert.Throws<ArgumentOutOfRangeException>(() => run.Step(latents, run.Steps, latents));
        run.Step(latents, 2, latents);
        run.Dispose();
        run.Dispose();
        Assert.Throws<ObjectDisposedException>(() => run.Step(latents, 3, latents));
    }

    [Fact]
    public void Steps_without_history_may_be_repeated()
    {
        using var scope = new TensorScope();
        using var run = Parse("""{"_class_name": "EulerDiscreteScheduler"}""").Begin(new SchedulerRequest { Steps = 5 });
        var (latents, prediction) = (Clean(), new NoiseFrom(2).Draw());
        Assert.Equal(run.Step(prediction, 3, latents).ToArray(), run.Step(prediction, 3, latents).ToArray());
    }

    [Fact]
    public void Shapes_must_fit()
    {
        using var scope = new TensorScope();
        using var run = Parse("""{"_class_name": "DDIMScheduler"}""").Begin(new SchedulerRequest { Steps = 5 });
        Assert.Contains(
            "[1, 2, 2, 3]", Assert.Throws<ArgumentException>(() => run.Step(Clean().Slice(1, 0, 1), 0, Clean())).Message,
            StringComparison.Ordinal);
        using var learned = Parse("""
            {"_class_name": "DDPMScheduler", "variance_type": "learned_range"}
            """).Begin(new SchedulerRequest { Steps = 5 });
        Assert.Contains(
            "[1, 2, 2, 6]", Assert.Throws<ArgumentException>(() => learned.Step(Clean(), 0, Clean())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Requests_are_checked()
    {
        var euler = Parse("""{"_class_name": "EulerDiscreteScheduler"}""");
        var ddim = Parse("""{"_class_name": "DDIMScheduler"}""");
        var lcm = Parse("""{"_class_name": "LCMScheduler"}""");
        var scm = Parse("""{"_class_name": "SCMScheduler"}""");
        var heun = Parse("""{"_class_name": "HeunDiscreteScheduler"}""");
        var karras = Parse("""{"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true}""");
        Refused(euler, new SchedulerRequest(), "exactly one");
        Refused(euler, new SchedulerRequest { Steps = 3, Sigmas = [3, 1, 0] }, "exactly one");
        Refused(euler, new SchedulerRequest { Steps = 0 }, "not 0");
        Refused(euler, new SchedulerRequest { Steps = 1001 }, "1000");
        Refused(euler, new SchedulerRequest { Sigmas = [1] }, "not 0");
        Refused(euler, new SchedulerRequest { Sigmas = [3, 4, 0] }, "Sigmas must fall, but 3 is followed by 4");
        Refused(euler, new SchedulerRequest { Sigmas = [double.NaN, 1, 0] }, "Sigmas[0] is NaN");
        Refused(euler, new SchedulerRequest { Sigmas = [double.PositiveInfinity, 1, 0] }, "Sigmas[0]");
        Refused(euler, new SchedulerRequest { Sigmas = [3, -1] }, "Sigmas[1] is -1");
        var flow = Parse("""{"_class_name": "FlowMatchEulerDiscreteScheduler"}""");
        Refused(flow, new SchedulerRequest { Sigmas = [1.5, 0.5] }, "Sigmas[0] is 1.5, expected a noise level above 0 and at most 1");
        Refused(flow, new SchedulerRequest { Sigmas = [1, 0.5, 0] }, "Sigmas[2] is 0");
        Refused(flow, new SchedulerRequest { Sigmas = [1, 0.5, 0.5] }, "must fall");
        Refused(euler, new SchedulerRequest { Timesteps = [5, 5] }, "fall");
        Refused(euler, new SchedulerRequest { Steps = 5, BeginIndex = 5 }, "BeginIndex is 5");
        Refused(euler, new SchedulerRequest { Steps = 5, BeginIndex = -1 }, "BeginIndex is -1");
        Refused(euler, new SchedulerRequest { Steps = 5, BeginIndex = 1, Strength = 0.5 }, "BeginIndex is 1");
        Refused(euler, new SchedulerRequest { Steps = 5, Strength = 0 }, "Strength is 0");
        Refused(euler, new SchedulerRequest { Steps = 5, Strength = 1.5 }, "Strength is 1.5");
        Refused(euler, new SchedulerRequest { Steps = 5, Strength = double.NaN }, "Strength");
        Refused(euler, new SchedulerRequest { Steps = 5, Strength = 0.1 }, "leaves no step");
        Refused(karras, new SchedulerRequest { Timesteps = [5, 4] }, "spaces sigmas");
        Refused(ddim, new SchedulerRequest { Timesteps = [5, 4] }, "DDIMScheduler takes no Timesteps");
        Refused(ddim, new SchedulerRequest { Sigmas = [1, 0] }, "DDIMScheduler takes no Sigmas");
        foreach (float eta in new[] { -1, 1.01f, 2, float.NaN })
        {
            foreach (var takesEta in new[] { ddim, Scheduler.From(ddim.Config, "TCDScheduler") })
                Refused(takesEta, new SchedulerRequest { Steps = 5, Eta = eta }, "expected 0 to 1");
        }
        Refused(Parse("""{"_class_name": "DDIMScheduler", "steps_offset": 1}"""), new SchedulerRequest { Steps = 1000 }, "steps_offset");
        Refused(lcm, new SchedulerRequest { Steps = 51 }, "at most 50");
        Refused(lcm, new SchedulerRequest { Steps = 5, ScheduleStrength = 0 }, "ScheduleStrength is 0");
        Refused(lcm, new SchedulerRequest { Timesteps = [1000, 5] }, "1000");
        Refused(scm, new SchedulerRequest { Steps = 3, IntermediateTimestep = 1.3 }, "2 steps");
        Refused(heun, new SchedulerRequest { Steps = 5, BeginIndex = 3 }, "even");
        Refused(Parse("""
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": true}
            """), new SchedulerRequest { Steps = 5 }, "Mu is missing");
        Refused(Parse("""{"_class_name": "PNDMScheduler"}"""), new SchedulerRequest { Steps = 3 }, "4 steps");
    }

    [Theory]
    [InlineData("""{"_class_name": "NoSuchScheduler"}""", "NoSuchScheduler is not supported; supported are DDIMScheduler, ")]
    [InlineData("""{"beta_start": 1}""", "_class_name")]
    [InlineData("""{"_class_name": "EulerDiscreteScheduler", "beta_schedule": "cubic"}""", "beta_schedule is 'cubic'")]
    [InlineData("""{"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "odd"}""", "timestep_spacing is 'odd'")]
    [InlineData("""{"_class_name": "EulerDiscreteScheduler", "prediction_type": "score"}""", "prediction_type is 'score'")]
    [InlineData("""{"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true, "use_beta_sigmas": true}""", "use_beta_sigmas")]
    [InlineData("""{"_class_name": "EulerDiscreteScheduler", "trained_betas": [0.1, 0.2]}""", "trained_betas")]
    [InlineData("""{"_class_name": "DDIMScheduler", "num_train_timesteps": 0}""", "num_train_timesteps is 0")]
    [InlineData("""{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver"}""", "final_sigmas_type")]
    [InlineData("""{"_class_name": "DPMSolverMultistepScheduler", "solver_order": 4}""", "solver_order is 4")]
    [InlineData("""{"_class_name": "UniPCMultistepScheduler", "shift_terminal": 0.1}""", "use_flow_sigmas")]
    [InlineData("""{"_class_name": "DDPMScheduler", "variance_type": "guessed"}""", "variance_type is 'guessed'")]
    [InlineData("""{"_class_name": "FlowMatchLCMScheduler", "scale_factors": [0.5]}""", "scale_factors")]
    public void Configurations_that_mean_nothing_are_refused(string json, string message)
    {
        var exception = Assert.Throws<CheckpointException>(() => Parse(json));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.Contains("test.json", exception.Message, StringComparison.Ordinal);
    }

    /// <summary>Each number replaced by one without a meaning: refused as documented, or a run without any other exception.</summary>
    [Theory]
    [MemberData(nameof(Configurations))]
    public void A_number_that_makes_no_sense_is_refused_or_does_no_harm(string name)
    {
        string valid = File.ReadAllText(Path.Combine(Folder, name, "scheduler_config.json"));
        var keys = JsonNode.Parse(valid)!.AsObject().Where(
            pair => pair.Value?.GetValueKind() == System.Text.Json.JsonValueKind.Number).Select(pair => pair.Key).ToArray();
        int refused = 0;
        foreach (string key in keys.Where(key => !key.StartsWith('_')))
        {
            foreach (double value in new[] { -1, 0, 1e-30, 0.5, int.MaxValue, 1e30 })
            {
                var damaged = JsonNode.Parse(valid)!;
                damaged[key] = value;
                long before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    var scheduler = Parse(damaged.ToJsonString());
                    using var scope = new TensorScope();
                    using var run = scheduler.Begin(Request(scheduler, 5));
                    var noise = new NoiseFrom(7);
                    var latents = noise.Draw();
                    for (int i = 0; i < run.Steps; i++)
                        latents = run.Step(WithVariance(name, noise.Draw()), i, latents, noise.Draw);
                }
                catch (Exception exception) when (exception is CheckpointException or ArgumentException)
                {
                    refused++;
                }
                Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 256 << 20, $"{key} = {value}");
            }
        }
        Assert.True(refused >= keys.Length / 2, $"{refused} of {keys.Length} numbers times 6");
    }

    /// <summary>
    /// As from_config of diffusers: what is stated stays, what is not stated takes the new class's default, overrides win.
    /// </summary>
    [Fact]
    public void A_configuration_can_be_given_to_another_class()
    {
        var euler = Parse($$"""
            {"_class_name": "EulerDiscreteScheduler", {{StableDiffusion}}, "timestep_spacing": "leading", "steps_offset": 1,
            "lambda_min_clipped": -Infinity}
            """);
        using var leading = euler.Begin(new SchedulerRequest { Steps = 4 });
        Assert.Equal([751, 501, 251, 1], leading.Timesteps);
        var trailing = Scheduler.From(euler.Config, null, new Dictionary<string, JsonNode?> { ["timestep_spacing"] = "trailing" });
        Assert.IsType<EulerDiscreteScheduler>(trailing);
        using var run = trailing.Begin(new SchedulerRequest { Steps = 4 });
        Assert.Equal([999, 749, 499, 249], run.Timesteps);
        var lcm = Assert.IsType<LCMScheduler>(Scheduler.From(euler.Config, "LCMScheduler"));
        using var four = lcm.Begin(new SchedulerRequest { Steps = 4 });
        Assert.Equal([999, 759, 499, 259], four.Timesteps);

        // linspace is only the default of the first class; a value that was removed is as one that was never there.
        var ddim = Scheduler.From(
            euler.Config, "DDIMScheduler", new Dictionary<string, JsonNode?> { ["timestep_spacing"] = null, ["steps_offset"] = 0 });
        using var evenly = ddim.Begin(new SchedulerRequest { Steps = 4 });
        Assert.Equal([750, 500, 250, 0], evenly.Timesteps);
        var multistep = Scheduler.From(euler.Config, "DPMSolverMultistepScheduler");
        using var solver = multistep.Begin(new SchedulerRequest { Steps = 4 });
        Assert.Equal(4, solver.Steps);
    }

    [Fact]
    public void A_terminal_shift_of_one_step_is_finite()
    {
        using var run = Parse("""
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift_terminal": 0.1}
            """).Begin(new SchedulerRequest { Sigmas = [1.0] });
        Assert.Equal([1, 0], run.Sigmas);
    }

    /// <summary>Beta(0.6, 0.6): symmetric, and arcsine for a = 1/2, where the quantile is known.</summary>
    [Fact]
    public void Beta_quantiles()
    {
        for (int i = 0; i <= 20; i++)
        {
            double p = i / 20.0;
            Assert.Equal(Math.Pow(Math.Sin(Math.PI * p / 2), 2), SigmaSpacing.BetaQuantile(p, 0.5), 12);
            Assert.Equal(p, SigmaSpacing.BetaQuantile(p, 1), 12);
            Assert.Equal(1, SigmaSpacing.BetaQuantile(p, 0.6) + SigmaSpacing.BetaQuantile(1 - p, 0.6), 12);
        }
    }

    [Fact]
    public void Thresholds_are_quantiles_of_each_item()
    {
        using var scope = new TensorScope();
        var limits = CleanLimits.Read(ModelConfig.Parse("test.json", """
            {"thresholding": true, "dynamic_thresholding_ratio": 0.75, "sample_max_value": 3}
            """u8.ToArray()), clips: true);
        var limited = limits.Apply(Tensor.From(Host, [0, -1, 2, -3, 4, 0.1f, 0.2f, 0.3f, -0.4f, 0.5f, 10, 20, -30, 40, 50], [3, 5]));

        // Item 1: the 0.75 quantile of 0 1 2 3 4 is 3. Item 2: below 1, so 1. Item 3: above 3, so 3.
        Assert.Equal([0, -1f / 3, 2f / 3, -1, 1, 0.1f, 0.2f, 0.3f, -0.4f, 0.5f, 1, 1, -1, 1, 1], limited.ToArray());
    }

    /// <summary>
    /// Exactly, or within the noise of the level at which the last step ends. DDIM, PNDM and TCD may end at the lowest timestep instead of
    /// below it.
    /// </summary>
    private static void AssertEndsAt(Tensor clean, Tensor latents, Scheduler scheduler, ISchedulerRun run, string what)
    {
        // The larger of the fixed variances leaves noise in the last step, unless it is at timestep 0.
        // PNDM averages predictions of different timesteps, which velocities, unlike noise, are not meant for.
        if (scheduler.Config.String("variance_type", "") == "fixed_large"
            || (scheduler is PNDMScheduler && scheduler.Config.String("prediction_type", "") == "v_prediction"))
            return;
        float last = run.Sigmas[Math.Min(run.Timesteps.Count, run.Sigmas.Count - 1)];
        if (scheduler.Config.Bool("invert_sigmas", false))
            last = 1 - last;
        float allowed = last == 0 && scheduler is not (TCDScheduler or DDIMScheduler or PNDMScheduler) ? 2e-3f : 0.15f + (4 * last);
        Assert.True(
            Distance(latents, clean) < allowed, $"{what} end {Distance(latents, clean)} from the clean sample, at the level {last}");
    }

    private static double PathError(Scheduler scheduler, int steps)
    {
        const double Deviation = 0.7;
        using var scope = new TensorScope();
        using var run = scheduler.Begin(new SchedulerRequest { Steps = steps });
        double start = Scale(run, 0, Deviation);
        var latents = Tensor.From(Host, [(float)start], [1]);
        double error = 0;
        for (int i = 0; i + 1 < run.Steps; i++)
        {
            // At a second evaluation of a step the latents are provisional.
            if (scheduler.Order == 1 || i % 2 == 0)
                error = Math.Abs(latents.ToArray()[0] - Scale(run, i, Deviation)) / Deviation;
            latents = run.Step(run.FromCleanSample(latents.Affine((float)BestModel(scheduler, run, i, Deviation)), i, latents), i, latents);
        }
        return error;
    }

    /// <summary>The deviation of noisy latents, which the exact path follows.</summary>
    private static double Scale(ISchedulerRun run, int step, double deviation)
    {
        var (signal, level) = Scales(run, step);
        return Math.Sqrt((signal * signal * deviation * deviation) + (level * level));
    }

    /// <summary>
    /// The expected clean sample is this much of the latents. The second evaluation of a step may be at a level between two entries.
    /// </summary>
    private static double BestModel(Scheduler scheduler, ISchedulerRun run, int step, double deviation)
    {
        var (signal, level) = scheduler.Order == 1 ? Scales(run, step)
            : (scheduler is FlowMatchScheduler ? 1 - run.SigmaOf(step) : 1, run.SigmaOf(step));
        return signal * deviation * deviation / ((signal * signal * deviation * deviation) + (level * level));
    }

    private static (double Signal, double Level) Scales(ISchedulerRun run, int step)
    {
        using var scope = new TensorScope();
        var (one, zero) = (Tensor.From(Host, [1f], [1]), Tensor.From(Host, [0f], [1]));
        return (run.AddNoise(one, zero, step).ToArray()[0], run.AddNoise(zero, one, step).ToArray()[0]);
    }

    private static void Refused(Scheduler scheduler, SchedulerRequest request, string message) =>
        Assert.Contains(message, Assert.ThrowsAny<ArgumentException>(() => scheduler.Begin(request)).Message, StringComparison.Ordinal);

    private static Scheduler Parse(string json) => Scheduler.From(ModelConfig.Parse("test.json", Encoding.UTF8.GetBytes(json)));

    private static SchedulerRequest Request(Scheduler scheduler, int steps) => new() { Steps = steps, Mu = 0.7 };

    /// <summary>Twice the channels where a configuration's variance is learned.</summary>
    private static Tensor WithVariance(string name, Tensor prediction) =>
        name.Contains("learned", StringComparison.Ordinal) ? TensorOperations.Concatenate(^1, prediction, prediction.Affine(0))
            : prediction;

    private static Tensor Clean() => Tensor.From(
        Host, [-0.8f, 0.5f, 0.1f, 0.9f, -0.3f, 0.7f, -0.9f, 0.2f, 0.4f, -0.6f, 0, 0.3f], [1, 2, 2, 3]);

    private static float Distance(Tensor a, Tensor b) => a.ToArray().Zip(b.ToArray(), (x, y) => Math.Abs(x - y)).Max();

    private static float Largest(Tensor a) => a.ToArray().Max(Math.Abs);

    private sealed class NoiseFrom(ulong seed)
    {
        private readonly TorchRandom _random = new(seed);

        public Tensor Draw()
        {
            var drawn = Tensor.Empty(Host, [1, 2, 2, 3]);
            _random.Normal(drawn.Span);
            return drawn;
        }
    }
}
