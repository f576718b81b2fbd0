using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>What a byte-pair model does besides merging; the names are those of tokenizer.json.</summary>
internal sealed record BytePairOptions
{
    /// <summary>The token of what the vocabulary lacks; without one it is left out.</summary>
    public string? UnknownToken { get; init; }

    /// <summary>In front of each character of a word but the first.</summary>
    public string ContinuingSubwordPrefix { get; init; } = "";

    /// <summary>Behind the last character of a word.</summary>
    public string EndOfWordSuffix { get; init; } = "";

    /// <summary>Whether unknown neighbours become one unknown token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>Whether unknown characters become tokens of their bytes.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Whether a word that is a token is taken whole.</summary>
    public bool IgnoreMerges { get; init; }
}

/// <summary>
/// Byte-pair encoding (Sennrich et al., arXiv 1508.07909): the characters of a word are joined pair by pair, the pair of the lowest rank
/// first, of equal ones the leftmost. A heap over a linked list keeps long words at n log n.
/// </summary>
internal sealed class BytePairModel : ITokenModel
{
    private const int LongestCached = 64;
    private const int MostCached = 16384;
    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly Dictionary<ulong, (int Rank, int Id)> _merges = [];
    private readonly BytePairOptions _options;
    private readonly int? _unknown;
    private readonly int[]? _bytes;
    private readonly ConcurrentDictionary<string, int[]> _cache = new(StringComparer.Ordinal);
    private int _cached;

    /// <summary>Checks the merges against the vocabulary; the file is named in messages.</summary>
    /// <exception cref="CheckpointException">A merge or the unknown token is not in the vocabulary.</exception>
    public BytePairModel(
        string file, Dictionary<string, int> vocabulary, IEnumerable<(string Left, string Right)> merges, BytePairOptions options)
    {
        (_vocabulary, _options) = (vocabulary, options);
        _lookup = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        if (options.UnknownToken != null)
            _unknown = Find(options.UnknownToken)
                ?? throw new CheckpointException($"'{file}': the unknown token '{options.UnknownToken}' is not in the vocabulary.");
        if (options.ByteFallback)
        {
            _bytes = new int[256];
            for (int value = 0; value < 256; value++)
                _bytes[value] = Find(string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>")) ?? -1;
        }

        int rank = 0;
        var joined = new char[64];
        foreach (var (left, right) in merges)
        {
            var rest = right.AsSpan(
                right.StartsWith(options.ContinuingSubwordPrefix, StringComparison.Ordinal) ? options.ContinuingSubwordPrefix.Length : 0);
            int length = left.Length + rest.Length;
            if (joined.Length < length)
                joined = new char[2 * length];
            left.CopyTo(joined);
            rest.CopyTo(joined.AsSpan(left.Length));
            if (Find(left) is not { } a || Find(right) is not { } b || Find(joined.AsSpan(0, length)) is not { } id)
                throw new CheckpointException(
                    $"'{file}': the merge of '{left}' and '{right}' or one of its parts is not in the vocabulary.");
            _merges[Pair(a, b)] = (rank++, id);
        }
    }

    public int Count => _vocabulary.Count;

    public IEnumerable<(string Token, int Id)> Tokens => _vocabulary.Select(entry => (entry.Key, entry.Value));

    public int? Find(ReadOnlySpan<char> token) => _lookup.TryGetValue(token, out int id) ? id : null;

    public void Encode(string word, List<int> ids)
    {
        if (word.Length > LongestCached)
        {
            Merge(word, ids);
            return;
        }
        if (!_cache.TryGetValue(word, out int[]? known))
        {
            var fresh = new List<int>();
            Merge(word, fresh);
            known = [.. fresh];
            if (_cached < MostCached && _cache.TryAdd(word, known))
                Interlocked.Increment(ref _cached);
        }
        ids.AddRange(known);
    }

    private void Merge(string word, List<int> ids)
    {
        if (_options.IgnoreMerges && Find(word) is { } whole)
        {
            ids.Add(whole);
            return;
        }
        var symbols = Symbols(word);
        int count = symbols.Count;
        int[] links = ArrayPool<int>.Shared.Rent(2 * count);
        try
        {
            // A merged-away symbol has id -1; next is the count behind the last one. The priority is the rank, then the place.
            var next = links.AsSpan(0, count);
            var previous = links.AsSpan(count, count);
            var heap = new PriorityQueue<int, long>();
            for (int i = 0; i < count; i++)
                (previous[i], next[i]) = (i - 1, i + 1);
            for (int i = 0; i + 1 < count; i++)
                Offer(symbols, i, i + 1, heap);
            while (heap.TryDequeue(out int merged, out long priority))
            {
                int left = (int)priority;
                int right = symbols[left] < 0 ? count : next[left];
                if (right == count || !_merges.TryGetValue(Pair(symbols[left], symbols[right]), out var merge) || merge.Id != merged)
                    continue;
                symbols[left] = merged;
                symbols[right] = -1;
                next[left] = next[right];
                if (next[left] < count)
                {
                    previous[next[left]] = left;
                    Offer(symbols, left, next[left], heap);
                }
                if (previous[left] >= 0)
                    Offer(symbols, previous[left], left, heap);
            }
        }
        finally
        {
            ArrayPool<int>.Shared.Return(links);
        }
        foreach (int id in symbols)
        {
            if (id >= 0)
                ids.Add(id);
        }
    }

    private void Offer(List<int> symbols, int left, int right, PriorityQueue<int, long> heap)
    {
        if (_merges.TryGetValue(Pair(symbols[left], symbols[right]), out var merge))
            heap.Enqueue(merge.Id, ((long)merge.Rank << 32) | (uint)left);
    }

    /// <summary>The ids of a word's characters before any merge.</summary>
    private List<int> Symbols(string word)
    {
        var symbols = new List<int>(word.Length);
        bool pending = false;     // an unknown token that may still grow
        for (int at = 0; at < word.Length;)
        {
            int length = char.IsHighSurrogate(word[at]) && at + 1 < word.Length ? 2 : 1;
            var character = word.AsSpan(at, length);
            bool first = at == 0;
            bool last = at + length == word.Length;
            at += length;
            int? id = (first || _options.ContinuingSubwordPrefix.Length == 0) && (!last || _options.EndOfWordSuffix.Length == 0)
                ? Find(character) : Find(
                    (first ? "" : _options.ContinuingSubwordPrefix) + character.ToString() + (last ? _options.EndOfWordSuffix : ""));
            if (id == null && AppendBytes(character, symbols))
                continue;
            if (pending && (id != null || !_options.FuseUnknown))
            {
                symbols.Add(_unknown!.Value);
                pending = false;
            }
            if (id is { } known)
                symbols.Add(known);
            else
                pending = _unknown != null;
        }
        if (pending)
            symbols.Add(_unknown!.Value);
        return symbols;
    }

    private bool AppendBytes(ReadOnlySpan<char> character, List<int> symbols)
    {
        if (_bytes == null)
            return false;
        Span<byte> bytes = stackalloc byte[4];
        bytes = bytes[..Encoding.UTF8.GetBytes(character, bytes)];
        foreach (byte value in bytes)
        {
            if (_bytes[value] < 0)
                return false;
        }
        foreach (byte value in bytes)
            symbols.Add(_bytes[value]);
        return true;
    }

    private static ulong Pair(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;
}
