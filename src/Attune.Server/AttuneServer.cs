using System.Net;
using Attune.Media.Skia;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.Jobs;
using Attune.Server.OpenAi;
using Attune.Server.Requests;
using Attune.Server.Sd;
using Attune.Server.Storage;
using Attune.Weights;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Attune.Server;

/// <summary>Serves models over HTTP.</summary>
public static class AttuneServer
{
    /// <summary>How long answers may take to end after the last picture.</summary>
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Opens the models and makes a server of them, which listens when it is started (<see cref="WebApplication.StartAsync"/>). Nothing
    /// but the settings counts: no file of settings and no variable of the environment is read.
    /// </summary>
    /// <param name="settings">How it is set up.</param>
    /// <param name="logging">Where it says what happens; null for nowhere.</param>
    /// <param name="time">The clock; null for the system's.</param>
    /// <param name="cancellation">Stops opening.</param>
    /// <exception cref="ArgumentException">The settings do not go together.</exception>
    /// <exception cref="CheckpointException">The first model cannot be opened; others are left out then, which is logged.</exception>
    public static async Task<WebApplication> OpenAsync(
        ServerSettings settings, Action<ILoggingBuilder>? logging = null, TimeProvider? time = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        if (!IPAddress.IsLoopback(settings.Address.Address) && settings.Keys.Count == 0 && !settings.Insecure)
        {
            throw new ArgumentException(
                $"{settings.Address} can be reached from other machines, and there is no API key: anybody there could use the server. Give "
                    + "it keys (--key-file), or say that this is wanted (--insecure).");
        }
        SkiaFormats.Register();
        var problems = new List<string>();
        var infos = await Task.Run(() => Describe(settings.Models, problems), cancellation).ConfigureAwait(false);
        var catalog = new ModelCatalog(infos, settings.Aliases);

        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "Attune.Server" });
        logging?.Invoke(builder.Logging);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(options => Configure(options, settings));
        builder.Services.AddRoutingCore();
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = settings.ShutdownTimeout + Farewell);
        Add(builder.Services, settings, catalog, time ?? TimeProvider.System);
        var app = builder.Build();
        app.Use(next => context => app.Services.GetRequiredService<Guard>().InvokeAsync(context, next));
        app.UseRouting();
        app.UseEndpoints(_ => { });
        app.Services.GetRequiredService<ImageEndpoints>().Map(app);
        app.Services.GetRequiredService<HealthEndpoints>().Map(app);
        app.Services.GetRequiredService<JobEndpoints>().Map(app);
        app.Services.GetRequiredService<GalleryEndpoints>().Map(app);
        app.Services.GetRequiredService<StatusEndpoints>().Map(app);
        app.Services.GetRequiredService<PageEndpoints>().Map(app);
        if (settings.SdApi)
            app.Services.GetRequiredService<SdEndpoints>().Map(app);
        app.MapPrometheusScrapingEndpoint("/metrics");

        var log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(AttuneServer));
        foreach (string problem in problems)
            log.LogWarning("A model is left out: {Problem}", problem);
        try
        {
            // The first request does not wait for it.
            var pool = app.Services.GetRequiredService<ModelPool>();
            (await pool.AcquireAsync(new ModelVariant(catalog.Default, []), cancellation).ConfigureAwait(false)).Dispose();
            app.Services.GetRequiredService<JobBoard>().Restore(app.Services.GetRequiredService<JobReader>());
            return app;
        }
        catch
        {
            await app.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Where a started server listens, as <c>http://127.0.0.1:5080</c>.</summary>
    public static string AddressOf(WebApplication server)
    {
        ArgumentNullException.ThrowIfNull(server);
        return server.Urls.First();
    }

    /// <summary>What the models are. Those that cannot be opened are left out, but for the first, which is the default.</summary>
    private static List<ModelInfo> Describe(IReadOnlyList<ServedModel> models, List<string> problems)
    {
        var infos = new List<ModelInfo>();
        foreach (var model in models)
        {
            try
            {
                infos.Add(ModelInfo.Of(model));
            }
            catch (CheckpointException exception) when (model != models[0])
            {
                problems.Add($"{model.Name}: {exception.Message}");
            }
        }
        return infos;
    }

    private static void Configure(KestrelServerOptions options, ServerSettings settings)
    {
        options.AddServerHeader = false;
        options.Limits.MaxRequestBodySize = settings.Limits.UploadBytes;
        options.Limits.MaxConcurrentConnections = 1000;
        options.Listen(settings.Address);
    }

    private static void Add(IServiceCollection services, ServerSettings settings, ModelCatalog catalog, TimeProvider time)
    {
        services.AddSingleton(settings).AddSingleton(settings.Limits).AddSingleton(catalog).AddSingleton(time);
        services.AddSingleton(
            provider => new ModelPool(
                settings.ModelBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 * 3, settings.KeptPromptBytes,
                provider.GetRequiredService<ILogger<ModelPool>>()));
        Add(services.AddOpenTelemetry().ConfigureResource(resource => resource.AddService("attune")), settings.TelemetryReceiver);
        services.AddSingleton<Telemetry>();
        services.AddSingleton<Pace>().AddSingleton<PictureMaker>().AddSingleton<JobBoard>().AddSingleton<PictureShelf>();
        services.AddSingleton(
            provider => new JobQueue(settings.Limits, settings.Keys.Count > 0, provider.GetRequiredService<Pace>()));
        services.AddSingleton<GenerationFields>().AddSingleton<Guard>().AddSingleton<ImageEndpoints>().AddSingleton<HealthEndpoints>();
        services.AddSingleton(_ => JobStore.Open(settings.Store));
        services.AddSingleton<JobReader>().AddSingleton<JobEndpoints>().AddSingleton<GalleryEndpoints>().AddSingleton<StatusEndpoints>();
        services.AddSingleton<PageEndpoints>().AddSingleton<SdFields>().AddSingleton<SdEndpoints>();
        services.AddHostedService<Workers>().AddHostedService<Housekeeping>();
    }

    /// <summary>Metrics are there to be fetched; who has a receiver is sent them, and traces of requests.</summary>
    private static void Add(OpenTelemetryBuilder telemetry, Uri? receiver)
    {
        telemetry.WithMetrics(metrics =>
        {
            metrics.AddMeter(Telemetry.Name).AddPrometheusExporter();
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
