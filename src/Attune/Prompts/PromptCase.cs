using System.Globalization;
using System.Text;

namespace Attune.Prompts;

/// <summary>Prompts in lower case, as some models were trained with them.</summary>
internal static class PromptCase
{
    /// <summary>
    /// A prompt in lower case, without whitespace at its ends, as Python's <c>lower</c> and <c>strip</c> make it: with Unicode's full
    /// mapping of a capital I with a dot, and a final sigma.
    /// </summary>
    public static string LowerStripped(string prompt)
    {
        Rune[] runes = [.. prompt.EnumerateRunes()];
        var result = new StringBuilder(prompt.Length);
        for (int i = 0; i < runes.Length; i++)
        {
            if (runes[i].Value == 'İ')
                result.Append("i̇");
            else if (runes[i].Value == 'Σ' && IsCased(runes.AsSpan(0, i), fromEnd: true) && !IsCased(runes.AsSpan(i + 1), fromEnd: false))
                result.Append('ς');
            else
                result.Append(Rune.ToLowerInvariant(runes[i]));
        }
        int start = 0;
        int end = result.Length;
        while (start < end && IsWhitespace(result[start]))
            start++;
        while (end > start && IsWhitespace(result[end - 1]))
            end--;
        return result.ToString(start, end - start);
    }

    /// <summary>Python counts four separators of ASCII.</summary>
    private static bool IsWhitespace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    /// <summary>Whether the nearest character that is not ignored has a case.</summary>
    private static bool IsCased(ReadOnlySpan<Rune> runes, bool fromEnd)
    {
        for (int i = 0; i < runes.Length; i++)
        {
            var rune = runes[fromEnd ? runes.Length - 1 - i : i];
            var category = Rune.GetUnicodeCategory(rune);
            bool ignored = rune.Value is '\'' or '.' or ':' or '’' or '·'
                || category is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
                    or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;
            if (!ignored)
                return category is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;
        }
        return false;
    }
}
