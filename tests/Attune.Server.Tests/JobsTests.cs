using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Text.Json;
using Attune.Imaging;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.Requests;
using Attune.Server.Storage;
using Attune.Tests;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Attune.Server.Tests;

/// <summary>Jobs, their events, and the gallery.</summary>
public class JobsTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Jobs = "/api/jobs";

    private static async Task<JsonElement> GetAsync(TestServer from, string path) =>
        await from.Client.GetFromJsonAsync<JsonElement>(path);

    private static async Task<string> SubmitAsync(TestServer to, string body)
    {
        var (response, json) = await to.PostAsync(Jobs, body);
        Assert.True(response.StatusCode == HttpStatusCode.Accepted, json.ToString());
        string id = json.GetProperty("id").GetString()!;
        Assert.Equal($"/api/jobs/{id}", response.Headers.Location!.ToString());
        return id;
    }

    private static async Task<List<(string Type, JsonElement Data, string Id)>> EventsAsync(
        TestServer from, string job, string? after = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{Jobs}/{job}/events");
        if (after != null)
            request.Headers.Add("Last-Event-ID", after);
        using var response = await from.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var events = new List<(string, JsonElement, string)>();
        await foreach (var said in SseParser.Create(await response.Content.ReadAsStreamAsync()).EnumerateAsync())
            events.Add((said.EventType, JsonDocument.Parse(said.Data).RootElement, said.EventId ?? ""));
        return events;
    }

    private static async Task<JsonElement> EndedAsync(TestServer from, string id)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            var job = await GetAsync(from, $"{Jobs}/{id}");
            if (job.GetProperty("status").GetString() is not ("queued" or "running"))
                return job;
            await Task.Delay(10, patience.Token);
        }
    }

    [Fact]
    public async Task A_job_says_what_happens_and_its_pictures_stay()
    {
        string body = """
            {"prompt": "a red cat", "size": "32x32", "steps": 2, "seed": 7, "n": 2, "max_sequence_length": 16, "preview": true}
            """;
        string id = await SubmitAsync(server, body);
        var events = await EventsAsync(server, id);
        Assert.Equal("completed", events[^1].Type);
        Assert.Equal([0, 1], events.Where(said => said.Type == "started").Select(said => said.Data.GetProperty("image").GetInt32()));
        var steps = events.Where(said => said.Type == "step").ToArray();
        Assert.Equal([1, 2, 1, 2], steps.Select(said => said.Data.GetProperty("index").GetInt32()));
        Assert.All(steps, said => Assert.Equal(2, said.Data.GetProperty("count").GetInt32()));
        Assert.Equal([7, 8], events.Where(said => said.Type == "image").Select(said => said.Data.GetProperty("seed").GetInt32()));
        Assert.Equal(events.Select(said => said.Id).Distinct(), events.Select(said => said.Id));

        var job = await GetAsync(server, $"{Jobs}/{id}");
        Assert.Equal("completed", job.GetProperty("status").GetString());
        Assert.Equal("a red cat", job.GetProperty("request").GetProperty("prompt").GetString());
        var image = job.GetProperty("images")[1];
        byte[] file = await server.Client.GetByteArrayAsync(image.GetProperty("url").GetString());
        var (_, direct) = await server.PostAsync(
            "/v1/images/generations", body.Replace(", \"preview\": true", "", StringComparison.Ordinal));
        Assert.Equal(direct.GetProperty("data")[1].GetProperty("b64_json").GetBytesFromBase64(), file);

        // Who comes back later hears the rest, and who comes after the end hears what there is.
        var rest = await EventsAsync(server, id, events[3].Id);
        Assert.Equal("completed", rest[^1].Type);
        Assert.Equal(2, rest.Count(said => said.Type == "image"));
    }

    [Fact]
    public async Task A_job_goes_on_without_its_client_and_is_cancelled_when_asked()
    {
        string running = await SubmitAsync(server, TestServer.Slow());
        string waiting = await SubmitAsync(server, TestServer.Slow());
        await TestServer.UntilAsync(() => server.Service<JobBoard>().Find(running)?.Status == JobStatus.Running);
        var place = await GetAsync(server, $"{Jobs}/{waiting}");
        Assert.Equal("queued", place.GetProperty("status").GetString());
        Assert.True(place.GetProperty("position").GetInt32() >= 9);
        Assert.True(place.GetProperty("seconds").GetDouble() > 0);
        var listening = EventsAsync(server, waiting);
        foreach (string id in (string[])[waiting, running])
        {
            using var response = await server.Client.DeleteAsync($"{Jobs}/{id}");
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal("cancelled", (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("status").GetString());
        }
        Assert.Equal("cancelled", (await listening)[^1].Type);
        Assert.Equal("cancelled", (await EventsAsync(server, running))[^1].Type);
        using var again = await server.Client.DeleteAsync($"{Jobs}/{running}");
        Assert.Equal(HttpStatusCode.OK, again.StatusCode);
    }

    [Fact]
    public async Task A_request_that_is_sent_again_is_one_job()
    {
        async Task<(HttpStatusCode Status, JsonElement Json)> Send(string body)
        {
            using var content = new StringContent(body, null, "application/json");
            using var request = new HttpRequestMessage(HttpMethod.Post, Jobs) { Content = content };
            request.Headers.Add("Idempotency-Key", "once");
            using var response = await server.Client.SendAsync(request);
            return (response.StatusCode, await response.Content.ReadFromJsonAsync<JsonElement>());
        }
        var (status, first) = await Send(TestServer.Quick());
        Assert.Equal(HttpStatusCode.Accepted, status);
        (status, var second) = await Send(TestServer.Quick());
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(first.GetProperty("id").GetString(), second.GetProperty("id").GetString());
        (status, _) = await Send(TestServer.Quick(", \"n\": 2"));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
    }

    [Theory]
    [InlineData("""{"prompt": "a", "stream": true}""", "stream", "unknown_parameter")]
    [InlineData("""{"prompt": "a", "images": [{"image_url": "data:image/png;base64,AAAA"}]}""", "images", "invalid_value")]
    [InlineData("""{"prompt": "a", "images": [{"image_url": "file:///etc/hostname"}]}""", "images", "unsupported_value")]
    [InlineData("""{"prompt": "a", "size": "1x1"}""", "size", "invalid_value")]
    [InlineData("""{""", null, "invalid_json")]
    public async Task What_is_wrong_is_named_before_it_is_a_job(string body, string? parameter, string code)
    {
        var refused = await server.RefusedAsync(Jobs, body);
        Assert.Equal((400, parameter, code), (refused.Status, refused.Parameter, refused.Code));
    }

    [Fact]
    public async Task What_there_is_not_is_not_found()
    {
        foreach (string path in (string[])["/api/jobs/x", "/api/jobs/x/events", "/api/images/x", "/api/images/..%2fx/file", "/api/x"])
            Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync(path)).StatusCode);
        foreach (string path in (string[])["/api/jobs?limit=0", "/api/jobs?status=3", "/api/jobs?status=lost", "/api/images?starred=x"])
            Assert.Equal(HttpStatusCode.BadRequest, (await server.Client.GetAsync(path)).StatusCode);
    }

    [Fact]
    public async Task The_gallery_lists_stars_reads_and_deletes()
    {
        var ids = new List<string>();
        for (int i = 0; i < 3; i++)
        {
            string job = await SubmitAsync(server, TestServer.Quick());
            ids.Add((await EndedAsync(server, job)).GetProperty("images")[0].GetProperty("id").GetString()!);
        }
        var list = await GetAsync(server, "/api/images?limit=2");
        Assert.Equal([ids[2], ids[1]], list.GetProperty("data").EnumerateArray().Select(image => image.GetProperty("id").GetString()));
        list = await GetAsync(server, $"/api/images?limit=1&before={ids[1]}");
        Assert.Equal(ids[0], list.GetProperty("data")[0].GetProperty("id").GetString());
        using (var content = new StringContent("""{"starred": true}""", null, "application/json"))
            Assert.Equal(HttpStatusCode.OK, (await server.Client.PatchAsync($"/api/images/{ids[1]}", content)).StatusCode);
        list = await GetAsync(server, "/api/images?starred=true");
        Assert.Equal([ids[1]], list.GetProperty("data").EnumerateArray().Select(image => image.GetProperty("id").GetString()));

        using var file = await server.Client.GetAsync($"/api/images/{ids[1]}/file");
        Assert.Equal("image/png", file.Content.Headers.ContentType!.MediaType);
        using (var request = new HttpRequestMessage(HttpMethod.Get, $"/api/images/{ids[1]}/file"))
        {
            request.Headers.IfNoneMatch.Add(file.Headers.ETag!);
            Assert.Equal(HttpStatusCode.NotModified, (await server.Client.SendAsync(request)).StatusCode);
        }
        byte[] bytes = await file.Content.ReadAsByteArrayAsync();
        using var raw = new ByteArrayContent(bytes);
        var read = await (await server.Client.PostAsync("/api/images/read", raw)).Content.ReadFromJsonAsync<JsonElement>();
        Assert.Equal("a red cat", read.GetProperty("parameters").GetProperty("prompt").GetString());
        Assert.Equal(
            ["attune", "parameters"],
            read.GetProperty("texts").EnumerateArray().Select(text => text.GetProperty("keyword").GetString()));

        Assert.Equal(HttpStatusCode.OK, (await server.Client.DeleteAsync($"/api/images/{ids[1]}")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync($"/api/images/{ids[1]}/file")).StatusCode);
    }

    [Fact]
    public async Task The_server_says_what_it_has()
    {
        var status = await GetAsync(server, "/api/status");
        Assert.Equal(64, status.GetProperty("queue_limit").GetInt32());
        Assert.Equal(TestServer.Flux, status.GetProperty("default_model").GetString());
        var nag = (await GetAsync(server, "/api/guidance")).GetProperty("data").EnumerateArray()
            .Single(rule => rule.GetProperty("name").GetString() == "nag");
        Assert.Contains(
            "scale", nag.GetProperty("parameters").EnumerateArray().Select(parameter => parameter.GetProperty("name").GetString()));
        var steps = (await GetAsync(server, "/api/options")).GetProperty("data").EnumerateArray()
            .Single(option => option.GetProperty("key").GetString() == "steps");
        Assert.Equal("1 to 1000", steps.GetProperty("range").GetString());
    }

    /// <summary>Every route is described, and nothing else; what only a browser shows is no part of the API.</summary>
    [Fact]
    public async Task The_document_has_every_route()
    {
        var document = await GetAsync(server, "/openapi.json");
        Assert.StartsWith("3.1", document.GetProperty("openapi").GetString(), StringComparison.Ordinal);
        var described = document.GetProperty("paths").EnumerateObject().SelectMany(
            path => path.Value.EnumerateObject().Where(member => member.Name != "parameters")
                .Select(method => $"{method.Name} {path.Name}"));
        var mapped = server.Service<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .SelectMany(route => (route.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? ["GET"])
                .Select(method => $"{method.ToLowerInvariant()} {route.RoutePattern.RawText}"))
            .Where(route => route is not ("get /openapi.json" or "get /")
                && !route.StartsWith("get /page/", StringComparison.Ordinal)
                && !route.StartsWith($"get {ReferenceEndpoints.Path}", StringComparison.Ordinal));
        Assert.Equal(mapped.Order(StringComparer.Ordinal), described.Order(StringComparer.Ordinal));
        var fields = document.GetProperty("components").GetProperty("schemas").GetProperty("Generation").GetProperty("properties");
        Assert.Equal((1, 1000), (
            fields.GetProperty("steps").GetProperty("minimum").GetInt32(), fields.GetProperty("steps").GetProperty("maximum").GetInt32()));
        Assert.Equal(
            ["num_inference_steps", "step"], GenerationFields.Names.Except(fields.EnumerateObject().Select(field => field.Name)));
    }

    [Fact]
    public async Task Metrics_count_what_was_made()
    {
        await server.PostAsync("/v1/images/generations", TestServer.Quick());
        string text = await server.Client.GetStringAsync("/metrics");
        foreach (string name in (string[])[
            "gen_ai_server_request_duration_seconds_bucket", "attune_images_total", "attune_jobs_total", "attune_queue_length",
            "attune_queue_wait_seconds_count", "attune_step_duration_seconds_count", "attune_activations_peak_bytes"])
            Assert.Contains(name, text, StringComparison.Ordinal);
        Assert.Contains("gen_ai_request_model=\"flux-tiny-random\"", text, StringComparison.Ordinal);
        Assert.DoesNotContain("red cat", text, StringComparison.Ordinal);
    }

    /// <summary>What one key made, another does not see.</summary>
    [Fact]
    public async Task Keys_see_their_own_jobs_alone()
    {
        await using var shared = await TestServer.StartAsync(
            settings => settings with { Keys = [ApiKey.Of("the first key"), ApiKey.Of("the second key")] });
        void Use(string key) => shared.Client.DefaultRequestHeaders.Authorization = new("Bearer", key);
        Use("the first key");
        string id = await SubmitAsync(shared, TestServer.Quick());
        string image = (await EndedAsync(shared, id)).GetProperty("images")[0].GetProperty("id").GetString()!;
        Use("the second key");
        foreach (string path in (string[])[$"{Jobs}/{id}", $"{Jobs}/{id}/events", $"/api/images/{image}", $"/api/images/{image}/file"])
            Assert.Equal(HttpStatusCode.NotFound, (await shared.Client.GetAsync(path)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await shared.Client.DeleteAsync($"{Jobs}/{id}")).StatusCode);
        Assert.Equal(0, (await GetAsync(shared, Jobs)).GetProperty("data").GetArrayLength());
        Use("the first key");
        Assert.Equal(1, (await GetAsync(shared, Jobs)).GetProperty("data").GetArrayLength());
    }

    /// <summary>What waited runs after the restart, what was made is there, and what ran begins again with the same pictures.</summary>
    [Fact]
    public async Task A_restart_loses_nothing()
    {
        using var folder = new TemporaryFolder();
        ServerSettings Kept(ServerSettings settings) =>
            settings with { Store = folder.Path, ShutdownTimeout = TimeSpan.FromMilliseconds(1) };
        string done, running, waiting;
        var first = await TestServer.StartAsync(Kept);
        done = await SubmitAsync(first, TestServer.Quick());
        await EndedAsync(first, done);
        running = await SubmitAsync(first, """{"prompt": "a red cat", "size": "128x128", "steps": 60, "max_sequence_length": 16}""");
        waiting = await SubmitAsync(first, TestServer.Quick(", \"n\": 2"));
        ulong seed = (await GetAsync(first, $"{Jobs}/{running}")).GetProperty("seed").GetUInt64();
        await TestServer.UntilAsync(() => first.Service<JobBoard>().Find(running)?.Status == JobStatus.Running);
        await Assert.ThrowsAsync<IOException>(() => TestServer.StartAsync(Kept));        // one server a folder
        await first.Server.StopAsync();
        await first.DisposeAsync();

        await using var second = await TestServer.StartAsync(Kept);
        var job = await EndedAsync(second, running);
        Assert.Equal("completed", job.GetProperty("status").GetString());
        Assert.Equal(seed, job.GetProperty("images")[0].GetProperty("seed").GetUInt64());
        Assert.Equal(2, (await EndedAsync(second, waiting)).GetProperty("images").GetArrayLength());
        Assert.Equal([waiting, running, done], (await GetAsync(second, Jobs)).GetProperty("data").EnumerateArray()
            .Select(known => known.GetProperty("id").GetString()));
        string url = (await GetAsync(second, $"{Jobs}/{done}")).GetProperty("images")[0].GetProperty("url").GetString()!;
        Assert.Equal(32, Image.Read(await second.Client.GetByteArrayAsync(url), "x").Width);
        Assert.Equal(4, Directory.GetFiles(folder.At("pictures"), "*.png", SearchOption.AllDirectories).Length);
    }
}

/// <summary>What is kept, and for how long.</summary>
public class StoreTests
{
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);
    private static readonly ModelInfo Model = ModelInfo.Of(TestServer.Model(TestServer.Flux));

    private static Job Job(DateTimeOffset created) => new(
        Ids.New(), "me", new JobRequest(new ModelVariant(Model, []), new Generation.GenerationRequest { Prompt = "a" }, 1), created)
    {
        GoesOn = true,
    };

    private static string Made(JobStore store, DateTimeOffset at, int bytes)
    {
        var job = Job(at);
        Assert.True(store.Add(job, [1], null));
        store.Begin(job.Id, at);
        store.Add(job.Id, new Picture(Ids.New(), 0, 1, 2, 3, new byte[bytes], PictureFormat.Png, "{}"), at);
        store.End(job.Id, JobStatus.Completed, null, [], at);
        return job.Id;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Old_jobs_and_too_many_bytes_go_but_not_those_with_a_star(bool inMemory)
    {
        using var folder = new TemporaryFolder();
        using var store = JobStore.Open(inMemory ? null : folder.Path);
        string old = Made(store, Now.AddDays(-8), 100), starred = Made(store, Now.AddDays(-9), 100);
        string[] young = [Made(store, Now.AddHours(-3), 100), Made(store, Now.AddHours(-2), 100), Made(store, Now.AddHours(-1), 100)];
        store.Star(store.PicturesOf(starred)[0].Id, true);
        string gone = store.PicturesOf(old)[0].Id;
        store.Trim(Now.AddDays(-7), 1000);
        Assert.Null(store.Find(old, "me"));
        Assert.Null(await store.Files.ReadAsync(gone, "png", default));
        Assert.NotNull(store.Find(starred, "me"));
        store.Trim(Now.AddDays(-7), 250);
        Assert.Null(store.Find(young[0], "me"));
        Assert.All(young[1..], id => Assert.NotNull(store.Find(id, "me")));
        Assert.NotNull(await store.Files.ReadAsync(store.PicturesOf(young[1])[0].Id, "png", default));
    }

    /// <summary>A file whose row was never written, because the process ended between both, is deleted at the next start.</summary>
    [Fact]
    public void Files_that_nobody_knows_are_deleted()
    {
        using var folder = new TemporaryFolder();
        string stray = Ids.New();
        using (var store = JobStore.Open(folder.Path))
        {
            Made(store, Now, 10);
            store.Files.Write(stray, "png", [1]);
            File.WriteAllBytes(Path.Combine(folder.At("pictures"), stray[..2], ".half.tmp"), [1]);
        }
        using (var store = JobStore.Open(folder.Path))
            Assert.Single(Directory.GetFiles(folder.At("pictures"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void A_job_that_was_running_each_time_the_server_ended_is_given_up()
    {
        using var store = JobStore.Open(null);
        var job = Job(Now);
        store.Add(job, System.Text.Encoding.UTF8.GetBytes("""{"prompt": "a"}"""), null);
        for (int i = 0; i < 3; i++)
            store.Begin(job.Id, Now);
        var settings = new ServerSettings { Models = [Model.Served] };
        var pace = new Pace();
        using var queue = new JobQueue(settings.Limits, false, pace);
        var catalog = new ModelCatalog([Model], settings.Aliases);
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        using var telemetry = new Telemetry(queue, services.GetRequiredService<IMeterFactory>());
        var board = new JobBoard(queue, null!, store, telemetry, settings, TimeProvider.System);
        board.Restore(new Server.Jobs.JobReader(new GenerationFields(catalog, settings), settings.Limits));
        Assert.Equal(0, queue.Length);
        var kept = store.Find(job.Id, "me")!;
        Assert.Equal(JobStatus.Failed, kept.Status);
        Assert.Contains("3 times", kept.Error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_of_files_are_names_alone()
    {
        using var folder = new TemporaryFolder();
        using var store = JobStore.Open(folder.Path);
        foreach (string name in (string[])["../../../../../../tmp/x", "", new string('A', 26), new string('.', 26)])
            Assert.Throws<ArgumentException>(() => store.Files.Write(name, "png", [1]));
        Assert.Throws<ArgumentException>(() => store.Files.Write(Ids.New(), "../x", [1]));
    }
}
