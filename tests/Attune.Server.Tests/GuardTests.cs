using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;

namespace Attune.Server.Tests;

/// <summary>Who is let in.</summary>
public class GuardTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Key = "a secret of mine";

    private static async Task<(HttpStatusCode Status, HttpResponseHeaders Headers)> SendAsync(
        TestServer to, HttpMethod method, string path, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        using var response = await to.Client.SendAsync(request);
        if ((int)response.StatusCode >= 400)
            TestServer.ErrorOf(System.Text.Json.JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement);
        return (response.StatusCode, response.Headers);
    }

    /// <summary>A page whose name was made to mean this machine sends its own name.</summary>
    [Theory]
    [InlineData("evil.example", HttpStatusCode.Forbidden)]
    [InlineData("localhost.evil.example", HttpStatusCode.Forbidden)]
    [InlineData("127.0.0.1.evil.example:80", HttpStatusCode.Forbidden)]
    [InlineData("localhost:9", HttpStatusCode.OK)]
    [InlineData("127.0.0.1", HttpStatusCode.OK)]
    [InlineData("[::1]:80", HttpStatusCode.OK)]
    public async Task The_host_is_one_that_is_known(string host, HttpStatusCode expected) =>
        Assert.Equal(expected, (await SendAsync(server, HttpMethod.Get, "/v1/models", ("Host", host))).Status);

    [Theory]
    [InlineData("Origin", "https://evil.example", HttpStatusCode.Forbidden)]
    [InlineData("Origin", "null", HttpStatusCode.Forbidden)]
    [InlineData("Sec-Fetch-Site", "cross-site", HttpStatusCode.Forbidden)]
    [InlineData("Sec-Fetch-Site", "same-origin", HttpStatusCode.OK)]
    public async Task Pages_of_other_origins_are_refused(string header, string value, HttpStatusCode expected)
    {
        var (status, headers) = await SendAsync(server, HttpMethod.Get, "/v1/models", (header, value));
        Assert.Equal(expected, status);
        Assert.False(headers.Contains("Access-Control-Allow-Origin"));
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(server, HttpMethod.Get, "/v1/models", ("Origin", server.Address))).Status);
    }

    [Fact]
    public async Task Origins_that_are_named_are_let_in()
    {
        await using var open = await TestServer.StartAsync(settings => settings with { Origins = ["https://page.example"] });
        var (status, headers) = await SendAsync(
            open, HttpMethod.Get, "/v1/models", ("Origin", "https://page.example"), ("Sec-Fetch-Site", "cross-site"));
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal("https://page.example", headers.GetValues("Access-Control-Allow-Origin").Single());
        (status, headers) = await SendAsync(
            open, HttpMethod.Options, "/v1/images/generations", ("Origin", "https://page.example"),
            ("Access-Control-Request-Method", "POST"));
        Assert.Equal(HttpStatusCode.NoContent, status);
        Assert.True(headers.Contains("Access-Control-Allow-Headers"));
        Assert.Equal(HttpStatusCode.Forbidden, (await SendAsync(open, HttpMethod.Get, "/v1/models", ("Origin", "https://other"))).Status);
    }

    [Fact]
    public async Task A_key_is_wanted_where_there_are_keys()
    {
        await using var closed = await TestServer.StartAsync(
            settings => settings with { Keys = [ApiKey.Of("another one"), ApiKey.Of(Key)] });
        var (status, headers) = await SendAsync(closed, HttpMethod.Get, "/v1/models");
        Assert.Equal(HttpStatusCode.Unauthorized, status);
        Assert.Equal("Bearer", headers.WwwAuthenticate.Single().Scheme);
        string basic = Convert.ToBase64String(Encoding.UTF8.GetBytes("user:" + Key));
        foreach (var (header, expected) in new[]
        {
            ("Bearer " + Key, HttpStatusCode.OK), ("bearer " + Key, HttpStatusCode.OK), ("Basic " + basic, HttpStatusCode.OK),
            ("Bearer " + Key + "x", HttpStatusCode.Unauthorized), ("Bearer", HttpStatusCode.Unauthorized),
            ("Basic !", HttpStatusCode.Unauthorized), ("Digest " + Key, HttpStatusCode.Unauthorized), (Key, HttpStatusCode.Unauthorized),
        })
            Assert.Equal(expected, (await SendAsync(closed, HttpMethod.Get, "/v1/models", ("Authorization", header))).Status);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(closed, HttpMethod.Get, "/healthz")).Status);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(closed, HttpMethod.Get, "/readyz")).Status);
        Assert.Equal(2, (await closed.Sdk(Key).GetOpenAIModelClient().GetModelsAsync()).Value.Count);
    }

    [Fact]
    public async Task Beyond_this_machine_keys_are_wanted()
    {
        var settings = new ServerSettings { Models = [TestServer.Model(TestServer.Flux)], Address = new IPEndPoint(IPAddress.Any, 0) };
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => AttuneServer.OpenAsync(settings));
        Assert.Contains("--insecure", refused.Message, StringComparison.Ordinal);
        await (await AttuneServer.OpenAsync(settings with { Insecure = true })).DisposeAsync();
        await (await AttuneServer.OpenAsync(settings with { Keys = [ApiKey.Of(Key)] })).DisposeAsync();
        Assert.Throws<ArgumentException>(() => ApiKey.Of("short"));
    }

    [Theory]
    [InlineData("/pictures/../../etc/passwd")]
    [InlineData("/pictures/..%2f..%2fetc%2fpasswd")]
    [InlineData("/v1/models/..%2f..%2fetc%2fpasswd")]
    [InlineData("/etc/passwd")]
    [InlineData("/page/..%2f..%2fetc%2fpasswd")]
    [InlineData("/page/")]
    public async Task No_path_leads_to_files(string path)
    {
        // By hand: clients tidy paths up.
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, new Uri(server.Address).Port);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        using var reader = new StreamReader(stream);
        string answer = await reader.ReadToEndAsync();
        Assert.StartsWith("HTTP/1.1 404", answer, StringComparison.Ordinal);
        Assert.Contains("\"error\":{", answer, StringComparison.Ordinal);
    }

    /// <summary>Pictures are refused by what their heads say, before they are decoded.</summary>
    [Fact]
    public async Task Sent_pictures_are_bounded()
    {
        await using var small = await TestServer.StartAsync(
            settings => settings with { Limits = new ServerLimits { UploadPixels = 1000, UploadBytes = 10_000 } });
        async Task<(HttpStatusCode Status, string Message)> Edit(params byte[][] files)
        {
            using var form = new MultipartFormDataContent
            {
                { new StringContent(TestServer.Sd), "model" }, { new StringContent("a"), "prompt" },
            };
            foreach (byte[] file in files)
                form.Add(new ByteArrayContent(file), files.Length == 1 ? "image" : "image[]", "a.png");
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/images/edits") { Content = form };
            request.Headers.ExpectContinue = true;          // asked first, so that the answer comes before the body
            using var response = await small.Client.SendAsync(request);
            var json = System.Text.Json.JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
            return (response.StatusCode, response.IsSuccessStatusCode ? "" : TestServer.ErrorOf(json).Message);
        }
        byte[] Picture(int width, int height)
        {
            var stream = new MemoryStream();
            Imaging.Png.Write(new Imaging.Image(width, height, new byte[3 * width * height]), stream);
            return stream.ToArray();
        }
        var (status, message) = await Edit(Picture(40, 40));
        Assert.Equal((HttpStatusCode.BadRequest, true), (status, message.Contains("40 x 40 pixels", StringComparison.Ordinal)));
        (status, message) = await Edit(Picture(8, 8), Picture(8, 8));
        Assert.Equal((HttpStatusCode.BadRequest, true), (status, message.Contains("takes one", StringComparison.Ordinal)));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await Edit(new byte[20_000])).Status);
        (status, message) = await Edit();
        Assert.Equal((HttpStatusCode.BadRequest, "Missing required parameter: 'image'."), (status, message));
        using var address = new StringContent(
            """{"model": "sd15", "prompt": "a", "images": [{"image_url": "http://127.0.0.1/x.png"}]}""", null, "application/json");
        using var refused = await small.Client.PostAsync("/v1/images/edits", address);
        Assert.Contains("fetches nothing", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }
}
