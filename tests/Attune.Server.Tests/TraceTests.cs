using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Server.Engine;
using Attune.Server.Storage;
using Attune.Tests;
using Microsoft.Data.Sqlite;

namespace Attune.Server.Tests;

/// <summary>What clients are told of guidance: before a picture is made, and what it did.</summary>
public class TraceTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Guided = """, "negative_prompt": "a hat", "guidance": "nag:scale=4,tau=1" """;

    private async Task<JsonElement> GetAsync(string path) => await server.Client.GetFromJsonAsync<JsonElement>(path);

    /// <summary>A job that has ended.</summary>
    private async Task<JsonElement> MadeAsync(string body)
    {
        var (_, job) = await server.PostAsync("/api/jobs", body);
        string path = "/api/jobs/" + job.GetProperty("id").GetString();
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            job = await GetAsync(path);
            if (job.GetProperty("status").GetString() is not ("queued" or "running"))
                return job;
            await Task.Delay(10, patience.Token);
        }
    }

    [Fact]
    public async Task A_trace_is_kept_with_each_picture_and_changes_none()
    {
        var job = await MadeAsync(TestServer.Quick(Guided + ", \"n\": 2, \"trace\": true"));
        var plain = await MadeAsync(TestServer.Quick(Guided + ", \"n\": 2"));
        for (int i = 0; i < 2; i++)
        {
            var (image, other) = (job.GetProperty("images")[i], plain.GetProperty("images")[i]);
            Assert.Equal(
                await server.Client.GetByteArrayAsync(other.GetProperty("url").GetString()),
                await server.Client.GetByteArrayAsync(image.GetProperty("url").GetString()));
            var clipped = image.GetProperty("findings").EnumerateArray().Single(
                finding => finding.GetProperty("quantity").GetString() == "nag.clipped");
            Assert.StartsWith("nag:scale=4,tau=1", clipped.GetProperty("rule").GetString(), StringComparison.Ordinal);
            Assert.Matches("^tau clips [0-9.]+ % of the tokens$", clipped.GetProperty("text").GetString());

            string id = job.GetProperty("id").GetString()!;
            var trace = await GetAsync($"/api/jobs/{id}/trace?image={i}");
            Assert.Equal(trace.ToString(), (await GetAsync(image.GetProperty("trace_url").GetString()!)).ToString());
            Assert.Equal("attune-trace", trace.GetProperty("format").GetString());
            Assert.Equal(7 + i, trace.GetProperty("request").GetProperty("seed").GetInt32());
            var series = trace.GetProperty("series").EnumerateArray().Single(
                series => series.GetProperty("quantity").GetString() == "nag.clipped");
            double mean = series.GetProperty("values").EnumerateArray().Average(value => value.GetProperty("mean").GetDouble());
            Assert.Equal(mean, clipped.GetProperty("mean").GetDouble(), 1e-9);
            Assert.False(other.TryGetProperty("findings", out _));
        }
        using var packed = new HttpRequestMessage(HttpMethod.Get, job.GetProperty("images")[0].GetProperty("trace_url").GetString());
        packed.Headers.AcceptEncoding.ParseAdd("gzip");
        using var answer = await server.Client.SendAsync(packed);
        Assert.Equal(["gzip"], answer.Content.Headers.ContentEncoding);
        string without = plain.GetProperty("id").GetString()!;
        foreach (string path in (string[])[$"/api/jobs/{without}/trace", $"/api/jobs/{without}/trace?image=2", "/api/jobs/x/trace"])
            Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync(path)).StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, (await server.Client.GetAsync($"/api/jobs/{without}/trace?image=-1")).StatusCode);
    }

    [Fact]
    public async Task Thumbnails_are_small_and_never_change()
    {
        foreach (var (size, width, height) in new[] { ("32x32", 32, 32), ("320x160", 256, 128) })
        {
            var job = await MadeAsync($$"""{"prompt": "a red cat", "size": "{{size}}", "steps": 1, "max_sequence_length": 16}""");
            string url = job.GetProperty("images")[0].GetProperty("thumbnail_url").GetString()!;
            using var answer = await server.Client.GetAsync(url);
            Assert.Equal("image/webp", answer.Content.Headers.ContentType!.MediaType);
            var image = Image.Read(await answer.Content.ReadAsByteArrayAsync(), "thumbnail");
            Assert.Equal((width, height), (image.Width, image.Height));
            using var again = new HttpRequestMessage(HttpMethod.Get, url);
            again.Headers.IfNoneMatch.Add(answer.Headers.ETag!);
            Assert.Equal(HttpStatusCode.NotModified, (await server.Client.SendAsync(again)).StatusCode);
        }
    }

    [Theory]
    [InlineData(""", "negative_prompt": "a hat" """, "nag:scale=4", true, null)]
    [InlineData(""", "negative_prompt": "a hat", "guidance": "none" """, "none", false, "No guidance rule reads the negative prompt")]
    [InlineData(""", "negative_prompt": "a hat", "guidance": "cfg:scale=3" """, "cfg:scale=3", true, "distilled to few steps")]
    [InlineData("", "none", false, null)]
    public async Task A_check_says_what_would_be_made_and_what_is_probably_not_meant(
        string more, string guidance, bool readsNegative, string? warning)
    {
        var before = await GetAsync("/api/jobs");
        var (response, json) = await server.PostAsync("/api/check", TestServer.Quick(more));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.StartsWith(guidance, json.GetProperty("guidance").GetString(), StringComparison.Ordinal);
        Assert.Equal(readsNegative, json.GetProperty("reads_negative").GetBoolean());
        Assert.Equal(("32x32", 1), (json.GetProperty("size").GetString(), json.GetProperty("steps").GetInt32()));
        string[] warnings = [.. json.GetProperty("warnings").EnumerateArray().Select(item => item.GetString()!)];
        if (warning == null)
            Assert.Empty(warnings);
        else
            Assert.Contains(warning, Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Equal(before.ToString(), (await GetAsync("/api/jobs")).ToString());
    }

    [Fact]
    public async Task A_check_refuses_as_a_job_is_refused()
    {
        foreach (string body in (string[])["{}", """{"prompt": "a", "size": "1x1"}""", """{"prompt": "a", "guidance": "nag:scale=-1"}"""])
            Assert.Equal(await server.RefusedAsync("/api/jobs", body), await server.RefusedAsync("/api/check", body));
    }

    /// <summary>Pages draw their controls from this: nothing about rules is written a second time.</summary>
    [Fact]
    public async Task Every_rule_and_parameter_is_explained()
    {
        var rules = (await GetAsync("/api/guidance")).GetProperty("data").EnumerateArray().ToArray();
        Assert.Equal(RuleCatalog.Names, rules.Select(rule => rule.GetProperty("name").GetString()!));
        foreach (var answer in rules)
        {
            var rule = RuleCatalog.Find(answer.GetProperty("name").GetString()!);
            Assert.NotEqual("", answer.GetProperty("title").GetString());
            Assert.EndsWith(".", answer.GetProperty("about").GetString(), StringComparison.Ordinal);
            foreach (var (parameter, form) in answer.GetProperty("parameters").EnumerateArray().Zip(rule.Form.Parameters))
            {
                Assert.Equal(form.Name, parameter.GetProperty("name").GetString());
                Assert.True(parameter.GetProperty("about").GetString()!.Length > 10);
                Assert.NotEqual("text", parameter.GetProperty("kind").GetString());
                bool bounded = parameter.TryGetProperty("maximum", out var most);
                Assert.Equal(form.Range is { } range && double.IsFinite(range.Maximum), bounded);
                if (bounded)
                    Assert.Equal(form.Range!.Value.Maximum, most.GetDouble());
            }
        }
        var families = (await GetAsync("/api/presets")).GetProperty("data").EnumerateArray().ToArray();
        Assert.Equal(GuidancePresets.Families, families.Select(family => family.GetProperty("family").GetString()!));
        Assert.All(families.SelectMany(family => family.GetProperty("rules").EnumerateArray()), rule =>
        {
            Assert.Single(RuleCatalog.Parse(rule.GetProperty("text").GetString()!));
            Assert.NotEqual("", rule.GetProperty("source").GetString());
        });
    }

    /// <summary>A folder of the first form of the database, without traces.</summary>
    [Fact]
    public void A_folder_of_an_earlier_version_is_brought_up_to_date()
    {
        using var folder = new TemporaryFolder();
        JobStore.Open(folder.Path).Dispose();
        using (var connection = new SqliteConnection($"Data Source={folder.At("attune.db")};Pooling=False"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = """
                ALTER TABLE pictures DROP COLUMN trace_bytes; ALTER TABLE pictures DROP COLUMN findings;
                INSERT INTO jobs (id, lane, status, model, seed, count, created, description)
                VALUES ('j', 'me', 'completed', 'm', 1, 1, 5, '{}');
                INSERT INTO pictures (id, job, place, seed, width, height, format, bytes, created, parameters)
                VALUES ('00000000000000000000000000', 'j', 0, 1, 2, 3, 'png', 4, 5, '{}');
                PRAGMA user_version = 1;
                """;
            command.ExecuteNonQuery();
        }
        using var store = JobStore.Open(folder.Path);
        var picture = Assert.Single(store.PicturesOf("j"));
        Assert.Equal((0, 0), (picture.TraceBytes, picture.Findings.Count));
        var trace = new PictureTrace([1, 2, 3], [new Finding(null, "a.b", "A", "it is 1", 1)]);
        var made = new Picture(Requests.Ids.New(), 1, 1, 2, 3, [9], PictureFormat.Png, "{}") { Trace = trace };
        store.Add("j", made, DateTimeOffset.UnixEpoch);
        var kept = store.PicturesOf("j")[1];
        Assert.Equal(trace.Findings, kept.Findings);
        store.Delete(kept);
        Assert.Empty(Directory.GetFiles(folder.At("pictures"), "*", SearchOption.AllDirectories));
    }
}
