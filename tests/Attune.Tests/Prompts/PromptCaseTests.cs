using Attune.Prompts;

namespace Attune.Tests.Prompts;

/// <summary>What Python 3.13 makes of the same texts.</summary>
public class PromptCaseTests
{
    [Theory]
    [InlineData(" The Lion, Oil Painting\n", "the lion, oil painting")]
    [InlineData("", "")]
    [InlineData(" \t\u00a0\u3000\u2028", "")]
    [InlineData("\u001c\u001d A \u001e\u001f", "a")]
    [InlineData("A\u200b ", "a\u200b")]
    [InlineData("İstanbul", "i\u0307stanbul")]
    [InlineData("ΟΔΟΣ", "οδος")]
    [InlineData("ΟΔΟΣ.", "οδος.")]
    [InlineData("ΟΔΟΣ ΟΔΟΣ'Α", "οδος οδοσ'α")]
    [InlineData("Σ", "σ")]
    [InlineData("ΑΣ\u0301", "ας\u0301")]
    [InlineData("ΑΣ1", "ας1")]
    [InlineData("1Σ", "1σ")]
    [InlineData("ÄÖÜẞ Ǆ ǅ", "äöüß ǆ ǆ")]
    [InlineData("𐐀🎨", "𐐨🎨")]
    [InlineData("K Å Ω", "k å ω")]
    public void A_prompt_is_lowered_and_stripped(string prompt, string expected) =>
        Assert.Equal(expected, PromptCase.LowerStripped(prompt));
}
