using System.Buffers;
using System.Globalization;
using System.Text;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>
/// SentencePiece's unigram model (Kudo, arXiv 1804.10959): the division of a word into the pieces of the largest total log probability.
/// </summary>
internal sealed class UnigramModel : ITokenModel
{
    private const double UnknownPenalty = 10;
    private readonly List<(string Piece, double Score)> _pieces;
    private readonly TextTrie _trie;
    private readonly int _unknown;
    private readonly double _unknownScore;
    private readonly int[]? _bytes;

    /// <summary>Takes pieces in the order of their ids; the file is named in messages.</summary>
    /// <exception cref="CheckpointException">There is no piece of the unknown id, or a score is not finite.</exception>
    public UnigramModel(string file, List<(string Piece, double Score)> pieces, int unknown, bool byteFallback)
    {
        if (unknown < 0 || unknown >= pieces.Count)
            throw new CheckpointException($"'{file}': the id of the unknown piece is {unknown}, expected one of {pieces.Count} pieces.");
        (_pieces, _unknown) = (pieces, unknown);
        var ids = new Dictionary<string, int>(pieces.Count, StringComparer.Ordinal);
        _unknownScore = double.PositiveInfinity;
        for (int id = 0; id < pieces.Count; id++)
        {
            var (piece, score) = pieces[id];
            if (!double.IsFinite(score))
                throw new CheckpointException($"'{file}': the score of piece {id}, '{piece}', is {score}, expected a finite number.");
            ids[piece] = id;
            _unknownScore = Math.Min(_unknownScore, score - UnknownPenalty);
        }
        _trie = new TextTrie(ids);
        if (!byteFallback)
            return;
        _bytes = new int[256];
        for (int value = 0; value < 256; value++)
            _bytes[value] = Find(string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>")) ?? -1;
    }

    public int Count => _pieces.Count;

    public IEnumerable<(string Token, int Id)> Tokens => _pieces.Select((piece, id) => (piece.Piece, id));

    public int? Find(ReadOnlySpan<char> token) => _trie.Find(token);

    /// <summary>
    /// Viterbi over the characters. A character that is no piece costs the least likely piece's score less 10; neighbours that are unknown
    /// become one. Of equal divisions the one found first stays.
    /// </summary>
    public void Encode(string word, List<int> ids)
    {
        var nodes = ArrayPool<(double Score, int Start, int Id)>.Shared.Rent(word.Length + 1);
        try
        {
            var best = nodes.AsSpan(0, word.Length + 1);
            best.Fill((0, -1, -1));
            for (int start = 0; start < word.Length;)
            {
                int step = char.IsHighSurrogate(word[start]) && start + 1 < word.Length ? 2 : 1;
                double score = best[start].Score;
                bool single = false;
                int node = 0;
                for (int end = start + 1; end <= word.Length && (node = _trie.Child(node, word[end - 1])) >= 0; end++)
                {
                    int id = _trie.ValueAt(node);
                    if (id < 0)
                        continue;
                    Offer(ref best[end], score + _pieces[id].Score, start, id);
                    single |= end - start == step;
                }
                if (!single)
                    Offer(ref best[start + step], score + _unknownScore, start, _unknown);
                start += step;
            }

            // Backwards over the best path, then forwards.
            int at = ids.Count;
            for (int end = word.Length; end > 0;)
            {
                int id = best[end].Id;
                int start = best[end].Start;
                while (id == _unknown && start > 0 && best[start].Id == _unknown)
                    start = best[start].Start;
                if (id == _unknown)
                    AppendUnknownReversed(word.AsSpan(start, end - start), ids);
                else
                    ids.Add(id);
                end = start;
            }
            ids.Reverse(at, ids.Count - at);
        }
        finally
        {
            ArrayPool<(double, int, int)>.Shared.Return(nodes);
        }
    }

    private static void Offer(ref (double Score, int Start, int Id) best, double score, int start, int id)
    {
        if (best.Start < 0 || score > best.Score)
            best = (score, start, id);
    }

    private void AppendUnknownReversed(ReadOnlySpan<char> text, List<int> ids)
    {
        if (_bytes != null && Find(text) == null)
        {
            int at = ids.Count;
            byte[] bytes = Encoding.UTF8.GetBytes(text.ToArray());
            foreach (byte value in bytes)
            {
                if (_bytes[value] >= 0)
                    ids.Add(_bytes[value]);
            }
            if (ids.Count - at == bytes.Length)
            {
                ids.Reverse(at, bytes.Length);
                return;
            }
            ids.RemoveRange(at, ids.Count - at);
        }
        ids.Add(Find(text) ?? _unknown);
    }
}
