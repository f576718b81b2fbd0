using System.ClientModel;
using System.ClientModel.Primitives;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Attune.Generation;
using Attune.Server.Engine;
using Attune.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using OpenAI;

namespace Attune.Server.Tests;

/// <summary>A server on a free port of loopback, with small models.</summary>
public sealed class TestServer : IAsyncLifetime
{
    private readonly Func<ServerSettings, ServerSettings> _change;
    private WebApplication? _server;

    public TestServer()
        : this(settings => settings)
    {
    }

    internal TestServer(Func<ServerSettings, ServerSettings> change) => _change = change;

    /// <summary>Makes pictures from texts: FLUX, 64 pixels.</summary>
    public const string Flux = "flux-tiny-random";

    /// <summary>Takes pictures to begin with: Stable Diffusion.</summary>
    public const string Sd = "sd15";

    public string Address { get; private set; } = "";

    public HttpClient Client { get; private set; } = new();

    internal JobQueue Queue => Service<JobQueue>();

    internal WebApplication Server => _server!;

    internal static ServedModel Model(string name) => new(
        name, name == Flux ? Path.Combine(Repository.Root, "models", name) : Repository.Golden("checkpoints", name), new LoadOptions());

    internal static async Task<TestServer> StartAsync(Func<ServerSettings, ServerSettings>? change = null)
    {
        var server = new TestServer(change ?? (settings => settings));
        await server.InitializeAsync();
        return server;
    }

    public async ValueTask InitializeAsync()
    {
        _server = await AttuneServer.OpenAsync(
            _change(
                new ServerSettings
                {
                    Models = [Model(Flux), Model(Sd)], Address = new IPEndPoint(IPAddress.Loopback, 0),
                    ShutdownTimeout = TimeSpan.FromSeconds(1),
                    Aliases = new Dictionary<string, string> { ["dall-e-2"] = Flux },
                }));
        await _server.StartAsync();
        Address = AttuneServer.AddressOf(_server);
        Client = new HttpClient { BaseAddress = new Uri(Address) };
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _server!.StopAsync();
        await _server.DisposeAsync();
    }

    internal T Service<T>()
        where T : notnull => _server!.Services.GetRequiredService<T>();

    /// <summary>The official SDK, without repetitions.</summary>
    internal OpenAIClient Sdk(string key = "no key") => new(
        new ApiKeyCredential(key),
        new OpenAIClientOptions { Endpoint = new Uri(Address + "/v1"), RetryPolicy = new ClientRetryPolicy(0) });

    /// <summary>Posts JSON.</summary>
    internal async Task<(HttpResponseMessage Response, JsonElement Json)> PostAsync(
        string path, string json, CancellationToken cancellation = default)
    {
        using var content = new StringContent(json, System.Text.Encoding.UTF8, "application/json");
        var response = await Client.PostAsync(path, content, cancellation);
        return (response, await response.Content.ReadFromJsonAsync<JsonElement>(cancellation));
    }

    /// <summary>Posts JSON that is refused, and checks the envelope: clients show nothing of an error that has another.</summary>
    internal async Task<(int Status, string? Parameter, string Code, string Message)> RefusedAsync(string path, string json)
    {
        var (response, answer) = await PostAsync(path, json);
        return ((int)response.StatusCode, ErrorOf(answer).Parameter, ErrorOf(answer).Code, ErrorOf(answer).Message);
    }

    internal static (string? Parameter, string Code, string Message) ErrorOf(JsonElement answer)
    {
        var error = answer.GetProperty("error");
        Assert.Equal(["code", "message", "param", "type"], error.EnumerateObject().Select(member => member.Name).Order());
        Assert.NotEqual("", error.GetProperty("type").GetString());
        return (error.GetProperty("param").GetString(), error.GetProperty("code").GetString()!, error.GetProperty("message").GetString()!);
    }

    /// <summary>Waits for something that happens by itself.</summary>
    internal static async Task UntilAsync(Func<bool> condition)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!condition())
            await Task.Delay(5, patience.Token);
    }

    /// <summary>A request of one step and 32 pixels.</summary>
    internal static string Quick(string more = "") =>
        $$"""{"prompt": "a red cat", "size": "32x32", "steps": 1, "seed": 7, "max_sequence_length": 16{{more}}}""";

    /// <summary>A request that takes long if it is not stopped.</summary>
    internal static string Slow(string more = "") =>
        $$"""{"prompt": "a red cat", "size": "128x128", "steps": 150, "n": 10, "seed": 7{{more}}}""";
}
