using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Tests.Guidance;

[NoLeaks]
public class ScheduleTests
{
    private static readonly StepPoint Middle = new(4, 10, 600, 0.6);

    [Theory]
    [InlineData("0-2", new[] { 0, 1 })]
    [InlineData("2-", new[] { 2, 3, 4, 5, 6, 7, 8, 9 })]
    [InlineData("0%-50%", new[] { 0, 1, 2, 3, 4 })]
    [InlineData("30%-40%", new[] { 3 })]
    [InlineData("t:250-700", new[] { 3, 4, 5, 6, 7 })]
    [InlineData("sigma:0.3-0.8", new[] { 2, 3, 4, 5, 6 })]
    [InlineData("sigma:0-1e-1", new[] { 9 })]
    [InlineData("all", new[] { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 })]
    public void Ranges_hold_their_steps_and_survive_being_written(string text, int[] expected)
    {
        var range = StepRange.Parse(text);
        int[] Held(StepRange range) =>
            [.. Enumerable.Range(0, 10).Where(i => range.Contains(new StepPoint(i, 10, 1000 - 100 * i, (10 - i) / 10.0)))];
        Assert.Equal(expected, Held(range));
        Assert.Equal(expected, Held(StepRange.Parse(range.ToString())));
        Assert.Equal(range, StepRange.Parse(range.ToString()));
    }

    [Fact]
    public void Parts_of_a_run_begin_and_end_at_whole_steps()
    {
        // 0.07 x 100 and 10 x 0.2f are a little more than 7 and 2.
        Assert.False(StepRange.Parse("0%-7%").Contains(new StepPoint(7, 100, 0, 0)));
        Assert.True(StepRange.Parse("7%-").Contains(new StepPoint(7, 100, 0, 0)));
        var rule = new SkipLayerGuidance();
        Assert.Equal(
            [2, 3, 4, 5, 6, 7], Enumerable.Range(0, 40).Where(i => (rule with { Start = 0.025f }).ActsIn(new StepPoint(i, 40, 0, 0))));
    }

    [Theory]
    [InlineData("")]
    [InlineData("-")]
    [InlineData("2")]
    [InlineData("3-2")]
    [InlineData("0.5-2")]
    [InlineData("0%-150%")]
    [InlineData("sigma:2-1")]
    [InlineData("sigma:10%-20%")]
    [InlineData("steps")]
    public void What_is_no_range_is_refused(string text) =>
        Assert.Contains(text, Assert.Throws<FormatException>(() => StepRange.Parse(text)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("mid", "mid_block.attentions.0.transformer_blocks.0.attn1", AttentionKind.Self, true)]
    [InlineData("down.1", "down_blocks.1.attentions.0.transformer_blocks.0.attn2", AttentionKind.Cross, true)]
    [InlineData("down.1", "down_blocks.10.attn", AttentionKind.Cross, false)]
    [InlineData("up|down", "up_blocks.2.attentions.1.transformer_blocks.0.attn2", AttentionKind.Cross, true)]
    [InlineData("single.2-3", "single_transformer_blocks.3.attn", AttentionKind.Joint, true)]
    [InlineData("single.2-3", "single_transformer_blocks.4.attn", AttentionKind.Joint, false)]
    [InlineData("3", "transformer_blocks.3.attn", AttentionKind.Joint, true)]
    [InlineData("3", "blocks.3.attn2", AttentionKind.Cross, true)]
    [InlineData("3", "single_transformer_blocks.3.attn", AttentionKind.Joint, false)]
    [InlineData("mid|self", "mid_block.attentions.0.transformer_blocks.0.attn2", AttentionKind.Cross, false)]
    [InlineData("self", "anything.attn1", AttentionKind.Self, true)]
    [InlineData("transformer_blocks.1", "transformer_blocks.1", AttentionKind.Joint, true)]
    [InlineData("all", "x", AttentionKind.Cross, true)]
    public void Layers_are_selected_by_path_short_name_number_and_kind(string text, string path, AttentionKind kind, bool selected)
    {
        var selector = LayerSelector.Parse(text);
        Assert.Equal(selected, selector.Contains(new AttentionSite(path, kind)));
        Assert.Equal(selector, LayerSelector.Parse(selector.ToString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a||b")]
    [InlineData("single.9-3")]
    public void What_selects_no_layer_is_refused(string text) => Assert.Throws<FormatException>(() => LayerSelector.Parse(text));

    [Theory]
    [InlineData("cfg+apg", "apg", "cfg")]
    [InlineData("tcfg+perp-neg", "perp-neg", "tcfg")]
    [InlineData("cfg-zero-star+mambo-g", "cfg-zero-star", "mambo-g")]
    [InlineData("cfg+rescale+norm-keeping", "norm-keeping", "rescale")]
    [InlineData("freeu+freeu:b1=1.2", "freeu", "freeu")]
    public void Conflicts_are_errors_that_name_both_rules(string text, string first, string second)
    {
        string message = Assert.Throws<ArgumentException>(() => new GuidanceSchedule(RuleCatalog.Parse(text))).Message;
        Assert.StartsWith($"{first} and {second} cannot be used together", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_rule_that_takes_something_away_has_a_pass_of_its_own_and_corrections_stay_in_the_positive_one()
    {
        var schedule = new GuidanceSchedule(RuleCatalog.Parse("nag+cfg+pag+seg+slg:layers=1,stop=1+freeu"));
        var guidance = schedule.At(Middle);
        Assert.True(guidance.ReadsNegativeText);
        Assert.Equal(
            [PassKinds.Negative, PassKinds.Perturbed, PassKinds.Perturbed, PassKinds.Perturbed], guidance.Passes.Select(pass => pass.Kind));
        Assert.Equal(["pag", "seg", "slg"], guidance.Passes.Skip(1).Select(pass => pass.Rule!.Form.Name));
        var cross = new AttentionSite("mid_block.attn2", AttentionKind.Cross);
        Assert.True(guidance.Steering.Attention.ReadsNegativeText(cross));
        Assert.False(guidance.Steering.Attention.ReadsNegativeText(cross with { Kind = AttentionKind.Self }));
        Assert.All(guidance.Passes, pass => Assert.False(pass.Steering.Attention.ReadsNegativeText(cross)));
        Assert.All(
            guidance.Passes.Select(pass => pass.Steering).Append(guidance.Steering), steering => Assert.IsType<FreeU>(steering.Skips));
        var block = new BlockPoint("transformer_blocks.1", 1, 2);
        Assert.Equal(
            [false, false, false, true],
            guidance.Passes.Select(pass => pass.Steering.Blocks?.Before(block, null!).IsSkipped == true));
        Assert.Null(guidance.Steering.Blocks);
    }

    [Fact]
    public void Rules_outside_of_their_steps_leave_the_plain_model()
    {
        var schedule = new GuidanceSchedule(RuleCatalog.Parse("nag:steps=5-+cfg:steps=sigma:0.7-1+pag:steps=t:0-100+slg:layers=1"));
        var guidance = schedule.At(Middle);
        Assert.Same(Steering.Plain, guidance.Steering);
        Assert.Empty(guidance.Passes);
        Assert.Empty(guidance.Predictions);
        Assert.False(guidance.ReadsNegativeText);
    }

    [Fact]
    public void Rules_on_predictions_have_no_layers()
    {
        foreach (var rule in RuleCatalog.Rules)
        {
            string name = rule.Form.Name;
            Assert.Equal(rule.HasLayers, rule.Form.Parameters.Any(parameter => parameter.Names.Contains("layers")));
            if (rule.HasLayers)
                continue;
            Assert.ThrowsAny<Exception>(() => RuleCatalog.Parse($"{name}:layers=1"));
            string message = Assert.Throws<ArgumentException>(
                () => new GuidanceSchedule(rule with { Layers = LayerSelector.Parse("1") })).Message;
            Assert.Contains($"{name} acts on predictions and has no layers", message, StringComparison.Ordinal);
        }
        Assert.False(RuleCatalog.Find("cfg").HasLayers);
        Assert.True(RuleCatalog.Find("nag").HasLayers && RuleCatalog.Find("freeu").HasLayers && RuleCatalog.Find("slg").HasLayers);
    }

    [Fact]
    public void Layers_that_select_nothing_of_a_model_are_an_error_that_names_its_layers()
    {
        AttentionSite[] sites = [new("transformer_blocks.0.attn", AttentionKind.Joint), new("mid_block.attn1", AttentionKind.Self)];
        string[] blocks = ["transformer_blocks.0"];
        new GuidanceSchedule(RuleCatalog.Parse("nag:layers=0+pag:layers=mid+slg:layers=0")).CheckLayers(sites, blocks);
        string message = Assert.Throws<ArgumentException>(
            () => new GuidanceSchedule(RuleCatalog.Parse("nag:layers=mid")).CheckLayers(sites, blocks)).Message;
        Assert.Contains("nag", message, StringComparison.Ordinal);
        Assert.Contains("transformer_blocks.0.attn", message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new GuidanceSchedule(RuleCatalog.Parse("slg")).CheckLayers(sites, blocks));
        Assert.Throws<ArgumentException>(() => new GuidanceSchedule(RuleCatalog.Parse("nag")).CheckLayers([sites[1]], blocks));
        var freeU = new GuidanceSchedule(new FreeU());
        freeU.CheckLayers(sites, blocks, hasSkips: true);
        Assert.StartsWith(
            "freeu", Assert.Throws<ArgumentException>(() => freeU.CheckLayers(sites, blocks)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rule_from_outside_can_be_named()
    {
        RuleCatalog.Register(new OutsideRule());
        RuleCatalog.Register(new OutsideRule());
        Assert.Equal(3, Assert.IsType<OutsideRule>(Assert.Single(RuleCatalog.Parse("outside:amount=3"))).Amount);
        Assert.Throws<ArgumentException>(() => RuleCatalog.Register(new ImpostorRule()));
    }

    private sealed record OutsideRule : GuidanceRule, IAttentionCorrection
    {
        private static readonly RuleForm TextForm = new RuleForm<OutsideRule>("outside")
            .Number("amount", rule => rule.Amount, (rule, x) => rule with { Amount = x }, neutral: 0);

        public override RuleForm Form => TextForm;

        public float Amount { get; init; } = 1;

        public void AddTo(Tensor output, AttentionFacts facts)
        {
        }
    }

    private sealed record ImpostorRule : GuidanceRule
    {
        public override RuleForm Form => new RuleForm<ImpostorRule>("cfg");
    }
}
