using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace Attune.Server.Tests;

/// <summary>What the server tells those who watch it.</summary>
public class TelemetryTests
{
    private const string Prompt = "a secret cat";

    private static readonly string Body =
        $$"""{"prompt": "{{Prompt}}", "size": "32x32", "steps": 1, "seed": 7, "max_sequence_length": 16}""";

    [Fact]
    public async Task Requests_are_activities_by_the_conventions()
    {
        var activities = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is Hosting.Telemetry.Name or "Microsoft.AspNetCore",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activities.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        await using var server = await TestServer.StartAsync();
        var caller = ActivityTraceId.CreateRandom();
        server.Client.DefaultRequestHeaders.Add("traceparent", $"00-{caller}-00f067aa0ba902b7-01");
        await server.PostAsync("/v1/images/generations", Body);
        await server.PostAsync("/v1/images/generations", TestServer.Quick(", \"scheduler\": \"ddim\""));
        await TestServer.UntilAsync(() => activities.Count(activity => activity.TraceId == caller) == 3);
        var seen = activities.Where(activity => activity.TraceId == caller).ToArray();
        var made = Assert.Single(seen, activity => activity.Source.Name == Hosting.Telemetry.Name);
        Assert.Equal($"generate_content {TestServer.Flux}", made.OperationName);
        Assert.Equal(ActivityKind.Server, made.Kind);
        Assert.Contains(seen, activity => activity.SpanId == made.ParentSpanId && activity.Source.Name == "Microsoft.AspNetCore");
        foreach (var (name, value) in new (string, object)[]
        {
            ("gen_ai.operation.name", "generate_content"), ("gen_ai.output.type", "image"), ("gen_ai.provider.name", "attune"),
            ("gen_ai.request.model", TestServer.Flux), ("gen_ai.response.model", TestServer.Flux), ("gen_ai.request.seed", 7L),
            ("gen_ai.request.choice.count", 1), ("gen_ai.request.stream", false), ("gen_ai.request.image.width", 32),
            ("gen_ai.request.image.height", 32), ("attune.steps", 1), ("attune.outcome", "completed"),
        })
            Assert.Equal(value, made.GetTagItem(name));
        Assert.True(made.Duration > TimeSpan.Zero);
        Assert.DoesNotContain(made.TagObjects, tag => $"{tag.Value}".Contains(Prompt, StringComparison.Ordinal));
    }

    /// <summary>A receiver of OpenTelemetry's protocol is sent traces and metrics, and no prompt.</summary>
    [Fact]
    public async Task A_receiver_is_sent_traces_and_metrics()
    {
        var received = new ConcurrentDictionary<string, string>();
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(options => options.Listen(IPAddress.Loopback, 0));
        await using var receiver = builder.Build();
        receiver.MapPost("/otlp/v1/{kind}", async context =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            received.AddOrUpdate(
                (string)context.Request.RouteValues["kind"]!, System.Text.Encoding.Latin1.GetString(body.ToArray()),
                (_, before) => before + System.Text.Encoding.Latin1.GetString(body.ToArray()));
        });
        await receiver.StartAsync();
        await using (var server = await TestServer.StartAsync(
            settings => settings with { TelemetryReceiver = new Uri(receiver.Urls.First() + "/otlp") }))
            await server.PostAsync("/v1/images/generations", Body);

        // What is not sent yet is sent when the server ends.
        Assert.Contains("generate_content " + TestServer.Flux, received["traces"], StringComparison.Ordinal);
        Assert.Contains("gen_ai.server.request.duration", received["metrics"], StringComparison.Ordinal);
        Assert.DoesNotContain(received.Values, body => body.Contains(Prompt, StringComparison.Ordinal));
    }
}
