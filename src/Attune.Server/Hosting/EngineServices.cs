using Attune.Server.Engine;
using Attune.Server.Fleet;
using Attune.Server.Jobs;
using Attune.Server.Requests;
using Attune.Server.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Attune.Server.Hosting;

/// <summary>Who makes the pictures that a process takes in, or has.</summary>
internal enum EngineRole
{
    /// <summary>It takes requests, and makes the pictures.</summary>
    Alone,

    /// <summary>It takes requests for others.</summary>
    Front,

    /// <summary>It makes the pictures of others' requests.</summary>
    Worker,
}

/// <summary>The services that take requests and make pictures, whoever asks for them.</summary>
internal static class EngineServices
{
    public static void Add(
        IServiceCollection services, ServerSettings settings, ModelCatalog catalog, TimeProvider time,
        Action<MeterProviderBuilder>? metrics = null, FleetQueue? fleet = null, EngineRole role = EngineRole.Alone)
    {
        services.AddSingleton(settings).AddSingleton(settings.Limits).AddSingleton(catalog).AddSingleton(time);
        services.AddSingleton(
            provider => new ModelPool(
                settings.ModelBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 * 3, settings.KeptPromptBytes,
                provider.GetRequiredService<ILogger<ModelPool>>()));
        Add(services.AddOpenTelemetry().ConfigureResource(resource => resource.AddService("attune")), settings.TelemetryReceiver, metrics);
        services.AddSingleton<Telemetry>();
        services.AddSingleton<Pace>().AddSingleton<PictureMaker>().AddSingleton<JobBoard>().AddSingleton<PictureShelf>();
        services.AddSingleton(
            provider => new JobQueue(settings.Limits, settings.Keys.Count > 0, provider.GetRequiredService<Pace>()));
        services.AddSingleton(_ => JobStore.Open(settings.Store));
        services.AddSingleton<GenerationFields>().AddSingleton<JobReader>();
        if (fleet != null)
            services.AddSingleton(_ => fleet);              // made by the container's word, so that it is disposed with it
        if (role == EngineRole.Alone)
            services.AddHostedService<Workers>();
        else if (role == EngineRole.Front)
            services.AddHostedService<FleetFront>();
        else
            services.AddHostedService<FleetWorker>();
        services.AddHostedService<Housekeeping>();
    }

    /// <summary>Who has a receiver is sent metrics, and traces of requests.</summary>
    private static void Add(OpenTelemetryBuilder telemetry, Uri? receiver, Action<MeterProviderBuilder>? more)
    {
        telemetry.WithMetrics(metrics =>
        {
            metrics.AddMeter(Telemetry.Name);
            more?.Invoke(metrics);
            if (receiver != null)
                metrics.AddOtlpExporter(exporter => Send(exporter, "v1/metrics"));
        });
        if (receiver != null)
        {
            telemetry.WithTracing(traces => traces.AddSource(Telemetry.Name, "Microsoft.AspNetCore")
                .AddOtlpExporter(exporter => Send(exporter, "v1/traces")));
        }

        void Send(OtlpExporterOptions exporter, string path)
        {
            exporter.Protocol = OtlpExportProtocol.HttpProtobuf;
            exporter.Endpoint = new Uri($"{receiver!.AbsoluteUri.TrimEnd('/')}/{path}");
        }
    }
}
