using System.Buffers;
using System.Globalization;
using Attune.Tensors;
using Attune.Weights.Embeddings;
using Attune.Weights.Lora;

namespace Attune.Weights.SingleFile;

/// <summary>What a file of weights is for.</summary>
public enum FileRole
{
    /// <summary>A whole model: with its tokenizers it makes pictures.</summary>
    Model,

    /// <summary>A denoiser, perhaps with some of what goes with it.</summary>
    Denoiser,

    /// <summary>Components without a denoiser: a text encoder, an autoencoder, or several.</summary>
    Component,

    /// <summary>An adapter: LoRA and its relatives.</summary>
    Adapter,

    /// <summary>An embedding of textual inversion.</summary>
    Embedding,

    /// <summary>Nothing that is known, or nothing that is supported.</summary>
    Unknown,
}

/// <summary>
/// What a file of weights is, how it was told, and what it needs to make pictures. Nothing but names, shapes and a few numbers is read.
/// </summary>
public sealed record FileReport
{
    private const string Generate = "attune generate";
    private const string Prompt = "a cat";

    /// <summary>What needs no quotes on a command line.</summary>
    private static readonly SearchValues<char> Plain = SearchValues.Create(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./\\:~+,");

    private FileReport(string path, FileRole role, string name, IReadOnlyList<string> toldBy) =>
        (Path, Role, Name, ToldBy) = (path, role, name, toldBy);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>What it is for.</summary>
    public FileRole Role { get; private init; }

    /// <summary>What it is, in words.</summary>
    public string Name { get; }

    /// <summary>The tensors by which it was told.</summary>
    public IReadOnlyList<string> ToldBy { get; }

    /// <summary>The components in it.</summary>
    public IReadOnlyList<FileComponent> Components { get; private init; } = [];

    /// <summary>The class of the pipeline that a denoiser is for; null for other files, and where nothing is built in.</summary>
    public string? Pipeline { get; private init; }

    /// <summary>The components that a denoiser needs beside it.</summary>
    public IReadOnlyList<NeededPart> Needs { get; private init; } = [];

    /// <summary>The classes of the tokenizers that a model needs and that were not found.</summary>
    public IReadOnlyList<string> Tokenizers { get; private init; } = [];

    /// <summary>The classes of pipelines that a component may be a part of, of those with built-in configurations.</summary>
    public IReadOnlyList<string> Serves { get; private init; } = [];

    /// <summary>Why it cannot be used; null where nothing speaks against it.</summary>
    public string? Problem { get; private init; }

    /// <summary>A command line that uses it, with the usual names of what is missing; null where there is none.</summary>
    public string? Command { get; private init; }

    /// <summary>Says what a file is.</summary>
    /// <param name="path">A .safetensors or .gguf file.</param>
    /// <param name="configFolder">A diffusers folder that goes with a model in files, or null.</param>
    /// <exception cref="CheckpointException">The file does not exist, is malformed, or is a pickle.</exception>
    public static FileReport Of(string path, string? configFolder = null)
    {
        using var source = SingleFileSource.OpenFile(path);
        bool safetensors = !GgufSource.Is(path);
        string? malformed = null;
        try
        {
            if (safetensors && OfAdapter(path) is { } adapter)
                return adapter;
        }
        catch (CheckpointException exception)
        {
            malformed = exception.Message;
        }
        try
        {
            return OfComponents(path, configFolder, PartKinds.Of(source));
        }
        catch (CheckpointException exception)
        {
            return (safetensors ? OfEmbedding(path) : null)
                ?? new FileReport(path, FileRole.Unknown, "nothing that is known", []) { Problem = malformed ?? exception.Message };
        }
    }

    private static FileReport OfComponents(string path, string? configFolder, IReadOnlyList<FileComponent> parts)
    {
        string name = string.Join(", ", parts.Select(Describe));
        string[] told = [.. parts.SelectMany(part => part.ToldBy.Select(tensor => part.Prefix + tensor))];
        if (!parts.Any(part => part.Kind.Role == PartRole.Denoiser))
        {
            return new FileReport(path, FileRole.Component, name, told)
            {
                Components = parts,
                Serves = [.. parts.Select(SingleFileSource.PipelinesFor).Aggregate((a, b) => [.. a.Intersect(b)])],
                Command = $"{Generate} \"{Prompt}\" --model MODEL {parts[0].Option} {Quoted(path)}",
            };
        }
        var report = new FileReport(path, FileRole.Denoiser, name, told) { Components = parts };
        try
        {
            var model = new SingleFileSource(path, Devices.Managed, new SingleFileSettings(configFolder));
            NeededPart[] needs = [.. model.Missing.Select(model.Needed)];
            string[] tokenizers = [.. model.MissingTokenizers()];
            string command = $"{Generate} \"{Prompt}\" --model {Quoted(path)}"
                + string.Concat(needs.Select(need => $" {need.Option} {need.Example ?? need.Slot.ToUpperInvariant()}"))
                + (configFolder == null ? "" : $" --config-folder {Quoted(configFolder)}")
                + (tokenizers.Length == 0 ? "" : " --tokenizer DIR")
                + (model.Index.ClassName!.Contains("ImageToVideo", StringComparison.Ordinal) ? " --image first.png" : "");
            return report with
            {
                Role = needs.Length == 0 ? FileRole.Model : FileRole.Denoiser, Pipeline = model.Index.ClassName, Needs = needs,
                Tokenizers = tokenizers, Command = command,
            };
        }
        catch (CheckpointException exception)
        {
            return report with
            {
                Problem = exception.Message,
                Command = configFolder == null ? $"{Generate} \"{Prompt}\" --model {Quoted(path)} --config-folder DIR" : null,
            };
        }
    }

    private static string Describe(FileComponent part) => part.Width == 0 ? part.Name
        : FormattableString.Invariant($"{part.Name} of {part.Width} channels");

    /// <summary>An adapter, where at least half of the tensors are those of one.</summary>
    private static FileReport? OfAdapter(string path)
    {
        var file = LoraFile.Read(path);
        LoraLayer[] layers = [.. file.Layers.Where(layer => layer.ChangesWeight)];
        if (layers.Length == 0 || 2 * layers.Sum(layer => layer.Keys.Count) < file.Count)
            return null;
        var forms = layers.SelectMany(layer => layer.Forms.Select(NameOf).Concat(layer.Magnitude == null ? [] : ["DoRA"]).Distinct())
            .GroupBy(form => form).OrderByDescending(form => form.Count())
            .Select(form => FormattableString.Invariant($"{form.Key} in {form.Count()} layers"));
        long[] ranks = [.. layers.Select(layer => layer.LowRank?.Rank).OfType<long>().Distinct().Order()];
        string rank = ranks.Length switch
        {
            0 => "",
            1 => FormattableString.Invariant($", of rank {ranks[0]}"),
            _ => FormattableString.Invariant($", of ranks {ranks[0]} to {ranks[^1]}"),
        };
        string bundled = file.Bundled == 0 ? "" : FormattableString.Invariant($", with {file.Bundled} embeddings");
        string unknown = file.Unknown.Count == 0 ? ""
            : string.Create(
                CultureInfo.InvariantCulture, $"{file.Unknown.Count} tensors are of no form that is known, as {file.Unknown[0]}");
        return new FileReport(path, FileRole.Adapter, $"an adapter: {string.Join(", ", forms)}{rank}{bundled}", layers[0].Keys)
        {
            Problem = unknown.Length == 0 ? null : unknown,
            Command = $"{Generate} \"{Prompt}\" --model MODEL --lora {Quoted(path)}",
        };
    }

    private static string NameOf(AdapterForm form) => form switch
    {
        LowRankForm => "LoRA",
        HadamardForm => "LoHa",
        KroneckerForm => "LoKr",
        GeneralizedForm => "GLoRA",
        RotationForm => "OFT",
        InfusedForm => "(IA)^3",
        _ => "whole differences",
    };

    private static FileReport? OfEmbedding(string path)
    {
        IReadOnlyList<TokenVectors> tokens;
        try
        {
            tokens = EmbeddingFile.Read(path, null);
        }
        catch (CheckpointException)
        {
            return null;
        }
        string vectors = string.Join(
            ", ",
            tokens.GroupBy(token => token.Width).Select(group => (group.Key, Count: group.Sum(token => token.Vectors.Length))).Select(
                group => FormattableString.Invariant($"{group.Count} vector{(group.Count == 1 ? "" : "s")} of {group.Key} channels")
                    + EmbeddingSource.FamilyOf(group.Key)));
        string[] names = [.. tokens.Select(token => token.Token).Distinct()];
        return new FileReport(
            path, FileRole.Embedding, $"an embedding for {string.Join(", ", names)}: {vectors}",
            [.. tokens.Select(token => token.Key).Distinct()])
        {
            Command = $"{Generate} \"{Prompt}, {names[0]}\" --model MODEL --embedding {Quoted(path)}",
        };
    }

    private static string Quoted(string path) =>
        path.AsSpan().IndexOfAnyExcept(Plain) >= 0 ? $"\"{path}\"" : path;
}
