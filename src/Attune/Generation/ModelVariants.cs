using Attune.Models;
using Attune.Prompts;
using Attune.Weights;

namespace Attune.Generation;

/// <summary>
/// A model as it was loaded, and with the LoRA scales that requests ask for. Each variant is read from the files: nothing is added to and
/// taken away from weights that stay. Of the variants that no request uses, the last one is kept.
/// </summary>
/// <param name="loaded">The model as it was loaded, which this object owns from here on.</param>
/// <param name="path">Where it comes from.</param>
/// <param name="options">How it was loaded.</param>
/// <param name="family">Its family.</param>
internal sealed class ModelVariants(Model loaded, string path, LoadOptions options, Family family) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Variant> _variants = [];

    /// <summary>The model as it was loaded; it stays.</summary>
    public Model Loaded => loaded;

    /// <summary>A model that keeps encoded prompts and bounds the memory of its autoencoder, if it is to.</summary>
    public static Model Keep(Model model, LoadOptions options)
    {
        if (options.AutoencoderBytes is { } bytes && !model.Latents.LimitMemory(bytes))
        {
            options.Warning?.Invoke(
                $"{nameof(LoadOptions.AutoencoderBytes)} is ignored: the autoencoder of {model.Facts.ClassName}, or the device "
                    + $"'{model.Latents.Device.Name}', takes pictures as a whole.");
        }
        return options.KeptPromptBytes == 0 ? model
            : model with { Prompts = new KeptPrompts(model.Prompts, options.KeptPromptBytes, model.Denoiser.KeptBytesPerTextRow) };
    }

    /// <summary>Checks what a request asks for.</summary>
    /// <exception cref="ArgumentException">The number of scales is not that of the files, or one is not finite.</exception>
    public void Check(IReadOnlyList<float>? scales)
    {
        if (scales == null)
            return;
        if (scales.Count != options.Loras.Count)
        {
            throw new ArgumentException(
                $"{nameof(GenerationRequest.LoraScales)} has {scales.Count} numbers, expected {options.Loras.Count}: one for each LoRA "
                    + "file that the model was opened with.");
        }
        if (scales.Any(scale => !float.IsFinite(scale)))
            throw new ArgumentException($"{nameof(GenerationRequest.LoraScales)} has a number that is not finite.");
    }

    /// <summary>The model with such scales, opened if it is not there; the caller disposes the lease when its request has ended.</summary>
    /// <exception cref="CheckpointException">A file is not what it was when the model was loaded.</exception>
    /// <exception cref="ArgumentException">The model would be of another form, as with FLUX's LoRA for control pictures.</exception>
    public Lease Take(IReadOnlyList<float>? scales)
    {
        if (scales == null || scales.SequenceEqual(options.Loras.Select(lora => lora.Scale)))
            return new Lease(this, null);
        lock (_gate)
        {
            var variant = _variants.Find(other => other.Scales.SequenceEqual(scales));
            if (variant == null)
            {
                // Unused ones go first: each may hold all its changed weights in memory.
                Drop(keep: null);
                _variants.Add(variant = new Variant([.. scales], Open(scales)));
            }
            variant.Uses++;
            return new Lease(this, variant);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var variant in _variants)
            variant.Model.Dispose();
        loaded.Dispose();
    }

    private Model Open(IReadOnlyList<float> scales)
    {
        // What was left out was said when the model was loaded.
        var changed = options with { Loras = [.. options.Loras.Zip(scales, (lora, scale) => lora with { Scale = scale })], Warning = null };
        var model = Keep(family.Open(changed.Open(path)), options);
        if (model.Facts.Options.SetEquals(loaded.Facts.Options))
            return model;
        model.Dispose();
        throw new ArgumentException(
            $"{nameof(GenerationRequest.LoraScales)}: a LoRA file changes what the model takes ({string.Join(", ", Differences(model))}), "
                + "so it cannot be switched within a loaded model; load the model with the scales that are meant.");
    }

    private IEnumerable<string> Differences(Model model)
    {
        var differences = model.Facts.Options.ToHashSet(StringComparer.Ordinal);
        differences.SymmetricExceptWith(loaded.Facts.Options);
        return differences.Order(StringComparer.Ordinal);
    }

    private void Return(Variant variant)
    {
        lock (_gate)
        {
            variant.Uses--;
            Drop(keep: variant);
        }
    }

    /// <summary>Disposes the variants that no request uses, save for one.</summary>
    private void Drop(Variant? keep)
    {
        foreach (var variant in _variants.Where(variant => variant.Uses == 0 && variant != keep).ToList())
        {
            _variants.Remove(variant);
            variant.Model.Dispose();
        }
    }

    /// <summary>A model that a request uses.</summary>
    public sealed class Lease : IDisposable
    {
        private readonly ModelVariants _owner;
        private Variant? _variant;

        internal Lease(ModelVariants owner, Variant? variant) =>
            (_owner, _variant, Model) = (owner, variant, variant?.Model ?? owner.Loaded);

        /// <summary>The model.</summary>
        public Model Model { get; }

        /// <inheritdoc/>
        public void Dispose()
        {
            if (Interlocked.Exchange(ref _variant, null) is { } variant)
                _owner.Return(variant);
        }
    }

    internal sealed record Variant(float[] Scales, Model Model)
    {
        public int Uses { get; set; }
    }
}
