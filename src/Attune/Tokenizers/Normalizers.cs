using System.Globalization;
using System.Text;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>The normalizers of tokenizer.json.</summary>
internal static class Normalizers
{
    public static TextPiece None(TextPiece piece) => piece;

    /// <summary>Unicode's normalisation form C.</summary>
    public static TextPiece Nfc(TextPiece piece) => piece with { Text = CanonicalComposition.Normalize(piece.Text) };

    /// <summary>
    /// Lower case character by character, without a final sigma. A capital I with a dot becomes two characters, as Unicode's full mapping
    /// has it.
    /// </summary>
    public static TextPiece Lowercase(TextPiece piece)
    {
        var result = new StringBuilder(piece.Text.Length);
        foreach (var rune in piece.Text.EnumerateRunes())
        {
            if (rune.Value == 0x130)
                result.Append("i\u0307");
            else
                result.Append(Rune.ToLowerInvariant(rune));
        }
        return piece with { Text = result.ToString() };
    }

    public static Normalizer Sequence(params Normalizer[] parts) =>
        piece => parts.Aggregate(piece, (current, normalize) => normalize(current));

    public static Normalizer Replace(TextPattern pattern, string content) =>
        piece => piece with { Text = pattern.Replace(piece.Text, content) };

    public static Normalizer Strip(bool left, bool right) => piece =>
    {
        string text = right ? piece.Text.TrimEnd() : piece.Text;
        string stripped = left ? text.TrimStart() : text;
        return new TextPiece(stripped, piece.AtStart && stripped.Length == text.Length);
    };

    /// <summary>
    /// What BERT does to texts: control characters go and white space becomes spaces, Chinese characters stand alone, accents go, and
    /// letters become small.
    /// </summary>
    public static Normalizer Bert(bool clean, bool chinese, bool accents, bool lower) => piece =>
    {
        string text = piece.Text;
        if (clean || chinese)
        {
            var result = new StringBuilder(text.Length);
            foreach (var rune in text.EnumerateRunes())
            {
                bool space = rune.Value is '\t' or '\n' or '\r' || Rune.IsWhiteSpace(rune);
                if (clean && (rune.Value is 0 or 0xFFFD || (!space && IsOther(rune))))
                    continue;
                if (chinese && IsChinese(rune.Value))
                    result.Append(' ').Append(rune).Append(' ');
                else if (clean && space)
                    result.Append(' ');
                else
                    result.Append(rune);
            }
            text = result.ToString();
        }
        if (accents)
        {
            var result = new StringBuilder(text.Length);
            foreach (var rune in CanonicalComposition.Decompose(text).EnumerateRunes())
            {
                if (Rune.GetUnicodeCategory(rune) != UnicodeCategory.NonSpacingMark)
                    result.Append(rune);
            }
            text = result.ToString();
        }
        piece = piece with { Text = text };
        return lower ? Lowercase(piece) : piece;
    };

    private static bool IsOther(Rune rune) => Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.OtherNotAssigned or UnicodeCategory.PrivateUse;

    /// <summary>The blocks of CJK ideographs that BERT counts.</summary>
    private static bool IsChinese(int code) => code is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF)
        or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F) or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);

    public static Normalizer Precompiled(CharacterMap map) => piece => piece with { Text = map.Apply(piece.Text) };

    /// <summary>Reads the entry "normalizer" of tokenizer.json.</summary>
    /// <exception cref="CheckpointException">The entry is malformed or of a type that is not supported.</exception>
    public static Normalizer Read(JsonPart? entry)
    {
        if (entry is not { } part)
            return None;
        switch (part.Type)
        {
            case "Sequence":
                return Sequence([.. part["normalizers"].Items().Select(inner => Read(inner))]);
            case "NFC":
                return Nfc;
            case "Lowercase":
                return Lowercase;
            case "Replace":
                return Replace(TextPattern.Read(part["pattern"]), part["content"].String());
            case "Strip":
                return Strip(part["strip_left"].Bool(), part["strip_right"].Bool());
            case "BertNormalizer":
                bool small = part.Find("lowercase")?.Bool() ?? true;
                return Bert(
                    part.Find("clean_text")?.Bool() ?? true, part.Find("handle_chinese_chars")?.Bool() ?? true,
                    part.Find("strip_accents")?.Bool() ?? small, small);
            case "Prepend":
                string prefix = part["prepend"].String();
                return piece => piece.Text.Length == 0 ? piece : piece with { Text = prefix + piece.Text };
            case "Precompiled":
                return part.Find("precompiled_charsmap") is { } map ? Precompiled(new CharacterMap(part.File, map.Base64())) : None;
            default:
                throw part.Unsupported("Sequence, NFC, Lowercase, Replace, Strip, Prepend, BertNormalizer or Precompiled");
        }
    }
}
