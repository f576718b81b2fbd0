using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Attune.Imaging;
using Attune.Server.Engine;

namespace Attune.Server.Tests;

/// <summary>A server that answers clients of AUTOMATIC1111's web UI.</summary>
public sealed class SdServer : IAsyncLifetime
{
    internal TestServer Server { get; } = new(
        settings => settings with { Models = [TestServer.Model(TestServer.Sd), TestServer.Model(TestServer.Flux)], SdApi = true });

    public ValueTask InitializeAsync() => Server.InitializeAsync();

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}

/// <summary>What clients call of the API of AUTOMATIC1111's web UI.</summary>
public class SdTests(SdServer servers) : IClassFixture<SdServer>
{
    private const string Root = "/sdapi/v1";

    private readonly TestServer _server = servers.Server;

    private Task<JsonElement> GetAsync(string path) => _server.Client.GetFromJsonAsync<JsonElement>($"{Root}/{path}");

    /// <summary>As Open WebUI and SillyTavern send it, with members that nobody knows.</summary>
    [Fact]
    public async Task Text_becomes_pictures()
    {
        var (response, json) = await _server.PostAsync(
            $"{Root}/txt2img",
            """
            {"prompt": "a cat", "negative_prompt": "a hat", "width": 32, "height": 32, "steps": 2, "cfg_scale": 7, "seed": 5,
             "batch_size": 2, "n_iter": 1, "sampler_name": "DPM++ 2M", "scheduler": "Karras", "send_images": true, "save_images": false,
             "restore_faces": false, "enable_hr": false, "url": "http://elsewhere", "auth": "x",
             "override_settings": {"CLIP_stop_at_last_layers": 1}}
            """);
        Assert.True(response.StatusCode == HttpStatusCode.OK, json.ToString());
        var images = json.GetProperty("images").EnumerateArray().Select(image => image.GetBytesFromBase64()).ToArray();
        Assert.Equal(2, images.Length);
        Assert.All(images, image => Assert.Equal(32, Image.Read(image, "x").Width));
        using var info = JsonDocument.Parse(json.GetProperty("info").GetString()!);
        Assert.Equal([5, 6], info.RootElement.GetProperty("all_seeds").EnumerateArray().Select(seed => seed.GetInt32()));
        Assert.Equal(7, info.RootElement.GetProperty("cfg_scale").GetInt32());
        Assert.StartsWith("DPMSolverMultistep", info.RootElement.GetProperty("sampler_name").GetString(), StringComparison.Ordinal);
        Assert.Contains("cfg:scale=7", info.RootElement.GetProperty("guidance").GetString(), StringComparison.Ordinal);
        string infotext = info.RootElement.GetProperty("infotexts")[0].GetString()!;
        Assert.StartsWith("a cat\nNegative prompt: a hat\nSteps: 2, ", infotext, StringComparison.Ordinal);

        // The same by the other API.
        var (_, other) = await _server.PostAsync(
            "/v1/images/generations",
            """
            {"prompt": "a cat", "negative_prompt": "a hat", "size": "32x32", "steps": 2, "true_cfg_scale": 7, "seed": 5,
             "scheduler": "dpm++ 2m karras"}
            """);
        Assert.Equal(other.GetProperty("data")[0].GetProperty("b64_json").GetBytesFromBase64(), images[0]);

        var read = (await _server.PostAsync(
            $"{Root}/png-info", $$"""{"image": "data:image/png;base64,{{Convert.ToBase64String(images[0])}}"}""")).Json;
        Assert.Equal(infotext, read.GetProperty("info").GetString());
    }

    /// <summary>All clients send a scale, which spoils what a model of few steps makes.</summary>
    [Fact]
    public async Task A_scale_is_ignored_where_it_spoils_the_picture_and_the_answer_says_so()
    {
        var (_, json) = await _server.PostAsync(
            $"{Root}/txt2img",
            """
            {"prompt": "a cat", "negative_prompt": "a hat", "width": 32, "height": 32, "steps": 1, "cfg_scale": 7, "seed": 5,
             "override_settings": {"sd_model_checkpoint": "flux-tiny-random [0123456789]"}}
            """);
        using var info = JsonDocument.Parse(json.GetProperty("info").GetString()!);
        Assert.Contains("cfg_scale is ignored", info.RootElement.GetProperty("warnings")[0].GetString(), StringComparison.Ordinal);
        Assert.StartsWith("nag:", info.RootElement.GetProperty("guidance").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_picture_becomes_another()
    {
        var file = new MemoryStream();
        Png.Write(new Image(32, 32, new byte[32 * 32 * 3]), file);
        string picture = Convert.ToBase64String(file.ToArray());
        var (response, json) = await _server.PostAsync(
            $"{Root}/img2img",
            $$"""{"prompt": "a cat", "width": 32, "height": 32, "steps": 2, "denoising_strength": 0.5, "init_images": ["{{picture}}"]}""");
        Assert.True(response.StatusCode == HttpStatusCode.OK, json.ToString());
        Assert.Single(json.GetProperty("images").EnumerateArray());
    }

    [Theory]
    [InlineData("txt2img", """{"prompt": "a", "enable_hr": true}""", 422)]
    [InlineData("txt2img", """{"prompt": "a", "restore_faces": true}""", 422)]
    [InlineData("txt2img", """{"prompt": "a", "alwayson_scripts": {"controlnet": {}}}""", 422)]
    [InlineData("img2img", """{"prompt": "a", "init_images": ["x"], "mask": "x"}""", 400)]
    [InlineData("img2img", """{"prompt": "a"}""", 400)]
    [InlineData("img2img", """{"prompt": "a", "init_images": ["http://127.0.0.1/x.png"]}""", 400)]
    [InlineData("txt2img", """{"prompt": "a <lora:nothing:1>", "width": 32, "height": 32}""", 400)]
    [InlineData("txt2img", """{"prompt": "a", "width": 33}""", 400)]
    [InlineData("txt2img", """{"prompt": "a", "sampler_name": "nothing"}""", 400)]
    [InlineData("txt2img", """{"prompt": "a", "override_settings": {"sd_model_checkpoint": "nothing"}}""", 404)]
    [InlineData("options", """{"sd_model_checkpoint": "flux-tiny-random"}""", 403)]
    [InlineData("options", """{"sd_model_checkpoint": "nothing"}""", 404)]
    public async Task What_would_be_a_lie_is_refused(string path, string body, int status)
    {
        var (response, json) = await _server.PostAsync($"{Root}/{path}", body);
        Assert.True(status == (int)response.StatusCode, json.ToString());
        Assert.NotEqual("", json.GetProperty("detail").GetString());
    }

    [Fact]
    public async Task Clients_find_what_they_look_for()
    {
        var options = await GetAsync("options");
        string title = options.GetProperty("sd_model_checkpoint").GetString()!;
        Assert.StartsWith("sd15 [", title, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, (await _server.PostAsync($"{Root}/options", options.ToString())).Response.StatusCode);
        Assert.Equal(title, (await GetAsync("sd-models"))[0].GetProperty("title").GetString());
        var samplers = (await GetAsync("samplers")).EnumerateArray().Select(sampler => sampler.GetProperty("name").GetString()).ToArray();
        Assert.Contains("euler a", samplers);
        Assert.Equal("automatic", (await GetAsync("schedulers"))[0].GetProperty("name").GetString());
        foreach (string name in (string[])["upscalers", "latent-upscale-modes", "sd-vae", "loras"])
            Assert.Equal(0, (await GetAsync(name)).GetArrayLength());
    }

    [Fact]
    public async Task Progress_is_told_and_an_interrupt_gives_what_is_made()
    {
        Assert.Equal(0, (await GetAsync("progress")).GetProperty("state").GetProperty("job_count").GetInt32());
        var running = _server.PostAsync(
            $"{Root}/txt2img", """{"prompt": "a cat", "width": 64, "height": 64, "steps": 150, "batch_size": 5}""");
        await TestServer.UntilAsync(() => _server.Service<JobBoard>().Live.Any(job => job.LastStep?.Index > 1));
        var progress = await GetAsync("progress?skip_current_image=true");
        Assert.InRange(progress.GetProperty("progress").GetDouble(), 0.001, 1);
        Assert.InRange(progress.GetProperty("state").GetProperty("sampling_steps").GetInt32(), 150, 151);       // PNDM evaluates once more
        await _server.PostAsync($"{Root}/interrupt", "{}");
        var (response, json) = await running;
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.True(json.GetProperty("images").GetArrayLength() < 5);
        Assert.NotEqual("", json.GetProperty("info").GetString());
    }

    [Fact]
    public async Task Without_the_switch_it_is_not_there()
    {
        await using var other = await TestServer.StartAsync();
        Assert.Equal(HttpStatusCode.NotFound, (await other.Client.GetAsync($"{Root}/options")).StatusCode);
    }
}
