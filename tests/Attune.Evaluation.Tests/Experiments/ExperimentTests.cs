using System.Text.Json.Nodes;
using Attune.Evaluation.Experiments;
using Attune.Generation;
using Attune.Weights;

namespace Attune.Evaluation.Tests.Experiments;

/// <summary>Files of experiments: what they mean, and that mistakes are found before anything is computed.</summary>
public class ExperimentTests
{
    [Fact]
    public void A_file_says_what_is_compared()
    {
        using var trial = new Trial();
        var experiment = trial.Load();
        Assert.Equal(["none", "nag 2", "nag 8", "cfg"], experiment.Variants.Select(variant => variant.Name));
        Assert.Equal(["none", "nag:scale=2", "nag:scale=8", "cfg:scale=3"], experiment.Variants.Select(variant => variant.Rules));
        Assert.Equal([1, 2], experiment.Steps);
        Assert.Equal([2], experiment.Methods[2].Steps);
        Assert.False(experiment.Methods[0].Negative);
        Assert.True(experiment.Methods[1].Negative);
        Assert.Equal((5UL, 2, 3, 1), (experiment.FirstSeed, experiment.SeedCount, experiment.Prompts.Count, experiment.Pictures));
        Assert.Equal(trial.At("judge"), experiment.Judge);
        Assert.Equal("red", experiment.Prompts[0].Absent["tint"]);
        Assert.Null(experiment.Prompts[2].Negative);
    }

    [Fact]
    public void Options_of_the_catalogue_are_those_of_all_requests_and_a_method_may_override_them()
    {
        using var trial = new Trial();
        trial.Write(json =>
        {
            json["options"] = new JsonObject { ["max_sequence_length"] = 16, ["scheduler"] = "flow-match-euler:shift=2" };
            json["methods"]![2]!["options"] = new JsonObject { ["max_sequence_length"] = 8, ["negative_max_sequence_length"] = 24 };
        });
        var experiment = trial.Load();
        Assert.Equal(
            [new("max_sequence_length", "16"), new("scheduler", "FlowMatchEulerDiscreteScheduler:shift=2")],
            experiment.Options.ToArray());
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        var plan = ExperimentPlan.Create(experiment, pipeline, new ArithmeticReader());
        var item = ExperimentPlan.Items(experiment, Shard.Whole)[1];
        var (none, cfg) = (plan.RequestFor(item, 0), plan.RequestFor(item, 3));
        Assert.Equal((16, null), (none.MaxSequenceLength, none.NegativeMaxSequenceLength));
        Assert.Equal((8, 24), (cfg.MaxSequenceLength, cfg.NegativeMaxSequenceLength));
        Assert.Equal(cfg.Scheduler, none.Scheduler);
        Assert.Equal((16, 16, 2, 5UL), (cfg.Width, cfg.Height, cfg.Steps, cfg.Seed));
        Assert.Equal(("a panda", "sunglasses"), (cfg.Prompt, cfg.NegativePrompt));
        Assert.Null(none.NegativePrompt);

        // Records made with other options are of another experiment; those from before there were options are not.
        using var plain = new Trial();
        string fingerprint = Fingerprint.Of(plain.Load());
        Assert.NotEqual(fingerprint, Fingerprint.Of(experiment));
        Assert.NotEqual(
            Fingerprint.Of(experiment), Fingerprint.Of(experiment with { Options = new Dictionary<string, string>() }));
        plain.Write(json => json["options"] = new JsonObject());
        Assert.Equal(fingerprint, Fingerprint.Of(plain.Load()));
    }

    [Fact]
    public void The_baseline_comes_first_and_scales_name_methods_that_do_not_name_them()
    {
        using var trial = new Trial();
        trial.Write(json =>
        {
            json["baseline"] = "cfg";
            json["methods"]![1]!["name"] = "nag";
            json["steps"] = new JsonArray(2);
        });
        Assert.Equal(["cfg", "none", "nag 2", "nag 8"], trial.Load().Variants.Select(variant => variant.Name));
    }

    [Fact]
    public void Prompts_may_be_in_a_file_of_their_own()
    {
        using var trial = new Trial();
        var expected = trial.Load().Prompts.Select(prompt => prompt.Prompt);
        trial.Write(json =>
        {
            File.WriteAllText(trial.At("prompts.json"), json["prompts"]!.ToJsonString());
            json["prompts"] = "prompts.json";
        });
        Assert.Equal(expected, trial.Load().Prompts.Select(prompt => prompt.Prompt));
        File.WriteAllText(trial.At("prompts.json"), """[{ "prompt": "a", "absnt": {} }]""");
        string message = Assert.Throws<FormatException>(trial.Load).Message;
        Assert.Contains("prompts.json", message, StringComparison.Ordinal);
        Assert.Contains("[0].absnt (value {}) is no known key", message, StringComparison.Ordinal);
    }

    /// <summary>A change of the file as JSON path and value (null removes), and what the message says beside the file.</summary>
    public static TheoryData<string, string?, string> Mistakes => new()
    {
        { "title", "3", "title (value 3) is no known key; known here are name, model, judge" },
        { "name", "\"  \"", "name is \"  \", expected a text that is not empty" },
        { "model", null, "model is missing, expected the path of a model" },
        { "judge", "7", "judge is 7, expected a text" },
        { "width", "0", "width is '0', expected an integer, at least 1" },
        { "steps", "[1, 0]", "steps[1] is '0', expected an integer, 1 to 1000" },
        { "steps", "[2, 2]", "steps[1] is 2, expected each number once" },
        { "steps", "4", "steps is 4, expected a list" },
        { "width", "\"16\"", "width is \"16\", expected an integer, at least 1" },
        { "options", "[]", "options is [], expected an object" },
        { "options", "{ \"etta\": 1 }", "options.etta (value 1) is no known key; known here are frames, " },
        { "options", "{ \"steps\": 4 }", "options.steps (value 4) is no known key" },
        { "options", "{ \"image_to_image\": \"a.png\" }", "options.image_to_image (value \"a.png\") is no known key" },
        { "options", "{ \"eta\": 2 }", "options.eta is '2', expected a number, 0 to 1" },
        { "options", "{ \"eta\": \"1\" }", "options.eta is \"1\", expected a number, 0 to 1" },
        { "options", "{ \"scheduler\": \"quick\" }", "options.scheduler is 'quick': 'quick' is neither a file nor a scheduler" },
        { "methods.1.options", "{ \"long_prompts\": 1 }", "methods[1].options.long_prompts is 1, expected true or false" },
        { "seeds", null, "seeds is missing" },
        { "seeds.count", null, "seeds.count is missing, expected an integer of 1 or more" },
        { "seeds.frist", "1", "seeds.frist (value 1) is no known key" },
        { "baseline", "\"pag\"", "baseline is \"pag\", expected the name of a method: none, nag {scale}, cfg" },
        { "baseline", "\"nag {scale}\"", "methods[1].scales has 2 entries, expected one at most, since nag {scale} is the baseline" },
        { "baseline", "\"cfg\"", "methods[0].steps has 1, which the baseline cfg has not" },
        { "methods", "[]", "methods is [], expected a list of one or more" },
        { "methods.2.name", "\"none\"", "methods[2].name is \"none\", a name that another method has" },
        { "methods.2.name", "\"nag 8\"", "two methods have the name \"nag 8\" once scales are filled in" },
        { "methods.2.rules", "\"cgf:scale=3\"", "methods[2].rules is 'cgf:scale=3': 'cgf' is no guidance rule" },
        { "methods.2.rules", "\"cfg:scale=3,tau=1\"", "methods[2].rules is 'cfg:scale=3,tau=1': 'cfg' has no parameter 'tau'" },
        { "methods.2.rules", "\"cfg+apg\"", "methods[2].rules is 'cfg+apg': apg and cfg cannot be used together" },
        { "methods.1.rules", "\"nag\"", "methods[1].rules is \"nag\", expected {scale} where the scale goes" },
        { "methods.2.rules", "\"cfg:scale={scale}\"", "methods[2].rules is \"cfg:scale={scale}\", expected no {scale}" },
        { "methods.1.scales", "[2, 2]", "methods[1].scales[1] is 2, expected each number once" },
        { "methods.1.scales", "[\"2\"]", "methods[1].scales[0] is \"2\", expected a number" },
        { "methods.0.preset", "\"flux-nano\"", "methods[0].preset is \"flux-nano\", expected one of" },
        { "methods.0.negative", "\"no\"", "methods[0].negative is \"no\", expected true or false" },
        { "prompts", "[]", "prompts is [], expected one prompt or more" },
        { "prompts.1.negativ", "\"x\"", "prompts[1].negativ (value \"x\") is no known key" },
        { "prompts.1.prompt", null, "prompts[1].prompt is missing, expected a text" },
        { "prompts.0.absent", "{ \"tint\": 2 }", "prompts[0].absent.tint is 2, expected a text" },
        { "prompts.0.absent", "{ \"tone\": \"dark\" }", "prompts[0].absent.tone is \"dark\", which prompts[0].present asks for" },
        {
            "prompts.1", "{ \"prompt\": \"a panda\", \"negative\": \"sunglasses\" }",
            "prompts[1] has the same prompt and negative as prompts[0]: \"a panda\"" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void A_mistake_is_named_with_its_file_key_and_value(string path, string? value, string expected)
    {
        using var trial = new Trial();
        trial.Write(json => Change(json, path, value));
        string message = Assert.Throws<FormatException>(trial.Load).Message;
        Assert.Contains(expected, message, StringComparison.Ordinal);
        Assert.Contains(trial.ExperimentFile, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_that_is_there_twice_is_an_error()
    {
        using var trial = new Trial();
        File.WriteAllText(
            trial.ExperimentFile, Trial.Text.Replace("\"width\": 16", "\"width\": 16, \"width\": 32", StringComparison.Ordinal));
        Assert.Contains("width", Assert.Throws<FormatException>(trial.Load).Message, StringComparison.Ordinal);
    }

    /// <summary>The same for what only the model and the judge can tell.</summary>
    public static TheoryData<string, string?, string> Misfits => new()
    {
        {
            "methods.2.rules", "\"pag:layers=double.7\"",
            "methods[2].rules is 'pag:layers=double.7': pag: layers=double.7 selects nothing of this model" },
        { "methods.2.rules", "\"freeu\"", "methods[2].rules is 'freeu': freeu does not act on this model" },
        {
            "options", "{ \"eta\": 0.5 }",
            "methods[0] (none) at 1 steps, with its options and the experiment's: Eta: FluxPipeline does not take it" },
        {
            "methods.2.options", "{ \"sigmas\": \"1,0.5,0.2\" }",
            "methods[2] (cfg) at 2 steps, with its options and the experiment's: Steps is 2, but there are 3 Sigmas" },
        { "width", "20", "width is 20, expected a multiple of 16 for FluxPipeline" },
        { "height", "32", "height is 32, expected 16, which the judge" },
        {
            "prompts.1.present", "{ \"face\": \"fox\" }",
            "prompts[1] (\"a fox\"): present.face is no head of the judge, which has tone, tint" },
        {
            "prompts.1.absent", "{ \"tint\": \"pink\" }",
            "prompts[1] (\"a fox\"): absent.tint is \"pink\", expected one of red, green, blue" },
    };

    [Theory]
    [MemberData(nameof(Misfits))]
    public void What_does_not_fit_model_or_judge_is_found_before_anything_is_computed(string path, string? value, string expected)
    {
        using var trial = new Trial();
        trial.Write(json => Change(json, path, value));
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        string message = Assert.Throws<FormatException>(
            () => ExperimentPlan.Create(trial.Load(), pipeline, new ArithmeticReader())).Message;
        Assert.Contains(expected, message, StringComparison.Ordinal);
        Assert.Contains(trial.ExperimentFile, message, StringComparison.Ordinal);
    }

    [Fact]
    public void References_of_another_judge_are_found_before_anything_is_computed()
    {
        using var trial = new Trial();
        trial.Write(json => json["references"] = "true.safetensors");
        using var pipeline = DiffusionPipeline.Load(Trial.Model);
        Assert.Contains(
            "true.safetensors",
            Assert.Throws<CheckpointException>(() => ExperimentPlan.Create(trial.Load(), pipeline, new ArithmeticReader())).Message,
            StringComparison.Ordinal);
        Features.Write(trial.At("true.safetensors"), [[1, 2], [3, 4], [5, 6]]);
        Assert.Contains(
            "features is [3, 2], expected [2 or more pictures, 3]",
            Assert.Throws<CheckpointException>(() => ExperimentPlan.Create(trial.Load(), pipeline, new ArithmeticReader())).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("3", "0/4", "5/4", "1/0", "a/b", "-1/2", "1/2/3", "")]
    public void A_shard_is_one_of_some(params string[] texts)
    {
        foreach (string text in texts)
            Assert.Contains(
                $"'{text}' is no shard", Assert.Throws<FormatException>(() => Shard.Parse(text)).Message, StringComparison.Ordinal);
        Assert.Equal("records-03-of-16.jsonl", Shard.Parse("3/16").FileName);
        Assert.Equal("records-007-of-100.jsonl", Shard.Parse("7/100").FileName);
        Assert.Equal("records.jsonl", Shard.Parse("1/1").FileName);
    }

    private static void Change(JsonObject json, string path, string? value)
    {
        string[] names = path.Split('.');
        JsonNode at = json;
        foreach (string name in names[..^1])
            at = (at is JsonArray list ? list[int.Parse(name, System.Globalization.CultureInfo.InvariantCulture)] : at[name])!;
        var node = value == null ? null : JsonNode.Parse(value);
        if (at is JsonArray entries)
            entries[int.Parse(names[^1], System.Globalization.CultureInfo.InvariantCulture)] = node;
        else if (value == null)
            at.AsObject().Remove(names[^1]);
        else
            at[names[^1]] = node;
    }
}
