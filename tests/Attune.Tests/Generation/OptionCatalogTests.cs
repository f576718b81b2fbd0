using System.Reflection;
using System.Text;
using System.Text.Json;
using Attune.Generation;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Models;
using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Tests.Generation;

/// <summary>The list of a request's options: complete, unambiguous, and exact in both directions.</summary>
public class OptionCatalogTests
{
    private static readonly GenerationRequest Empty = new() { Prompt = "" };

    /// <summary>A value for every option, in the form in which the option writes it.</summary>
    private static readonly Dictionary<string, string> Values = new()
    {
        ["prompt"] = "a \"panda\",\nin the rain", ["negative"] = "", ["steps"] = "7", ["seed"] = "18446744073709551615", ["width"] = "64",
        ["height"] = "80", ["frames"] = "5", ["fps"] = "23.976", ["count"] = "2", ["guidance"] = "nag:scale=3+cfg",
        ["preset"] = "sdxl-dmd2",
        ["guidance-scale"] = "3.3", ["max-sequence-length"] = "16", ["negative-max-sequence-length"] = "8", ["strength"] = "0.7",
        ["scheduler"] = "DDIMScheduler:timestep_spacing=trailing", ["timesteps"] = "999,499", ["sigmas"] = "1,0.123456789012345",
        ["eta"] = "1E-05", ["clip-skip"] = "0", ["long-prompts"] = "true", ["original-size"] = "512x640", ["crop"] = "8,24",
        ["target-size"] = "1024x768", ["aesthetic-score"] = "5.5", ["negative-aesthetic-score"] = "-1",
        ["negative-as-diffusers"] = "true", ["additive-text-mask"] = "true", ["instruction"] = "Draw: ",
        ["reference-size"] = "512", ["mask-padding"] = "0", ["sight-size"] = "384", ["pictures-in-a-line"] = "true",
        ["cache"] = "taylor:of=prediction,interval=2,order=1,before=0,after=never,factors=f32",
        ["lora-scales"] = "0.5,-1.25", ["prompt-weights"] = "comfyui",
    };

    public static TheoryData<string> Names => [.. OptionCatalog.All.Select(option => option.Name)];

    public static TheoryData<string> Written =>
        [.. OptionCatalog.All.Where(option => !option.IsShorthand && option.Kind != OptionKind.File).Select(option => option.Name)];

    public static TheoryData<string> Numbers =>
        [.. OptionCatalog.All.Where(option => option.Range != null).Select(option => option.Name)];

    private static RequestOption Option(string name) => OptionCatalog.Find(name)!;

    private static Image Dark() => new(8, 8, new byte[3 * 8 * 8]);

    private static string? Message(string name, string text)
    {
        var exception = Record.Exception(() => Option(name).Set(Empty, text, "--" + name));
        Assert.True(exception is null or FormatException, $"{name}: {exception}");
        return exception?.Message;
    }

    private static void Same(GenerationRequest expected, GenerationRequest actual) => Assert.Equal(
        OptionCatalog.All.Select(option => (option.Name, option.Get(expected))),
        OptionCatalog.All.Select(option => (option.Name, option.Get(actual))));

    /// <summary>Of the request itself and of the records in it, save for pictures and tensors, which have no text form.</summary>
    [Fact]
    public void Every_value_of_a_request_has_an_option()
    {
        var all = OptionCatalog.All.Where(option => !option.IsShorthand).Aggregate(
            Empty, (request, option) => option.Kind == OptionKind.File ? request : option.Set(request, Values[option.Name]));
        foreach (var (holder, plain) in new (object, object)[]
        {
            (all, Empty), (all.Images, Empty.Images), (all.SizeConditioning!, new SizeConditioning()),
        })
        {
            foreach (var property in holder.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
            {
                Type[] pictures = [typeof(Image), typeof(IReadOnlyList<Image>), typeof(Tensor), typeof(InputImages)];
                if (property.SetMethod is { IsPublic: true } && !pictures.Contains(property.PropertyType))
                {
                    Assert.False(
                        Equals(property.GetValue(plain), property.GetValue(holder)),
                        $"{property.DeclaringType!.Name}.{property.Name} has no option in OptionCatalog.");
                }
            }
        }
    }

    [Fact]
    public void Names_keys_and_aliases_are_unique()
    {
        string[] names = [.. OptionCatalog.All.SelectMany(option => option.Aliases.Append(option.Name).Append(option.Key).Distinct())];
        Assert.Equal(names.Order(StringComparer.Ordinal), names.Distinct().Order(StringComparer.Ordinal));
        Assert.All(names, name => Assert.NotNull(OptionCatalog.Find(name)));
        Assert.Null(OptionCatalog.Find("no-such"));
        Assert.All(OptionCatalog.All, option => Assert.Matches("^[a-z]+(-[a-z]+)*$", option.Name));
        Assert.All(OptionCatalog.All, option => Assert.Matches("^[a-z]+(_[a-z]+)*$", option.Key));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void An_option_names_a_property_and_says_what_it_does(string name)
    {
        var option = Option(name);
        var type = typeof(GenerationRequest);
        foreach (string part in option.Property.Split('.'))
            type = (type.GetProperty(part) ?? typeof(InputImages).GetProperty(part))?.PropertyType!;
        Assert.NotNull(type);
        Assert.EndsWith(".", option.Description, StringComparison.Ordinal);
        if (option.ModelOption is { } taken)
            Assert.Contains(taken, typeof(ModelOption).GetFields().Select(field => (string)field.GetValue(null)!));
    }

    [Theory]
    [MemberData(nameof(Written))]
    public void What_is_set_is_what_is_got(string name)
    {
        var option = Option(name);
        var request = option.Set(Empty, Values[name]);
        Assert.Equal(Values[name], option.Get(request));
        Same(request, option.Set(request, option.Get(request)!));
        Assert.Equal(request.Guidance, option.Set(request, option.Get(request)!).Guidance);

        // Nothing else changes, except that sizes for SDXL come together.
        var others = OptionCatalog.All.Where(other => other != option && other.Property != option.Property).ToList();
        Assert.All(others, other => Assert.Equal(other.Get(Empty), other.Get(request)));
    }

    [Fact]
    public void All_options_together_go_through_json_and_back()
    {
        var request = OptionCatalog.All.Where(option => Values.ContainsKey(option.Name))
            .Aggregate(Empty, (request, option) => option.Set(request, Values[option.Name]));
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            OptionCatalog.Write(json, request);
            json.WriteEndObject();
        }
        using var document = JsonDocument.Parse(stream.ToArray());
        var back = document.RootElement.EnumerateObject()
            .Aggregate(Empty, (read, member) => OptionCatalog.Find(member.Name)!.Set(read, member.Value));
        Same(request, back);
        Assert.Equal(request.Guidance, back.Guidance);
        Assert.Equal(request.Scheduler, back.Scheduler);
        Assert.Equal(request.Timesteps, back.Timesteps);
        Assert.Equal(request.Sigmas, back.Sigmas);
        Assert.Equal(request.SizeConditioning, back.SizeConditioning);
        Assert.Equal(request.Seed, back.Seed);
    }

    [Fact]
    public void A_size_is_a_width_and_a_height()
    {
        var request = Option("size").Set(Empty, "1024x768");
        Assert.Equal((1024, 768), (request.Width, request.Height));
        Assert.Null(Option("size").Get(request));
    }

    [Fact]
    public void A_whole_scheduler_configuration_is_a_text_too()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("scheduler_config.json"), """{ "_class_name": "DDIMScheduler", "set_alpha_to_one": false }""");
        var request = Option("scheduler").Set(Empty, folder.At("scheduler_config.json"));
        string text = Option("scheduler").Get(request)!;
        Assert.StartsWith("{", text, StringComparison.Ordinal);
        Assert.Equal(request, Option("scheduler").Set(Empty, text));
    }

    /// <summary>Rules as objects say all of their parameters, so that no preset fills in what they left at a default.</summary>
    [Fact]
    public void Rules_as_objects_are_the_same_rules_under_any_preset()
    {
        var request = Empty with { Guidance = GuidanceChoice.Of(new NormalizedAttentionGuidance { Scale = 7 }, new PladisGuidance()) };
        var back = Option("guidance").Set(Empty, Option("guidance").Get(request)!);
        Assert.Equal(request.Guidance, back.Guidance);
        foreach (string family in GuidancePresets.Families)
            Assert.Equal(request.Guidance.For(null).Rules, back.Guidance.For(GuidancePresets.For(family)).Rules);
        Assert.NotEqual(request.Guidance, GuidanceChoice.None);
    }

    [Theory]
    [InlineData("steps", "x", "--steps is 'x', expected an integer, 1 to 1000.")]
    [InlineData("steps", "0", "--steps is '0', expected an integer, 1 to 1000.")]
    [InlineData("steps", "2.5", "--steps is '2.5', expected an integer, 1 to 1000.")]
    [InlineData("count", "99999999999", "--count is '99999999999', expected an integer, at least 1.")]
    [InlineData("seed", "first", "--seed is 'first', expected an integer of 64 bits, 0 to 18446744073709551615.")]
    [InlineData("strength", "0", "--strength is '0', expected a number, above 0 and at most 1.")]
    [InlineData("guidance-scale", "NaN", "--guidance-scale is 'NaN', expected a number, at least 0.")]
    [InlineData("aesthetic-score", "Infinity", "--aesthetic-score is 'Infinity', expected a number.")]
    [InlineData("size", "64", "--size is '64', expected WIDTHxHEIGHT, as 1024x768.")]
    [InlineData("crop", "1", "--crop is '1', expected LEFT,TOP.")]
    [InlineData("crop", "1,x", "--crop is '1,x', expected integers joined by commas.")]
    [InlineData("sigmas", "1,x", "--sigmas is '1,x', expected numbers joined by commas.")]
    [InlineData("long-prompts", "yes", "--long-prompts is 'yes', expected true or false.")]
    [InlineData("preset", "nix", "--preset is 'nix': 'nix' is no family of models that has presets; there are: ")]
    [InlineData("scheduler", "nix", "--scheduler is 'nix': 'nix' is neither a file nor a scheduler; there are: ")]
    [InlineData("guidance", "nagg", "--guidance is 'nagg': 'nagg' is no guidance rule (did you mean 'nag'?); there are: ")]
    [InlineData("guidance", "nag:tau=0", "--guidance is 'nag:tau=0': nag: tau is 0, expected at least 1")]
    [InlineData("guidance", "cfg+apg", "--guidance is 'cfg+apg': apg and cfg cannot be used together")]
    public void An_error_names_the_option_and_what_was_expected(string name, string text, string expected)
    {
        string message = Message(name, text)!;
        Assert.StartsWith(expected, message, StringComparison.Ordinal);
        Assert.DoesNotContain("(Parameter", message, StringComparison.Ordinal);
    }

    /// <summary>The same range holds for a text and for an object.</summary>
    [Theory]
    [MemberData(nameof(Numbers))]
    public void A_range_is_stated_once(string name)
    {
        var option = Option(name);
        var range = option.Range!.Value;
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        foreach (double value in new[] { range.Minimum - 1, range.Minimum, range.Maximum, range.Maximum + 1 }.Where(double.IsFinite))
        {
            string text = value.ToString(System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal(range.Contains(value), Message(name, text) == null);
        }
        var outside = name switch
        {
            "steps" => Empty with { Steps = 0 },
            "width" => Empty with { Width = 0 },
            "height" => Empty with { Height = 0 },
            "count" => Empty with { Count = 0 },
            "max-sequence-length" => Empty with { MaxSequenceLength = 0 },
            "negative-max-sequence-length" => Empty with { NegativeMaxSequenceLength = 0 },
            "strength" => Empty with { Images = new InputImages { Initial = Dark(), Strength = 0 } },
            "mask-padding" => Empty with { Images = new InputImages { Initial = Dark(), Mask = Dark(), MaskPadding = -1 } },
            "eta" => Empty with { Eta = -1 },
            "clip-skip" => Empty with { ClipSkip = -1 },
            _ => null,
        };
        if (outside == null)
            Assert.False(pipeline.Facts.Takes(option.ModelOption!), $"{name} has no value outside of its range in this test.");
        else
            Assert.StartsWith(
                $"{option.Property} is ", Assert.Throws<ArgumentException>(() => pipeline.Resolve(outside)).Message,
                StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("steps", "\"4\"", "steps is \"4\", expected an integer, 1 to 1000.")]
    [InlineData("steps", "4.5", "steps is '4.5', expected an integer, 1 to 1000.")]
    [InlineData("negative", "4", "negative_prompt is 4, expected a text.")]
    [InlineData("prompt", "null", "prompt is null, expected a text.")]
    [InlineData("long-prompts", "1", "long_prompts is 1, expected true or false.")]
    [InlineData("timesteps", "[9, 4]", "timesteps is [9, 4], expected a text.")]
    [InlineData("image", "true", "image_to_image is true, expected the path of a file.")]
    public void Json_has_the_kind_of_the_option(string name, string json, string expected)
    {
        using var document = JsonDocument.Parse(json);
        Assert.Equal(
            expected, Assert.Throws<FormatException>(() => Option(name).Set(Empty, document.RootElement)).Message);
    }

    [Fact]
    public void A_picture_is_named_by_its_file_and_written_as_true()
    {
        using var folder = new TemporaryFolder();
        Png.Save(Dark(), folder.At("start.png"));
        var request = Option("i").Set(Empty, folder.At("start.png"));
        Assert.Equal(8, request.Images.Initial!.Width);
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            OptionCatalog.Write(json, request);
            json.WriteEndObject();
        }
        string text = Encoding.UTF8.GetString(stream.ToArray());
        Assert.Contains("\"image_to_image\":true", text, StringComparison.Ordinal);
        Assert.DoesNotContain("start.png", text, StringComparison.Ordinal);
    }

    /// <summary>What a model adds to a request stays the same when the result is resolved again.</summary>
    [Theory]
    [InlineData("sdxl", "sdxl-dmd2")]
    [InlineData("sdxl", null)]
    [InlineData("sd15", "sd15-lcm")]
    [InlineData("flux-dev", null)]
    [InlineData("flux-schnell", "flux-kontext")]
    public void Resolving_is_done_once_and_for_all(string checkpoint, string? preset)
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", checkpoint));
        var asked = Empty with { Prompt = "a panda", Guidance = GuidanceChoice.Parse("nag+cfg:scale=3"), Preset = preset };
        var once = pipeline.Resolve(asked);
        var twice = pipeline.Resolve(once.Request);
        Same(once.Request, twice.Request);
        Assert.Equal(once.Guidance.Rules, twice.Guidance.Rules);
        Assert.Equal(once.Size, twice.Size);
        Assert.NotNull(once.Request.Steps);
        Assert.NotNull(once.Request.Width);
        Assert.DoesNotContain("nag+", Option("guidance").Get(once.Request), StringComparison.Ordinal);
    }
}
