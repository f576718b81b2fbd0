using System.Text;
using Attune.Weights;
using Attune.Weights.Embeddings;

namespace Attune.Tokenizers;

/// <summary>
/// Turns texts into token ids, as the fast tokenizers of transformers do: added tokens are cut out, the rest is normalised, split into
/// words and encoded by the model, and special tokens frame the result. Which of these parts do what comes from the files of the model's
/// folder. Thread-safe.
/// </summary>
public sealed class Tokenizer
{
    private readonly TokenizerParts _parts;
    private readonly AddedTokenSplitter _rawTokens;
    private readonly AddedTokenSplitter _normalizedTokens;
    private readonly Dictionary<string, AddedToken> _added;
    private readonly Lazy<Dictionary<int, string>> _tokens;

    internal Tokenizer(TokenizerParts parts)
    {
        _parts = parts;
        _added = parts.AddedTokens.ToDictionary(token => token.Content, StringComparer.Ordinal);
        _rawTokens = new AddedTokenSplitter(
            parts.AddedTokens.Where(token => !token.Normalized || token.Rest.Count > 0).Select(token => (token.Content, token)));
        _normalizedTokens = new AddedTokenSplitter(parts.AddedTokens.Where(token => token.Normalized)
            .Select(token => (parts.Normalizer(new TextPiece(token.Content, true)).Text, token with { Rest = [] })));
        _tokens = new Lazy<Dictionary<int, string>>(MakeTokens);
        VocabularySize = parts.Model.Count
            + parts.AddedTokens.Sum(token => parts.Model.Find(token.Content) == null ? 1 + token.Rest.Count : 0);
    }

    /// <summary>The number of tokens, added ones included.</summary>
    public int VocabularySize { get; }

    /// <summary>The largest number of tokens that the model takes; <see cref="int.MaxValue"/> where the files state none.</summary>
    public int ModelMaxLength => _parts.ModelMaxLength;

    /// <summary>The side that is padded unless an option says otherwise.</summary>
    public TokenSide PaddingSide => _parts.PaddingSide;

    /// <summary>The id that fills sequences up, if the tokenizer has one.</summary>
    public int? PadId => _parts.SpecialTokens.TryGetValue("pad_token", out string? token) ? IdOf(token) : null;

    /// <summary>The id at which texts start, if the tokenizer has one, whether it adds it or not.</summary>
    public int? StartId => _parts.SpecialTokens.TryGetValue("bos_token", out string? token) ? IdOf(token) : null;

    /// <summary>
    /// Loads the tokenizer of a folder: tokenizer.json, else vocab.json with merges.txt, else spiece.model, and beside them
    /// tokenizer_config.json, special_tokens_map.json and added_tokens.json, each of which may be missing: then the defaults of the class
    /// hold.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="className">The class that the model's model_index.json names, for folders that name none themselves.</param>
    /// <exception cref="CheckpointException">A file is missing, malformed, or states something that is not supported.</exception>
    public static Tokenizer Load(string folder, string? className = null)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return TokenizerFolder.Load(folder, className);
    }

    /// <summary>Loads a tokenizer of a model, of the class that its folder names, else of that which the model's index names.</summary>
    /// <exception cref="CheckpointException">A file is missing, malformed, or states something that is not supported.</exception>
    public static Tokenizer Load(ModelSource source, string name)
    {
        ArgumentNullException.ThrowIfNull(source);
        var tokenizer = Load(source.Tokenizer(name), source.ClassOf(name));
        var added = source.AddedTokens(name);
        return added.Count == 0 ? tokenizer : tokenizer.With(added);
    }

    /// <summary>
    /// The tokenizer with further names. They are found inside of words too, as added tokens of transformers are. A name that stands for
    /// several ids does so where it is written as it was given; in another case it stands for the first of them, as in diffusers.
    /// </summary>
    /// <exception cref="CheckpointException">A name is empty, or a token of the vocabulary already.</exception>
    private Tokenizer With(IReadOnlyList<NamedTokens> names)
    {
        foreach (var name in names)
        {
            if (name.Content.Length == 0 || IdOf(name.Content) != null)
                throw new CheckpointException(
                    $"The embedding's token '{name.Content}' is {(name.Content.Length == 0 ? "empty" : "a token of the vocabulary")}; give "
                        + "it another name, as FILE:TOKEN.");
        }
        return new Tokenizer(
            _parts with
            {
                AddedTokens =
                [
                    .. _parts.AddedTokens,
                    .. names.Select(name => new AddedToken(name.Content, name.Ids[0]) { Normalized = true, Rest = [.. name.Ids.Skip(1)] }),
                ],
            });
    }

    /// <summary>The tokenizer with further special tokens behind its vocabulary, as <c>add_special_tokens</c> adds them.</summary>
    internal Tokenizer With(params ReadOnlySpan<string> special)
    {
        var added = _parts.AddedTokens.ToList();
        int next = VocabularySize;
        foreach (string token in special)
        {
            if (IdOf(token) == null)
                added.Add(new AddedToken(token, next++) { Special = true });
        }
        return new Tokenizer(_parts with { AddedTokens = added });
    }

    /// <summary>The ids of a text. Surrogates without a partner count as U+FFFD.</summary>
    /// <exception cref="ArgumentException">The length has no room for the special tokens, or padding is asked for and there is no pad
    /// token.</exception>
    public TokenSequence Encode(string text, TokenizerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        return EncodeBatch([text], options)[0];
    }

    /// <summary>The ids of some texts, padded to one length if the options say so.</summary>
    /// <exception cref="ArgumentException">The length has no room for the special tokens, or padding is asked for and there is no pad
    /// token.</exception>
    public TokenSequence[] EncodeBatch(IReadOnlyList<string> texts, TokenizerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(texts);
        options ??= new TokenizerOptions();
        int length = options.MaxLength ?? ModelMaxLength;
        if (length < 0)
            throw new ArgumentException($"{nameof(TokenizerOptions.MaxLength)} is {length}, expected 0 or more.", nameof(options));
        var sequences = texts.Select(text => Frame(text, length, options)).ToList();

        // As in the reference, a tokenizer without a largest length does not pad to it.
        int target = options.Padding switch
        {
            TokenPadding.MaxLength when length < int.MaxValue => length,
            TokenPadding.Longest => sequences.Select(sequence => sequence.Ids.Count).DefaultIfEmpty().Max(),
            _ => 0,
        };
        return [.. sequences.Select(sequence => Pad(sequence.Ids, target, options.PaddingSide ?? PaddingSide) with { Cut = sequence.Cut })];
    }

    /// <summary>The text of some ids: that which was encoded, up to what normalisation and unknown tokens lost.</summary>
    /// <exception cref="ArgumentException">An id is not in the vocabulary.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        var tokens = new List<string>(ids.Length);
        foreach (int id in ids)
        {
            string token = TokenOf(id) ?? throw new ArgumentException($"The vocabulary has no token {id}.", nameof(ids));
            if (!skipSpecialTokens || !_added.TryGetValue(token, out var added) || !added.Special)
                tokens.Add(token);
        }
        return _parts.Decoder(tokens);
    }

    /// <summary>The id of a token, or null when the vocabulary lacks it.</summary>
    public int? IdOf(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        return _added.TryGetValue(token, out var added) ? added.Id : _parts.Model.Find(token);
    }

    /// <summary>The token of an id, or null when the vocabulary lacks it.</summary>
    public string? TokenOf(int id) => _tokens.Value.GetValueOrDefault(id);

    /// <summary>The ids of a text between its special tokens, cut to the length, and those that were cut.</summary>
    private (List<int> Ids, int[] Cut) Frame(string text, int length, TokenizerOptions options)
    {
        int[] before = options.AddSpecialTokens ? _parts.Before : [];
        int[] after = options.AddSpecialTokens ? _parts.After : [];
        var ids = new List<int>(before);
        AppendIds(WithoutLoneSurrogates(text), ids);
        int excess = options.Truncation ? ids.Count + after.Length - length : 0;
        int[] cut = [];
        if (excess > 0)
        {
            int room = length - before.Length - after.Length;
            if (room < 0)
                throw new ArgumentException(
                    $"A sequence of {length} tokens has no room for {before.Length + after.Length} special tokens.", nameof(options));
            int first = _parts.TruncationSide == TokenSide.Right ? before.Length + room : before.Length;
            cut = [.. ids.GetRange(first, excess)];
            ids.RemoveRange(first, excess);
        }
        ids.AddRange(after);
        return (ids, cut);
    }

    private void AppendIds(string text, List<int> ids)
    {
        var words = new List<TextPiece>();
        foreach (var (raw, rawToken) in _rawTokens.Split(new TextPiece(text, true)))
        {
            if (rawToken != null)
            {
                ids.Add(rawToken.Id);
                ids.AddRange(rawToken.Rest);
                continue;
            }
            foreach (var (piece, token) in _normalizedTokens.Split(_parts.Normalizer(raw)))
            {
                if (token != null)
                {
                    ids.Add(token.Id);
                    continue;
                }
                words.Clear();
                _parts.PreTokenizer(piece, words);
                foreach (var word in words)
                    _parts.Model.Encode(word.Text, ids);
            }
        }
    }

    private TokenSequence Pad(List<int> ids, int length, TokenSide side)
    {
        int padding = Math.Max(0, length - ids.Count);
        int first = side == TokenSide.Left ? padding : 0;
        var padded = new int[ids.Count + padding];
        var mask = new int[padded.Length];
        if (padding > 0)
            Array.Fill(padded, PadId ?? throw new ArgumentException("Padding is asked for, but the tokenizer has no pad token."));
        ids.CopyTo(padded, first);
        Array.Fill(mask, 1, first, ids.Count);
        return new TokenSequence(padded, mask);
    }

    private Dictionary<int, string> MakeTokens()
    {
        var tokens = new Dictionary<int, string>(VocabularySize);
        foreach (var (token, id) in _parts.Model.Tokens)
            tokens[id] = token;
        foreach (var token in _parts.AddedTokens)
        {
            tokens[token.Id] = token.Content;
            for (int i = 0; i < token.Rest.Count; i++)
                tokens[token.Rest[i]] = FormattableString.Invariant($"{token.Content}_{i + 1}");
        }
        return tokens;
    }

    private static string WithoutLoneSurrogates(string text)
    {
        if (text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0)
            return text;
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            result.Append(rune);
        return result.ToString();
    }
}
