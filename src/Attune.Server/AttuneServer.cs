using System.Net;
using Attune.Server.Engine;
using Attune.Server.Fleet;
using Attune.Server.Hosting;
using Attune.Server.Jobs;
using Attune.Server.OpenAi;
using Attune.Server.Sd;
using Attune.Weights;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;

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
    /// <exception cref="IOException">The queue that several machines share cannot be used.</exception>
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
        var opened = await OpenedModels.OpenAsync(settings, cancellation).ConfigureAwait(false);
        var fleet = settings.Fleet is { } shared
            ? await FleetQueue.OpenAsync(shared, settings.Limits, cancellation).ConfigureAwait(false) : null;
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "Attune.Server" });
        logging?.Invoke(builder.Logging);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(options => Configure(options, settings));
        builder.Services.AddRoutingCore();
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = settings.ShutdownTimeout + Farewell);
        EngineServices.Add(
            builder.Services, settings, opened.Catalog, time ?? TimeProvider.System, metrics => metrics.AddPrometheusExporter(), fleet,
            fleet == null ? EngineRole.Alone : EngineRole.Front);
        Add(builder.Services);
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
        ReferenceEndpoints.Map(app);
        if (settings.SdApi)
            app.Services.GetRequiredService<SdEndpoints>().Map(app);
        app.MapPrometheusScrapingEndpoint("/metrics");

        try
        {
            opened.SayProblems(app.Services);
            if (fleet == null)
            {
                await opened.LoadFirstAsync(app.Services, cancellation).ConfigureAwait(false);
                app.Services.GetRequiredService<JobBoard>().Restore(app.Services.GetRequiredService<JobReader>());
            }
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

    private static void Configure(KestrelServerOptions options, ServerSettings settings)
    {
        options.AddServerHeader = false;
        options.Limits.MaxRequestBodySize = settings.Limits.UploadBytes;
        options.Limits.MaxConcurrentConnections = 1000;
        options.Listen(settings.Address);
    }

    private static void Add(IServiceCollection services)
    {
        services.AddSingleton<Guard>().AddSingleton<ImageEndpoints>().AddSingleton<HealthEndpoints>().AddSingleton<JobEndpoints>();
        services.AddSingleton<GalleryEndpoints>().AddSingleton<StatusEndpoints>().AddSingleton<PageEndpoints>();
        services.AddSingleton<SdFields>().AddSingleton<SdEndpoints>();
    }
}
