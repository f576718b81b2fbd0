using Attune.Tokenizers;

namespace Attune.Tests.Tokenizers;

/// <summary>What the golden cases (tokenizers/*), which run through the same classes, leave open.</summary>
public class TokenizerTests
{
    public static TheoryData<string> Names => ["clip", "clip-pad-exclamation", "t5", "qwen2", "gemma"];

    [Theory]
    [InlineData("clip", 1000, 77, 999)]
    [InlineData("clip-pad-exclamation", 1000, 77, 0)]
    [InlineData("t5", 512, 512, 0)]
    [InlineData("qwen2", 754, 4096, 740)]
    [InlineData("gemma", 760, int.MaxValue, 0)]
    public void Facts_come_from_the_files(string name, int size, int length, int pad)
    {
        var tokenizer = Folders.Load(name);
        Assert.Equal((size, length, pad), (tokenizer.VocabularySize, tokenizer.ModelMaxLength, tokenizer.PadId));
        Assert.Equal(name == "gemma" ? TokenSide.Left : TokenSide.Right, tokenizer.PaddingSide);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Tokens_and_ids_are_inverse(string name)
    {
        var tokenizer = Folders.Load(name);
        for (int id = 0; id < tokenizer.VocabularySize; id++)
            Assert.Equal(id, tokenizer.IdOf(Assert.IsType<string>(tokenizer.TokenOf(id))));
        Assert.Null(tokenizer.TokenOf(tokenizer.VocabularySize));
        Assert.Null(tokenizer.TokenOf(-1));
        Assert.Null(tokenizer.IdOf("no such token"));
        Assert.Throws<ArgumentException>(() => tokenizer.Decode([tokenizer.VocabularySize]));
    }

    [Theory]
    [InlineData("clip", 998, 999)]
    [InlineData("t5", 1)]
    [InlineData("qwen2")]
    [InlineData("gemma", 2)]
    public void No_text_gives_the_frame_alone(string name, params int[] frame)
    {
        var tokenizer = Folders.Load(name);
        Assert.Equal(frame, tokenizer.Encode("").Ids);
        Assert.Empty(tokenizer.Encode("", new TokenizerOptions { AddSpecialTokens = false }).Ids);
        if (name is "clip" or "t5")
            Assert.Equal(frame, tokenizer.Encode(" \t\u2003\n ").Ids);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Masks_are_one_on_tokens_and_zero_on_pads(string name)
    {
        var tokenizer = Folders.Load(name);
        int[] plain = tokenizer.Encode("a panda on a blue background").Ids;
        Assert.All(tokenizer.Encode("a panda on a blue background").Mask, value => Assert.Equal(1, value));
        foreach (var side in new[] { TokenSide.Left, TokenSide.Right })
        {
            var padded = tokenizer.Encode(
                "a panda on a blue background",
                new TokenizerOptions { MaxLength = 40, Padding = TokenPadding.MaxLength, PaddingSide = side });
            int[] pads = [.. Enumerable.Repeat(tokenizer.PadId!.Value, 40 - plain.Length)];
            int[] zeros = new int[pads.Length];
            int[] ones = [.. Enumerable.Repeat(1, plain.Length)];
            Assert.Equal(side == TokenSide.Left ? [.. pads, .. plain] : [.. plain, .. pads], padded.Ids);
            Assert.Equal(side == TokenSide.Left ? [.. zeros, .. ones] : [.. ones, .. zeros], padded.Mask);
        }
    }

    [Fact]
    public void A_batch_is_padded_to_its_longest()
    {
        var tokenizer = Folders.Load("t5");
        var batch = tokenizer.EncodeBatch(
            ["a panda", "", "a panda on a blue background"], new TokenizerOptions { Padding = TokenPadding.Longest });
        Assert.Equal([8, 8, 8], batch.Select(sequence => sequence.Ids.Length));
        Assert.Equal([1, 0, 0, 0, 0, 0, 0, 0], batch[1].Mask);
        Assert.Empty(tokenizer.EncodeBatch([], new TokenizerOptions { Padding = TokenPadding.Longest }));
    }

    [Fact]
    public void Without_a_largest_length_nothing_is_padded_to_it()
    {
        var tokenizer = Folders.Load("gemma");
        Assert.Equal(
            tokenizer.Encode("a panda").Ids,
            tokenizer.Encode("a panda", new TokenizerOptions { Padding = TokenPadding.MaxLength, Truncation = true }).Ids);
        Assert.Equal(77, Folders.Load("clip").Encode("a panda", new TokenizerOptions { Padding = TokenPadding.MaxLength }).Ids.Length);
    }

    [Theory]
    [InlineData("clip", 2)]
    [InlineData("t5", 1)]
    [InlineData("qwen2", 0)]
    [InlineData("gemma", 1)]
    public void Truncation_keeps_the_frame(string name, int frame)
    {
        var tokenizer = Folders.Load(name);
        const string text = "a panda <|endoftext|> </s> wearing sunglasses";
        int[] inner = tokenizer.Encode(text, new TokenizerOptions { AddSpecialTokens = false }).Ids;
        int[] whole = tokenizer.Encode(text).Ids;
        Assert.Equal(inner.Length + frame, whole.Length);
        for (int length = frame; length <= whole.Length + 1; length++)
        {
            int[] cut = tokenizer.Encode(text, new TokenizerOptions { MaxLength = length, Truncation = true }).Ids;
            int kept = Math.Min(length, whole.Length) - frame;
            int before = name is "clip" or "gemma" ? 1 : 0;
            Assert.Equal([.. whole[..before], .. inner[..kept], .. whole[(whole.Length - frame + before)..]], cut);
        }
        if (frame > 0)
            Assert.Throws<ArgumentException>(
                () => tokenizer.Encode(text, new TokenizerOptions { MaxLength = frame - 1, Truncation = true }));
        Assert.Throws<ArgumentException>(() => tokenizer.Encode(text, new TokenizerOptions { MaxLength = -1 }));
        Assert.Equal(whole, tokenizer.Encode(text, new TokenizerOptions { MaxLength = 3 }).Ids);
    }

    [Fact]
    public void Truncation_may_be_on_the_left()
    {
        var tokenizer = Folders.LoadCopy("clip", ["vocab.json", "merges.txt"], folder =>
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """
                {"tokenizer_class": "CLIPTokenizer", "truncation_side": "left"}
                """));
        int[] whole = tokenizer.Encode("a panda on a blue background").Ids;
        Assert.Equal(
            [998, .. whole[^4..]],
            tokenizer.Encode("a panda on a blue background", new TokenizerOptions { MaxLength = 5, Truncation = true }).Ids);
    }

    /// <summary>Special tokens count wherever they stand; in CLIP they are looked for after lower-casing, the pad token before.</summary>
    [Fact]
    public void Special_tokens_are_cut_out_of_words()
    {
        var clip = Folders.Load("clip-pad-exclamation");
        int[] panda = clip.Encode("panda", new TokenizerOptions { AddSpecialTokens = false }).Ids;
        Assert.Equal([998, .. panda, 999, .. panda, 0, 0, .. panda, 999], clip.Encode("panda<|EndOfText|>panda!!panda").Ids);
        var t5 = Folders.Load("t5");
        int[] word = t5.Encode("panda", new TokenizerOptions { AddSpecialTokens = false }).Ids;
        Assert.Equal([.. word, 511, .. word, 510, 1], t5.Encode("panda  <extra_id_0>\t\npanda<extra_id_1>  ").Ids);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Half_a_surrogate_pair_counts_as_a_replacement_character(string name)
    {
        var tokenizer = Folders.Load(name);
        Assert.Equal(tokenizer.Encode("a\uFFFDb\uFFFD").Ids, tokenizer.Encode("a\uD83Db\uDE00").Ids);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Composed_and_decomposed_letters_are_the_same_where_the_tokenizer_normalises(string name)
    {
        var tokenizer = Folders.Load(name);
        Action<int[], int[]> check = name == "gemma" ? Assert.NotEqual : Assert.Equal;
        check(
            tokenizer.Encode("café Ångström 한글").Ids,
            tokenizer.Encode("cafe\u0301 A\u030Angstro\u0308m \u1112\u1161\u11AB\u1100\u1173\u11AF").Ids);
    }

    /// <summary>Byte-level and byte-fallback vocabularies lose nothing but the composition of letters.</summary>
    [Theory]
    [InlineData("qwen2")]
    [InlineData("gemma")]
    public void Decoding_gives_the_text_back(string name)
    {
        var tokenizer = Folders.Load(name);
        foreach (var (text, ids) in Folders.Strings(name))
        {
            string expected = name == "qwen2" ? CanonicalComposition.Normalize(text) : text.Replace('\u2581', ' ');
            Assert.Equal(expected, tokenizer.Decode(ids.AsSpan(name == "gemma" ? 1 : 0), skipSpecialTokens: false));
        }
    }

    [Fact]
    public void Decoding_joins_words_as_the_vocabulary_marks_them()
    {
        Assert.Equal(
            "a panda on a blue background", Folders.Load("t5").Decode(Folders.Load("t5").Encode("a panda on a blue background").Ids));
        var clip = Folders.Load("clip");
        Assert.Equal("a naïve panda , 8 5 mm", clip.Decode(clip.Encode("A Naïve\tPanda, 85mm").Ids));
        Assert.Equal("<|startoftext|>a <|endoftext|>", clip.Decode(clip.Encode("a").Ids, skipSpecialTokens: false));
    }

    /// <summary>Long words must not take quadratic time: with it, this test would not end.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Long_words_are_encoded(string name)
    {
        var tokenizer = Folders.Load(name);
        foreach (string unit in new[] { "ab", "\u0301\u0323", "'", "<", "\uE000", "\U0001F469\u200D", "\n " })
        {
            string text = string.Concat(Enumerable.Repeat(unit, 100_000));
            Assert.InRange(tokenizer.Encode(text).Ids.Length, 1, 1_000_000);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Concurrent_calls_agree(string name)
    {
        var tokenizer = Folders.Load(name);
        var strings = Folders.Strings(name).ToArray();
        Parallel.For(0, 4, _ =>
        {
            foreach (var (text, ids) in strings)
                Assert.Equal(ids, tokenizer.Encode(text).Ids);
        });
    }
}
