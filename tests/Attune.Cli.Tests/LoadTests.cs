using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace Attune.Cli.Tests;

/// <summary>Many clients at once on the model that comes along, with <c>attune serve</c> as a process.</summary>
public sealed partial class LoadTests : IDisposable
{
    private const string Prompt = "a fox on a green background";

    private readonly string _folder = Directory.CreateTempSubdirectory("attune-load").FullName;
    private Process? _server;

    public void Dispose()
    {
        End();
        _server?.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private void End()
    {
        _server?.Kill();
        _server?.WaitForExit();
    }

    [GeneratedRegex("""^attune_queue_wait_seconds_bucket\{.*le="([^"]+)".*\} ([0-9]+)""", RegexOptions.Multiline)]
    private static partial Regex Buckets();

    /// <summary>
    /// A hundred clients come again whenever they have an answer: all are answered, with nothing but 429 on the
    /// way, and memory does not grow. ATTUNE_LOAD says how many requests (1000 takes some minutes; then what it measures is said: times in
    /// the queue, memory, and how many pictures a second there are beside those of <c>attune generate --count</c>).
    /// </summary>
    [Fact]
    public async Task A_hundred_clients_are_answered()
    {
        bool isMeasured = int.TryParse(Environment.GetEnvironmentVariable("ATTUNE_LOAD"), out int requests);
        if (!isMeasured)
            requests = 120;
        var (server, client) = await Programs.ListenAsync(
            ["serve", "--listen", "127.0.0.1:0", "--store", Path.Combine(_folder, "store")]);
        using var closed = client;
        _server = server;
        client.Timeout = Timeout.InfiniteTimeSpan;
        var (steps, size) = isMeasured ? (4, "128x128") : (1, "64x64");
        int asked = 0, made = 0, full = 0;
        var memory = new long[requests];
        using var body = Body(0, steps, size);
        using (var first = await client.PostAsync("v1/images/generations", body))
            Assert.Equal(HttpStatusCode.OK, first.StatusCode);
        var watch = Stopwatch.StartNew();

        async Task AskAsync()
        {
            while (Interlocked.Increment(ref asked) is var number && number <= requests)
            {
                while (true)
                {
                    using var content = Body(number, steps, size);
                    using var response = await client.PostAsync("v1/images/generations", content);
                    if (response.StatusCode == HttpStatusCode.TooManyRequests)
                    {
                        Interlocked.Increment(ref full);
                        await Task.Delay(response.Headers.RetryAfter!.Delta!.Value);
                        continue;
                    }
                    string text = await response.Content.ReadAsStringAsync();
                    Assert.True(response.StatusCode == HttpStatusCode.OK, text);
                    using var process = Process.GetProcessById(server.Id);
                    memory[Interlocked.Increment(ref made) - 1] = process.WorkingSet64;
                    break;
                }
            }
        }

        await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => AskAsync()));
        var took = watch.Elapsed;
        Assert.Equal(requests, made);
        string metrics = await client.GetStringAsync("metrics");
        End();
        if (!isMeasured)
            return;

        // Medians of a hundred: single readings see a picture at work or none.
        long Median(int from) => memory[from..(from + 100)].Order().ElementAt(50);
        Assert.True(
            Median(requests - 100) <= 1.05 * Median(Math.Min(200, requests - 100)),
            $"{Median(Math.Min(200, requests - 100)) >> 20} MiB at first, {Median(requests - 100) >> 20} MiB at last");
        var alone = Stopwatch.StartNew();
        var (code, _, error) = await CommandTests.Run(
            [
                "generate", Prompt, "--steps", $"{steps}", "--size", size, "--count", "100", "--quiet", "-o",
                Path.Combine(_folder, "x.png")]);
        alone.Stop();
        Assert.True(code == 0, error);
        Assert.Equal(100, Directory.GetFiles(_folder, "*.png").Length);
        double rate = requests / took.TotalSeconds;
        TestContext.Current.TestOutputHelper!.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{requests} requests in {took.TotalSeconds:0.0} s, {full} answers of 429; {rate:0.00} pictures a second, "
                + $"generate --count: {100 / alone.Elapsed.TotalSeconds:0.00}, by it {rate * alone.Elapsed.TotalSeconds / 100:0.000}; "
                + $"in the queue: p50 {Quantile(metrics, 0.5):0.0} s, p99 {Quantile(metrics, 0.99):0.0} s; memory, median of the third "
                + $"hundred {Median(Math.Min(200, requests - 100)) >> 20} MiB, of the last {Median(requests - 100) >> 20} MiB"));
    }

    private static StringContent Body(int seed, int steps, string size) => new(
        $$"""{"prompt": "{{Prompt}}", "size": "{{size}}", "steps": {{steps}}, "seed": {{seed}}}""", null, "application/json");

    /// <summary>As Prometheus' histogram_quantile has it: linear within a bucket.</summary>
    private static double Quantile(string metrics, double share)
    {
        var buckets = Buckets().Matches(metrics)
            .Select(match => (
                Most: match.Groups[1].Value == "+Inf" ? double.PositiveInfinity
                    : double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture),
                Count: long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture)))
            .OrderBy(bucket => bucket.Most).ToArray();
        double rank = share * buckets[^1].Count;
        int at = Array.FindIndex(buckets, bucket => bucket.Count >= rank);
        var (low, below) = at == 0 ? (0, 0) : buckets[at - 1];
        return double.IsInfinity(buckets[at].Most) ? low : low + (buckets[at].Most - low) * (rank - below) / (buckets[at].Count - below);
    }
}
