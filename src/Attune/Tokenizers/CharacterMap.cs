using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>
/// SentencePiece's compiled character map: a double-array trie over UTF-8 bytes (Darts), and the replacements it points to.
/// </summary>
internal sealed class CharacterMap
{
    private const int LongestGrapheme = 5;
    private readonly uint[] _units;
    private readonly byte[] _replacements;
    private readonly string?[] _ascii = new string?[128];

    /// <summary>Takes the map apart; the file is named in messages.</summary>
    /// <exception cref="CheckpointException">The map is malformed.</exception>
    public CharacterMap(string file, ReadOnlySpan<byte> data)
    {
        uint size = data.Length < 4 ? uint.MaxValue : BinaryPrimitives.ReadUInt32LittleEndian(data);
        if (size % 4 != 0 || size > data.Length - 4)
            throw new CheckpointException($"'{file}': the compiled character map is cut off.");
        _units = new uint[size / 4];
        for (int i = 0; i < _units.Length; i++)
            _units[i] = BinaryPrimitives.ReadUInt32LittleEndian(data[(4 + 4 * i)..]);
        _replacements = data[(4 + (int)size)..].ToArray();
        for (int i = 0; i < _ascii.Length; i++)
            _ascii[i] = Find([(char)i]);
    }

    /// <summary>
    /// Replaces each grapheme of less than 6 bytes of which the map holds the beginning, else each of its characters. The map's shortest
    /// match stands for the whole grapheme: a quirk of the tokenizers library on which ids depend.
    /// </summary>
    public string Apply(string text)
    {
        var result = new StringBuilder(text.Length);
        for (int at = 0; at < text.Length;)
        {
            // Below U+0300 only a line break of two characters is one grapheme.
            if (text[at] < 128 && text[at] != '\r' && (at + 1 == text.Length || text[at + 1] < '\u0300'))
            {
                Append(result, _ascii[text[at]], text.AsSpan(at++, 1));
                continue;
            }
            var grapheme = text.AsSpan(at, StringInfo.GetNextTextElementLength(text.AsSpan(at)));
            at += grapheme.Length;
            if (grapheme.Length <= LongestGrapheme
                && Encoding.UTF8.GetByteCount(grapheme) <= LongestGrapheme && Find(grapheme) is { } whole)
            {
                result.Append(whole);
                continue;
            }
            for (int i = 0; i < grapheme.Length;)
            {
                Rune.DecodeFromUtf16(grapheme[i..], out _, out int length);
                var character = grapheme.Slice(i, length);
                Append(result, Find(character), character);
                i += length;
            }
        }
        return result.ToString();
    }

    private static void Append(StringBuilder result, string? replacement, ReadOnlySpan<char> original)
    {
        if (replacement != null)
            result.Append(replacement);
        else
            result.Append(original);
    }

    /// <summary>The replacement of the shortest beginning of a text of at most 5 bytes that the trie holds.</summary>
    private string? Find(ReadOnlySpan<char> text)
    {
        if (_units.Length == 0)
            return null;
        Span<byte> bytes = stackalloc byte[8];
        int length = Encoding.UTF8.GetBytes(text, bytes);
        uint position = Offset(_units[0]);
        for (int i = 0; i < length && bytes[i] != 0; i++)
        {
            position ^= bytes[i];
            if (position >= _units.Length)
                return null;
            uint unit = _units[position];
            if ((unit & 0x800000FF) != bytes[i])
                return null;
            position ^= Offset(unit);
            if (((unit >> 8) & 1) == 0)
                continue;
            uint start = position < _units.Length ? _units[position] & 0x7FFFFFFF : uint.MaxValue;
            if (start >= _replacements.Length)
                return null;
            var rest = _replacements.AsSpan((int)start);
            int end = rest.IndexOf((byte)0);
            return Encoding.UTF8.GetString(end < 0 ? rest : rest[..end]);
        }
        return null;
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & (1u << 9)) >> 6);
}
