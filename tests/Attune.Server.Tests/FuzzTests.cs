using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace Attune.Server.Tests;

/// <summary>
/// Requests that nobody would send by intent: fields of other kinds, damaged bytes, forms that are none, other methods. Each is answered,
/// and none is the server's mistake. ATTUNE_FUZZ says how many (200000 takes some minutes).
/// </summary>
public sealed class FuzzTests : IAsyncLifetime
{
    private static readonly string[] Paths = [
        "/v1/images/generations", "/v1/images/edits", "/api/jobs", "/api/images/read", "/api/images/x", "/sdapi/v1/txt2img",
        "/sdapi/v1/img2img", "/sdapi/v1/png-info", "/sdapi/v1/options", "/v1/models/%ff", "/pictures/x", "/api/jobs?limit=-1&before=%00"];

    private static readonly string[] Types = [
        "application/json", "application/json", "application/json", "application/json; charset=utf-16", "text/plain", "image/png",
        "multipart/form-data; boundary=x", "multipart/form-data; boundary=x", "multipart/form-data", "application/x-www-form-urlencoded"];

    private static readonly string[] Values = [
        "null", "-1", "0", "1e999", "1e308", "0.1", "99999999999999999999", "true", "[]", "{}", "\"\"", "\"NaN\"", "\"\\ud800\"",
        "\"\\u0000\"", "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]", "\"nag+cfg+pag+seg+gag+gag\"", "\"../../etc/passwd\"", "\"-1x-1\"",
        "\"99999999x99999999\"", "\"euler:num_train_timesteps=1000000000\"", "\"euler:shift=nan\"", "\":\"", "\"{}\"", "[1,2,3]",
        "[{\"image_url\": \"data:image/png;base64,iVBORw0KGgo=\"}]", "\"first-block:threshold=1e9\"", "\"1,0.5,nan\""];

    private readonly TestServer _server = new(
        settings => settings with { SdApi = true, Limits = new ServerLimits { Pixels = 64 * 64, Steps = 2, UploadBytes = 100_000 } });

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task No_request_is_the_servers_mistake()
    {
        int count = int.TryParse(Environment.GetEnvironmentVariable("ATTUNE_FUZZ"), out int given) ? given : 500;
        for (int i = 0; i < count; i++)
        {
            var random = new Random(i);
            using var request = Make(random);
            using var response = await _server.Client.SendAsync(request);
            string text = await response.Content.ReadAsStringAsync();
            bool allowed = (int)response.StatusCode < 500
                || response.StatusCode is HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;
            Assert.True(allowed, $"request {i}: {request} {response.StatusCode} {text}");
        }
    }

    private static HttpRequestMessage Make(Random random)
    {
        byte[] body = random.Next(3) == 0 ? Damage(random, Encoding.UTF8.GetBytes(Json(random))) : Encoding.UTF8.GetBytes(Json(random));
        string type = Types[random.Next(Types.Length)];
        if (type.StartsWith("multipart", StringComparison.Ordinal) && random.Next(5) > 0)
            body = Form(random, body);
        var method = random.Next(10) switch { 0 => HttpMethod.Put, 1 => HttpMethod.Delete, 2 => HttpMethod.Patch, _ => HttpMethod.Post };
        var content = new ByteArrayContent(body);
        content.Headers.TryAddWithoutValidation("Content-Type", type);
        var request = new HttpRequestMessage(method, Paths[random.Next(Paths.Length)]) { Content = content };
        if (random.Next(8) == 0)
            request.Headers.TryAddWithoutValidation("Idempotency-Key", new string('k', random.Next(300)));
        if (random.Next(8) == 0)
        {
            string coded = Convert.ToBase64String(body.AsSpan(0, Math.Min(9, body.Length)));
            request.Headers.TryAddWithoutValidation("Authorization", "Basic " + coded);
        }
        return request;
    }

    /// <summary>A request of which fields are missing or have other values.</summary>
    private static string Json(Random random)
    {
        var fields = JsonNode.Parse(
            """
            {"prompt": "a cat", "size": "32x32", "width": 32, "height": 32, "steps": 1, "max_sequence_length": 16, "seed": 1, "n": 1,
             "negative_prompt": "a hat", "guidance": "nag:scale=3", "guidance_scale": 2, "true_cfg_scale": 2, "cfg_scale": 7,
             "scheduler": "euler", "sampler_name": "Euler a", "timesteps": [999, 1], "sigmas": "1,0.5", "eta": 0.5, "cache": "first-block",
             "lora": [{"name": "a", "scale": 1}], "preset": "sdxl-dmd2", "quality": "high", "stream": true, "partial_images": 2,
             "output_format": "png", "model": "sd15", "strength": 0.5, "images": [], "image": "x", "init_images": [], "starred": true,
             "override_settings": {"sd_model_checkpoint": "sd15"}, "batch_size": 1, "clip_skip": 1, "preview": true, "frames": 3}
            """)!.AsObject();
        var text = new StringBuilder("{");
        foreach (var (name, value) in fields.Where(_ => random.Next(3) == 0 || random.Next(9) == 0))
        {
            text.Append(text.Length > 1 ? "," : "").Append('"').Append(name).Append("\": ")
                .Append(random.Next(4) == 0 ? Values[random.Next(Values.Length)] : value!.ToJsonString());
        }
        if (random.Next(2) == 0)
            text.Append(text.Length > 1 ? "," : "").Append("\"prompt\": \"a cat\"");
        return text.Append('}').ToString();
    }

    private static byte[] Damage(Random random, byte[] body)
    {
        for (int i = random.Next(1, 6); i > 0; i--)
            body[random.Next(body.Length)] = (byte)random.Next(256);
        return random.Next(5) == 0 ? body[..random.Next(body.Length)] : body;
    }

    private static byte[] Form(Random random, byte[] body)
    {
        string[] names = ["image", "image[]", "prompt", "mask", "", "n"];
        string name = names[random.Next(names.Length)];
        string file = random.Next(2) == 0 ? "; filename=\"../a.png\"" : "";
        byte[] content = random.Next(2) == 0 ? body : [0x89, .. "PNG\r\n\u001a\n"u8, .. body];
        string end = random.Next(4) switch { 0 => "", 1 => "\r\n", _ => "--\r\n" };
        return
        [
            .. Encoding.ASCII.GetBytes($"--x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"), .. content,
            .. Encoding.ASCII.GetBytes($"\r\n--x{end}"),
        ];
    }
}
