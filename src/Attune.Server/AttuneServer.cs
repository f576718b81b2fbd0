using System.Net;
using Attune.Media.Skia;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.OpenAi;
using Attune.Server.Requests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

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
    /// <exception cref="Weights.CheckpointException">A model cannot be opened.</exception>
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
        var infos = await Task.Run(() => settings.Models.Select(ModelInfo.Of).ToArray(), cancellation).ConfigureAwait(false);
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

        // The first request does not wait for it.
        using (await app.Services.GetRequiredService<ModelPool>()
            .AcquireAsync(new ModelVariant(catalog.Default, []), cancellation).ConfigureAwait(false))
            return app;
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

    private static void Add(IServiceCollection services, ServerSettings settings, ModelCatalog catalog, TimeProvider time)
    {
        services.AddSingleton(settings).AddSingleton(settings.Limits).AddSingleton(catalog).AddSingleton(time);
        services.AddSingleton(
            provider => new ModelPool(
                settings.ModelBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 * 3, settings.KeptPromptBytes,
                provider.GetRequiredService<ILogger<ModelPool>>()));
        services.AddSingleton<Pace>().AddSingleton<PictureMaker>().AddSingleton<JobBoard>().AddSingleton<PictureShelf>();
        services.AddSingleton(
            provider => new JobQueue(settings.Limits, settings.Keys.Count > 0, provider.GetRequiredService<Pace>()));
        services.AddSingleton<GenerationFields>().AddSingleton<Guard>().AddSingleton<ImageEndpoints>().AddSingleton<HealthEndpoints>();
        services.AddHostedService<Workers>();
    }
}
