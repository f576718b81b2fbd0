using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Attune.Tokenizers;

namespace Attune.Tests.Tokenizers;

/// <summary>Unicode: normalisation, lower case, and patterns by code point.</summary>
public class TextTests
{
    private static readonly int[] Pool =
    [
        0x41, 0x61, 0x65, 0x6F, 0x73, 0x75, 0xC5, 0xEA, 0xDC, 0x1B0, 0x915, 0x93C, 0x9C7, 0x9BE, 0xB47, 0xB3E, 0xB56, 0x1100, 0x1161,
        0x11A8, 0xAC00, 0xAC01, 0x3B1, 0x3B9,
        0x1F00, 0x300, 0x301, 0x302, 0x303, 0x304, 0x307, 0x308, 0x30A, 0x30C, 0x313, 0x315, 0x31B, 0x323, 0x327, 0x328, 0x331, 0x334,
        0x338, 0x342, 0x345, 0x344, 0x5D0,
        0x5B0, 0x5B7, 0x5BC, 0x5C1, 0x64B, 0x651, 0x653, 0x654, 0xF71, 0xF72, 0xF74, 0x212B, 0xFB2C, 0x1D157, 0x1D165, 0x1D16E, 0x11099,
        0x110BA, 0x3042, 0x304B, 0x3099,
        0x309A, 0x20,
    ];

    /// <summary>The SHA-256 of what ICU 77 and Python's unicodedata give for each character, one to a line.</summary>
    [Fact]
    public void Composition_of_each_character_is_that_of_icu()
    {
        var lines = Enumerable.Range(0, 0x110000).Where(Rune.IsValid).Select(code => new Rune(code).ToString());
        Assert.Equal("9CC65524A9D8082BF10840C616CD199BD2AC12EE49A3381BD6FB7957711F342B", HashOfComposed(lines));
    }

    /// <summary>Likewise for 20,000 strings of 12 characters, mostly combining ones, drawn by a linear congruential generator.</summary>
    [Fact]
    public void Composition_of_random_strings_is_that_of_icu()
    {
        uint state = 1;
        Rune Draw()
        {
            state = state * 1664525 + 1013904223;
            return new Rune(Pool[(state >> 16) % Pool.Length]);
        }
        var lines = Enumerable.Range(0, 20_000).Select(_ => string.Concat(Enumerable.Range(0, 12).Select(_ => Draw().ToString())));
        Assert.Equal("862138B2AA1B74F424C8961120E6BC30499A5E3469E9C938EAA883C99D9CA367", HashOfComposed(lines));
    }

    [Theory]
    [InlineData("İSTANBUL", "i\u0307stanbul")]
    [InlineData("ΣΑΣ", "σασ")]
    [InlineData("STRASSE ẞ", "strasse ß")]
    [InlineData("ǅ \U00010400 \u212A", "ǆ \U00010428 k")]
    public void Lower_case_is_by_character(string text, string lower) =>
        Assert.Equal(lower, Normalizers.Lowercase(new TextPiece(text, true)).Text);

    [Fact]
    public void Stand_ins_have_the_category_that_they_stand_for()
    {
        foreach (var category in Enum.GetValues<UnicodeCategory>().Where(category => category != UnicodeCategory.Surrogate))
            Assert.Equal(category, CharUnicodeInfo.GetUnicodeCategory(TextPattern.StandIns[(int)category]));
    }

    [Theory]
    [InlineData(@"\p{L}+", "a\U00020000b \U0001D49C!", "a\U00020000b|\U0001D49C")]
    [InlineData(@"\p{N}", "\U0001D7D81", "\U0001D7D8|1")]
    [InlineData(@"[^\s\p{L}\p{N}]+", "a\U0001F600\u200D\u2603 \u00A0", "\U0001F600\u200D\u2603")]
    [InlineData(@".", "\U0001F600a", "\U0001F600|a")]
    [InlineData(@"x*", "axxb", "xx")]
    public void Expressions_match_by_code_point(string expression, string text, string matches) =>
        Assert.Equal(matches.Split('|'), TextPattern.Regex("test", expression).Find(text).Select(match => text[match.Start..match.End]));

    [Fact]
    public void Literals_are_replaced_without_overlap()
    {
        Assert.Equal("--a", TextPattern.Literal("aa").Replace("aaaaa", "-"));
        Assert.Equal("aaa", TextPattern.Literal("").Replace("aaa", "-"));
    }

    [Theory]
    [InlineData("Removed", false, "a|b|c")]
    [InlineData("Removed", true, "--|-")]
    [InlineData("Isolated", false, "a|-|-|b|-|c")]
    [InlineData("MergedWithPrevious", false, "a-|-|b-|c")]
    [InlineData("MergedWithNext", false, "a|-|-b|-c")]
    [InlineData("Contiguous", false, "a|--|b|-|c")]
    public void Splits_treat_delimiters_as_asked(string behavior, bool invert, string words)
    {
        var pieces = new List<TextPiece>();
        var pattern = behavior == "Removed" && invert ? TextPattern.Regex("test", "-+") : TextPattern.Literal("-");
        PreTokenizers.Split(pattern, Enum.Parse<SplitBehavior>(behavior), invert)(new TextPiece("a--b-c", true), pieces);
        Assert.Equal(words.Split('|'), pieces.Select(piece => piece.Text));
        Assert.Equal(!invert, pieces[0].AtStart);
        Assert.DoesNotContain(pieces.Skip(1), piece => piece.AtStart);
    }

    private static string HashOfComposed(IEnumerable<string> lines)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string line in lines)
            hash.AppendData(Encoding.UTF8.GetBytes(CanonicalComposition.Normalize(line) + "\n"));
        return Convert.ToHexString(hash.GetHashAndReset());
    }
}
