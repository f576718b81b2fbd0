using System.Net;
using System.Text.Json;
using Attune.Generation;
using Attune.Server.Engine;
using Attune.Server.Requests;

namespace Attune.Server.Tests;

/// <summary>Who goes first, how many may wait, and what becomes of those who wait too long.</summary>
public class QueueTests
{
    private static readonly ServerLimits Limits = new() { Queue = 6, QueueOfKey = 4 };
    private static readonly ModelInfo Model = ModelInfo.Of(TestServer.Model(TestServer.Flux));

    private static Job Waiting(string name, int count = 1) => new(
        name, name[..1], new JobRequest(new ModelVariant(Model, []), new GenerationRequest { Prompt = "a", Steps = 2 }, count),
        DateTimeOffset.UnixEpoch);

    private static JobQueue Queue(bool keys = true) => new(Limits, keys, new Pace());

    [Fact]
    public async Task Keys_take_turns_and_each_keeps_its_order()
    {
        using var queue = Queue();
        foreach (string name in (string[])["a0", "a1", "a2", "b0", "b1", "c0"])
            queue.Add(Waiting(name));
        var order = new List<string>();
        while (queue.Length > 0)
            order.Add((await queue.NextAsync(default))!.Id);
        Assert.Equal(["a0", "b0", "c0", "a1", "b1", "a2"], order);
    }

    [Fact]
    public async Task A_job_of_several_pictures_gives_up_its_place_after_each()
    {
        using var queue = Queue();
        var several = Waiting("a0", 3);
        queue.Add(several);
        queue.Add(Waiting("a1"));
        queue.Add(Waiting("b0"));
        Assert.Equal("a0", (await queue.NextAsync(default))!.Id);
        several.Add(new Picture("x", 0, 0, 1, 1, [], PictureFormat.Png, "{}"));
        Assert.True(queue.Return(several));
        Assert.Equal("b0", (await queue.NextAsync(default))!.Id);
        Assert.Equal("a0", (await queue.NextAsync(default))!.Id);       // before a1, which came later
    }

    [Fact]
    public void Places_are_those_in_which_pictures_are_made()
    {
        using var queue = Queue();
        var jobs = new[] { Waiting("a0", 3), Waiting("a1"), Waiting("b0", 2), Waiting("c0") };
        foreach (var job in jobs)
            queue.Add(job);
        Assert.Equal([0, 6, 1, 2], jobs.Select(job => queue.PlaceOf(job)!.Value.Position));     // a b c a b a a
        Assert.Equal(TimeSpan.FromSeconds(6), queue.PlaceOf(jobs[1])!.Value.Wait);              // a second each, where nothing is known
        Assert.True(queue.Remove(jobs[0]));
        Assert.Equal([null, 0, 1, 2], jobs.Select(job => queue.PlaceOf(job)?.Position).Order());
        Assert.False(queue.Remove(jobs[0]));
    }

    /// <summary>What runs has more pictures to come, and comes back before those behind it.</summary>
    [Fact]
    public async Task Places_count_what_runs()
    {
        using var queue = Queue();
        var jobs = new[] { Waiting("a0", 3), Waiting("a1"), Waiting("b0") };
        foreach (var job in jobs)
            queue.Add(job);
        await queue.NextAsync(default);
        Assert.Equal([null, 3, 0], jobs.Select(job => queue.PlaceOf(job)?.Position));           // b, a, a, a1
    }

    [Fact]
    public void Each_key_has_a_share_and_all_have_a_bound()
    {
        using var queue = Queue();
        for (int i = 0; i < 4; i++)
            queue.Add(Waiting($"a{i}"));
        var share = Assert.Throws<ApiException>(() => queue.Add(Waiting("a4")));
        Assert.Equal((429, "rate_limit_exceeded"), (share.Status, share.Code));
        Assert.InRange(share.RetryAfter!.Value, 1, 60);
        queue.Add(Waiting("b0"));
        queue.Add(Waiting("b1"));
        var full = Assert.Throws<ApiException>(() => queue.Add(Waiting("c0")));
        Assert.Equal((503, "overloaded"), (full.Status, full.Code));
        Assert.InRange(full.RetryAfter!.Value, 1, 60);
        queue.Add(Waiting("c0"), bounded: false);

        using var alone = Queue(keys: false);
        for (int i = 0; i < 6; i++)
            alone.Add(Waiting($"a{i}"));
        Assert.Equal(429, Assert.Throws<ApiException>(() => alone.Add(Waiting("a6"))).Status);
    }

    [Fact]
    public async Task A_closed_queue_lets_workers_go()
    {
        using var queue = Queue();
        var workers = new[] { queue.NextAsync(default), queue.NextAsync(default) };
        Assert.Empty(queue.Close());
        Assert.All(await Task.WhenAll(workers), Assert.Null);
        Assert.Equal("shutting_down", Assert.Throws<ApiException>(() => queue.Add(Waiting("a0"))).Code);
    }

    [Fact]
    public async Task Requests_over_the_bound_are_told_when_to_come_again()
    {
        await using var server = await TestServer.StartAsync(
            settings => settings with { Limits = new ServerLimits { Queue = 2 } });
        using var stop = new CancellationTokenSource();
        var first = server.PostAsync("/v1/images/generations", TestServer.Slow(), stop.Token);
        await TestServer.UntilAsync(() => server.Service<JobBoard>().Live.Any(job => job.Status == JobStatus.Running));
        var waiting = Enumerable.Range(0, 2)
            .Select(_ => server.PostAsync("/v1/images/generations", TestServer.Quick(), stop.Token)).ToArray();
        await TestServer.UntilAsync(() => server.Queue.Length == 2);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.Client.GetAsync("/readyz")).StatusCode);
        var (response, json) = await server.PostAsync("/v1/images/generations", TestServer.Quick());
        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.InRange(response.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        Assert.Equal("rate_limit_exceeded", TestServer.ErrorOf(json).Code);
        await stop.CancelAsync();
        foreach (var task in waiting.Append(first))
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task);
        await TestServer.UntilAsync(() => !server.Service<JobBoard>().Live.Any());
        Assert.Equal(HttpStatusCode.OK, (await server.PostAsync("/v1/images/generations", TestServer.Quick())).Response.StatusCode);
    }

    /// <summary>After many abandoned requests the next one is made as if they had not been.</summary>
    [Fact]
    public async Task Abandoned_requests_leave_nothing()
    {
        await using var server = await TestServer.StartAsync(
            settings => settings with { KeptPromptBytes = 0, Limits = new ServerLimits { Queue = 300 } });
        await server.PostAsync("/v1/images/generations", TestServer.Quick());
        long live = Tensors.TensorMemory.LiveTensors;
        using (var stop = new CancellationTokenSource())
        {
            var abandoned = Enumerable.Range(0, 200)
                .Select(_ => server.PostAsync("/v1/images/generations", TestServer.Slow(), stop.Token)).ToArray();
            await TestServer.UntilAsync(() => server.Service<JobBoard>().Live.Any(job => job.Status == JobStatus.Running));
            await stop.CancelAsync();
            await Task.WhenAll(abandoned.Select(task => Assert.ThrowsAnyAsync<OperationCanceledException>(() => task)));
        }
        Assert.Equal(HttpStatusCode.OK, (await server.PostAsync("/v1/images/generations", TestServer.Quick())).Response.StatusCode);
        await TestServer.UntilAsync(() => !server.Service<JobBoard>().Live.Any());
        Assert.Equal(live, Tensors.TensorMemory.LiveTensors);
    }

    [Fact]
    public async Task A_job_beyond_its_time_is_stopped_and_the_client_is_told()
    {
        await using var server = await TestServer.StartAsync(
            settings => settings with { Limits = new ServerLimits { JobTime = TimeSpan.FromMilliseconds(300) } });
        var (response, json) = await server.PostAsync("/v1/images/generations", TestServer.Slow());
        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
        Assert.Equal("timeout", TestServer.ErrorOf(json).Code);
        Assert.Equal("false", response.Headers.GetValues("x-should-retry").Single());
    }

    /// <summary>A stream that has begun ends with an error, never in silence.</summary>
    [Fact]
    public async Task A_stream_that_is_stopped_says_so()
    {
        await using var server = await TestServer.StartAsync(
            settings => settings with { Limits = new ServerLimits { JobTime = TimeSpan.FromMilliseconds(300) } });
        using var content = new StringContent(TestServer.Slow(", \"stream\": true"), null, "application/json");
        using var response = await server.Client.PostAsync("/v1/images/generations", content);
        string text = await response.Content.ReadAsStringAsync();
        Assert.StartsWith("event: error\ndata: {\"error\":{", text, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(text.Split("data: ")[1]);
        Assert.Equal("timeout", TestServer.ErrorOf(json.RootElement).Code);
    }

    /// <summary>What runs may end, what waits is told to come again, and nothing new is taken.</summary>
    [Fact]
    public async Task A_server_that_ends_finishes_what_runs()
    {
        var server = await TestServer.StartAsync(settings => settings with { ShutdownTimeout = TimeSpan.FromSeconds(60) });
        string body = """{"prompt": "a red cat", "size": "128x128", "steps": 20, "seed": 7}""";
        var running = server.PostAsync("/v1/images/generations", body);
        await TestServer.UntilAsync(() => server.Service<JobBoard>().Live.Any(job => job.Status == JobStatus.Running));
        var waiting = server.PostAsync("/v1/images/generations", body);
        await TestServer.UntilAsync(() => server.Queue.Length == 1);
        var ending = server.Server.StopAsync();
        var (told, json) = await waiting;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, told.StatusCode);
        Assert.Equal("shutting_down", TestServer.ErrorOf(json).Code);
        Assert.NotNull(told.Headers.RetryAfter);
        Assert.Equal(HttpStatusCode.OK, (await running).Response.StatusCode);
        await ending;
        await server.DisposeAsync();
    }

    [Fact]
    public async Task A_server_that_ends_does_not_wait_for_ever()
    {
        var server = await TestServer.StartAsync(settings => settings with { ShutdownTimeout = TimeSpan.FromMilliseconds(100) });
        var running = server.PostAsync("/v1/images/generations", TestServer.Slow());
        await TestServer.UntilAsync(() => server.Service<JobBoard>().Live.Any(job => job.Status == JobStatus.Running));
        await server.Server.StopAsync();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await running).Response.StatusCode);
        await server.DisposeAsync();
    }
}
