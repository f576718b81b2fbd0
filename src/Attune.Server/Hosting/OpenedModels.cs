using Attune.Media.Skia;
using Attune.Server.Engine;
using Attune.Weights;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Attune.Server.Hosting;

/// <summary>What is known of the models of the settings, before there are services.</summary>
/// <param name="Catalog">The models.</param>
/// <param name="Problems">Why others are left out.</param>
internal sealed record OpenedModels(ModelCatalog Catalog, IReadOnlyList<string> Problems)
{
    /// <summary>Opens each for a moment.</summary>
    /// <exception cref="CheckpointException">The first model cannot be opened; others are left out then.</exception>
    public static async Task<OpenedModels> OpenAsync(ServerSettings settings, CancellationToken cancellation)
    {
        SkiaFormats.Register();
        var problems = new List<string>();
        var infos = await Task.Run(() => Describe(settings.Models, problems), cancellation).ConfigureAwait(false);
        return new OpenedModels(new ModelCatalog(infos, settings.Aliases), problems);
    }

    /// <summary>Says what is left out.</summary>
    public void SayProblems(IServiceProvider services)
    {
        var log = services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(AttuneServer));
        foreach (string problem in Problems)
            log.LogWarning("A model is left out: {Problem}", problem);
    }

    /// <summary>Loads the first model, so that the first request does not wait for it.</summary>
    public async Task LoadFirstAsync(IServiceProvider services, CancellationToken cancellation)
    {
        var pool = services.GetRequiredService<ModelPool>();
        (await pool.AcquireAsync(new ModelVariant(Catalog.Default, []), cancellation).ConfigureAwait(false)).Dispose();
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
}
