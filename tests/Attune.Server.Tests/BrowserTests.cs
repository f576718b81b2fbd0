using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Attune.Generation;
using Attune.Tests;

namespace Attune.Server.Tests;

/// <summary>
/// The page in Chromium, as people use it, by Playwright and axe (browser.mjs). It needs Node, Chromium and the packages of the page, which
/// .ci/run installs; without them it is skipped. All scenarios have one browser, since starting it takes as long as a scenario.
/// </summary>
public sealed partial class BrowserTests(BrowserTests.Browser browser) : IClassFixture<BrowserTests.Browser>
{
    private static readonly string Script = Path.Combine(Repository.Root, "tests", "Attune.Server.Tests", "browser.mjs");

    public static TheoryData<string> Scenarios =>
        [
            .. Name().Matches(File.ReadAllText(Script)).Select(match => match.Groups[1].Value),
            .. ((string[])["1280 pixels, light", "1280 pixels, dark", "360 pixels, light"]).Select(form => $"axe finds nothing at {form}"),
        ];

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void The_page_works(string scenario)
    {
        if (browser.Missing is { } missing)
            Assert.Skip(missing);
        Assert.True(browser.Results.TryGetValue(scenario, out string? error), $"It was not tried: {browser.Errors}");
        Assert.True(error == null, error);
    }

    [GeneratedRegex("""^  async "([^"]+)"\(""", RegexOptions.Multiline)]
    private static partial Regex Name();

    /// <summary>What came of the scenarios.</summary>
    public sealed class Browser : IAsyncLifetime
    {
        private const string Key = "a long secret";

        private static readonly string Page = Path.Combine(Repository.Root, "src", "Attune.Server", "Page");

        /// <summary>Names of scenarios; null, or what went wrong.</summary>
        internal Dictionary<string, string?> Results { get; } = [];

        /// <summary>What is not installed.</summary>
        internal string? Missing { get; private set; }

        /// <summary>What the scenarios said beside their results.</summary>
        internal string Errors { get; private set; } = "";

        public async ValueTask InitializeAsync()
        {
            string? chromium = Find("chromium", "chromium-browser", "google-chrome");
            Missing = Find("node") == null ? "Node is not installed."
                : !Directory.Exists(Path.Combine(Page, "node_modules", "playwright-core"))
                    ? "The page's packages are not installed (npm ci)."
                : chromium == null ? "Chromium is not installed." : null;
            if (Missing != null)
                return;
            await using var server = await TestServer.StartAsync(WithModel);
            await using var locked = await TestServer.StartAsync(settings => WithModel(settings) with { Keys = [ApiKey.Of(Key)] });
            var start = new ProcessStartInfo("node", [Script, Page, chromium!, server.Address, locked.Address, Key])
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            };
            using var process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync();
            while (await process.StandardOutput.ReadLineAsync() is { } line)
            {
                using var json = JsonDocument.Parse(line);
                Results[json.RootElement.GetProperty("name").GetString()!] = json.RootElement.GetProperty("error").GetString();
            }
            Errors = await errors;
            await process.WaitForExitAsync();
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        /// <summary>The model that comes along is what a newcomer has.</summary>
        private static ServerSettings WithModel(ServerSettings settings)
        {
            const string Name = "scenes-flux-schnell";
            return settings with
            {
                Models = [new ServedModel(Name, Path.Combine(Repository.Root, "models", Name), new LoadOptions())],
                Aliases = new Dictionary<string, string>(),
            };
        }

        private static string? Find(params string[] names) => names
            .SelectMany(name => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
                .Select(folder => Path.Combine(folder, name)))
            .FirstOrDefault(File.Exists);
    }
}
