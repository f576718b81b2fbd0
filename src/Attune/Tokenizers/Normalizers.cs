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
            case "Prepend":
                string prefix = part["prepend"].String();
                return piece => piece.Text.Length == 0 ? piece : piece with { Text = prefix + piece.Text };
            case "Precompiled":
                return part.Find("precompiled_charsmap") is { } map ? Precompiled(new CharacterMap(part.File, map.Base64())) : None;
            default:
                throw part.Unsupported("Sequence, NFC, Lowercase, Replace, Strip, Prepend or Precompiled");
        }
    }
}
