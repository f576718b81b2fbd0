using System.Diagnostics;
using System.Diagnostics.Metrics;
using Attune.Server.Engine;
using Attune.Tensors;

namespace Attune.Server.Hosting;

/// <summary>
/// What the server measures of itself, by the names of OpenTelemetry's conventions for generative models where they have one. Prompts and
/// seeds are never part of it.
/// </summary>
internal sealed class Telemetry : IDisposable
{
    /// <summary>The name of the meter, and of the source of activities.</summary>
    public const string Name = "Attune.Server";

    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [
            0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68],
    };

    private readonly ActivitySource _source = new(Name);
    private readonly Meter _meter;
    private readonly Histogram<double> _duration;
    private readonly Histogram<double> _wait;
    private readonly Histogram<double> _step;
    private readonly Counter<long> _images;
    private readonly Counter<long> _jobs;

    public Telemetry(JobQueue queue, IMeterFactory meters)
    {
        _meter = meters.Create(Name);
        _duration = _meter.CreateHistogram("gen_ai.server.request.duration", "s", "How long requests took.", advice: Seconds);
        _wait = _meter.CreateHistogram("attune.queue.wait", "s", "How long requests waited until they began.", advice: Seconds);
        _step = _meter.CreateHistogram("attune.step.duration", "s", "How long a step takes, as a mean over a picture.", advice: Seconds);
        _images = _meter.CreateCounter<long>("attune.images", "{image}", "Pictures that were made.");
        _jobs = _meter.CreateCounter<long>("attune.jobs", "{job}", "Requests that ended, by outcome.");
        _meter.CreateObservableGauge("attune.queue.length", () => queue.Length, "{request}", "Requests that wait.");
        _meter.CreateObservableGauge("attune.activations.peak", () => TensorMemory.PeakBytes, "By", "The most bytes of tensors so far.");
    }

    /// <summary>A picture was made.</summary>
    public void Made(JobRequest request, int steps, double denoising)
    {
        var model = Tag(request);
        _images.Add(1, model);
        _step.Record(denoising / Math.Max(steps, 1), model);
    }

    /// <summary>A request ended.</summary>
    public void Ended(Job job, DateTimeOffset now)
    {
        var model = Tag(job.Request);
        var outcome = KeyValuePair.Create("outcome", (object?)job.Status.ToString().ToLowerInvariant());
        _jobs.Add(1, model, outcome);
        if (job.Started is { } started)
            _wait.Record((started - job.Created).TotalSeconds, model);
        var tags = new TagList
        {
            { "gen_ai.operation.name", "generate_content" }, { "gen_ai.output.type", "image" }, { "gen_ai.provider.name", "attune" },
            { "gen_ai.request.model", job.Request.Model.Name }, { "gen_ai.response.model", job.Request.Model.Name },
        };
        if (job.Failure is { } failure)
            tags.Add("error.type", failure.Code);
        _duration.Record((now - job.Created).TotalSeconds, tags);
        Trace(job, now, tags);
    }

    public void Dispose()
    {
        _meter.Dispose();
        _source.Dispose();
    }

    /// <summary>A request as an activity, from when it came to its end, below the one that it came in.</summary>
    private void Trace(Job job, DateTimeOffset now, TagList common)
    {
        var request = job.Request.Request;
        using var activity = _source.StartActivity(
            $"generate_content {job.Request.Model.Name}", ActivityKind.Server, job.Caller, common, startTime: job.Created);
        if (activity == null)
            return;
        activity.SetTag("gen_ai.request.choice.count", job.Request.Count)
            .SetTag("gen_ai.request.seed", unchecked((long)request.Seed))
            .SetTag("gen_ai.request.stream", job.Request.Partials > 0 || job.Request.Previews)
            .SetTag("gen_ai.request.image.width", request.Width ?? job.Request.Model.DefaultWidth)
            .SetTag("gen_ai.request.image.height", request.Height ?? job.Request.Model.DefaultHeight)
            .SetTag("gen_ai.response.id", job.Id)
            .SetTag("attune.guidance", request.Guidance.ToString())
            .SetTag("attune.steps", job.Request.ExpectedSteps)
            .SetTag("attune.outcome", job.Status.ToString().ToLowerInvariant())
            .SetEndTime(now.UtcDateTime);
        if (job.Failure is { Status: >= 500 } failure)
            activity.SetStatus(ActivityStatusCode.Error, failure.Code);
    }

    private static KeyValuePair<string, object?> Tag(JobRequest request) =>
        KeyValuePair.Create("gen_ai.request.model", (object?)request.Model.Name);
}
