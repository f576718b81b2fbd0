using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Runtime.InteropServices;
using System.Text.Json;
using Attune.Imaging;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>Several front ends and workers with one queue in NATS JetStream, as processes.</summary>
public sealed partial class FleetTests : IAsyncLifetime
{
    private const int SigTerm = 15;
    private readonly string _folder = Directory.CreateTempSubdirectory("attune-fleet").FullName;
    private readonly List<Process> _processes = [];
    private Process? _nats;
    private string _port = "-1";
    private string _queue = "";

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int process, int signal);

    private static string Flux => Path.Combine(Repository.Root, "models", "flux-tiny-random");

    /// <summary>Debian's nats-server, which .ci/run installs.</summary>
    private static string? Server => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Append("/usr/sbin")
        .Select(folder => Path.Combine(folder, "nats-server")).FirstOrDefault(File.Exists);

    public async ValueTask InitializeAsync()
    {
        if (Server is not { } program)
            return;
        string ports = Path.Combine(_folder, "ports");
        Directory.CreateDirectory(ports);
        _nats = StartQueue(program, ports);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        string[] found;
        while ((found = Directory.GetFiles(ports, "*.ports")).Length == 0)
            await Task.Delay(20, patience.Token);
        await Task.Delay(100, patience.Token);
        using var json = JsonDocument.Parse(await File.ReadAllTextAsync(found[0], patience.Token));
        _queue = json.RootElement.GetProperty("nats")[0].GetString()!;
        _port = new Uri(_queue).Port.ToString(CultureInfo.InvariantCulture);
    }

    private Process StartQueue(string program, string ports)
    {
        var process = Process.Start(
            new ProcessStartInfo(
                program, ["-a", "127.0.0.1", "-p", _port, "-js", "-sd", Path.Combine(_folder, "nats"), "--ports_file_dir", ports])
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
        process.ErrorDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        _processes.Add(process);
        return process;
    }

    /// <summary>Kills the NATS server and starts it again with what it had written.</summary>
    private async Task RestartQueueAsync()
    {
        _nats!.Kill();
        await _nats.WaitForExitAsync();
        _nats = StartQueue(Server!, _folder);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes)
        {
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<(Process Process, HttpClient Client)> RunAsync(string command, params string[] more)
    {
        var (process, client) = await Programs.ListenAsync(
            [command, "--model", Flux, "--listen", "127.0.0.1:0", "--queue", _queue, "--queue-patience", "2", .. more]);
        _processes.Add(process);
        client.Timeout = TimeSpan.FromMinutes(5);
        return (process, client);
    }

    private static StringContent Body(string prompt, int steps = 1, int count = 1, string more = "") => new(
        $$"""
        {"prompt": "{{prompt}}", "size": "32x32", "steps": {{steps}}, "n": {{count}}, "seed": 7, "max_sequence_length": 16{{more}}}
        """, null, "application/json");

    private static async Task<JsonElement> EndedAsync(HttpClient client, string id, CancellationToken cancellation)
    {
        while (true)
        {
            using var response = await client.GetAsync($"api/jobs/{id}", cancellation);
            if (response.StatusCode == HttpStatusCode.OK)
            {
                var job = await response.Content.ReadFromJsonAsync<JsonElement>(cancellation);
                if (job.GetProperty("status").GetString() is not ("queued" or "running"))
                    return job;
            }
            await Task.Delay(30, cancellation);
        }
    }

    /// <summary>
    /// Two front ends, three workers and a NATS server, of which one is killed every now and then: every job that was taken ends once on
    /// both front ends, with the pictures that it would have had here, and nothing is left in the queue. ATTUNE_FLEET_JOBS says how many
    /// jobs.
    /// </summary>
    [Fact]
    public async Task Every_job_ends_once_whoever_dies()
    {
        Assert.SkipWhen(Server == null, "nats-server is not installed.");
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(10));
        int jobs = int.TryParse(Environment.GetEnvironmentVariable("ATTUNE_FLEET_JOBS"), out int given) ? given : 24;
        var random = new Random(jobs);
        var fronts = new List<HttpClient>
        {
            (await RunAsync("serve", "--store", Path.Combine(_folder, "a"))).Client,
            (await RunAsync("serve", "--no-store")).Client,
        };
        var workers = new List<Process>();
        for (int i = 0; i < 3; i++)
            workers.Add((await RunAsync("work", "--max-attempts", "1000")).Process);

        var taken = new Dictionary<string, int>();
        int restarts = 0;
        using var done = new CancellationTokenSource();
        var killing = Task.Run(
            async () =>
            {
                while (!done.IsCancellationRequested)
                {
                    await Task.Delay(random.Next(300, 1500), CancellationToken.None);
                    int which = random.Next(workers.Count + 1);
                    if (which == workers.Count)
                    {
                        await RestartQueueAsync();
                        restarts++;
                        continue;
                    }
                    workers[which].Kill();
                    await workers[which].WaitForExitAsync(CancellationToken.None);
                    workers[which] = (await RunAsync("work", "--max-attempts", "1000")).Process;
                }
            },
            patience.Token);
        for (int i = 0; i < jobs; i++)
        {
            int count = 1 + (i % 3);
            while (true)
            {
                using var body = Body($"cat {i}", steps: 4, count);
                using var response = await fronts[i % 2].PostAsync("api/jobs", body, patience.Token);
                var answer = await response.Content.ReadFromJsonAsync<JsonElement>(patience.Token);
                if (response.StatusCode == HttpStatusCode.ServiceUnavailable)
                {
                    // The queue is away: the client is told when to come again.
                    Assert.NotNull(response.Headers.RetryAfter);
                    await Task.Delay(200, patience.Token);
                    continue;
                }
                Assert.True(response.StatusCode == HttpStatusCode.Accepted, answer.ToString());
                taken.Add(answer.GetProperty("id").GetString()!, count);
                break;
            }
        }
        int again = 0;
        foreach (var (id, count) in taken)
        {
            // Both front ends say the same, whichever took the job.
            var first = await EndedAsync(fronts[0], id, patience.Token);
            var second = await EndedAsync(fronts[1], id, patience.Token);
            foreach (var job in (JsonElement[])[first, second])
            {
                Assert.True(job.GetProperty("status").GetString() == "completed", job.ToString());
                Assert.Equal(
                    Enumerable.Range(0, count),
                    job.GetProperty("images").EnumerateArray().Select(image => image.GetProperty("index").GetInt32()));
            }
            again += first.TryGetProperty("warnings", out _) ? 1 : 0;
            string Url(JsonElement job) => job.GetProperty("images")[count - 1].GetProperty("url").GetString()!.TrimStart('/');
            byte[] here = await fronts[0].GetByteArrayAsync(Url(first), patience.Token);
            Assert.Equal(here, await fronts[1].GetByteArrayAsync(Url(second), patience.Token));
            Assert.Equal(32, Image.Read(here, "x").Width);
        }
        await done.CancelAsync();
        await killing;
        foreach (var front in fronts)
        {
            var status = await front.GetFromJsonAsync<JsonElement>("api/status", patience.Token);
            Assert.Equal(0, status.GetProperty("queue").GetInt32() + status.GetProperty("running").GetInt32());
            Assert.Equal("ok", await front.GetStringAsync("readyz", patience.Token));
        }
        TestContext.Current.SendDiagnosticMessage($"{jobs} jobs, {again} begun again, {restarts} restarts of the queue");
    }

    /// <summary>The same picture as one machine makes, as an answer, as a stream, and stopped when its client goes or asks.</summary>
    [Fact]
    public async Task Requests_are_answered_streamed_and_stopped()
    {
        Assert.SkipWhen(Server == null, "nats-server is not installed.");
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no SIGTERM.");
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        var (_, front) = await RunAsync("serve", "--no-store", "--max-steps", "1000");
        var (_, other) = await RunAsync("serve", "--no-store", "--max-steps", "1000");
        var (worker, health) = await RunAsync("work", "--max-steps", "1000", "--shutdown-timeout", "0");
        Assert.Equal("ok", await health.GetStringAsync("healthz", patience.Token));
        Assert.Equal("ok", await health.GetStringAsync("readyz", patience.Token));
        Assert.Contains("attune_queue_length", await health.GetStringAsync("metrics", patience.Token), StringComparison.Ordinal);

        using var body = Body("a red cat", steps: 3);
        using var answer = await front.PostAsync("v1/images/generations", body, patience.Token);
        var json = await answer.Content.ReadFromJsonAsync<JsonElement>(patience.Token);
        Assert.True(answer.StatusCode == HttpStatusCode.OK, json.ToString());
        byte[] made = json.GetProperty("data")[0].GetProperty("b64_json").GetBytesFromBase64();
        var (code, _, error) = await CommandTests.Run(
            [
                "generate", "a red cat", "--model", Flux, "--size", "32x32", "--steps", "3", "--seed", "7", "--max-sequence-length", "16",
                "-o", Path.Combine(_folder, "x.png"), "--quiet"]);
        Assert.True(code == 0, error);
        Assert.Equal(Image.Load(Path.Combine(_folder, "x.png")).Rgb, Image.Read(made, "x").Rgb);

        using var streamed = Body("a red cat", steps: 4, more: ", \"stream\": true, \"partial_images\": 2");
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/images/generations") { Content = streamed };
        using var stream = await front.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token);
        var events = new List<string>();
        await foreach (var said in SseParser.Create(await stream.Content.ReadAsStreamAsync(patience.Token)).EnumerateAsync(patience.Token))
            events.Add(said.EventType);
        Assert.Equal("image_generation.completed", events[^1]);

        // What the model refuses, the worker finds out; the client hears it all the same.
        using var wrong = Body("a red cat", more: ", \"guidance\": \"nag:layers=nowhere\"");
        using var refused = await front.PostAsync("v1/images/generations", wrong, patience.Token);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);

        // A job is stopped by the other front end; who waits behind it comes next.
        using var slow = Body("a slow cat", steps: 1000, count: 10);
        using var taken = await front.PostAsync("api/jobs", slow, patience.Token);
        string id = (await taken.Content.ReadFromJsonAsync<JsonElement>(patience.Token)).GetProperty("id").GetString()!;
        await UntilAsync(other, id, "running", patience.Token);
        using (var stopped = await other.DeleteAsync($"api/jobs/{id}", patience.Token))
            Assert.Equal(
                "cancelled",
                (await stopped.Content.ReadFromJsonAsync<JsonElement>(patience.Token)).GetProperty("status").GetString());
        Assert.Equal("cancelled", (await EndedAsync(front, id, patience.Token)).GetProperty("status").GetString());

        // A worker that is told to end gives its job to the next one, at once and without counting it.
        using var long1 = Body("another slow cat", steps: 1000);
        using var given = await front.PostAsync("api/jobs", long1, patience.Token);
        id = (await given.Content.ReadFromJsonAsync<JsonElement>(patience.Token)).GetProperty("id").GetString()!;
        await UntilAsync(front, id, "running", patience.Token);
        Assert.Equal(0, Signal(worker.Id, SigTerm));
        await worker.WaitForExitAsync(patience.Token);
        Assert.Equal(0, worker.ExitCode);
        await RunAsync("work", "--max-steps", "1000", "--max-attempts", "1");
        var ended = await EndedAsync(other, id, patience.Token);
        Assert.True(ended.GetProperty("status").GetString() == "completed", ended.ToString());
    }

    private static async Task UntilAsync(HttpClient client, string id, string status, CancellationToken cancellation)
    {
        while (true)
        {
            using var response = await client.GetAsync($"api/jobs/{id}", cancellation);
            if (response.StatusCode == HttpStatusCode.OK
                && (await response.Content.ReadFromJsonAsync<JsonElement>(cancellation)).GetProperty("status").GetString() == status)
                return;
            await Task.Delay(20, cancellation);
        }
    }

    [Theory]
    [InlineData("NATS server with JetStream", "nats://127.0.0.1:1")]
    [InlineData("expected a number, or an address", "redis://x")]
    public async Task A_queue_that_is_not_there_is_said_in_a_line(string expected, string queue)
    {
        var (code, _, error) = await CommandTests.Run(["work", "--model", Flux, "--queue", queue]);
        Assert.Equal(1, code);
        Assert.Contains(expected, error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }
}
