using Attune.Tokenizers;

namespace Attune.Tests.Tokenizers;

/// <summary>The models against slow and obvious versions of themselves, on random vocabularies and words.</summary>
public class TokenModelTests
{
    [Fact]
    public void Merging_with_a_heap_is_merging_pair_by_pair()
    {
        var random = new Random(1);
        for (int trial = 0; trial < 200; trial++)
        {
            var vocabulary = new Dictionary<string, int>();
            foreach (char character in "abc")
                vocabulary[character.ToString()] = vocabulary.Count;
            var merges = new List<(string, string)>();
            string[] Tokens() => [.. vocabulary.Keys];
            for (int i = random.Next(30); i > 0; i--)
            {
                var (left, right) = (Tokens()[random.Next(vocabulary.Count)], Tokens()[random.Next(vocabulary.Count)]);
                vocabulary.TryAdd(left + right, vocabulary.Count);
                if (!merges.Contains((left, right)))
                    merges.Add((left, right));
            }
            var model = new BytePairModel("test", vocabulary, merges, new BytePairOptions());
            for (int word = 0; word < 20; word++)
            {
                string text = string.Concat(Enumerable.Range(0, random.Next(1, 90)).Select(_ => (char)('a' + random.Next(3))));
                var ids = new List<int>();
                model.Encode(text, ids);
                Assert.Equal(MergeSlowly(text, merges).Select(token => vocabulary[token]), ids);
                int count = ids.Count;
                model.Encode(text, ids);
                Assert.Equal(ids[..count], ids[count..]);
            }
        }
    }

    [Fact]
    public void Unigram_finds_the_best_of_all_divisions()
    {
        var random = new Random(2);
        for (int trial = 0; trial < 100; trial++)
        {
            var pieces = new List<(string, double)> { ("<unk>", 0) };
            var scores = new Dictionary<string, double>();
            for (int i = random.Next(1, 15); i > 0; i--)
            {
                string piece = string.Concat(
                    Enumerable.Range(0, random.Next(1, 4)).Select(_ => new[] { "a", "b", "\U0001F600" }[random.Next(3)]));
                if (scores.TryAdd(piece, -random.NextDouble() * 10))
                    pieces.Add((piece, scores[piece]));
            }
            var model = new UnigramModel("test", pieces, 0, byteFallback: false);
            double unknown = pieces.Min(piece => piece.Item2) - 10;
            for (int word = 0; word < 20; word++)
            {
                string text = string.Concat(
                    Enumerable.Range(0, random.Next(1, 12)).Select(_ => new[] { "a", "b", "\U0001F600" }[random.Next(3)]));
                var ids = new List<int>();
                model.Encode(text, ids);
                string[] known = [.. ids.Where(id => id > 0).Select(id => pieces[id].Item1)];
                int missing = text.EnumerateRunes().Count() - known.Sum(piece => piece.EnumerateRunes().Count());
                Assert.Equal(BestScore(text, scores, unknown), known.Sum(piece => scores[piece]) + missing * unknown, 1e-9);
                Assert.Equal(missing > 0, ids.Contains(0));
                if (missing == 0)
                    Assert.Equal(text, string.Concat(known));
                for (int i = 1; i < ids.Count; i++)
                    Assert.False(ids[i] == 0 && ids[i - 1] == 0);
            }
        }
    }

    [Fact]
    public void Of_equal_divisions_the_first_found_stays()
    {
        var ids = new List<int>();
        new UnigramModel("test", [("<unk>", 0), ("a", -1), ("aa", -2)], 0, byteFallback: false).Encode("aaa", ids);
        Assert.Equal([1, 2], ids);
    }

    [Fact]
    public void A_trie_finds_what_it_holds()
    {
        var random = new Random(3);
        for (int trial = 0; trial < 100; trial++)
        {
            string Word() => string.Concat(Enumerable.Range(0, random.Next(0, 6)).Select(_ => "ab\u2581\uFFFF"[random.Next(4)]));
            var values = new Dictionary<string, int>();
            for (int i = random.Next(40); i > 0; i--)
                values.TryAdd(Word(), i);
            var trie = new TextTrie(values);
            for (int i = 0; i < 100; i++)
            {
                string word = Word();
                Assert.Equal(values.TryGetValue(word, out int value) ? value : null, trie.Find(word));
                string longest = values.Keys.Where(key => word.StartsWith(key, StringComparison.Ordinal)).MaxBy(key => key.Length) ?? "";
                var (length, found) = trie.LongestPrefix(word);
                Assert.Equal(longest.Length, length);
                if (length > 0)
                    Assert.Equal(values[longest], found);
            }
        }
    }

    [Theory]
    [InlineData(false, "a\u00E9\u00E9b", 0, 3, 3, 1)]
    [InlineData(true, "a\u00E9\u00E9b", 0, 3, 1)]
    [InlineData(true, "\u00E9\u00E9", 3)]
    public void Unknown_characters_become_the_unknown_token(bool fuse, string word, params int[] expected)
    {
        var vocabulary = new Dictionary<string, int> { ["a"] = 0, ["b"] = 1, ["ab"] = 2, ["<unk>"] = 3 };
        var ids = new List<int>();
        new BytePairModel("test", vocabulary, [("a", "b")], new BytePairOptions { UnknownToken = "<unk>", FuseUnknown = fuse })
            .Encode(word, ids);
        Assert.Equal(expected, ids);
        ids.Clear();
        new BytePairModel("test", vocabulary, [("a", "b")], new BytePairOptions()).Encode("a\u00E9b", ids);
        Assert.Equal([2], ids);
    }

    [Fact]
    public void Prefixes_and_suffixes_mark_the_place_in_a_word()
    {
        var vocabulary = new Dictionary<string,
        int> { ["a"] = 0, ["##b"] = 1, ["##c</w>"] = 2, ["ab"] = 3, ["abc</w>"] = 4, ["a</w>"] = 5 };
        var options = new BytePairOptions { ContinuingSubwordPrefix = "##", EndOfWordSuffix = "</w>" };
        var ids = new List<int>();
        var model = new BytePairModel("test", vocabulary, [("a", "##b"), ("ab", "##c</w>")], options);
        foreach (string word in new[] { "abc", "a", "ab" })
            model.Encode(word, ids);
        Assert.Equal([4, 5, 0], ids);

        ids.Clear();
        new BytePairModel("test", new() { ["a"] = 0, ["b"] = 1, ["ab"] = 2 }, [], new BytePairOptions { IgnoreMerges = true })
            .Encode("ab", ids);
        Assert.Equal([2], ids);
    }

    private static List<string> MergeSlowly(string text, List<(string, string)> merges)
    {
        var tokens = text.Select(character => character.ToString()).ToList();
        while (true)
        {
            var ranks = Enumerable.Range(0, tokens.Count - 1).Select(i => merges.IndexOf((tokens[i], tokens[i + 1]))).ToList();
            int best = ranks.Where(rank => rank >= 0).DefaultIfEmpty(-1).Min();
            if (best < 0)
                return tokens;
            int at = ranks.IndexOf(best);
            tokens[at] += tokens[at + 1];
            tokens.RemoveAt(at + 1);
        }
    }

    /// <summary>The score of the best division of a text.</summary>
    private static double BestScore(string text, Dictionary<string, double> scores, double unknown)
    {
        if (text.Length == 0)
            return 0;
        double best = double.NegativeInfinity;
        int step = char.IsHighSurrogate(text[0]) ? 2 : 1;
        for (int length = step; length <= text.Length; length++)
        {
            if (scores.TryGetValue(text[..length], out double score))
                best = Math.Max(best, score + BestScore(text[length..], scores, unknown));
            else if (length == step)
                best = Math.Max(best, unknown + BestScore(text[length..], scores, unknown));
        }
        return best;
    }
}
