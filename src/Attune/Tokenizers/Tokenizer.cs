using System.Text.Json;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>Whether sequences are filled up with pad tokens.</summary>
public enum TokenPadding
{
    /// <summary>They keep their length.</summary>
    None,

    /// <summary>To <see cref="TokenizerOptions.MaxLength"/>.</summary>
    MaxLength,
}

/// <summary>How a text is turned into ids.</summary>
public sealed record TokenizerOptions
{
    /// <summary>The largest, or with padding the exact, number of tokens; null is the tokenizer's own.</summary>
    public int? MaxLength { get; init; }

    /// <summary>Whether to pad, on the right.</summary>
    public TokenPadding Padding { get; init; } = TokenPadding.None;

    /// <summary>Whether to cut longer texts, keeping the closing special tokens.</summary>
    public bool Truncation { get; init; }

    /// <summary>Whether to add the special tokens that begin and end a sequence.</summary>
    public bool AddSpecialTokens { get; init; } = true;
}

/// <summary>A text as token ids.</summary>
/// <param name="Ids">The ids.</param>
/// <param name="Mask">1 for tokens, 0 for padding.</param>
public sealed record TokenSequence(int[] Ids, int[] Mask);

/// <summary>Turns texts into token ids, as the fast tokenizers of transformers do. Thread-safe.</summary>
public abstract class Tokenizer
{
    private readonly List<AddedToken> _added = [];

    /// <summary>The id that fills sequences up.</summary>
    public int PadId { get; private set; }

    /// <summary>The number of tokens that the model takes, from the configuration; a very large number where it states none.</summary>
    public int ModelMaxLength { get; private set; } = int.MaxValue;

    /// <summary>The special token that begins a sequence, if any.</summary>
    protected int? StartId { get; set; }

    /// <summary>The special token that ends a sequence, if any.</summary>
    protected int? EndId { get; set; }

    /// <summary>Loads the tokenizer of a folder: tokenizer.json, vocab.json with merges.txt, or spiece.model, and the files beside them.</summary>
    /// <exception cref="CheckpointException">A file is missing or malformed, or of a kind that is not supported.</exception>
    public static Tokenizer Load(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var files = new TokenizerFiles(folder);
        try
        {
            Tokenizer tokenizer = files.Json is { } json && json.TryGetProperty("model", out var model) && TypeOf(model) == "Unigram" ? UnigramTokenizer.FromJson(files.JsonPath, json)
                : files.Has("vocab.json") && files.Has("merges.txt") ? BytePairTokenizer.FromFiles(files.PathOf("vocab.json"), files.PathOf("merges.txt"))
                : files.Json is { } other ? BytePairTokenizer.FromJson(files.JsonPath, other)
                : files.Has("spiece.model") ? UnigramTokenizer.FromSentencePiece(files.PathOf("spiece.model"))
                : throw new CheckpointException($"'{folder}' holds no tokenizer: expected tokenizer.json, vocab.json with merges.txt, or spiece.model.");
            tokenizer.Configure(files);
            return tokenizer;
        }
        catch (Exception exception) when (exception is KeyNotFoundException or InvalidOperationException or FormatException or OverflowException or IndexOutOfRangeException or ArgumentException or JsonException)
        {
            throw new CheckpointException($"The tokenizer in '{folder}' is malformed: {exception.Message}", exception);
        }
    }

    /// <summary>The ids of a text.</summary>
    /// <exception cref="ArgumentException">The length has no room for the special tokens.</exception>
    public TokenSequence Encode(string text, TokenizerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        options ??= new TokenizerOptions();
        var ids = new List<int>();
        Split(text, ids);
        int special = !options.AddSpecialTokens ? 0 : (StartId == null ? 0 : 1) + (EndId == null ? 0 : 1);
        int length = options.MaxLength ?? ModelMaxLength;
        if (length < special)
            throw new ArgumentException($"A sequence of {length} tokens has no room for {special} special tokens.", nameof(options));
        if (options.Truncation && ids.Count > length - special)
            ids.RemoveRange(length - special, ids.Count - (length - special));
        if (options.AddSpecialTokens && StartId is { } start)
            ids.Insert(0, start);
        if (options.AddSpecialTokens && EndId is { } end)
            ids.Add(end);
        var mask = Enumerable.Repeat(1, ids.Count).ToList();
        if (options.Padding == TokenPadding.MaxLength)
        {
            while (ids.Count < length)
            {
                ids.Add(PadId);
                mask.Add(0);
            }
        }
        return new TokenSequence([.. ids], [.. mask]);
    }

    /// <summary>The id of a token, or null when the vocabulary lacks it.</summary>
    protected abstract int? Find(string token);

    /// <summary>The text as the model's vocabulary was made for.</summary>
    protected abstract string Normalize(string text);

    /// <summary>The ids of a normalised piece of text without special tokens.</summary>
    /// <param name="text">The piece.</param>
    /// <param name="first">Whether it begins the text.</param>
    /// <param name="ids">Where the ids go.</param>
    protected abstract void EncodePiece(string text, bool first, List<int> ids);

    /// <summary>The type of a part of tokenizer.json.</summary>
    protected static string TypeOf(JsonElement part) =>
        part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out var type) ? type.GetString() ?? "" : "";

    private void Configure(TokenizerFiles files)
    {
        foreach (var token in files.AddedTokens())
        {
            if (token.Content.Length > 0 && (token.Id ?? Find(token.Content)) is { } id && _added.TrueForAll(known => known.Content != token.Content))
                _added.Add(token with { Id = id });
        }
        _added.Sort((a, b) => b.Content.Length.CompareTo(a.Content.Length));
        string? pad = files.SpecialToken("pad_token");
        if (pad != null)
            PadId = IdOf(pad) ?? throw new CheckpointException($"'{files.Folder}': the pad token '{pad}' is not in the vocabulary.");
        if (files.ModelMaxLength is { } length)
            ModelMaxLength = length;
        if (this is BytePairTokenizer)
        {
            StartId = files.SpecialToken("bos_token") is { } start ? IdOf(start) : null;
            EndId = files.SpecialToken("eos_token") is { } end ? IdOf(end) : null;
        }
        else
        {
            EndId = IdOf(files.SpecialToken("eos_token") ?? "</s>");
        }
    }

    private int? IdOf(string token) => _added.Find(added => added.Content == token)?.Id ?? Find(token);

    /// <summary>Cuts added tokens out of the text: first those that are looked for in the raw text, then those in the normalised text.</summary>
    private void Split(string text, List<int> ids)
    {
        bool first = true;
        Cut(text, _added.FindAll(token => !token.Normalized), ids, raw => Cut(Normalize(raw), _added.FindAll(token => token.Normalized), ids, piece =>
        {
            EncodePiece(piece, first, ids);
            first = false;
        }));
    }

    private static void Cut(string text, List<AddedToken> tokens, List<int> ids, Action<string> rest)
    {
        int done = 0;
        var starts = tokens.Count == 0 ? null : System.Buffers.SearchValues.Create([.. tokens.Select(token => token.Content)], StringComparison.Ordinal);
        while (starts != null && done < text.Length)
        {
            int at = text.AsSpan(done).IndexOfAny(starts);
            if (at < 0)
                break;
            at += done;
            var token = tokens.Find(token => string.CompareOrdinal(text, at, token.Content, 0, token.Content.Length) == 0)!;
            int before = at;
            int after = at + token.Content.Length;
            while (token.StripsLeft && before > done && char.IsWhiteSpace(text[before - 1]))
                before--;
            while (token.StripsRight && after < text.Length && char.IsWhiteSpace(text[after]))
                after++;
            if (before > done)
                rest(text[done..before]);
            ids.Add(token.Id!.Value);
            done = after;
        }
        if (done < text.Length)
            rest(text[done..]);
    }
}

/// <summary>A token that is cut out of the text before the model sees it.</summary>
internal sealed record AddedToken(string Content, int? Id, bool Normalized, bool StripsLeft, bool StripsRight);

/// <summary>The JSON files of a tokenizer's folder.</summary>
internal sealed class TokenizerFiles
{
    private readonly ModelConfig? _config;
    private readonly ModelConfig? _special;
    private readonly ModelConfig? _addedTokens;

    public TokenizerFiles(string folder)
    {
        Folder = folder;
        if (!Directory.Exists(folder))
            throw new CheckpointException($"The folder '{folder}' does not exist.");
        _config = Has("tokenizer_config.json") ? ModelConfig.Read(PathOf("tokenizer_config.json")) : null;
        _special = Has("special_tokens_map.json") ? ModelConfig.Read(PathOf("special_tokens_map.json")) : null;
        _addedTokens = Has("added_tokens.json") ? ModelConfig.Read(PathOf("added_tokens.json")) : null;
        if (!Has("tokenizer.json"))
            return;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(JsonPath));
            Json = document.RootElement.Clone();
            if (Json.Value.ValueKind != JsonValueKind.Object)
                throw new CheckpointException($"'{JsonPath}' holds {Json.Value.ValueKind}, expected a JSON object.");
        }
        catch (JsonException exception)
        {
            throw new CheckpointException($"'{JsonPath}' is not valid JSON: {exception.Message}", exception);
        }
    }

    public string Folder { get; }

    public string JsonPath => PathOf("tokenizer.json");

    public JsonElement? Json { get; }

    public int? ModelMaxLength => _config?.OptionalDouble("model_max_length") is { } length and > 0 ? (int)Math.Min(length, int.MaxValue) : null;

    public bool Has(string name) => File.Exists(PathOf(name));

    public string PathOf(string name) => Path.Combine(Folder, name);

    /// <summary>The content of a special token.</summary>
    public string? SpecialToken(string role) => Special(role)?.Content;

    public IEnumerable<AddedToken> AddedTokens()
    {
        if (Json is { } json && json.TryGetProperty("added_tokens", out var list) && list.ValueKind == JsonValueKind.Array)
        {
            foreach (var entry in list.EnumerateArray())
                yield return Read(entry, entry.GetProperty("id").GetInt32());
        }
        if (_config?.Find("added_tokens_decoder") is { ValueKind: JsonValueKind.Object } decoder)
        {
            foreach (var entry in decoder.EnumerateObject())
                yield return Read(entry.Value, int.Parse(entry.Name, System.Globalization.CultureInfo.InvariantCulture));
        }
        foreach (string role in new[] { "bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token" })
        {
            if (Special(role) is { } token)
                yield return token;
        }
        if (_config?.Find("additional_special_tokens") is { ValueKind: JsonValueKind.Array } additional)
        {
            foreach (var entry in additional.EnumerateArray())
                yield return Read(entry, null);
        }
        foreach (string name in _addedTokens?.Keys() ?? [])
            yield return new AddedToken(name, _addedTokens!.Int(name, 0), false, false, false);
    }

    private AddedToken? Special(string role)
    {
        var value = _config?.Find(role) ?? _special?.Find(role);
        return value is { ValueKind: JsonValueKind.String or JsonValueKind.Object } entry ? Read(entry, null) : null;
    }

    private static AddedToken Read(JsonElement entry, int? id)
    {
        if (entry.ValueKind == JsonValueKind.String)
            return new AddedToken(entry.GetString()!, id, false, false, false);
        bool Flag(string name) => entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
        return new AddedToken(entry.GetProperty("content").GetString()!, id, Flag("normalized"), Flag("lstrip"), Flag("rstrip"));
    }
}
