using Attune.Server.Fleet;
using Attune.Server.Hosting;
using Attune.Weights;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;

namespace Attune.Server;

/// <summary>Makes the pictures of a queue that several machines share. It answers nobody but those who ask how it does.</summary>
public static class AttuneWorker
{
    /// <summary>
    /// Connects to the queue and opens the models; the worker takes jobs when it is started (<see cref="WebApplication.StartAsync"/>).
    /// </summary>
    /// <param name="settings">
    /// The queue (<see cref="ServerSettings.Fleet"/>), the models, limits, and the address at which <c>/healthz</c>, <c>/readyz</c> and
    /// <c>/metrics</c> are answered.
    /// </param>
    /// <param name="logging">Where it says what happens; null for nowhere.</param>
    /// <param name="time">The clock; null for the system's.</param>
    /// <param name="cancellation">Stops opening.</param>
    /// <exception cref="ArgumentException">There is no queue.</exception>
    /// <exception cref="IOException">The queue cannot be used.</exception>
    /// <exception cref="CheckpointException">The first model cannot be opened; others are left out then, which is logged.</exception>
    public static async Task<WebApplication> OpenAsync(
        ServerSettings settings, Action<ILoggingBuilder>? logging = null, TimeProvider? time = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var shared = settings.Fleet ?? throw new ArgumentException("A worker has a queue.", nameof(settings));
        var opened = await OpenedModels.OpenAsync(settings, cancellation).ConfigureAwait(false);
        var fleet = await FleetQueue.OpenAsync(shared, settings.Limits, cancellation).ConfigureAwait(false);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "Attune.Server" });
        logging?.Invoke(builder.Logging);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(options => options.Listen(settings.Address));
        builder.Services.AddRoutingCore();
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = settings.ShutdownTimeout + TimeSpan.FromSeconds(10));
        EngineServices.Add(
            builder.Services, settings with { Store = null }, opened.Catalog, time ?? TimeProvider.System,
            metrics => metrics.AddPrometheusExporter(), fleet, EngineRole.Worker);
        builder.Services.AddSingleton<HealthEndpoints>();
        var app = builder.Build();
        app.UseRouting();
        app.UseEndpoints(_ => { });
        app.Services.GetRequiredService<HealthEndpoints>().MapHealth(app);
        app.MapPrometheusScrapingEndpoint("/metrics");
        try
        {
            opened.SayProblems(app.Services);
            await opened.LoadFirstAsync(app.Services, cancellation).ConfigureAwait(false);
            return app;
        }
        catch
        {
            await app.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
