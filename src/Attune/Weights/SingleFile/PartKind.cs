using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>What a part of a file is for a pipeline.</summary>
internal enum PartRole
{
    /// <summary>The network that predicts.</summary>
    Denoiser,

    /// <summary>A text encoder.</summary>
    TextEncoder,

    /// <summary>The autoencoder.</summary>
    Autoencoder,

    /// <summary>What sees a picture for the denoiser.</summary>
    ImageEncoder,
}

/// <summary>
/// A kind of component as files hold it: how it is told, by names and shapes and never by what a file says of itself, and how its names
/// become those of diffusers or transformers.
/// </summary>
/// <param name="Name">What it is, for messages: <c>the transformer of FLUX.1</c>.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Is">Whether names and shapes are of this kind; earlier kinds of <see cref="PartKinds.All"/> were asked before.</param>
/// <param name="Map">
/// The tensors under their new names, of which none may be lost: one that is not known keeps its name, so that the model reports it. The
/// configuration, where one is there, tells what shapes do not.
/// </param>
internal sealed record PartKind(
    string Name, PartRole Role, Func<FilePart, bool> Is, Func<FilePart, ModelConfig?, IEnumerable<RenamedTensor>> Map)
{
    /// <summary>
    /// The keys of the configuration that follow from names and shapes, of the part under its new names and under those of the file.
    /// </summary>
    public Func<FilePart, FilePart, JsonObject> Describe { get; init; } = (_, _) => [];

    /// <summary>The width by which encoders of one kind are told from each other, and autoencoders by their latents; 0 for any.</summary>
    public Func<FilePart, int> Width { get; init; } = _ => 0;

    /// <summary>The classes that model_index.json may name for it; empty for denoisers.</summary>
    public IReadOnlyList<string> Classes { get; init; } = [];

    /// <summary>
    /// The embedded data of models with a second network of this kind, for low noise, by those of models with one; null where there are
    /// none.
    /// </summary>
    public Func<string?, string?> PairFamily { get; init; } = _ => null;

    /// <summary>
    /// The embedded data of the family, of denoisers: null where there is none. Of the part under its new names.
    /// </summary>
    public Func<FilePart, string?> Family { get; init; } = _ => null;
}
