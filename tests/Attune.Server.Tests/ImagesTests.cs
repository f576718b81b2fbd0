using System.Net;
using System.Text.Json;
using Attune.Generation;
using Attune.Imaging;

namespace Attune.Server.Tests;

/// <summary>OpenAI's images API over the wire: fields, answers, errors.</summary>
public class ImagesTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Path = "/v1/images/generations";

    private static byte[] BytesOf(JsonElement image) => image.GetProperty("b64_json").GetBytesFromBase64();

    [Fact]
    public async Task An_answer_has_the_members_that_clients_read()
    {
        var (response, json) = await server.PostAsync(Path, TestServer.Quick(", \"quality\": \"high\", \"user\": \"me\""));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("application/json; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        Assert.Matches("^[0-9a-z]{26}$", response.Headers.GetValues("x-request-id").Single());
        Assert.True(json.GetProperty("created").TryGetInt64(out long created) && created > 1_700_000_000);
        Assert.Equal(
            ("png", "32x32", "high", "opaque"),
            (json.GetProperty("output_format").GetString(), json.GetProperty("size").GetString(), json.GetProperty("quality").GetString(),
                json.GetProperty("background").GetString()));
        var usage = json.GetProperty("usage");
        Assert.Equal(16, usage.GetProperty("input_tokens_details").GetProperty("text_tokens").GetInt32());
        Assert.Equal(usage.GetProperty("input_tokens").GetInt32(), usage.GetProperty("total_tokens").GetInt32());
        var image = Assert.Single(json.GetProperty("data").EnumerateArray());
        Assert.Equal(7, image.GetProperty("seed").GetInt32());
        Assert.Equal((32, 32), (Image.Read(BytesOf(image), "x").Width, Image.Read(BytesOf(image), "x").Height));
        var attune = json.GetProperty("attune");
        Assert.Equal(["quality", "user"], attune.GetProperty("ignored").EnumerateArray().Select(name => name.GetString()));
        Assert.Equal("a red cat", attune.GetProperty("parameters").GetProperty("prompt").GetString());
    }

    /// <summary>The pixels and texts are those of the library with the same request: nothing is lost on the way.</summary>
    [Fact]
    public async Task A_picture_is_that_of_the_library()
    {
        var (_, json) = await server.PostAsync(
            Path, TestServer.Quick(", \"negative_prompt\": \"a hat\", \"guidance\": \"nag:scale=3\", \"scheduler\": \"heun\""));
        byte[] bytes = BytesOf(json.GetProperty("data")[0]);
        var model = TestServer.Model(TestServer.Flux);
        using var pipeline = DiffusionPipeline.Load(model.Path, model.Options);
        var request = new GenerationRequest
        {
            Prompt = "a red cat", NegativePrompt = "a hat", Guidance = GuidanceChoice.Parse("nag:scale=3"), Width = 32, Height = 32,
            Steps = 1, Seed = 7, MaxSequenceLength = 16, Scheduler = Schedulers.SchedulerChoice.Parse("heun"),
        };
        var resolved = pipeline.Resolve(request);
        var expected = (await pipeline.GenerateAsync(request))[0];
        Assert.True(expected.Rgb.SequenceEqual(Image.Read(bytes, "x").Rgb));
        Assert.Equal(
            PictureTexts.Of(pipeline, model.Options, ModelIdentity.Of(model.Path), resolved, 0), Png.ReadTexts(bytes, "x"));
    }

    /// <summary>Each of several pictures can be made again alone.</summary>
    [Fact]
    public async Task Several_pictures_have_seeds_that_follow_one_another()
    {
        var (_, json) = await server.PostAsync(Path, TestServer.Quick(", \"n\": 2, \"output_format\": \"png\""));
        var data = json.GetProperty("data").EnumerateArray().ToArray();
        Assert.Equal([7, 8], data.Select(image => image.GetProperty("seed").GetInt32()));
        var (_, alone) = await server.PostAsync(Path, TestServer.Quick().Replace("\"seed\": 7", "\"seed\": 8", StringComparison.Ordinal));
        Assert.Equal(BytesOf(data[1]), BytesOf(alone.GetProperty("data")[0]));
        Assert.NotEqual(BytesOf(data[0]), BytesOf(data[1]));
    }

    [Fact]
    public async Task Without_a_seed_it_is_by_chance_and_told()
    {
        string body = """{"prompt": "a cat", "size": "32x32", "steps": 1, "seed": -1, "max_sequence_length": 16, "stream": null}""";
        var (_, first) = await server.PostAsync(Path, body);
        var (_, second) = await server.PostAsync(Path, body);
        static long SeedOf(JsonElement answer) => answer.GetProperty("data")[0].GetProperty("seed").GetInt64();
        long a = SeedOf(first), b = SeedOf(second);
        Assert.NotEqual(a, b);
        Assert.InRange(a, 0, 1L << 53);
        Assert.Equal(a, first.GetProperty("attune").GetProperty("parameters").GetProperty("seed").GetInt64());
    }

    [Theory]
    [InlineData("jpeg", new byte[] { 0xFF, 0xD8, 0xFF })]
    [InlineData("webp", new byte[] { (byte)'R', (byte)'I', (byte)'F', (byte)'F' })]
    public async Task Other_formats_are_written(string format, byte[] start)
    {
        var (_, json) = await server.PostAsync(Path, TestServer.Quick($", \"output_format\": \"{format}\", \"output_compression\": 100"));
        Assert.Equal(format, json.GetProperty("output_format").GetString());
        byte[] bytes = BytesOf(json.GetProperty("data")[0]);
        Assert.Equal(start, bytes[..start.Length]);
        if (format == "webp")
            Assert.Contains("VP8 ", System.Text.Encoding.Latin1.GetString(bytes), StringComparison.Ordinal);       // lossy, not VP8L
    }

    [Fact]
    public async Task A_link_leads_to_the_picture()
    {
        var (_, json) = await server.PostAsync(Path, TestServer.Quick(", \"response_format\": \"url\""));
        var image = json.GetProperty("data")[0];
        Assert.False(image.TryGetProperty("b64_json", out _));
        string url = image.GetProperty("url").GetString()!;
        Assert.StartsWith(server.Address + "/pictures/", url, StringComparison.Ordinal);
        using var response = await server.Client.GetAsync(url);
        Assert.Equal("image/png", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("nosniff", response.Headers.GetValues("X-Content-Type-Options").Single());
        Assert.Equal(32, Image.Read(await response.Content.ReadAsByteArrayAsync(), "x").Width);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync(url[..^8] + "0000.png")).StatusCode);
    }

    [Theory]
    [InlineData("""{"size": "32x32"}""", "prompt", "missing_required_parameter")]
    [InlineData("""{"prompt": null}""", "prompt", "missing_required_parameter")]
    [InlineData("""{"prompt": 3}""", "prompt", "invalid_value")]
    [InlineData("""{"prompt": "a", "n": 11}""", "n", "integer_above_max_value")]
    [InlineData("""{"prompt": "a", "n": 0}""", "n", "integer_below_min_value")]
    [InlineData("""{"prompt": "a", "n": 1.5}""", "n", "invalid_value")]
    [InlineData("""{"prompt": "a", "size": "33x32"}""", "size", "invalid_value")]
    [InlineData("""{"prompt": "a", "size": "0x0"}""", "size", "invalid_value")]
    [InlineData("""{"prompt": "a", "size": "4096x4096"}""", "size", "invalid_value")]
    [InlineData("""{"prompt": "a", "size": "99999999999x16"}""", "size", "invalid_value")]
    [InlineData("""{"prompt": "a", "steps": 151}""", "steps", "invalid_value")]
    [InlineData("""{"prompt": "a", "steps": 4, "num_inference_steps": 5}""", "num_inference_steps", "invalid_value")]
    [InlineData("""{"prompt": "a", "sigmas": "0.1,0.5"}""", "sigmas", "invalid_value")]
    [InlineData("""{"prompt": "a", "seed": -2}""", "seed", "integer_below_min_value")]
    [InlineData("""{"prompt": "a", "guidance": "nags"}""", "guidance", "invalid_value")]
    [InlineData("""{"prompt": "a", "guidance": "nag:tau=x"}""", "guidance", "invalid_value")]
    [InlineData("""{"prompt": "a", "guidance": "cfg", "guidance_scale": 5}""", "guidance_scale", "invalid_value")]
    [InlineData("""{"prompt": "a", "preset": "nothing"}""", "preset", "invalid_value")]
    [InlineData("""{"prompt": "a", "scheduler": "nothing"}""", "scheduler", "invalid_value")]
    [InlineData("""{"prompt": "a", "scheduler": "DDIMScheduler"}""", "scheduler", "invalid_value")]
    [InlineData("""{"prompt": "a", "scheduler": "/etc/hostname"}""", "scheduler", "invalid_value")]
    [InlineData("""{"prompt": "a", "scheduler": "{\"_class_name\": \"DDIMScheduler\"}"}""", "scheduler", "invalid_value")]
    [InlineData("""{"prompt": "a", "clip_skip": 1}""", "clip_skip", "invalid_value")]
    [InlineData("""{"prompt": "a", "eta": 2}""", "eta", "invalid_value")]
    [InlineData("""{"prompt": "a", "strength": 0.5}""", "strength", "invalid_value")]
    [InlineData("""{"prompt": "a", "lora": [{"name": "../x"}]}""", "lora", "invalid_value")]
    [InlineData("""{"prompt": "a", "lora": "x"}""", "lora", "invalid_value")]
    [InlineData("""{"prompt": "a", "image": "/etc/hostname"}""", "image", "unknown_parameter")]
    [InlineData("""{"prompt": "a", "image_to_image": "/etc/hostname"}""", "image_to_image", "unknown_parameter")]
    [InlineData("""{"prompt": "a", "quality": "best"}""", "quality", "invalid_value")]
    [InlineData("""{"prompt": "a", "output_format": "gif"}""", "output_format", "unsupported_value")]
    [InlineData("""{"prompt": "a", "output_compression": 101}""", "output_compression", "integer_above_max_value")]
    [InlineData("""{"prompt": "a", "background": "transparent"}""", "background", "unsupported_value")]
    [InlineData("""{"prompt": "a", "partial_images": 4}""", "partial_images", "integer_above_max_value")]
    [InlineData("""{"prompt": "a", "stream": "yes"}""", "stream", "invalid_value")]
    [InlineData("""{"prompt": "a", "frame_count": 3}""", "frame_count", "unsupported_parameter")]
    [InlineData("""{"prompt": "a", "negativ_prompt": "b"}""", "negativ_prompt", "unknown_parameter")]
    [InlineData("""{"prompt": "a", "prompt": "b"}""", null, "invalid_json")]
    [InlineData("""[1]""", null, "invalid_json")]
    [InlineData("""{"prompt": "a" """, null, "invalid_json")]
    [InlineData("", null, "invalid_json")]
    public async Task What_is_wrong_is_named(string body, string? parameter, string code)
    {
        var refused = await server.RefusedAsync(Path, body);
        Assert.Equal((400, parameter, code), (refused.Status, refused.Parameter, refused.Code));
        Assert.DoesNotContain("/work", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>Texts that are none: the parser takes them, and fails when they are read.</summary>
    [Theory]
    [InlineData("{\"prompt\": \"\\ud800\"}")]
    [InlineData("{\"prompt\": \"a\", \"\\ud800\": 1}")]
    [InlineData("{\"prompt\": \"a\", \"lora\": [{\"name\": \"\\ud800\"}]}")]
    [InlineData("{\"prompt\": \"\u00ff\"}")]
    public async Task Texts_that_are_no_texts_are_refused(string body)
    {
        using var content = new ByteArrayContent(System.Text.Encoding.Latin1.GetBytes(body));
        content.Headers.ContentType = new("application/json");
        using var response = await server.Client.PostAsync(Path, content);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal("invalid_json", TestServer.ErrorOf(json.RootElement).Code);
    }

    [Fact]
    public async Task Long_prompts_unknown_models_and_other_bodies_are_refused()
    {
        string prompt = new('a', 32_001);
        Assert.Equal("string_above_max_length", (await server.RefusedAsync(Path, $$"""{"prompt": "{{prompt}}"}""")).Code);
        Assert.Equal(
            "string_above_max_length",
            (await server.RefusedAsync(Path, $$"""{"prompt": "a", "negative_prompt": "{{prompt}}"}""")).Code);
        var unknown = await server.RefusedAsync(Path, """{"prompt": "a", "model": "dall-e-9"}""");
        Assert.Equal((404, "model", "model_not_found"), (unknown.Status, unknown.Parameter, unknown.Code));
        Assert.Contains(TestServer.Flux, unknown.Message, StringComparison.Ordinal);
        using var text = new StringContent("prompt=a");
        using var response = await server.Client.PostAsync(Path, text);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        using var large = new StringContent($$"""{"prompt": "{{new string('a', 2 << 20)}}"}""", null, "application/json");
        using var refused = await server.Client.PostAsync(Path, large);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, refused.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Client.PostAsync("/v1/images/variations", null)).StatusCode);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await server.Client.GetAsync(Path)).StatusCode);
    }

    /// <summary>A guidance scale is the model's where it embeds one, else that of classifier-free guidance.</summary>
    [Theory]
    [InlineData(TestServer.Sd, ", \"guidance_scale\": 7.5", "cfg:scale=7.5")]
    [InlineData(TestServer.Sd, ", \"guidance_scale\": 1, \"guidance\": \"none\"", "none")]
    [InlineData(TestServer.Sd, ", \"true_cfg_scale\": 2, \"guidance\": \"nag:scale=3\", \"negative_prompt\": \"x\"", "nag:scale=3")]
    public async Task Scales_of_other_tools_mean_what_they_mean_there(string model, string more, string rules)
    {
        var (response, json) = await server.PostAsync(
            Path, $$"""{"model": "{{model}}", "prompt": "a cat", "size": "32x32", "steps": 1{{more}}}""");
        Assert.True(response.IsSuccessStatusCode, json.ToString());
        string guidance = json.GetProperty("attune").GetProperty("parameters").GetProperty("guidance").GetString()!;
        Assert.Contains(rules, guidance, StringComparison.Ordinal);
        Assert.Equal(more.Contains("true_cfg", StringComparison.Ordinal), guidance.Contains("cfg:scale=2", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Models_are_listed_and_found()
    {
        using var list = JsonDocument.Parse(await server.Client.GetStringAsync("/v1/models"));
        var models = list.RootElement.GetProperty("data").EnumerateArray().ToArray();
        Assert.Equal([TestServer.Flux, TestServer.Sd], models.Select(model => model.GetProperty("id").GetString()));
        Assert.Equal("list", list.RootElement.GetProperty("object").GetString());
        Assert.Equal("FluxPipeline", models[0].GetProperty("attune").GetProperty("class").GetString());
        Assert.Contains("image", models[1].GetProperty("attune").GetProperty("takes").EnumerateArray().Select(name => name.GetString()));
        using var one = JsonDocument.Parse(await server.Client.GetStringAsync("/v1/models/dall-e-2"));
        Assert.Equal(TestServer.Flux, one.RootElement.GetProperty("id").GetString());
        Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync("/v1/models/x")).StatusCode);
    }
}
