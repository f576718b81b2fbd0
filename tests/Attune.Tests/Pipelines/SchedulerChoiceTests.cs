using System.Text;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Tests.Pipelines;

public class SchedulerChoiceTests
{
    private static readonly ModelConfig Own = ModelConfig.Parse("scheduler_config.json", Encoding.UTF8.GetBytes(
        """
            {"_class_name": "PNDMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
            "set_alpha_to_one": false, "steps_offset": 1, "skip_prk_steps": true}
            """));

    [Fact]
    public void A_change_keeps_what_the_checkpoint_states()
    {
        var scheduler = SchedulerChoice.Change("EulerDiscreteScheduler", KeyValuePair.Create("timestep_spacing", "trailing")).For(Own);
        Assert.IsType<EulerDiscreteScheduler>(scheduler);
        Assert.Equal("scaled_linear", scheduler.Config.String("beta_schedule", ""));
        Assert.Equal("trailing", scheduler.Config.String("timestep_spacing", ""));
        Assert.Equal(1, scheduler.Config.Int("steps_offset", 0));
    }

    [Fact]
    public void A_replacement_keeps_nothing()
    {
        var scheduler = SchedulerChoice.Replace("""{"_class_name": "DDIMScheduler", "clip_sample": false}""").For(Own);
        Assert.IsType<DDIMScheduler>(scheduler);
        Assert.False(scheduler.Config.Has("beta_schedule"));
        var unknown = Assert.Throws<CheckpointException>(() => SchedulerChoice.Replace("""{"_class_name": "NoScheduler"}"""));
        Assert.Contains("NoScheduler", unknown.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lcm", "LCMScheduler")]
    [InlineData("Euler", "EulerDiscreteScheduler")]
    [InlineData("euler-ancestral", "EulerAncestralDiscreteScheduler")]
    [InlineData("DDIMScheduler", "DDIMScheduler")]
    [InlineData("euler:timestep_spacing=trailing, steps_offset=0", "EulerDiscreteScheduler:steps_offset=0,timestep_spacing=trailing")]
    [InlineData(":timestep_spacing=trailing", ":timestep_spacing=trailing")]
    public void Texts_are_read(string text, string expected)
    {
        var choice = SchedulerChoice.Parse(text);
        Assert.Equal(expected, choice.ToString());
        Assert.Equal(choice, SchedulerChoice.Parse(choice.ToString()));
        Assert.NotNull(choice.For(Own));
    }

    [Fact]
    public void Numbers_truth_values_and_texts_are_told_apart()
    {
        var config = SchedulerChoice.Parse("ddim:steps_offset=3,clip_sample=true,beta_end=0.02,timestep_spacing=leading,trained_betas=null")
            .For(Own).Config;
        Assert.Equal(3, config.Int("steps_offset", 0));
        Assert.True(config.Bool("clip_sample", false));
        Assert.Equal(0.02, config.Double("beta_end", 0));
        Assert.False(config.Has("trained_betas"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("nosuch")]
    [InlineData("euler:timestep_spacing")]
    [InlineData("euler:=trailing")]
    public void Other_texts_are_refused(string text) => Assert.Throws<FormatException>(() => SchedulerChoice.Parse(text));

    [Fact]
    public void What_a_scheduler_does_not_read_is_refused()
    {
        string Error(string text) => Assert.Throws<CheckpointException>(() => SchedulerChoice.Parse(text).For(Own)).Message;
        Assert.Contains(
            "EulerDiscreteScheduler does not read 'timestep_spacin'", Error("euler:timestep_spacin=trailing"), StringComparison.Ordinal);
        Assert.Contains("timestep_spacing, ", Error("euler:timestep_spacin=trailing"), StringComparison.Ordinal);

        // The file is not to blame.
        Assert.StartsWith(
            "'scheduler_config.json with timestep_spacing=\"sparse\"': timestep_spacing is 'sparse', expected",
            Error("euler:timestep_spacing=sparse"), StringComparison.Ordinal);

        // Of the checkpoint's own keys, those of other classes are ignored, as its skip_prk_steps.
        Assert.NotNull(SchedulerChoice.Parse("euler:timestep_spacing=trailing").For(Own));
    }

    [Fact]
    public void Schedulers_without_this_option_refuse_eta()
    {
        static string Error(string name) =>
            Assert.Throws<ArgumentException>(
                () => SchedulerChoice.Parse(name).For(Own).Begin(new SchedulerRequest { Steps = 4, Eta = 0.5f })).Message;
        Assert.Contains("EulerDiscreteScheduler takes no Eta", Error("euler"), StringComparison.Ordinal);
        Assert.Contains("LCMScheduler takes no Eta", Error("lcm"), StringComparison.Ordinal);
        foreach (string name in new[] { "ddim", "tcd" })
        {
            using var run = SchedulerChoice.Parse(name).For(Own).Begin(new SchedulerRequest { Steps = 4, Eta = 0.5f });
            Assert.Equal(4, run.Steps);
        }
    }

    [Fact]
    public void A_file_is_read()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("s.json"), """{"_class_name": "LCMScheduler"}""");
        Assert.IsType<LCMScheduler>(SchedulerChoice.Parse(folder.At("s.json")).For(Own));
    }
}
