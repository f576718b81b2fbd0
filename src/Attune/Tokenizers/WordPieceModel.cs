using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>
/// WordPiece (Wu et al., arXiv 1609.08144), as BERT has it: from the left the longest token that fits, those inside of a word marked by a
/// prefix. A word that cannot be divided so, or is too long, is unknown as a whole.
/// </summary>
internal sealed class WordPieceModel : ITokenModel
{
    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly string _prefix;
    private readonly int _longestWord;
    private readonly int _longestToken;
    private readonly int _unknown;

    /// <exception cref="CheckpointException">The unknown token is not in the vocabulary.</exception>
    public WordPieceModel(string file, Dictionary<string, int> vocabulary, string unknown, string prefix, int longestWord)
    {
        (_vocabulary, _prefix, _longestWord) = (vocabulary, prefix, longestWord);
        _lookup = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        _longestToken = vocabulary.Keys.Select(token => token.Length).DefaultIfEmpty().Max();
        _unknown = Find(unknown) ?? throw new CheckpointException($"'{file}': the unknown token '{unknown}' is not in the vocabulary.");
    }

    public int Count => _vocabulary.Count;

    public IEnumerable<(string Token, int Id)> Tokens => _vocabulary.Select(pair => (pair.Key, pair.Value));

    public int? Find(ReadOnlySpan<char> token) => _lookup.TryGetValue(token, out int id) ? id : null;

    public void Encode(string word, List<int> ids)
    {
        int first = ids.Count;
        if (word.EnumerateRunes().Count() > _longestWord)
        {
            ids.Add(_unknown);
            return;
        }
        Span<char> token = new char[_prefix.Length + word.Length];
        for (int start = 0; start < word.Length;)
        {
            int marked = start == 0 ? 0 : _prefix.Length;
            _prefix.AsSpan(0, marked).CopyTo(token);
            int end = Math.Min(word.Length, start + _longestToken);
            for (; end > start; end--)
            {
                if (end < word.Length && char.IsLowSurrogate(word[end]))
                    continue;
                word.AsSpan(start, end - start).CopyTo(token[marked..]);
                if (Find(token[..(marked + end - start)]) is { } id)
                {
                    ids.Add(id);
                    break;
                }
            }
            if (end == start)
            {
                ids.RemoveRange(first, ids.Count - first);
                ids.Add(_unknown);
                return;
            }
            start = end;
        }
    }
}
