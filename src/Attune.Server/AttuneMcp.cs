using Attune.Generation;
using Attune.Server.Hosting;
using Attune.Server.Mcp;
using Attune.Weights;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace Attune.Server;

/// <summary>Serves models to an assistant on the same machine, by the Model Context Protocol on standard input and output.</summary>
public static class AttuneMcp
{
    private const string Instructions =
        "Makes pictures with diffusion models on this machine. A negative prompt is read by attention guidance, also by models of few "
            + "steps; compare_guidance shows what it does. Pictures keep their names for an hour: edit_image takes them.";

    /// <summary>Serves until the input ends.</summary>
    /// <param name="settings">The models and limits. Jobs are kept in memory, whatever it says of a folder.</param>
    /// <param name="logging">Where it says what happens: nowhere by default, and never on standard output.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="CheckpointException">The first model cannot be opened.</exception>
    public static async Task RunAsync(
        ServerSettings settings, Action<ILoggingBuilder>? logging = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var opened = await OpenedModels.OpenAsync(settings, cancellation).ConfigureAwait(false);
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ApplicationName = "Attune.Server" });
        logging?.Invoke(builder.Logging);
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = settings.ShutdownTimeout);
        EngineServices.Add(builder.Services, settings with { Store = null }, opened.Catalog, TimeProvider.System);
        builder.Services.AddSingleton<McpTools>();
        using var host = builder.Build();
        opened.SayProblems(host.Services);
        await opened.LoadFirstAsync(host.Services, cancellation).ConfigureAwait(false);
        await host.StartAsync(cancellation).ConfigureAwait(false);
        var log = host.Services.GetRequiredService<ILoggerFactory>();
        var tools = host.Services.GetRequiredService<McpTools>();
        var transport = new StdioServerTransport("attune", log);
        await using (transport.ConfigureAwait(false))
        {
            var server = McpServer.Create(
                transport,
                new McpServerOptions
                {
                    ServerInfo = new Implementation { Name = "attune", Title = "Attune", Version = PictureTexts.Version },
                    ServerInstructions = Instructions,
                    Capabilities = new ServerCapabilities { Tools = new ToolsCapability() },
                    Handlers = new McpServerHandlers
                    {
                        ListToolsHandler = (_, _) => ValueTask.FromResult(new ListToolsResult { Tools = McpTools.List() }),
                        CallToolHandler = (request, stop) => tools.CallAsync(request, stop),
                    },
                },
                log, host.Services);
            await using (server.ConfigureAwait(false))
            {
                using var ending = CancellationTokenSource.CreateLinkedTokenSource(
                    cancellation, host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);
                try
                {
                    await server.RunAsync(ending.Token).ConfigureAwait(false);
                }
                catch (OperationCanceledException) when (!cancellation.IsCancellationRequested && ending.IsCancellationRequested)
                {
                    // Somebody ended the process in an orderly way.
                }
            }
        }
        await host.StopAsync(CancellationToken.None).ConfigureAwait(false);
    }
}
