using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Attune.Extensions.AI;

/// <summary>
/// What generators measure of themselves, by the names of OpenTelemetry's conventions for generative models where they have one. Prompts
/// are never part of it. Durations of whole requests are measured by <c>UseOpenTelemetry</c> of Microsoft.Extensions.AI.
/// </summary>
internal static class GeneratorTelemetry
{
    /// <summary>The name of the source of activities, and of the meter.</summary>
    public const string Name = "Attune.Extensions.AI";

    /// <summary>The provider, as attributes have it.</summary>
    public const string Provider = "attune";

    private static readonly ActivitySource Source = new(Name);
    private static readonly Meter Meter = new(Name);

    public static Histogram<double> Step { get; } = Meter.CreateHistogram(
        "attune.step.duration", "s", "How long a step takes, as a mean over a picture.",
        advice: new InstrumentAdvice<double>
        {
            HistogramBucketBoundaries = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
        });

    public static Counter<long> Images { get; } = Meter.CreateCounter<long>("attune.images", "{image}", "Pictures that were made.");

    public static KeyValuePair<string, object?> Tag(string name, object? value) => new(name, value);

    /// <summary>A request begins; null, at no cost, where nobody listens.</summary>
    public static Activity? Start(string model) => Source.StartActivity(
        $"generate_content {model}", ActivityKind.Internal, default(ActivityContext),
        [
            Tag("gen_ai.operation.name", "generate_content"), Tag("gen_ai.output.type", "image"), Tag("gen_ai.provider.name", Provider),
            Tag("gen_ai.request.model", model), Tag("gen_ai.response.model", model),
        ]);

    /// <summary>What is asked for, when it is read.</summary>
    public static void Describe(Activity? activity, AskedPictures asked)
    {
        if (activity == null)
            return;
        var resolved = asked.Resolve(0);
        activity.SetTag("gen_ai.request.choice.count", asked.Count)
            .SetTag("gen_ai.request.seed", resolved.Request.Seed)
            .SetTag("gen_ai.request.image.width", resolved.Request.Width)
            .SetTag("gen_ai.request.image.height", resolved.Request.Height)
            .SetTag("attune.steps", resolved.Request.Steps)
            .SetTag("attune.guidance", string.Join('+', resolved.Guidance.Rules.Select(rule => rule.Form.Name)));
    }

    public static void Fail(Activity? activity, Exception exception) =>
        activity?.SetTag("error.type", exception.GetType().FullName).SetStatus(ActivityStatusCode.Error);
}
