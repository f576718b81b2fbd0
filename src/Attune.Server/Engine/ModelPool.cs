using Attune.Generation;
using Attune.Server.Requests;
using Attune.Weights;
using Microsoft.Extensions.Logging;

namespace Attune.Server.Engine;

/// <summary>A model with LoRA files.</summary>
/// <param name="Model">The model.</param>
/// <param name="Loras">The files, by the names that requests have for them, and how strongly they act.</param>
internal sealed record ModelVariant(ModelInfo Model, IReadOnlyList<(string Name, LoraWeights Weights)> Loras)
{
    /// <summary>What tells variants apart.</summary>
    public string Key { get; } = string.Join('\n', [Model.Name, .. Loras.Select(lora => FormattableString.Invariant(
        $"{lora.Name}:{lora.Weights.Scale:R}"))]);

    /// <summary>How it is opened. LoRA of requests is computed beside the weights, which costs no memory and no time to begin.</summary>
    public LoadOptions Options => Loras.Count == 0 ? Model.Served.Options
        : Model.Served.Options with
        {
            Loras = [.. Model.Served.Options.Loras, .. Loras.Select(lora => lora.Weights)], MergeLora = false,
        };
}

/// <summary>
/// The models in memory. One that is asked for is loaded; those that were not used for longest go before, as far as the budget wants it and
/// nobody uses them. Thread-safe.
/// </summary>
/// <param name="budget">How many bytes of weights may be in memory; a model that is larger by itself is alone there.</param>
/// <param name="keptPromptBytes">How many bytes of encoded prompts each keeps.</param>
/// <param name="log">Where loading is said.</param>
internal sealed partial class ModelPool(long budget, long keptPromptBytes, ILogger<ModelPool> log) : IAsyncDisposable
{
    private readonly SemaphoreSlim _loading = new(1);
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Loaded> _loaded = new(StringComparer.Ordinal);
    private TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _clock;

    /// <summary>The names of the models in memory.</summary>
    public IReadOnlyList<string> Names
    {
        get
        {
            lock (_gate)
                return [.. _loaded.Values.Select(loaded => loaded.Variant.Model.Name).Distinct()];
        }
    }

    /// <summary>The model if it is in memory; null if it is not.</summary>
    public ModelLease? TryAcquire(ModelVariant variant)
    {
        lock (_gate)
        {
            if (!_loaded.TryGetValue(variant.Key, out var loaded))
                return null;
            loaded.Users++;
            loaded.Used = ++_clock;
            return new ModelLease(this, loaded);
        }
    }

    /// <summary>The model, loaded if need be. It waits where others must go that are in use.</summary>
    /// <exception cref="ApiException">It cannot be loaded.</exception>
    public async Task<ModelLease> AcquireAsync(ModelVariant variant, CancellationToken cancellation)
    {
        if (TryAcquire(variant) is { } at)
            return at;
        await _loading.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (TryAcquire(variant) is { } meanwhile)
                return meanwhile;
            await MakeRoomAsync(variant.Model.Bytes, cancellation).ConfigureAwait(false);
            var pipeline = await Task.Run(() => Load(variant), cancellation).ConfigureAwait(false);
            lock (_gate)
                _loaded.Add(variant.Key, new Loaded(variant, pipeline));
            return TryAcquire(variant)!;
        }
        finally
        {
            _loading.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        Loaded[] all;
        lock (_gate)
        {
            all = [.. _loaded.Values];
            _loaded.Clear();
        }
        foreach (var loaded in all)
            await loaded.Pipeline.DisposeAsync().ConfigureAwait(false);
        _loading.Dispose();
    }

    private DiffusionPipeline Load(ModelVariant variant)
    {
        var options = variant.Options with { KeptPromptBytes = keptPromptBytes, Warning = message => Ignored(variant.Model.Name, message) };
        try
        {
            var pipeline = DiffusionPipeline.Load(variant.Model.Served.Path, options);
            Opened(variant.Model.Name, variant.Loras.Count);
            return pipeline;
        }
        catch (Exception exception) when (exception is CheckpointException or IOException or UnauthorizedAccessException)
        {
            Failed(exception, variant.Model.Name);
            throw variant.Loras.Count == 0 ? ApiException.Internal($"The model {variant.Model.Name} cannot be loaded.", exception)
                : ApiException.Invalid("lora", $"The model {variant.Model.Name} cannot be loaded with these LoRA files.", cause: exception);
        }
    }

    /// <summary>Unloads models until another fits.</summary>
    private async Task MakeRoomAsync(long bytes, CancellationToken cancellation)
    {
        while (true)
        {
            Loaded? last = null;
            Task released;
            lock (_gate)
            {
                // Variants of a model share its mapped files.
                long inMemory = _loaded.Values.DistinctBy(loaded => loaded.Variant.Model.Name).Sum(loaded => loaded.Variant.Model.Bytes);
                if (_loaded.Count == 0 || inMemory + bytes <= budget)
                    return;
                last = _loaded.Values.Where(loaded => loaded.Users == 0).MinBy(loaded => loaded.Used);
                if (last != null)
                    _loaded.Remove(last.Variant.Key);
                released = _released.Task;
            }
            if (last == null)
            {
                await released.WaitAsync(cancellation).ConfigureAwait(false);
                continue;
            }
            await last.Pipeline.DisposeAsync().ConfigureAwait(false);
            Closed(last.Variant.Model.Name);
        }
    }

    private void Release(Loaded loaded)
    {
        TaskCompletionSource released;
        lock (_gate)
        {
            loaded.Users--;
            (released, _released) = (_released, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        released.SetResult();
    }

    [LoggerMessage(LogLevel.Information, "Opened the model {Model} with {Loras} LoRA files of the request.")]
    private partial void Opened(string model, int loras);

    [LoggerMessage(LogLevel.Information, "Closed the model {Model} to make room.")]
    private partial void Closed(string model);

    [LoggerMessage(LogLevel.Warning, "{Model}: {Message}")]
    private partial void Ignored(string model, string message);

    [LoggerMessage(LogLevel.Error, "The model {Model} cannot be loaded.")]
    private partial void Failed(Exception exception, string model);

    /// <summary>A model in memory, for as long as it is held.</summary>
    public sealed class ModelLease : IDisposable
    {
        private readonly ModelPool _pool;
        private Loaded? _loaded;

        internal ModelLease(ModelPool pool, Loaded loaded) => (_pool, _loaded) = (pool, loaded);

        public DiffusionPipeline Pipeline => _loaded!.Pipeline;

        public LoadOptions Options => _loaded!.Variant.Options;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _loaded, null) is { } loaded)
                _pool.Release(loaded);
        }
    }

    internal sealed class Loaded(ModelVariant variant, DiffusionPipeline pipeline)
    {
        public ModelVariant Variant { get; } = variant;

        public DiffusionPipeline Pipeline { get; } = pipeline;

        public int Users { get; set; }

        public long Used { get; set; }
    }
}
