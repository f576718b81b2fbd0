using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using System.Text.Json;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary><c>attune serve</c> as a process: how it starts and ends, and what is left when it is killed.</summary>
public sealed partial class ServeTests : IDisposable
{
    private const int SigTerm = 15;
    private readonly string _folder = Directory.CreateTempSubdirectory("attune-serve").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int process, int signal);

    private static string Model => Path.Combine(Repository.Root, "models", "flux-tiny-random");

    private Task<(Process Process, HttpClient Client)> StartAsync(params string[] more) => Programs.ListenAsync(
        ["serve", "--model", Model, "--listen", "127.0.0.1:0", "--store", Path.Combine(_folder, "store"), .. more]);

    [Fact]
    public async Task It_answers_and_ends_well()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no SIGTERM.");
        var (process, client) = await StartAsync("--public-address", "https://pictures.example");
        using (process)
        using (client)
        {
            Assert.Equal("ok", await client.GetStringAsync("healthz"));
            using var content = new StringContent(
                """{"prompt": "a cat", "size": "32x32", "steps": 1, "max_sequence_length": 16, "response_format": "url"}""", null,
                "application/json");
            using var response = await client.PostAsync("v1/images/generations", content);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Contains("\"https://pictures.example/pictures/", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            Assert.Equal(0, Signal(process.Id, SigTerm));
            await process.WaitForExitAsync();
            Assert.Equal(0, process.ExitCode);
        }
    }

    [Theory]
    [InlineData("--listen is 'here'", "--listen", "here")]
    [InlineData("there is no API key", "--listen", "0.0.0.0:0")]
    [InlineData("--alias is 'x'", "--alias", "x")]
    [InlineData("--otlp is 'ftp://x'", "--otlp", "ftp://x")]
    [InlineData("--public-address is 'example.org'", "--public-address", "example.org")]
    [InlineData("--workers is 0", "--workers", "0")]
    [InlineData("--models: the folder 'nowhere' does not exist", "--models", "nowhere")]
    public async Task What_is_wrong_is_said_in_a_line(string expected, params string[] arguments)
    {
        var (code, _, error) = await CommandTests.Run(["serve", "--model", Model, .. arguments]);
        Assert.Equal(1, code);
        Assert.Contains(expected, error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    /// <summary>
    /// The process is killed at random moments while jobs come in: every job that was taken ends, once, with all its pictures, and nothing
    /// is left over. ATTUNE_CRASHES says how many times (100 takes some minutes).
    /// </summary>
    [Fact]
    public async Task Nothing_is_lost_when_the_process_is_killed()
    {
        int crashes = int.TryParse(Environment.GetEnvironmentVariable("ATTUNE_CRASHES"), out int given) ? given : 3;
        var random = new Random(crashes);
        var taken = new Dictionary<string, int>();
        int asked = 0;
        for (int i = 0; i < crashes; i++)
        {
            var (process, client) = await StartAsync("--queue", "100000", "--max-attempts", "1000");
            using (process)
            using (client)
            {
                // Not before it took a job: on a busy machine the first answer takes a while.
                Task? end = null;
                while (end is not { IsCompleted: true })
                {
                    int count = random.Next(1, 4);
                    string body =
                        $$"""{"prompt": "cat {{asked++}}", "size": "32x32", "steps": 1, "n": {{count}}, "max_sequence_length": 16}""";
                    try
                    {
                        using var content = new StringContent(body, null, "application/json");
                        using var response = await client.PostAsync("api/jobs", content);
                        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
                        taken.Add((await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("id").GetString()!, count);
                        end ??= Task.Delay(random.Next(1, 2000)).ContinueWith(_ => process.Kill(), TaskScheduler.Default);
                        await Task.Delay(random.Next(100));
                    }
                    catch (Exception exception) when (exception is HttpRequestException or IOException)
                    {
                        // Killed in the middle: nobody was told that the job was taken.
                    }
                }
                await process.WaitForExitAsync();
            }
        }
        Assert.NotEmpty(taken);

        var (last, reader) = await StartAsync("--queue", "100000", "--max-attempts", "1000");
        using (last)
        using (reader)
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(10));
            int pictures = 0;
            foreach (var (id, count) in taken)
            {
                var job = await reader.GetFromJsonAsync<JsonElement>($"api/jobs/{id}", patience.Token);
                while (job.GetProperty("status").GetString() is "queued" or "running")
                {
                    await Task.Delay(20, patience.Token);
                    job = await reader.GetFromJsonAsync<JsonElement>($"api/jobs/{id}", patience.Token);
                }
                Assert.True(job.GetProperty("status").GetString() == "completed", job.ToString());
                var images = job.GetProperty("images").EnumerateArray().ToArray();
                Assert.Equal(Enumerable.Range(0, count), images.Select(image => image.GetProperty("index").GetInt32()));
                foreach (var image in images)
                {
                    byte[] file = await reader.GetByteArrayAsync(image.GetProperty("url").GetString()!.TrimStart('/'), patience.Token);
                    Assert.Equal(32, Image.Read(file, "x").Width);
                }
                pictures += images.Length;
            }
            // Jobs whose client was not told may have been taken too; whatever is kept has its file, and no file is without.
            await WaitAsync(reader, patience.Token);
            var files = Directory.GetFiles(Path.Combine(_folder, "store", "pictures"), "*", SearchOption.AllDirectories);
            Assert.True(files.Length >= pictures);
            Assert.All(files, file => Assert.Matches("^[0-9a-z]{26}[.]png$", Path.GetFileName(file)));
            last.Kill();
            await last.WaitForExitAsync(patience.Token);
        }
    }

    private static async Task WaitAsync(HttpClient client, CancellationToken cancellation)
    {
        while (true)
        {
            var status = await client.GetFromJsonAsync<JsonElement>("api/status", cancellation);
            if (status.GetProperty("queue").GetInt32() + status.GetProperty("running").GetInt32() == 0)
                return;
            await Task.Delay(20, cancellation);
        }
    }
}
