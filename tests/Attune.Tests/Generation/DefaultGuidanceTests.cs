using Attune.Generation;
using Attune.Guidance;
using Attune.Schedulers;
using static Attune.Tests.Pipelines.Pictures;

namespace Attune.Tests.Generation;

/// <summary>What guidance a request has that says nothing, and what is said of requests that are probably not meant.</summary>
[NoLeaks]
public class DefaultGuidanceTests
{
    private static readonly string Models = Path.Combine(Repository.Root, "models");

    private static string Golden(string model) => Repository.Golden("checkpoints", model);

    private static string[] Rules(DiffusionPipeline pipeline, GenerationRequest request) =>
        [.. pipeline.Resolve(request).Guidance.Rules.Select(RuleCatalog.Format)];

    public static TheoryData<string, string[], string[]> Defaults => new()
    {
        { Golden("sd15"), ["cfg:scale=7.5"], ["cfg:scale=7.5", "nag:scale=2,tau=2.5,alpha=0.375"] },
        { Golden("sd21"), ["cfg:scale=7.5"], ["cfg:scale=7.5", "nag:scale=2,tau=2.5,alpha=0.375"] },
        { Golden("sdxl"), ["cfg:scale=5"], ["cfg:scale=5", "nag:scale=2,tau=2.5,alpha=0.5"] },
        { Golden("sd35-medium"), ["cfg:scale=4.5"], ["cfg:scale=4.5"] },
        { Golden("flux-dev"), [], ["nag:scale=4,tau=2.5,alpha=0.25"] },
        { Golden("flux-schnell"), [], ["nag:scale=4,tau=2.5,alpha=0.25"] },
        { Path.Combine(Models, "scenes-flux"), ["cfg:scale=2.5"], ["cfg:scale=2.5", "nag:scale=4,tau=2.5,alpha=0.25"] },
        {
            Path.Combine(Models, "scenes-flux-schnell"), [],
            ["nag:scale=6,tau=2.5,alpha=0.25,norm=1,latents=shared,pooled=negative,steps=0%-50%"]
        },
    };

    [Theory]
    [MemberData(nameof(Defaults))]
    public async Task A_request_that_says_nothing_does_what_is_published_for_the_model(string model, string[] plain, string[] negative)
    {
        using var pipeline = DiffusionPipeline.Load(model);
        var request = new GenerationRequest { Prompt = "a cat", Width = 64, Height = 64, Steps = 2 };
        foreach (var (asked, expected) in new[]
        {
            (request, plain), (request with { NegativePrompt = "" }, plain), (request with { NegativePrompt = "sunglasses" }, negative),
        })
        {
            string[] rules = Rules(pipeline, asked);
            Assert.Equal(expected.Length, rules.Length);
            Assert.All(expected.Zip(rules), pair => Assert.StartsWith(pair.First, pair.Second, StringComparison.Ordinal));
            string text = expected.Length == 0 ? "none" : string.Join('+', rules);
            Assert.Equal(await Pixels(pipeline, asked), await Pixels(pipeline, asked with { Guidance = GuidanceChoice.Parse(text) }));
            Assert.Empty(Rules(pipeline, asked with { Guidance = GuidanceChoice.None }));
            Assert.Empty(Rules(pipeline, asked with { Guidance = GuidanceChoice.Parse("None") }));

            // What is resolved says it, so that metadata make the same picture again whatever the default is then.
            Assert.Equal(rules, Rules(pipeline, pipeline.Resolve(asked).Request));
            Assert.DoesNotContain("default", pipeline.Resolve(asked).Request.Guidance.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Few_steps_are_told_by_preset_scheduler_and_folder()
    {
        using var pipeline = DiffusionPipeline.Load(Golden("sdxl"));
        var request = new GenerationRequest { Prompt = "a cat", NegativePrompt = "x" };
        foreach (var few in new[]
        {
            request with { Preset = "sdxl-lightning" }, request with { Preset = "SDXL-DMD2" },
            request with { Scheduler = SchedulerChoice.Parse("lcm") }, request with { Scheduler = SchedulerChoice.Parse("tcd") },
        })
        {
            Assert.StartsWith("nag:", Assert.Single(Rules(pipeline, few)), StringComparison.Ordinal);
            Assert.Empty(Rules(pipeline, few with { NegativePrompt = null }));
        }
        Assert.Equal(2, Rules(pipeline, request with { Scheduler = SchedulerChoice.Parse("euler"), Steps = 4 }).Length);

        using var folder = new TemporaryFolder();
        Repository.Copy(Golden("sdxl"), folder.Path);
        foreach (var (scheduler, family, rules) in new[]
        {
            ("""{"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}""", "sdxl-turbo", 0),
            ("""{"_class_name": "LCMScheduler"}""", "sdxl", 0),
            ("""{"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}""", "sdxl", 1),
            ("""{"_class_name": "EDMDPMSolverMultistepScheduler"}""", "playground-v2.5", 1),
        })
        {
            File.WriteAllText(folder.At(Path.Combine("scheduler", "scheduler_config.json")), scheduler);
            using var other = DiffusionPipeline.Load(folder.Path);
            Assert.Equal(family, other.Preset!.Family);
            Assert.Equal(rules, Rules(other, request with { NegativePrompt = null }).Length);
        }
    }

    /// <summary>The defaults are data: every family's can be read, and few-step ones have none but NAG.</summary>
    [Fact]
    public void The_defaults_of_all_families_are_rules_with_published_numbers()
    {
        foreach (var preset in GuidancePresets.Families.Select(GuidancePresets.For))
        {
            foreach (bool negative in new[] { false, true })
            {
                var rules = GuidanceChoice.Default.For(preset, negative);
                Assert.All(rules.Rules, rule => Assert.Equal(preset.Find(rule.Form.Name)!.Rule, rule));
                Assert.Equal(negative, rules.NeedsNegativePrompt || rules.Rules.Count == 0 ? negative && rules.Rules.Count > 0 : !negative);
                if (preset.FewStep)
                    Assert.Equal(negative ? ["nag"] : Array.Empty<string>(), rules.Rules.Select(rule => rule.Form.Name));
            }
        }
    }

    [Theory]
    [InlineData("sdxl", "preset flux-dev", "The preset flux-dev is for FLUX.1 dev")]
    [InlineData("flux-schnell", "preset wan2.1", "whose form (wan2.1) is not that of the model (flux)")]
    [InlineData("flux-schnell", "preset scenes-flux", null)]
    [InlineData("sdxl", "preset sdxl-dmd2", null)]
    [InlineData("sd15", "negative x|guidance gag", "No guidance rule reads the negative prompt")]
    [InlineData("sd15", "negative x|guidance none", "No guidance rule reads the negative prompt")]
    [InlineData("sd15", "negative x|guidance nag:scale=0", "No guidance rule reads the negative prompt")]
    [InlineData("sd15", "negative x", null)]
    [InlineData("flux-schnell", "guidance cfg", "cfg on FLUX.1 schnell, which was distilled to few steps")]
    [InlineData("flux-schnell", "guidance apg|preset wan2.1", "apg on FLUX.1 schnell")]
    [InlineData("flux-schnell", "guidance cfg:scale=1", null)]
    [InlineData("flux-dev", "guidance cfg", null)]
    [InlineData("sdxl", "preset sdxl-turbo|guidance cfg", "cfg on SDXL-Turbo")]
    [InlineData("sd15", "guidance cfg:steps=5-", "cfg:scale=7.5,steps=5- acts in none of the 3 steps")]
    [InlineData("sd15", "guidance cfg:steps=0-5", null)]
    [InlineData("sd15", "guidance nag+NAG:scale=4|negative x", "nag is given 2 times")]
    [InlineData("sd15", "prompt a (cat:1.5), BREAK", "The prompt holds '(cat:1.5)', 'BREAK'")]
    [InlineData("sd15", "prompt a (cat:1.5), BREAK|prompt-weights comfyui", "The prompt holds 'BREAK', which")]
    [InlineData("sd15", "prompt a (cat:1.5), BREAK|prompt-weights a1111|long-prompts true", null)]
    [InlineData("sd15", "prompt <lora:style:0.8> a cat", "'<lora:style:0.8>'")]
    [InlineData("sd15", "negative embedding:bad-hands", "The negative prompt holds 'embedding:bad-hands'")]
    [InlineData("sd15", "prompt (a cat), at 12:30 in a BREAKFAST room, ratio 3:2", null)]
    public async Task What_is_probably_not_meant_is_said_through_the_observer(string model, string options, string? expected)
    {
        using var pipeline = DiffusionPipeline.Load(Golden(model));
        var request = new GenerationRequest { Prompt = "a cat", Width = 64, Height = 64, Steps = 2 };
        foreach (string option in options.Split('|'))
        {
            string[] halves = option.Split(' ', 2);
            request = OptionCatalog.Find(halves[0])!.Set(request, halves[1]);
        }
        if (request.Preset?.StartsWith("sdxl-", StringComparison.Ordinal) == true)
            request = request with { Steps = null };
        var warnings = new List<string>();
        await foreach (var step in pipeline.DenoiseAsync(request, new WarningObserver(warnings.Add)))
            break;
        if (expected == null)
            Assert.Empty(warnings);
        else
            Assert.Contains(warnings, warning => warning.Contains(expected, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("nagg", "'nagg' is no guidance rule (did you mean 'nag'?)")]
    [InlineData("cgf", "(did you mean 'cfg'?)")]
    [InlineData("zzzzzz", "'zzzzzz' is no guidance rule; there are")]
    [InlineData("nag:scal=3", "'nag' has no parameter 'scal' (did you mean 'scale'?)")]
    [InlineData("", "Guidance is empty; expected rules")]
    public void Names_that_were_meant_are_suggested(string text, string expected) =>
        Assert.Contains(
            expected, Assert.Throws<FormatException>(() => GuidanceChoice.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Names_are_understood_in_any_case()
    {
        Assert.Equal(RuleCatalog.Parse("nag:scale=3+cfg"), RuleCatalog.Parse("NAG:Scale=3+Cfg"));
        Assert.Equal("sdxl-dmd2", GuidancePresets.For("SDXL-DMD2").Family);
        Assert.Contains(
            "(did you mean 'sdxl-turbo'?)", Assert.Throws<ArgumentException>(() => GuidancePresets.For("sdxl-tubro")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Default_layers_that_are_not_there_are_called_so()
    {
        using var pipeline = DiffusionPipeline.Load(Golden("flux-schnell"));
        string Error(string rules) => Assert.Throws<ArgumentException>(
            () => pipeline.Resolve(new GenerationRequest { Prompt = "", Guidance = GuidanceChoice.Parse(rules) })).Message;
        Assert.Contains("slg: the default layers 7-9 select nothing of this model", Error("slg"), StringComparison.Ordinal);
        Assert.Contains("slg: layers=70 selects nothing of this model", Error("slg:layers=70"), StringComparison.Ordinal);
    }
}
