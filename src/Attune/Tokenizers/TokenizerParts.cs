namespace Attune.Tokenizers;

/// <summary>A stretch of text on its way to ids.</summary>
/// <param name="Text">The text.</param>
/// <param name="AtStart">Whether it begins where the user's text begins.</param>
internal readonly record struct TextPiece(string Text, bool AtStart)
{
    /// <summary>A part of this piece.</summary>
    public TextPiece Slice(int start, int end) => start == 0 && end == Text.Length ? this : new(Text[start..end], AtStart && start == 0);
}

/// <summary>Brings a text into the form that the vocabulary was made for.</summary>
internal delegate TextPiece Normalizer(TextPiece piece);

/// <summary>Adds the words of a normalised text to a list. No word is empty.</summary>
internal delegate void PreTokenizer(TextPiece piece, List<TextPiece> words);

/// <summary>Joins tokens to a text.</summary>
internal delegate string Decoder(IReadOnlyList<string> tokens);

/// <summary>A vocabulary, and the rule by which a word is divided into its tokens. Thread-safe.</summary>
internal interface ITokenModel
{
    /// <summary>The number of tokens.</summary>
    int Count { get; }

    /// <summary>All tokens.</summary>
    IEnumerable<(string Token, int Id)> Tokens { get; }

    /// <summary>The id of a token, or null.</summary>
    int? Find(ReadOnlySpan<char> token);

    /// <summary>Adds the ids of a word.</summary>
    void Encode(string word, List<int> ids);
}

/// <summary>What a tokenizer consists of.</summary>
internal sealed record TokenizerParts
{
    public required ITokenModel Model { get; init; }

    public Normalizer Normalizer { get; init; } = Normalizers.None;

    public PreTokenizer PreTokenizer { get; init; } = PreTokenizers.None;

    public Decoder Decoder { get; init; } = Decoders.Plain;

    /// <summary>The special tokens in front of each text.</summary>
    public int[] Before { get; init; } = [];

    /// <summary>The special tokens behind each text.</summary>
    public int[] After { get; init; } = [];

    /// <summary>No two have the same content.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    /// <summary>From roles as in tokenizer_config.json (<c>pad_token</c>) to tokens.</summary>
    public IReadOnlyDictionary<string, string> SpecialTokens { get; init; } = new Dictionary<string, string>();

    public int ModelMaxLength { get; init; } = int.MaxValue;

    public TokenSide PaddingSide { get; init; }

    public TokenSide TruncationSide { get; init; }
}
