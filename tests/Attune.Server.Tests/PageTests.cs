using System.Diagnostics;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Attune.Tests;

namespace Attune.Server.Tests;

/// <summary>The page as files: what a browser does with them, <see cref="BrowserTests"/> says.</summary>
public partial class PageTests(TestServer server) : IClassFixture<TestServer>
{
    private static readonly string Source = Path.Combine(Repository.Root, "src", "Attune.Server", "Page");

    [Theory]
    [InlineData("/", "text/html")]
    [InlineData("/page/app.js", "text/javascript")]
    [InlineData("/page/app.css", "text/css")]
    [InlineData("/page/icon.svg", "image/svg+xml")]
    public async Task A_file_is_sent_with_a_policy_and_only_when_it_changed(string path, string type)
    {
        using var answer = await server.Client.GetAsync(path);
        Assert.Equal((HttpStatusCode.OK, type), (answer.StatusCode, answer.Content.Headers.ContentType!.MediaType));
        string policy = Assert.Single(answer.Headers.GetValues("Content-Security-Policy"));
        Assert.StartsWith("default-src 'none'; script-src 'self'; style-src 'self';", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("http", policy, StringComparison.Ordinal);
        using var again = new HttpRequestMessage(HttpMethod.Get, path);
        again.Headers.IfNoneMatch.Add(answer.Headers.ETag!);
        Assert.Equal(HttpStatusCode.NotModified, (await server.Client.SendAsync(again)).StatusCode);
    }

    /// <summary>Nothing is loaded from elsewhere: the page works without a network.</summary>
    [Fact]
    public async Task The_page_names_no_other_server_and_has_no_inline_script()
    {
        string html = await server.Client.GetStringAsync("/");
        Assert.All(Script().Matches(html), script => Assert.Contains("src=\"/page/", script.Value, StringComparison.Ordinal));
        Assert.DoesNotContain("<style", html, StringComparison.Ordinal);
        Assert.DoesNotContain(" style=", html, StringComparison.Ordinal);
        foreach (string path in (string[])["/", "/page/app.js", "/page/app.css", "/page/icon.svg"])
        {
            string text = await server.Client.GetStringAsync(path);

            // Names of SVG and MathML are addresses that nobody asks for.
            Assert.All(
                Address().Matches(text), address => Assert.StartsWith("http://www.w3.org/", address.Value, StringComparison.Ordinal));
        }
    }

    /// <summary>
    /// What is built lies beside its sources, so that the SDK alone makes the server. Its first line has the hash of the sources; with Node
    /// it is built again.
    /// </summary>
    [Theory]
    [InlineData("app.js")]
    [InlineData("app.css")]
    public void What_is_built_is_made_of_the_sources(string name)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        string[] files = [.. Directory.GetFiles(Path.Combine(Source, "src")).Select(file => "src/" + Path.GetFileName(file))];
        foreach (string file in ((string[])[.. files, "build.mjs", "package-lock.json", "tsconfig.json"]).Order(StringComparer.Ordinal))
        {
            string text = File.ReadAllText(Path.Combine(Source, file)).ReplaceLineEndings("\n");
            hash.AppendData(Encoding.UTF8.GetBytes($"{file}\n{text}\n"));
        }
        string first = File.ReadLines(Path.Combine(Source, "built", name)).First();
        Assert.True(
            first.Contains(Convert.ToHexStringLower(hash.GetHashAndReset()), StringComparison.Ordinal),
            "The page's sources have changed: npm ci && npm run build in src/Attune.Server/Page.");
    }

    [Fact]
    public async Task Building_again_gives_the_same_bytes()
    {
        Assert.SkipUnless(
            Directory.Exists(Path.Combine(Source, "node_modules", "esbuild")), "The page's packages are not installed (npm ci).");
        using var folder = new TemporaryFolder();
        await RunAsync("node", ["build.mjs", folder.Path]);
        foreach (string name in (string[])["app.js", "app.css"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(Source, "built", name)), File.ReadAllBytes(folder.At(name)));
        await RunAsync("node", [Path.Combine("node_modules", "typescript", "bin", "tsc"), "--noEmit"]);
    }

    private static async Task RunAsync(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = Source, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var said = Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, string.Concat(await said));
    }

    [Fact]
    public async Task A_key_is_taken_into_a_cookie_that_no_script_reads()
    {
        await using var locked = await TestServer.StartAsync(settings => settings with { Keys = [ApiKey.Of("a long secret")] });
        Assert.Equal(HttpStatusCode.OK, (await locked.Client.GetAsync("/")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await locked.Client.GetAsync("/page/app.js")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await locked.Client.GetAsync("/api/images")).StatusCode);
        var (refused, _) = await locked.PostAsync("/api/session", """{"key": "another secret"}""");
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        Assert.False(refused.Headers.Contains("Set-Cookie"));
        using var content = new StringContent("""{"key": "a long secret"}""", Encoding.UTF8, "application/json");
        using var taken = await locked.Client.PostAsync("/api/session", content);
        Assert.Equal(HttpStatusCode.NoContent, taken.StatusCode);
        string cookie = Assert.Single(taken.Headers.GetValues("Set-Cookie"));
        Assert.Contains("samesite=strict", cookie, StringComparison.Ordinal);
        Assert.Contains("httponly", cookie, StringComparison.Ordinal);

        // The client keeps cookies, as a browser does; a page of another origin has none, and is refused before it would.
        Assert.Equal(HttpStatusCode.OK, (await locked.Client.GetAsync("/api/images")).StatusCode);
        using (var foreign = new HttpRequestMessage(HttpMethod.Get, "/api/images") { Headers = { { "Origin", "http://localhost:1" } } })
            Assert.Equal(HttpStatusCode.Forbidden, (await locked.Client.SendAsync(foreign)).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await locked.Client.DeleteAsync("/api/session")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await locked.Client.GetAsync("/api/images")).StatusCode);
    }

    [GeneratedRegex("<script[^>]*>")]
    private static partial Regex Script();

    [GeneratedRegex("https?://[a-z0-9.-]+/?")]
    private static partial Regex Address();
}
