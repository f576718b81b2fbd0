namespace Attune.Weights.SingleFile;

/// <summary>What a folder of a tokenizer is, by the files that it holds.</summary>
/// <param name="Name">The class of transformers, without what tells its implementations apart.</param>
internal sealed record TokenizerKind(string Name)
{
    private static readonly string[] Endings = ["TokenizerFast", "Tokenizer"];

    /// <summary>The kind of a folder; null where nothing tells it.</summary>
    public static TokenizerKind? Of(string folder)
    {
        string config = Path.Combine(folder, "tokenizer_config.json");
        if (File.Exists(config) && ModelConfig.Read(config).String("tokenizer_class", "") is { Length: > 0 } name)
            return new TokenizerKind(Short(name));
        return File.Exists(Path.Combine(folder, "spiece.model")) ? new TokenizerKind("T5") : null;
    }

    /// <summary>Whether it is the tokenizer that a model's index names.</summary>
    public bool Serves(string className) => Name == Short(className);

    private static string Short(string name)
    {
        string? ending = Array.Find(Endings, ending => name.EndsWith(ending, StringComparison.Ordinal));
        return ending == null ? name : name[..^ending.Length];
    }
}
