using Attune.Guidance;
using Attune.Models;
using Attune.Generation;
using Attune.Schedulers;

namespace Attune.Tests.Guidance;

public class PresetTests
{
    public static TheoryData<string> Families => [.. GuidancePresets.Families];

    [Theory]
    [MemberData(nameof(Families))]
    public void Every_entry_is_a_valid_rule_with_a_source(string family)
    {
        var preset = GuidancePresets.For(family);
        Assert.False(string.IsNullOrWhiteSpace(preset.Title));
        Assert.NotEmpty(preset.Rules);
        foreach (var entry in preset.Rules)
        {
            Assert.True(entry.Source.Length > 5, entry.Name);
            entry.Rule.Validate();
            Assert.Equal(entry.Rule, Assert.Single(RuleCatalog.Parse(entry.Name, preset)));
            Assert.Same(entry, GuidancePresets.Rule(family, entry.Name));
        }

        // All that suit a model do not exclude each other: a user may join them.
        _ = new GuidanceSchedule(
            preset.Rules.Select(entry => entry.Rule)
                .Where(rule => rule is not IPredictionRule { Stage: PredictionStage.Contrast } and not Attention.IAttentionBase));
        if (preset.FewStep)
            Assert.DoesNotContain(preset.Rules, entry => entry.Rule is IPredictionRule { Stage: PredictionStage.Contrast });
    }

    /// <summary>Table 5 of arXiv 2505.21179.</summary>
    [Theory]
    [InlineData("flux-schnell", 4, 2.5, .25)]
    [InlineData("flux-dev", 4, 2.5, .25)]
    [InlineData("sd3.5-large", 4, 2.5, .125)]
    [InlineData("sana", 4, 2.5, .375)]
    [InlineData("pixart-sigma", 4, 2.5, .375)]
    [InlineData("wan2.1", 4, 2.5, .25)]
    [InlineData("sdxl", 2, 2.5, .5)]
    [InlineData("playground-v2.5", 2, 2.5, .5)]
    [InlineData("sd15", 2, 2.5, .375)]
    public void Nag_alone_is_the_published_thing(string family, float scale, float tau, float alpha)
    {
        var expected = new NormalizedAttentionGuidance { Scale = scale, Tau = tau, Alpha = alpha };
        Assert.Equal(expected, Assert.Single(RuleCatalog.Parse("nag", GuidancePresets.For(family))));
        Assert.Equal(PresetOrigin.Published, GuidancePresets.Rule(family, "nag")!.Origin);
    }

    [Fact]
    public void What_the_text_gives_counts_before_the_preset_and_the_preset_before_defaults()
    {
        var sdxl = GuidancePresets.For("sdxl");
        Assert.Equal(
            new GeometryAwareAttentionGuidance { Lambda = 3, Layers = LayerSelector.Parse("down|up") },
            RuleCatalog.Parse("gag:lambda=3", sdxl)[0]);
        Assert.Equal(LayerSelector.All, RuleCatalog.Parse("gag:layers=all", sdxl)[0].Layers);
        Assert.Equal(new MagnitudeAwareGuidance(), RuleCatalog.Parse("mambo-g", sdxl)[0]);
        Assert.Equal(new NormalizedAttentionGuidance(), RuleCatalog.Parse("nag")[0]);
        Assert.Null(GuidancePresets.Rule("sdxl", "mambo-g"));
    }

    [Theory]
    [InlineData("nag:nag_scale=5,nag_tau=2.5,nag_alpha=0.25", "nag:scale=4,tau=2.5,alpha=0.25")]
    [InlineData("nag:nag_scale=1", "nag:scale=0")]
    [InlineData("nag:nag_end=1", "nag:steps=t:0-")]
    [InlineData("nag:nag_end=0.25", "nag:steps=t:750-")]
    [InlineData("cfg:true_cfg_scale=4", "cfg:scale=4")]
    [InlineData("pag:pag_scale=2+rescale:guidance_rescale=0.5", "pag:scale=2+rescale:share=0.5")]
    public void Conventions_of_other_tools_are_converted(string theirs, string ours) =>
        Assert.Equal(RuleCatalog.Parse(ours), RuleCatalog.Parse(theirs));

    /// <summary>The authors' rule: on while t is at least (1 - nag_end) 1000. FLUX.1 schnell does t = 1000, 750, 500, 250.</summary>
    [Theory]
    [InlineData("0.25", 2)]
    [InlineData("0.5", 3)]
    [InlineData("1", 4)]
    public void Nag_end_counts_timesteps_not_steps(string end, int active)
    {
        var rule = RuleCatalog.Parse($"nag:nag_end={end}")[0];
        Assert.Equal(active, new double[] { 1000, 750, 500, 250 }.Select((t, i) => new StepPoint(i, 4, t, t / 1000)).Count(rule.ActsIn));
    }

    [Theory]
    [InlineData("nag:nag_scale=0.5", "scale is -0.5, expected at least 0")]
    [InlineData("nag:nag_scale=much", "nag_scale is 'much', expected a number")]
    [InlineData("nag:nag_scale=5,scale=4", "scale a second time")]
    public void Conversions_are_checked(string text, string message) =>
        Assert.Contains(message, Assert.ThrowsAny<Exception>(() => RuleCatalog.Parse(text)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"x":{"title":"X","rules":[{"rule":"nagg","origin":"published","source":"table 5"}]}}""", "'nagg' is no guidance rule")]
    [InlineData("""{"x":{"title":"X","rules":[{"rule":"nag:phy=4","origin":"published","source":"table 5"}]}}""", "no parameter 'phy'")]
    [InlineData("""{"x":{"title":"X","rules":[{"rule":"nag:tau=0.5","origin":"published","source":"table 5"}]}}""", "tau is 0.5")]
    [InlineData("""{"x":{"title":"X","rules":[{"rule":"nag","origin":"published","source":" "}]}}""", "no source")]
    [InlineData("""{"x":{"title":"X","rules":[{"rule":"nag","origin":"published"}]}}""", "source")]
    [InlineData("""{"x":{"title":"X","rules":[{"rule":"nag","origin":"rumoured","source":"table 5"}]}}""", "rumoured|origin")]
    [InlineData("""{"x":{"title":"X","rules":[{"rule":"nag+cfg","origin":"ours","source":"table 5"}]}}""", "not one rule")]
    [InlineData("""
        {"x":{"title":"X","rules":[{"rule":"nag","origin":"ours","source":"a"},{"rule":"nag:scale=1","origin":"ours","source":"b"}]}}
        """, "twice")]
    [InlineData("""{"x":{"title":"X","rules":[],"colour":"red"}}""", "colour")]
    [InlineData("""{"x":{"title":"X","rules":[],"sampling":{"origin":"ours","source":"a"}}}""", "either steps or timesteps")]
    [InlineData("""{"x":{"title":"X","rules":[],"sampling":{"timesteps":[249,499],"origin":"ours","source":"a"}}}""", "timesteps fall")]
    [InlineData("""{"x":{"title":"X","rules":[],"sampling":{"sigmas":[0.5,1],"origin":"ours","source":"a"}}}""", "sigmas fall")]
    [InlineData("""{"x":{"title":"X","rules":[],"sampling":{"sigmas":[1,0],"origin":"ours","source":"a"}}}""", "sigmas fall")]
    [InlineData(
        """{"x":{"title":"X","rules":[],"sampling":{"steps":2,"sigmas":[1,0.5],"origin":"ours","source":"a"}}}""", "either steps")]
    [InlineData("""{"x":{"title":"X"}}""", "rules")]
    [InlineData("""{"x":""", "malformed")]
    public void A_wrong_entry_is_refused(string json, string message) =>
        Assert.Contains(
            message.Split('|'),
            part => Assert.Throws<FormatException>(() => GuidancePresets.Read(json)).Message.Contains(part, StringComparison.Ordinal));

    [Fact]
    public void Few_step_forms_say_how_they_are_sampled()
    {
        Assert.Equal([999, 749, 499, 249], GuidancePresets.For("sdxl-dmd2").Sampling!.Timesteps);
        Assert.Equal([800], GuidancePresets.For("sdxl-hyper-1step").Sampling!.Timesteps);
        Assert.All(
            GuidancePresets.Families.Select(GuidancePresets.For).Where(preset => preset.FewStep),
            preset => Assert.NotNull(preset.Sampling));
        Assert.Contains(
            "'nix' is no family", Assert.Throws<ArgumentException>(() => GuidancePresets.For("nix")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_changelog_counts_the_families() => Assert.Contains(
        FormattableString.Invariant($"for {GuidancePresets.Families.Count} families of models"),
        File.ReadAllText(Path.Combine(Repository.Root, "CHANGELOG.md")), StringComparison.Ordinal);

    /// <summary>Which families this version runs is told by the forms that families of models open; no form is misspelt there.</summary>
    [Fact]
    public void Families_that_run_are_told_by_their_form()
    {
        string[] runs =
        [
            .. GuidancePresets.Families.Where(
                name => Attune.Models.Family.All.Any(family => family.PresetForms.Contains(GuidancePresets.For(name).Form))),
        ];
        Assert.Contains("sdxl-dmd2", runs);
        Assert.Contains("sd3-medium", runs);
        Assert.DoesNotContain("flux-kontext", runs);
        Assert.Contains("wan2.1", runs);
        Assert.All(
            Attune.Models.Family.All.SelectMany(family => family.PresetForms),
            form => Assert.Contains(GuidancePresets.Families, name => GuidancePresets.For(name).Form == form));
    }

    [Fact]
    public void A_loaded_model_knows_its_family()
    {
        using var schnell = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-schnell"));
        using var dev = DiffusionPipeline.Load(Repository.Golden("checkpoints", "flux-dev"));
        using var sd = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        using var sdxl = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sdxl"));
        Assert.Equal(
            ["flux-schnell", "flux-dev", "sd15", "sdxl"], new[] { schnell, dev, sd, sdxl }.Select(pipeline => pipeline.Preset!.Family));
    }

    /// <summary>Of every model here: steps and embedded guidance that nobody asks for are the published ones.</summary>
    [Fact]
    public void A_model_runs_as_its_card_says()
    {
        var compared = new HashSet<string>();
        foreach (string index in Directory.GetFiles(Repository.Golden("checkpoints"), "model_index.json", SearchOption.AllDirectories))
        {
            if (Path.GetFileName(Path.GetDirectoryName(index)) is "flux-control" or "base")
                continue;
            using var pipeline = DiffusionPipeline.Load(Path.GetDirectoryName(index)!);
            var facts = pipeline.Facts;
            if (pipeline.Preset is not { Sampling: { Steps: { } steps } sampling } preset)
                continue;
            Assert.Equal((index, steps), (index, facts.DefaultSteps));
            if (sampling.GuidanceScale != null && facts.Takes(ModelOption.GuidanceScale))
                Assert.Equal((index, sampling.GuidanceScale), (index, facts.DefaultGuidanceScale));
            compared.Add(preset.Family);
        }
        Assert.Superset(
            new HashSet<string> { "flux-dev", "flux-schnell", "sd3-medium", "sd3.5-medium", "flux2-klein", "sana-sprint" }, compared);
    }

    /// <summary>
    /// The scheduler exists and takes the preset's steps or timesteps, from the configuration of the model that the form was distilled
    /// from.
    /// </summary>
    [Theory]
    [MemberData(nameof(Families))]
    public void A_preset_can_be_sampled(string family)
    {
        if (GuidancePresets.For(family).Sampling is not { Scheduler: { } text } sampling)
            return;
        var scheduler = SchedulerChoice.Parse(text)
            .For(
                Scheduler.Load(
                    Repository.Golden(
                        "checkpoints", text.StartsWith("FlowMatch", StringComparison.Ordinal) ? "flux-dev" : "sdxl", "scheduler")).Config);
        Assert.Equal(text.Split(':')[0], scheduler.ClassName);
        using var run = scheduler.Begin(
            new SchedulerRequest {
                Steps = sampling.Steps, Timesteps = sampling.Timesteps, Sigmas = sampling.Sigmas, Eta = sampling.Eta,
                Mu = scheduler.ShiftFor(4096) });
        Assert.Equal(sampling.Timesteps?.Select(t => (float)t).ToArray() ?? [.. run.Timesteps], run.Timesteps);
        Assert.Equal(sampling.Steps ?? sampling.Timesteps?.Count ?? sampling.Sigmas!.Count, run.Steps);
    }

    /// <summary>The levels of few-step forms of Wan, as their authors state them behind the shift, and which network each is for.</summary>
    [Theory]
    [InlineData("wan-lightx2v", new[] { 1000f, 937.5f, 833.3333f, 625 })]
    [InlineData("wan2.2-lightning", new[] { 1000f, 937.5f, 833.3333f, 625 })]
    [InlineData("wan-fastwan", new[] { 1000f, 757, 522 })]
    public void Few_step_forms_of_wan_go_over_the_levels_of_their_distillation(string preset, float[] timesteps)
    {
        using var wan = DiffusionPipeline.Load(Repository.Golden("checkpoints", "wan-2.2"));
        var resolved = wan.Resolve(new GenerationRequest { Prompt = "a panda", Preset = preset });
        using var run = resolved.Scheduler.Begin(new SchedulerRequest { Sigmas = resolved.Request.Sigmas });
        Assert.Equal(timesteps.Length, run.Steps);
        Assert.All(timesteps.Zip(run.Timesteps), pair => Assert.Equal(pair.First, pair.Second, 0.01f));
        Assert.Null(wan.Resolve(new GenerationRequest { Prompt = "a panda", Preset = preset, Steps = 9 }).Request.Sigmas);
    }

    [Fact]
    public void A_request_takes_from_a_preset_what_it_does_not_say_itself()
    {
        var request = new GenerationRequest { Prompt = "a panda" };
        var dmd2 = request.With(GuidancePresets.For("sdxl-dmd2").Sampling, takesGuidanceScale: true);
        Assert.Equal(("LCMScheduler", null), (dmd2.Scheduler!.ToString(), dmd2.Steps));
        Assert.Equal([999, 749, 499, 249], dmd2.Timesteps!);
        var own = (request with { Steps = 8, Scheduler = SchedulerChoice.Parse("euler") })
            .With(GuidancePresets.For("sdxl-tcd").Sampling, takesGuidanceScale: true);
        Assert.Equal((8, null, null, SchedulerChoice.Parse("euler")), (own.Steps, own.Timesteps, own.Eta, own.Scheduler));
        Assert.Equal(.3f, request.With(GuidancePresets.For("sdxl-tcd").Sampling, takesGuidanceScale: true).Eta);
        Assert.Same(request, request.With(GuidancePresets.For("sdxl").Sampling, takesGuidanceScale: true));
        Assert.Equal(
            2, (request with { GuidanceScale = 2 }).With(GuidancePresets.For("flux-dev").Sampling, takesGuidanceScale: true).GuidanceScale);
        Assert.Null(request.With(GuidancePresets.For("flux-dev").Sampling, takesGuidanceScale: false).GuidanceScale);
    }
}
