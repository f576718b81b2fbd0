using System.Diagnostics;
using System.Text.Json;
using Attune.Imaging;
using Attune.Tests;
using ModelContextProtocol;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;

namespace Attune.Cli.Tests;

/// <summary><c>attune mcp</c> as a process, with the protocol's own client.</summary>
public sealed class McpTests : IAsyncLifetime
{
    private McpClient _client = null!;

    private static string Flux => Path.Combine(Repository.Root, "models", "flux-tiny-random");

    public async ValueTask InitializeAsync()
    {
        _client = await StartAsync("--model", Flux, "--max-steps", "1000");
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    private static async Task<McpClient> StartAsync(params string[] arguments) => await McpClient.CreateAsync(
        new StdioClientTransport(
            new StdioClientTransportOptions { Command = Programs.Attune, Arguments = ["mcp", .. arguments], Name = "attune" }));

    private static Dictionary<string, object?> Quick(params (string Name, object? Value)[] more)
    {
        var arguments = new Dictionary<string, object?>
        {
            ["prompt"] = "a red cat", ["size"] = "32x32", ["steps"] = 2, ["seed"] = 7, ["max_sequence_length"] = 16,
        };
        foreach (var (name, value) in more)
            arguments[name] = value;
        return arguments;
    }

    private static Image Picture(CallToolResult result, int index) =>
        Image.Read(Assert.IsType<ImageContentBlock>(result.Content[index]).DecodedData.Span, "x");

    private async Task<string> RefusedAsync(string tool, Dictionary<string, object?> arguments)
    {
        var result = await _client.CallToolAsync(tool, arguments);
        Assert.True(result.IsError);
        var error = JsonSerializer.SerializeToElement(result.StructuredContent).GetProperty("error");
        Assert.Equal(["code", "message", "param", "type"], error.EnumerateObject().Select(member => member.Name).Order());
        string text = Assert.IsType<TextContentBlock>(result.Content[0]).Text;
        Assert.Equal(error.GetProperty("message").GetString(), text);
        return text;
    }

    [Fact]
    public async Task It_says_what_it_can_do()
    {
        Assert.Equal("attune", _client.ServerInfo?.Name);
        Assert.Contains("negative prompt", _client.ServerInstructions, StringComparison.OrdinalIgnoreCase);
        var tools = await _client.ListToolsAsync();
        Assert.Equal(["compare_guidance", "edit_image", "generate_image", "list_models"], tools.Select(tool => tool.Name).Order());
        var schema = tools.Single(tool => tool.Name == "generate_image").JsonSchema;
        Assert.False(schema.GetProperty("additionalProperties").GetBoolean());
        foreach (string name in (string[])["prompt", "negative_prompt", "seed", "guidance", "size", "steps"])
            Assert.True(schema.GetProperty("properties").TryGetProperty(name, out _), name);
        Assert.Equal(["prompt"], schema.GetProperty("required").EnumerateArray().Select(name => name.GetString()));
        var models = await _client.CallToolAsync("list_models", new Dictionary<string, object?>());
        using var list = JsonDocument.Parse(Assert.IsType<TextContentBlock>(Assert.Single(models.Content)).Text);
        Assert.Equal("flux-tiny-random", list.RootElement.GetProperty("data")[0].GetProperty("id").GetString());
    }

    /// <summary>The same picture as the command line makes, with progress on the way.</summary>
    [Fact]
    public async Task It_generates_what_the_command_generates()
    {
        var seen = new List<ProgressNotificationValue>();
        var result = await _client.CallToolAsync("generate_image", Quick(("n", 2)), new Sink(seen));
        Assert.NotEqual(true, result.IsError);
        Assert.Equal(3, result.Content.Count);
        using var json = JsonDocument.Parse(Assert.IsType<TextContentBlock>(result.Content[2]).Text);
        Assert.Equal([7, 8], json.RootElement.GetProperty("pictures").EnumerateArray().Select(one => one.GetProperty("seed").GetInt32()));
        lock (seen)
        {
            var steps = seen.Where(said => said.Total != null).ToArray();
            Assert.Equal([1f, 2, 3, 4], steps.Select(said => said.Progress).Order());
            Assert.All(steps, said => Assert.Equal(4f, said.Total));
            Assert.Contains(steps, said => said.Message == "picture 2 of 2, step 1 of 2");
        }
        using var folder = new TemporaryFolder();
        var (code, _, error) = await CommandTests.Run(
            [
                "generate", "a red cat", "--model", Flux, "--size", "32x32", "--steps", "2", "--seed", "8", "--max-sequence-length", "16",
                "-o", folder.At("x.png"), "--quiet"]);
        Assert.True(code == 0, error);
        Assert.Equal(Image.Load(folder.At("x.png")).Rgb, Picture(result, 1).Rgb);
    }

    [Fact]
    public async Task It_compares_with_and_without_guidance()
    {
        var result = await _client.CallToolAsync("compare_guidance", Quick(("negative_prompt", "blue"), ("guidance", "nag:scale=4")));
        Assert.NotEqual(true, result.IsError);
        var plain = await _client.CallToolAsync("generate_image", Quick(("guidance", "none")));
        Assert.Equal(Picture(plain, 0).Rgb, Picture(result, 0).Rgb);
        Assert.NotEqual(Picture(result, 0).Rgb.ToArray(), Picture(result, 1).Rgb.ToArray());
        using var json = JsonDocument.Parse(Assert.IsType<TextContentBlock>(result.Content[2]).Text);
        var pictures = json.RootElement.GetProperty("pictures");
        Assert.Equal(["without guidance", "with guidance"], pictures.EnumerateArray().Select(one => one.GetProperty("label").GetString()));
        Assert.NotEmpty(pictures[1].GetProperty("findings").EnumerateArray());
        Assert.Contains(
            "one: a comparison", await RefusedAsync("compare_guidance", Quick(("n", 2))), StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_edits_what_it_made()
    {
        await using var client = await StartAsync("--model", Repository.Golden("checkpoints", "sd15"));
        var arguments = Quick();
        arguments.Remove("max_sequence_length");
        var made = await client.CallToolAsync("generate_image", arguments);
        using var json = JsonDocument.Parse(Assert.IsType<TextContentBlock>(made.Content[1]).Text);
        string name = json.RootElement.GetProperty("pictures")[0].GetProperty("name").GetString()!;
        arguments["images"] = new[] { name };
        arguments["strength"] = 0.5;
        var edited = await client.CallToolAsync("edit_image", arguments);
        Assert.NotEqual(true, edited.IsError);
        var block = Assert.IsType<ImageContentBlock>(made.Content[0]);
        arguments["images"] = new[] { $"data:image/png;base64,{Convert.ToBase64String(block.DecodedData.Span)}" };
        var sent = await client.CallToolAsync("edit_image", arguments);
        Assert.Equal(Picture(edited, 0).Rgb, Picture(sent, 0).Rgb);
        Assert.NotEqual(Picture(made, 0).Rgb.ToArray(), Picture(edited, 0).Rgb.ToArray());
    }

    /// <summary>The bounds and the messages are those of the HTTP API; nothing on the disk can be named.</summary>
    [Fact]
    public async Task What_cannot_be_done_is_an_answer_that_says_why()
    {
        Assert.Contains(
            "'negativ_prompt' (did you mean 'negative_prompt'?)", await RefusedAsync("generate_image", Quick(("negativ_prompt", "x"))),
            StringComparison.Ordinal);
        Assert.Contains("steps", await RefusedAsync("generate_image", Quick(("steps", 1001))), StringComparison.Ordinal);
        Assert.Contains("4096x4096", await RefusedAsync("generate_image", Quick(("size", "4096x4096"))), StringComparison.Ordinal);
        Assert.Contains("expected 1 to 10", await RefusedAsync("generate_image", Quick(("n", 11))), StringComparison.Ordinal);
        Assert.Contains("there are: flux", await RefusedAsync("generate_image", Quick(("model", "dall-e"))), StringComparison.Ordinal);
        Assert.Contains("'prompt'", await RefusedAsync("generate_image", []), StringComparison.Ordinal);
        Assert.Contains("'images'", await RefusedAsync("edit_image", Quick()), StringComparison.Ordinal);
        foreach (string path in (string[])["/etc/passwd", "file:///etc/passwd", "https://example.org/x.png"])
        {
            Assert.Contains(
                "no file and no address is opened", await RefusedAsync("edit_image", Quick(("images", new[] { path }))),
                StringComparison.Ordinal);
        }
        Assert.Contains(
            "no image of a known format",
            await RefusedAsync("edit_image", Quick(("images", new[] { "data:image/png;base64,AAAA" }))), StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<McpException>(() => _client.CallToolAsync("draw", Quick()).AsTask());
    }

    /// <summary>A call that its client gives up is stopped, so that the next one begins.</summary>
    [Fact]
    public async Task It_stops_what_is_given_up()
    {
        using var patience = new CancellationTokenSource();
        var begun = new TaskCompletionSource();
        var given = _client.CallToolAsync(
            "generate_image", Quick(("steps", 1000), ("size", "256x256")), new Sink([], () => begun.TrySetResult()),
            cancellationToken: patience.Token);
        await begun.Task.WaitAsync(TimeSpan.FromMinutes(1));
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given.AsTask());
        var next = await _client.CallToolAsync("generate_image", Quick()).AsTask().WaitAsync(TimeSpan.FromMinutes(1));
        Assert.NotEqual(true, next.IsError);
    }

    /// <summary>The process ends with its input, with nothing but the protocol on its output.</summary>
    [Fact]
    public async Task It_ends_with_its_input()
    {
        using var process = Process.Start(
            new ProcessStartInfo(Programs.Attune, ["mcp", "--model", Flux, "--verbose"])
            {
                RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
        var error = process.StandardError.ReadToEndAsync();
        await process.StandardInput.WriteLineAsync(
            """{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, """
                + """ "clientInfo": {"name": "test", "version": "1"}}}""");
        using var answer = JsonDocument.Parse((await process.StandardOutput.ReadLineAsync())!);
        Assert.Equal("attune", answer.RootElement.GetProperty("result").GetProperty("serverInfo").GetProperty("name").GetString());
        process.StandardInput.Close();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, await error);
        Assert.Equal("", await process.StandardOutput.ReadToEndAsync());
        Assert.Contains("Opened the model flux-tiny-random", await error, StringComparison.Ordinal);
    }

    private sealed class Sink(List<ProgressNotificationValue> seen, Action? also = null) : IProgress<ProgressNotificationValue>
    {
        public void Report(ProgressNotificationValue value)
        {
            lock (seen)
                seen.Add(value);
            also?.Invoke();
        }
    }
}
