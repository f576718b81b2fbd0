using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Reference = Tokenizers.DotNet.Tokenizer;

namespace Attune.Tests.Tokenizers;

/// <summary>
/// Random texts, the same every time, against Hugging Face's own library: the standing proof that the golden texts left nothing out. It is
/// a native library, which the tests alone have, on Linux on x64.
/// </summary>
public class DifferentialTests
{
    private const int Texts = 60_000;

    [Theory]
    [InlineData("clip", 30)]
    [InlineData("clip-pad-exclamation", 30)]
    [InlineData("qwen2", 10)]
    [InlineData("t5", 0)]
    [InlineData("gemma", 0)]
    public void Random_texts_have_the_ids_of_the_reference(string name, int mostOfNewerUnicode)
    {
        SkipWithoutReference();
        using var folder = new TemporaryFolder();
        var tokenizer = Folders.Load(name);
        using var reference = new Reference(FileOf(name, folder));
        var random = new Random(20);
        string[] special = [.. Enumerable.Range(0, tokenizer.VocabularySize)
            .Select(id => tokenizer.TokenOf(id)!)
            .Where(token => token.Length > 2 && token[0] is '<' or '[' && token[^1] is '>' or ']')];
        Assert.NotEmpty(special);
        int newer = 0;
        for (int i = 0; i < Texts; i++)
        {
            string text = TextOf(random, special);
            int[] expected = [.. reference.Encode(text).Select(id => (int)id)];
            int[] actual = tokenizer.Encode(text).Ids;
            if (expected.AsSpan().SequenceEqual(actual))
                continue;
            Assert.True(
                text.EnumerateRunes().Any(IsNewerThanASide),
                $"text {i}, {string.Join(' ', text.EnumerateRunes().Select(rune => $"{rune.Value:X4}"))}: "
                    + $"expected {string.Join(' ', expected)}, got {string.Join(' ', actual)}");
            newer++;
        }
        Assert.InRange(newer, 0, mostOfNewerUnicode);
    }

    private static void SkipWithoutReference() => Assert.SkipUnless(
        OperatingSystem.IsLinux() && RuntimeInformation.RuntimeIdentifier.EndsWith("-x64", StringComparison.Ordinal),
        "The reference library is there for Linux on x64.");

    /// <summary>The marks that are allowed for are those that the reference does not know, no more and no fewer.</summary>
    [Fact]
    public void The_marks_that_the_reference_does_not_know_are_these()
    {
        SkipWithoutReference();
        using var folder = new TemporaryFolder();
        var tokenizer = Folders.Load("qwen2");
        using var reference = new Reference(FileOf("qwen2", folder));
        for (int code = 0x300; code < 0x20000; code++)
        {
            if (!Rune.TryCreate(code, out var rune))
                continue;

            // Before a mark of the lowest class and behind one of the highest.
            string[] texts = [$"a{rune}\u0334", $"a\u0345{rune}"];
            bool equal = texts.All(text => reference.Encode(text).Select(id => (int)id).SequenceEqual(tokenizer.Encode(text).Ids));
            Assert.True(equal != IsNewMark(rune), $"{code:X4}");
        }
    }

    /// <summary>
    /// Characters on whose Unicode version the sides differ: letters with two cases that .NET does not know yet (Unicode 16 and 17), and
    /// combining marks that the reference's normaliser does not know yet, and so leaves in the order in which they come.
    /// </summary>
    private static bool IsNewerThanASide(Rune rune) =>
        Rune.GetUnicodeCategory(rune) == UnicodeCategory.OtherNotAssigned || IsNewMark(rune);

    private static bool IsNewMark(Rune rune) =>
        MarksNewerThanReference.Any(range => rune.Value >= range.First && rune.Value <= range.Last);

    private static readonly (int First, int Last)[] MarksNewerThanReference = [
        (0x07FD, 0x07FD), (0x0898, 0x089F), (0x08CA, 0x08D3), (0x09FE, 0x09FE), (0x0C3C, 0x0C3C), (0x0D3B, 0x0D3C), (0x0EBA, 0x0EBA),
        (0x1715, 0x1715), (0x1ABF, 0x1ACE), (0x1DF6, 0x1DFA), (0xA82C, 0xA82C), (0x10D24, 0x10D27), (0x10EAB, 0x10EAC),
        (0x10F46, 0x10F50), (0x10F82, 0x10F85), (0x11070, 0x11070), (0x1133B, 0x1133B), (0x1145E, 0x1145E), (0x11839, 0x1183A),
        (0x1193D, 0x1193E), (0x11943, 0x11943), (0x119E0, 0x119E0), (0x11A34, 0x11A34), (0x11A47, 0x11A47), (0x11A99, 0x11A99),
        (0x11D42, 0x11D42), (0x11D44, 0x11D45), (0x11D97, 0x11D97), (0x16FF0, 0x16FF1), (0x1E130, 0x1E136), (0x1E2AE, 0x1E2AE),
        (0x1E2EC, 0x1E2EF)];

    /// <summary>The reference reads tokenizer.json alone; that of CLIP is written as transformers converts vocabulary and merges.</summary>
    private static string FileOf(string name, TemporaryFolder folder)
    {
        string golden = Folders.Golden(name), json = Path.Combine(golden, "tokenizer.json");
        if (File.Exists(json))
            return json;
        var vocabulary = Folders.ReadJson(Path.Combine(golden, "vocab.json"));
        var config = Folders.ReadJson(Path.Combine(golden, "tokenizer_config.json"));
        JsonArray merges = [
            .. File.ReadAllLines(Path.Combine(golden, "merges.txt"))
            .Where(line => line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal))
            .Select(line => (JsonNode)line)];
        var added = new JsonArray();
        foreach (string role in new[] { "bos_token", "eos_token", "pad_token" })
        {
            bool plain = config[role] is JsonValue;
            string content = plain ? (string)config[role]! : (string)config[role]!["content"]!;
            if (added.All(token => (string)token!["content"]! != content))
            {
                added.Add(
                    new JsonObject {
                        ["id"] = (int)vocabulary[content]!, ["content"] = content, ["single_word"] = false, ["lstrip"] = false,
                        ["rstrip"] = false, ["normalized"] = !plain, ["special"] = true });
            }
        }
        JsonArray Frame(string token) => [token, (int)vocabulary[token]!];
        JsonObject Regex(string pattern) => new() { ["Regex"] = pattern };
        var made = new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = added,
            ["normalizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["normalizers"] = new JsonArray(
                    new JsonObject { ["type"] = "NFC" },
                    new JsonObject { ["type"] = "Replace", ["pattern"] = Regex(@"\s+"), ["content"] = " " },
                    new JsonObject { ["type"] = "Lowercase" }),
            },
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject
                    {
                        ["type"] = "Split",
                        ["pattern"] = Regex(@"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"),
                        ["behavior"] = "Removed",
                        ["invert"] = true,
                    },
                    new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true }),
            },
            ["post_processor"] = new JsonObject
            {
                ["type"] = "RobertaProcessing",
                ["sep"] = Frame("<|endoftext|>"),
                ["cls"] = Frame("<|startoftext|>"),
                ["trim_offsets"] = false,
                ["add_prefix_space"] = false,
            },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = true, ["trim_offsets"] = true },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = "<|endoftext|>",
                ["continuing_subword_prefix"] = "",
                ["end_of_word_suffix"] = "</w>",
                ["fuse_unk"] = false,
                ["vocab"] = vocabulary,
                ["merges"] = merges,
            },
        };
        File.WriteAllText(folder.At("tokenizer.json"), made.ToJsonString());
        return folder.At("tokenizer.json");
    }

    private static readonly string[] Words = [
        "a", "red", "panda", "on", "the", "cube", "don't", "we'll", "I'VE", "it's", "Größe", "naïve", "İstanbul", "ﬁne", "ǅ", "ß",
        "ΣΑΣ", "日本語", "東京", "한국어", "привет", "שלום", "مرحبا", "हिन्दी", "ไทย", "glasss", "sss", "aaaaaaaa", "12", "3.14", "1,000",
        "½", "²", "𝟘𝟙", "\u2581", "\u2581\u2581a", "</w>", "#version", "\u0000", "\u0001", "\u007F", "\u00AD", "\u200B", "\u200D",
        "\uFEFF", "\uFFFD", "\uFE0F", "👩\u200D👩\u200D👧", "🇩🇪", "👍🏽", "e\u0301", "q\u0323\u0307", "\u1100\u1161\u11A8", "①", "Ａ",
        "㍿", "--", "...", "!!", "\"", "(((", "_"];

    private static readonly string[] Spaces = [
        " ", " ", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "\u00A0", "\u2003", "\u3000", "\u2028", "\u0085", "\u1680", ""];

    private static string TextOf(Random random, string[] special)
    {
        var text = new StringBuilder();
        for (int parts = random.Next(0, 12); parts > 0; parts--)
        {
            switch (random.Next(10))
            {
                case 0:
                    text.Append(special[random.Next(special.Length)]);
                    break;
                case 1:
                    for (int i = random.Next(1, 6); i > 0; i--)
                        text.Append(RuneOf(random, 0x20, 0x2FFF));
                    break;
                case 2:
                    text.Append(RuneOf(random, 0x20, 0xFFFF)).Append(RuneOf(random, 0x10000, 0x1FFFF));
                    break;
                case 3:
                    text.Append((char)random.Next('a', 'z' + 1));
                    for (int i = random.Next(1, 4); i > 0; i--)
                        text.Append(RuneOf(random, 0x300, 0x36F));
                    break;
                case 4:
                    for (int i = random.Next(1, 9); i > 0; i--)
                        text.Append((char)random.Next(0x21, 0x7F));
                    break;
                default:
                    string word = Words[random.Next(Words.Length)];
                    text.Append(random.Next(4) == 0 ? word.ToUpperInvariant() : word);
                    break;
            }
            text.Append(Spaces[random.Next(Spaces.Length)]);
        }
        return text.ToString();
    }

    private static Rune RuneOf(Random random, int first, int last)
    {
        while (true)
        {
            if (Rune.TryCreate(random.Next(first, last + 1), out var rune))
                return rune;
        }
    }
}
