using System.Text.Json;
using Attune.Tensors;
using Attune.Weights.Quantised;

namespace Attune.Weights;

/// <summary>Where one component of a pipeline comes from: its configuration, and how its weights are opened.</summary>
/// <param name="Config">The component's config.json.</param>
/// <param name="Device">What computes with the weights.</param>
/// <param name="OpenWeights">Opens the weights; whoever calls it disposes them.</param>
public sealed record ComponentSource(ModelConfig Config, Device Device, Func<WeightSource> OpenWeights)
{
    /// <summary>A component's folder: config.json and weights.</summary>
    public static ComponentSource Folder(string folder, Device device)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(device);
        return new ComponentSource(ModelConfig.Read(Path.Combine(folder, "config.json")), device, () => WeightSource.Open(folder));
    }

    /// <summary>Opens the weights for the device. Whoever calls it disposes the checkpoint.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed, or the weights are quantised in a manner that is not
    /// supported.</exception>
    public Checkpoint Open()
    {
        Unsupported.Refuse(Config);
        return new Checkpoint(OpenWeights(), Device);
    }

    /// <summary>Builds a component; it owns the checkpoint from then on. If that fails, the checkpoint is closed.</summary>
    public T Build<T>(Func<Checkpoint, ModelConfig, T> build)
    {
        var checkpoint = Open();
        try
        {
            return build(checkpoint, Config);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }
}

/// <summary>Where the components of a pipeline come from.</summary>
/// <param name="device">Where the model's tensors live.</param>
public abstract class ModelSource(Device device)
{
    /// <summary>What was opened, for messages.</summary>
    public abstract string Path { get; }

    /// <summary>Where the model's tensors live.</summary>
    public Device Device => device;

    /// <summary>model_index.json.</summary>
    public abstract ModelConfig Index { get; }

    /// <summary>Whether the model has a component of this name; an index may hold <c>[null, null]</c> for one that is left out.</summary>
    public abstract bool Has(string component);

    /// <summary>A component with weights.</summary>
    public abstract ComponentSource Component(string name);

    /// <summary>The folder of a tokenizer.</summary>
    public abstract string Tokenizer(string name);

    /// <summary>Names that a tokenizer knows beyond those of its folder.</summary>
    internal virtual IReadOnlyList<Embeddings.NamedTokens> AddedTokens(string tokenizer) => [];

    /// <summary>The class that the index names for a component or tokenizer, or null.</summary>
    public string? ClassOf(string component) =>
        Index.Find(component) is { ValueKind: JsonValueKind.Array } entry
            && entry.GetArrayLength() == 2 && entry[1].ValueKind == JsonValueKind.String ? entry[1].GetString() : null;

    /// <summary>The configuration of the scheduler.</summary>
    public abstract ModelConfig Scheduler { get; }

    /// <summary>Checks that a text encoder gives the channels that the transformer reads.</summary>
    /// <param name="channels">What the text encoder gives.</param>
    /// <param name="expected">What the transformer reads.</param>
    /// <param name="key">The key of the transformer's configuration that says so.</param>
    /// <exception cref="CheckpointException">They differ.</exception>
    internal void RequireTextChannels(int channels, int expected, string key)
    {
        if (channels != expected)
        {
            throw new CheckpointException(
                $"'{Path}': the text encoder has {channels} channels, expected {expected}, the transformer's {key}.");
        }
    }
}

/// <summary>An ordinary diffusers folder.</summary>
internal sealed class ModelFolder(string folder, Device device) : ModelSource(device)
{
    /// <inheritdoc/>
    public override string Path => folder;

    /// <inheritdoc/>
    public override ModelConfig Index { get; } = ModelConfig.Read(System.IO.Path.Combine(folder, "model_index.json"));

    /// <inheritdoc/>
    public override ModelConfig Scheduler => ModelConfig.Read(System.IO.Path.Combine(folder, "scheduler", "scheduler_config.json"));

    /// <inheritdoc/>
    public override bool Has(string component) => ClassOf(component) != null;

    /// <inheritdoc/>
    public override ComponentSource Component(string name) => ComponentSource.Folder(System.IO.Path.Combine(folder, name), Device);

    /// <inheritdoc/>
    public override string Tokenizer(string name) => System.IO.Path.Combine(folder, name);
}
