using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>
/// SentencePiece's unigram model (Kudo, arXiv 1804.10959), as T5 uses it: the split of a text into pieces of the largest total log probability.
/// </summary>
internal sealed partial class UnigramTokenizer : Tokenizer
{
    private const char Space = '\u2581';
    private const double UnknownPenalty = 10;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly double[] _scores;
    private readonly int _unknown;
    private readonly double _unknownScore;
    private readonly int _longest;
    private readonly bool _byteFallback;
    private readonly bool _prependAlways;
    private readonly Func<string, string> _normalize;

    private UnigramTokenizer(List<(string Piece, double Score)> pieces, int unknown, bool byteFallback, bool prependAlways, Func<string, string> normalize)
    {
        for (int i = 0; i < pieces.Count; i++)
            _ids.TryAdd(pieces[i].Piece, i);
        _lookup = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
        _scores = [.. pieces.Select(piece => piece.Score)];
        _unknown = unknown;
        _unknownScore = _scores.Min() - UnknownPenalty;
        _longest = pieces.Max(piece => piece.Piece.Length);
        (_byteFallback, _prependAlways, _normalize) = (byteFallback, prependAlways, normalize);
    }

    public static UnigramTokenizer FromJson(string path, JsonElement json)
    {
        var model = json.GetProperty("model");
        var pieces = model.GetProperty("vocab").EnumerateArray().Select(entry => (entry[0].GetString()!, entry[1].GetDouble())).ToList();
        int unknown = model.GetProperty("unk_id").GetInt32();
        if (unknown < 0 || unknown >= pieces.Count)
            throw new CheckpointException($"'{path}': unk_id is {unknown}, expected an entry of the vocabulary of {pieces.Count}.");
        bool fallback = model.TryGetProperty("byte_fallback", out var flag) && flag.ValueKind == JsonValueKind.True;
        var metaspace = json.GetProperty("pre_tokenizer");
        if (TypeOf(metaspace) == "Sequence")
            metaspace = metaspace.GetProperty("pretokenizers").EnumerateArray().First(part => TypeOf(part) == "Metaspace");
        if (TypeOf(metaspace) != "Metaspace")
            throw new CheckpointException($"'{path}': the pre-tokenizer {TypeOf(metaspace)} is not supported, expected Metaspace.");
        bool always = !metaspace.TryGetProperty("prepend_scheme", out var scheme) || scheme.GetString() == "always";
        return new UnigramTokenizer(pieces, unknown, fallback, always, Normalizer(path, json.TryGetProperty("normalizer", out var normalizer) ? normalizer : default));
    }

    /// <summary>Reads SentencePiece's own protocol buffer: pieces, and the character map of its normaliser.</summary>
    public static UnigramTokenizer FromSentencePiece(string path)
    {
        var pieces = new List<(string, double)>();
        int unknown = -1;
        CharacterMap? map = null;
        foreach (var (field, bytes, _) in Protobuf.Fields(path, File.ReadAllBytes(path)))
        {
            if (field == 1)
            {
                string piece = "";
                float score = 0;
                ulong type = 1;
                foreach (var (part, data, number) in Protobuf.Fields(path, bytes))
                {
                    if (part == 1)
                        piece = Encoding.UTF8.GetString(data.Span);
                    else if (part == 2)
                        score = BitConverter.UInt32BitsToSingle((uint)number);
                    else if (part == 3)
                        type = number;
                }
                if (type == 2)
                    unknown = pieces.Count;
                pieces.Add((piece, score));
            }
            else if (field == 3)
            {
                foreach (var (part, data, _) in Protobuf.Fields(path, bytes))
                {
                    if (part == 2 && data.Length > 0)
                        map = new CharacterMap(path, data.ToArray());
                }
            }
        }
        if (pieces.Count == 0 || unknown < 0)
            throw new CheckpointException($"'{path}' is no SentencePiece model: {pieces.Count} pieces, {(unknown < 0 ? "no" : "an")} unknown piece.");

        // What transformers' conversion adds to the character map.
        return new UnigramTokenizer(pieces, unknown, byteFallback: false, prependAlways: true, text => Spaces().Replace((map?.Apply(text) ?? text).TrimEnd(' '), Space.ToString()));
    }

    protected override int? Find(string token) => _ids.TryGetValue(token, out int id) ? id : null;

    protected override string Normalize(string text) => _normalize(text);

    protected override void EncodePiece(string text, bool first, List<int> ids)
    {
        text = text.Replace(' ', Space);
        if (text.Length > 0 && text[0] != Space && (_prependAlways || first))
            text = Space + text;

        // Pieces begin at each space; none spans two.
        int start = 0;
        while (start < text.Length)
        {
            int end = text.IndexOf(Space, start + 1);
            end = end < 0 ? text.Length : end;
            Segment(text.AsSpan(start, end - start), ids);
            start = end;
        }
    }

    /// <summary>Viterbi over the characters. An unknown character costs the least likely piece's score less 10; neighbours that are unknown become one.</summary>
    private void Segment(ReadOnlySpan<char> word, List<int> ids)
    {
        var best = new double[word.Length + 1];
        var from = new int[word.Length + 1];
        var piece = new int[word.Length + 1];
        Array.Fill(from, -1);
        from[0] = 0;
        for (int start = 0; start < word.Length;)
        {
            int step = char.IsHighSurrogate(word[start]) && start + 1 < word.Length && char.IsLowSurrogate(word[start + 1]) ? 2 : 1;
            bool single = false;
            for (int length = 1; length <= Math.Min(_longest, word.Length - start); length++)
            {
                if (!_lookup.TryGetValue(word.Slice(start, length), out int id))
                    continue;
                single |= length == step;
                Offer(start + length, best[start] + _scores[id], start, id);
            }
            if (!single)
                Offer(start + step, best[start] + _unknownScore, start, _unknown);
            start += step;
        }

        void Offer(int end, double score, int start, int id)
        {
            if (from[end] < 0 || score > best[end])
                (best[end], from[end], piece[end]) = (score, start, id);
        }

        var reversed = new List<(int Id, int Start, int End)>();
        for (int end = word.Length; end > 0; end = from[end])
        {
            if (piece[end] == _unknown && reversed.Count > 0 && reversed[^1].Id == _unknown)
                reversed[^1] = (_unknown, from[end], reversed[^1].End);
            else
                reversed.Add((piece[end], from[end], end));
        }
        for (int i = reversed.Count - 1; i >= 0; i--)
        {
            var (id, start, end) = reversed[i];
            if (id == _unknown && _byteFallback && ByteIds(word[start..end]) is { } bytes)
                ids.AddRange(bytes);
            else
                ids.Add(id);
        }
    }

    private List<int>? ByteIds(ReadOnlySpan<char> text)
    {
        var ids = new List<int>();
        foreach (byte value in Encoding.UTF8.GetBytes(text.ToArray()))
        {
            if (Find($"<0x{value:X2}>") is not { } id)
                return null;
            ids.Add(id);
        }
        return ids;
    }

    private static Func<string, string> Normalizer(string path, JsonElement part)
    {
        switch (TypeOf(part))
        {
            case "":
                return text => text;
            case "Sequence":
                var parts = part.GetProperty("normalizers").EnumerateArray().Select(inner => Normalizer(path, inner)).ToArray();
                return text => parts.Aggregate(text, (current, normalize) => normalize(current));
            case "Precompiled":
                var map = new CharacterMap(path, part.GetProperty("precompiled_charsmap").GetBytesFromBase64());
                return map.Apply;
            case "NFC":
                return CanonicalComposition.Normalize;
            case "Strip":
                bool left = part.GetProperty("strip_left").GetBoolean();
                bool right = part.GetProperty("strip_right").GetBoolean();
                return text => right ? left ? text.Trim() : text.TrimEnd() : left ? text.TrimStart() : text;
            case "Replace":
                string content = part.GetProperty("content").GetString()!;
                var pattern = part.GetProperty("pattern");
                if (pattern.TryGetProperty("String", out var plain))
                    return text => text.Replace(plain.GetString()!, content, StringComparison.Ordinal);
                var expression = new Regex(pattern.GetProperty("Regex").GetString()!, RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
                return text => expression.Replace(text, content.Replace("$", "$$", StringComparison.Ordinal));
            default:
                throw new CheckpointException($"'{path}': the normalizer {TypeOf(part)} is not supported.");
        }
    }

    [GeneratedRegex(" {2,}", RegexOptions.CultureInvariant)]
    private static partial Regex Spaces();

    /// <summary>SentencePiece's compiled character map: a double-array trie over UTF-8 bytes, and the replacements it points to.</summary>
    private sealed class CharacterMap
    {
        private readonly uint[] _units;
        private readonly byte[] _replacements;

        public CharacterMap(string path, byte[] data)
        {
            uint size = data.Length < 4 ? uint.MaxValue : BinaryPrimitives.ReadUInt32LittleEndian(data);
            if (size % 4 != 0 || size > data.Length - 4)
                throw new CheckpointException($"'{path}': the compiled character map is cut off.");
            _units = new uint[size / 4];
            for (int i = 0; i < _units.Length; i++)
                _units[i] = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(4 + 4 * i));
            _replacements = data[(4 + (int)size)..];
        }

        /// <summary>
        /// Replaces, as the tokenizers library does, each grapheme of less than 6 bytes that the map holds as a whole, else each of its characters.
        /// </summary>
        public string Apply(string text)
        {
            var result = new StringBuilder(text.Length);
            var graphemes = System.Globalization.StringInfo.GetTextElementEnumerator(text);
            while (graphemes.MoveNext())
            {
                string grapheme = graphemes.GetTextElement();
                if (Encoding.UTF8.GetByteCount(grapheme) < 6 && Find(grapheme) is { } whole)
                {
                    result.Append(whole);
                    continue;
                }
                foreach (var rune in grapheme.EnumerateRunes())
                {
                    string character = rune.ToString();
                    result.Append(Find(character) ?? character);
                }
            }
            return result.ToString();
        }

        /// <summary>The replacement of the shortest beginning of the text that the trie holds.</summary>
        private string? Find(string text)
        {
            Span<byte> bytes = stackalloc byte[64];
            int length = Encoding.UTF8.GetBytes(text, bytes);
            if (_units.Length == 0)
                return null;
            uint position = Offset(_units[0]);
            for (int i = 0; i < length; i++)
            {
                if (bytes[i] == 0)
                    return null;
                position ^= bytes[i];
                if (position >= _units.Length)
                    return null;
                uint unit = _units[position];
                if ((unit & 0x800000FF) != bytes[i])
                    return null;
                position ^= Offset(unit);
                if (((unit >> 8) & 1) == 0)
                    continue;
                if (position >= _units.Length)
                    return null;
                int start = (int)(_units[position] & 0x7FFFFFFF);
                if (start >= _replacements.Length)
                    return null;
                int end = Array.IndexOf(_replacements, (byte)0, start);
                return Encoding.UTF8.GetString(_replacements, start, (end < 0 ? _replacements.Length : end) - start);
            }
            return null;
        }

        private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & (1u << 9)) >> 6);
    }
}

/// <summary>The wire format of protocol buffers: as much as SentencePiece's model needs.</summary>
internal static class Protobuf
{
    /// <summary>The fields of a message: number, bytes (of length-delimited fields), value (of others).</summary>
    /// <exception cref="CheckpointException">The message is malformed.</exception>
    public static IEnumerable<(int Field, ReadOnlyMemory<byte> Bytes, ulong Value)> Fields(string path, ReadOnlyMemory<byte> message)
    {
        int at = 0;
        while (at < message.Length)
        {
            ulong key = Varint();
            switch (key & 7)
            {
                case 0:
                    yield return ((int)(key >> 3), default, Varint());
                    break;
                case 1:
                    yield return ((int)(key >> 3), default, BinaryPrimitives.ReadUInt64LittleEndian(Take(8).Span));
                    break;
                case 2:
                    ulong length = Varint();
                    yield return ((int)(key >> 3), Take(length), 0);
                    break;
                case 5:
                    yield return ((int)(key >> 3), default, BinaryPrimitives.ReadUInt32LittleEndian(Take(4).Span));
                    break;
                default:
                    throw new CheckpointException($"'{path}' is no SentencePiece model: a field of wire type {key & 7} at byte {at}.");
            }
        }

        ulong Varint()
        {
            ulong value = 0;
            for (int shift = 0; shift < 64; shift += 7)
            {
                if (at >= message.Length)
                    break;
                byte part = message.Span[at++];
                value |= (ulong)(part & 0x7F) << shift;
                if (part < 0x80)
                    return value;
            }
            throw new CheckpointException($"'{path}' is no SentencePiece model: a number at byte {at} does not end.");
        }

        ReadOnlyMemory<byte> Take(ulong length)
        {
            if (length > (ulong)(message.Length - at))
                throw new CheckpointException($"'{path}' is no SentencePiece model: a field of {length} bytes at {at} goes beyond the end.");
            at += (int)length;
            return message.Slice(at - (int)length, (int)length);
        }
    }
}
