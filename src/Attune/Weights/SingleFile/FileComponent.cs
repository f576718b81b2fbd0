namespace Attune.Weights.SingleFile;

/// <summary>
/// A component in a file: a transformer, a text encoder, an autoencoder. What it is follows from the names and shapes of its tensors, never
/// from what the file says of itself; names may be those of the original code, of ComfyUI, of llama.cpp, of diffusers or of transformers.
/// </summary>
public sealed class FileComponent
{
    internal FileComponent(PartKind kind, FilePart part, IReadOnlyList<string> toldBy)
    {
        (Kind, Part, ToldBy) = (kind, part, toldBy);
        Renamed = new FilePart(
            part.Path, "", kind.Map(part, null).GroupBy(tensor => tensor.Name).Select(tensors => tensors.First().Describe()));
        Width = kind.Width(Renamed);
    }

    /// <summary>What it is, in words: <c>the transformer of FLUX.1</c>.</summary>
    public string Name => Kind.Name;

    /// <summary>The file.</summary>
    public string File => Part.Path;

    /// <summary>What stands before its names in the file.</summary>
    public string Prefix => Part.Prefix;

    /// <summary>The tensors by which it was told, by their names behind the prefix.</summary>
    public IReadOnlyList<string> ToldBy { get; }

    /// <summary>The option of the command line that takes such a file.</summary>
    public string Option => Kind.Role switch
    {
        PartRole.Denoiser => "--model",
        PartRole.Autoencoder => "--vae",
        PartRole.ImageEncoder => "--image-encoder",
        _ => "--text-encoder",
    };

    /// <summary>The number of its tensors.</summary>
    public int Count => Part.Tensors.Count();

    /// <summary>The width by which components of one kind are told from each other (channels of an encoder, of latents); 0 for none.
    /// </summary>
    public int Width { get; }

    internal PartKind Kind { get; }

    /// <summary>Its tensors as the file has them.</summary>
    internal FilePart Part { get; }

    /// <summary>Its tensors under their new names.</summary>
    internal FilePart Renamed { get; }

    /// <summary>Takes a file apart. Nothing but names and shapes is read.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="CheckpointException">It holds nothing that is known, or a tensor has a shape that cannot be; the message shows
    /// names.</exception>
    public static IReadOnlyList<FileComponent> Of(WeightSource file) => PartKinds.Of(file);

    /// <summary>Its weights under the names of diffusers or transformers; whole rows of fused layers as views on the file.</summary>
    /// <param name="file">The file, which the result owns.</param>
    /// <param name="config">The component's configuration, where one is there: it tells which layers a model uses.</param>
    /// <exception cref="CheckpointException">Two tensors get one name, or one has a shape that cannot be.</exception>
    public WeightSource Open(WeightSource file, ModelConfig? config)
    {
        ArgumentNullException.ThrowIfNull(file);
        try
        {
            return new RenamedSource(
                file,
                Kind.Map(
                    new FilePart(file.Path, Part.Prefix, file.Entries.Where(tensor => Part.Holds(tensor.Name))), config));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Its weights, of the file that it was found in.</summary>
    internal WeightSource Open(ModelConfig? config) => Open(WeightSource.Open(File), config);
}
