using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>CLIP's byte-pair encoding: lower case, words of letters, single digits, and a mark at the end of each word.</summary>
internal sealed partial class BytePairTokenizer : Tokenizer
{
    private const string WordEnd = "</w>";
    private static readonly string[] Contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    private static readonly string[] ByteSymbols = MakeByteSymbols();
    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<(string, string), int> _ranks;

    private BytePairTokenizer(Dictionary<string, int> vocabulary, Dictionary<(string, string), int> ranks) => (_vocabulary, _ranks) = (vocabulary, ranks);

    public static BytePairTokenizer FromFiles(string vocabularyPath, string mergesPath)
    {
        var json = ModelConfig.Read(vocabularyPath);
        var vocabulary = json.Keys().ToDictionary(key => key, key => json.Int(key, 0), StringComparer.Ordinal);
        var merges = File.ReadLines(mergesPath).Where(line => line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal));
        return new BytePairTokenizer(vocabulary, Ranks(mergesPath, merges.Select(line => line.Split(' '))));
    }

    public static BytePairTokenizer FromJson(string path, JsonElement json)
    {
        var model = json.GetProperty("model");
        if (TypeOf(model) != "BPE" || !model.TryGetProperty("end_of_word_suffix", out var suffix) || suffix.GetString() != WordEnd)
            throw new CheckpointException($"'{path}': a tokenizer model {TypeOf(model)} of this form is not supported; supported are Unigram and CLIP's BPE.");
        var vocabulary = model.GetProperty("vocab").EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetInt32(), StringComparer.Ordinal);
        var merges = model.GetProperty("merges").EnumerateArray()
            .Select(merge => merge.ValueKind == JsonValueKind.Array ? merge.EnumerateArray().Select(part => part.GetString()!).ToArray() : merge.GetString()!.Split(' '));
        return new BytePairTokenizer(vocabulary, Ranks(path, merges));
    }

    protected override int? Find(string token) => _vocabulary.TryGetValue(token, out int id) ? id : null;

    protected override string Normalize(string text) => Lower(Whitespace().Replace(CanonicalComposition.Normalize(text), " "));

    protected override void EncodePiece(string text, bool first, List<int> ids)
    {
        for (int start = 0, end; start < text.Length; start = end)
        {
            end = WordAt(text, start, out bool counts);
            if (!counts)
                continue;
            var symbols = new List<string>();
            foreach (byte value in Encoding.UTF8.GetBytes(text[start..end]))
                symbols.Add(ByteSymbols[value]);
            symbols[^1] += WordEnd;
            foreach (string symbol in Merge(symbols))
                ids.Add(Find(symbol) ?? UnknownId ?? throw new InvalidOperationException($"The symbol '{symbol}' is not in the vocabulary."));
        }
    }

    private int? UnknownId => EndId;

    /// <summary>
    /// The end of the word at a position: an English contraction, a run of letters, a single digit, or a run of anything else but white space. By code
    /// point: regular expressions of .NET see the halves of characters beyond the first plane.
    /// </summary>
    private static int WordAt(string text, int start, out bool counts)
    {
        counts = true;
        foreach (string contraction in Contractions)
        {
            if (string.CompareOrdinal(text, start, contraction, 0, contraction.Length) == 0)
                return start + contraction.Length;
        }
        int end = start;
        WordKind? kind = null;
        while (end < text.Length)
        {
            Rune.DecodeFromUtf16(text.AsSpan(end), out var rune, out int length);
            var next = KindOf(rune);
            if (kind != null && (next != kind || kind == WordKind.Number))
                break;
            kind = next;
            end += length;
        }
        counts = kind != WordKind.Space;
        return end;
    }

    private static WordKind KindOf(Rune rune) => Rune.IsWhiteSpace(rune) ? WordKind.Space : Rune.IsLetter(rune) ? WordKind.Letter
        : Rune.GetUnicodeCategory(rune) is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber ? WordKind.Number : WordKind.Other;

    private enum WordKind
    {
        Space,
        Letter,
        Number,
        Other,
    }

    /// <summary>Joins the pair of the lowest rank, the leftmost of equals, until none is left: a heap over a linked list, so that long words stay cheap.</summary>
    private List<string> Merge(List<string> symbols)
    {
        int count = symbols.Count;
        var previous = new int[count];
        var next = new int[count];
        var heap = new PriorityQueue<(int Left, string A, string B), (int Rank, int Left)>();
        void Offer(int left)
        {
            if (left >= 0 && next[left] < count && _ranks.TryGetValue((symbols[left], symbols[next[left]]), out int rank))
                heap.Enqueue((left, symbols[left], symbols[next[left]]), (rank, left));
        }

        for (int i = 0; i < count; i++)
            (previous[i], next[i]) = (i - 1, i + 1);
        for (int i = 0; i < count - 1; i++)
            Offer(i);
        var alive = new bool[count];
        Array.Fill(alive, true);
        while (heap.TryDequeue(out var pair, out _))
        {
            int left = pair.Left;
            int right = alive[left] ? next[left] : count;
            if (right >= count || symbols[left] != pair.A || symbols[right] != pair.B)
                continue;
            symbols[left] += symbols[right];
            alive[right] = false;
            next[left] = next[right];
            if (next[left] < count)
                previous[next[left]] = left;
            Offer(previous[left]);
            Offer(left);
        }
        var result = new List<string>();
        for (int i = 0; i < count; i = next[i])
            result.Add(symbols[i]);
        return result;
    }

    private static Dictionary<(string, string), int> Ranks(string path, IEnumerable<string[]> merges)
    {
        var ranks = new Dictionary<(string, string), int>();
        foreach (string[] merge in merges)
        {
            if (merge.Length != 2)
                throw new CheckpointException($"'{path}': the merge '{string.Join(' ', merge)}' is no pair of symbols.");
            ranks.TryAdd((merge[0], merge[1]), ranks.Count);
        }
        return ranks;
    }

    /// <summary>Lower case by code point; a capital I with a dot becomes two, as Unicode's full mapping has it.</summary>
    private static string Lower(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            result.Append(rune.Value == 0x130 ? "i\u0307" : Rune.ToLower(rune, CultureInfo.InvariantCulture).ToString());
        return result.ToString();
    }

    /// <summary>GPT-2's visible stand-ins for the 256 bytes.</summary>
    private static string[] MakeByteSymbols()
    {
        var symbols = new string[256];
        int extra = 0;
        for (int value = 0; value < 256; value++)
        {
            bool visible = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            symbols[value] = ((char)(visible ? value : 256 + extra++)).ToString();
        }
        return symbols;
    }

    [GeneratedRegex(@"\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Whitespace();
}
