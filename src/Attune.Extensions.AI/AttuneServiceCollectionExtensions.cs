using Attune.Extensions.AI;
using Attune.Generation;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds models to a program's services.</summary>
public static partial class AttuneServiceCollectionExtensions
{
    /// <summary>
    /// Adds a model: a <see cref="DiffusionPipeline"/> that is opened when it is first asked for and disposed with the container, and an
    /// <see cref="AttuneImageGenerator"/> of it.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Says which model.</param>
    public static IServiceCollection AddAttune(this IServiceCollection services, Action<AttuneServiceOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        Configure(services, Options.Options.DefaultName, configure);
        services.TryAddSingleton(provider => Open(provider, Options.Options.DefaultName));
        services.TryAddSingleton(
            provider => Generator(provider, Options.Options.DefaultName, provider.GetRequiredService<DiffusionPipeline>()));
        return services;
    }

    /// <summary>Adds a model: see <see cref="AddAttune(IServiceCollection, Action{AttuneServiceOptions})"/>.</summary>
    /// <param name="services">The services.</param>
    /// <param name="model">A diffusers folder or a file.</param>
    public static IServiceCollection AddAttune(this IServiceCollection services, string model)
    {
        ArgumentException.ThrowIfNullOrEmpty(model);
        return services.AddAttune(options => options.Model = model);
    }

    /// <summary>Adds one of several models, by a key.</summary>
    /// <param name="services">The services.</param>
    /// <param name="key">Its key.</param>
    /// <param name="configure">Says which model.</param>
    public static IServiceCollection AddKeyedAttune(this IServiceCollection services, string key, Action<AttuneServiceOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(key);
        ArgumentNullException.ThrowIfNull(configure);
        Configure(services, key, configure);
        services.TryAddKeyedSingleton(key, (provider, _) => Open(provider, key));
        services.TryAddKeyedSingleton(
            key, (provider, _) => Generator(provider, key, provider.GetRequiredKeyedService<DiffusionPipeline>(key)));
        return services;
    }

    /// <summary>
    /// Adds the model of <see cref="AddAttune(IServiceCollection, Action{AttuneServiceOptions})"/> as the program's
    /// <see cref="IImageGenerator"/>.
    /// </summary>
    /// <returns>What further steps are added to: logging, telemetry.</returns>
    public static ImageGeneratorBuilder AddAttuneImageGenerator(this IServiceCollection services) =>
        services.AddImageGenerator(provider => provider.GetRequiredService<AttuneImageGenerator>());

    /// <summary>Adds the model of <see cref="AddKeyedAttune"/> as an <see cref="IImageGenerator"/> of the same key.</summary>
    /// <param name="services">The services.</param>
    /// <param name="key">The key.</param>
    /// <inheritdoc cref="AddAttuneImageGenerator" path="/returns"/>
    public static ImageGeneratorBuilder AddKeyedAttuneImageGenerator(this IServiceCollection services, string key) =>
        services.AddKeyedImageGenerator(key, provider => provider.GetRequiredKeyedService<AttuneImageGenerator>(key));

    /// <summary>The names of the activities and of the meter of generators, for <c>AddSource</c> and <c>AddMeter</c>.</summary>
    public const string TelemetryName = GeneratorTelemetry.Name;

    private static void Configure(IServiceCollection services, string name, Action<AttuneServiceOptions> configure) =>
        services.AddOptions<AttuneServiceOptions>(name)
            .Configure(configure)
            .Validate(options => !string.IsNullOrEmpty(options.Model), "Model of Attune's options is empty, expected a folder or a file.")
            .Validate(options => options.Concurrency >= 1, "Concurrency of Attune's options is below 1.");

    private static DiffusionPipeline Open(IServiceProvider provider, string name)
    {
        var options = provider.GetRequiredService<IOptionsMonitor<AttuneServiceOptions>>().Get(name);
        var log = provider.GetService<ILogger<DiffusionPipeline>>() ?? NullLogger<DiffusionPipeline>.Instance;
        var pipeline = DiffusionPipeline.Load(
            options.Model, options.Load with { Warning = options.Load.Warning ?? (message => Warned(log, message)) });
        Opened(log, pipeline.Facts.ClassName);
        return pipeline;
    }

    private static AttuneImageGenerator Generator(IServiceProvider provider, string name, DiffusionPipeline pipeline)
    {
        var options = provider.GetRequiredService<IOptionsMonitor<AttuneServiceOptions>>().Get(name);
        return new AttuneImageGenerator(
            pipeline,
            new AttuneImageGeneratorSettings
            {
                ModelId = options.ModelId, Identity = ModelIdentity.Of(options.Model, options.Load.Parts), Opened = options.Load,
                Concurrency = options.Concurrency,
            },
            provider.GetService<ILogger<AttuneImageGenerator>>());
    }

    [LoggerMessage(LogLevel.Information, "Opened a {Model}.")]
    private static partial void Opened(ILogger log, string model);

    [LoggerMessage(LogLevel.Warning, "{Message}")]
    private static partial void Warned(ILogger log, string message);
}
