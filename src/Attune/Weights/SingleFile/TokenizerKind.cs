namespace Attune.Weights.SingleFile;

/// <summary>What a folder of a tokenizer is, by the files that it holds.</summary>
/// <param name="Name">The class of transformers, without what tells its implementations apart.</param>
internal sealed record TokenizerKind(string Name)
{
    private static readonly string[] Endings = ["TokenizerFast", "Tokenizer"];

    /// <summary>Classes of which a folder of any kind may be.</summary>
    private static readonly string[] Generic = ["TokenizersBackend", "PreTrained", "Auto", "PythonBackend"];

    /// <summary>The kind of a folder; null where nothing tells it.</summary>
    public static TokenizerKind? Of(string folder)
    {
        string config = Path.Combine(folder, "tokenizer_config.json");
        if (File.Exists(config) && ModelConfig.Read(config).String("tokenizer_class", "") is { Length: > 0 } name)
            return new TokenizerKind(Short(name));
        return File.Exists(Path.Combine(folder, "spiece.model")) ? new TokenizerKind("T5") : null;
    }

    /// <summary>Whether it is the tokenizer that a model's index names.</summary>
    /// <param name="className">The class that the index names.</param>
    /// <param name="alone">Whether the model has no other tokenizer, so that a folder that does not say its kind may be it.</param>
    public bool Serves(string className, bool alone) =>
        Name == Short(className) || (alone && (Generic.Contains(Name) || Generic.Contains(Short(className))));

    /// <summary>The name without what tells implementations apart. A processor of pictures and texts is told by its tokenizer.</summary>
    private static string Short(string name)
    {
        if (name is "Qwen3VLProcessor" or "Qwen2_5_VLProcessor" or "Qwen2VLProcessor")
            return "Qwen2";
        if (name == "PixtralProcessor")
            return "Llama";
        string? ending = Array.Find(Endings, ending => name.EndsWith(ending, StringComparison.Ordinal));
        return ending == null ? name : name[..^ending.Length];
    }
}
