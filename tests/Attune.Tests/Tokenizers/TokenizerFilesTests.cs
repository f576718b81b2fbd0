using System.Text.Json.Nodes;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Tests.Tokenizers;

/// <summary>The layouts of a tokenizer's folder, and what is said about broken ones.</summary>
public class TokenizerFilesTests
{
    /// <summary>Repositories hold different subsets of the files; each must give the same ids.</summary>
    [Theory]
    [InlineData("t5", "spiece.model", "tokenizer_config.json")]
    [InlineData("t5", "spiece.model", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json")]
    [InlineData("t5", "tokenizer.json", "tokenizer_config.json")]
    [InlineData("t5", "tokenizer.json")]
    [InlineData("qwen2", "vocab.json", "merges.txt", "tokenizer_config.json")]
    [InlineData("qwen2", "tokenizer.json")]
    [InlineData("clip", "vocab.json", "merges.txt", "tokenizer_config.json")]
    [InlineData("clip", "vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json")]
    [InlineData("gemma", "tokenizer.json", "tokenizer_config.json")]
    [InlineData("gemma", "tokenizer.json")]
    public void Any_sufficient_set_of_files_gives_the_same_ids(string name, params string[] files)
    {
        var tokenizer = Folders.LoadCopy(name, files, _ => { });
        foreach (var (text, ids) in Folders.Strings(name))
            Assert.Equal(ids, tokenizer.Encode(text).Ids);
    }

    /// <summary>The Hub's older T5 folders: extra ids by number, or by added_tokens.json, and nothing else.</summary>
    [Fact]
    public void T5_needs_no_list_of_added_tokens()
    {
        var tokenizer = Folders.LoadCopy("t5", ["spiece.model"], folder =>
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """
                {"tokenizer_class": "T5Tokenizer", "extra_ids": 100, "model_max_length": 512}
                """));
        foreach (var (text, ids) in Folders.Strings("t5"))
            Assert.Equal(ids, tokenizer.Encode(text).Ids);
        Assert.Equal(
            (0, 512, 411), (tokenizer.PadId, tokenizer.VocabularySize, tokenizer.IdOf(tokenizer.TokenOf(411)!)));
    }

    [Fact]
    public void Added_tokens_json_adds_tokens_of_its_own()
    {
        var tokenizer = Folders.LoadCopy("clip", ["vocab.json", "merges.txt", "special_tokens_map.json"], folder =>
        {
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"tokenizer_class": "CLIPTokenizer"}""");
            File.WriteAllText(Path.Combine(folder, "added_tokens.json"), """{"<my-style>": 1000}""");
        });
        Assert.Equal([998, 1000, 320, 1000, 999], tokenizer.Encode("<my-style>a<my-style>").Ids);
        Assert.Equal(1001, tokenizer.VocabularySize);
    }

    /// <summary>CLIP in one file, as its converter writes it.</summary>
    [Fact]
    public void Clip_may_come_as_tokenizer_json()
    {
        var vocabulary = Folders.ReadJson(Path.Combine(Folders.Golden("clip"), "vocab.json"));
        string[] merges = [
            .. File.ReadLines(Path.Combine(Folders.Golden("clip"), "merges.txt"))
                .Where(line => !line.StartsWith("#version", StringComparison.Ordinal))];
        var json = new JsonObject
        {
            ["added_tokens"] = JsonNode.Parse("""
                [{"id": 998, "content": "<|startoftext|>", "special": true, "normalized": true}, {"id": 999, "content": "<|endoftext|>",
                  "special": true, "normalized": true}]
                """),
            ["normalizer"] = JsonNode.Parse("""
                {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
                {"type": "Lowercase"}]}
                """),
            ["pre_tokenizer"] = JsonNode.Parse("""
                {"type": "Sequence", "pretokenizers": [{"type": "Split",
                  "pattern": {"Regex": "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"},
                "behavior": "Removed", "invert": true}, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}]}
                """),
            ["post_processor"] = JsonNode.Parse("""
                {"type": "RobertaProcessing", "sep": ["<|endoftext|>", 999], "cls": ["<|startoftext|>", 998], "trim_offsets": false,
                "add_prefix_space": false}
                """),
            ["decoder"] = JsonNode.Parse("""{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}"""),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE", ["unk_token"] = "<|endoftext|>", ["continuing_subword_prefix"] = "", ["end_of_word_suffix"] = "</w>",
                ["fuse_unk"] = false,
                ["vocab"] = vocabulary, ["merges"] = new JsonArray([.. merges.Select(merge => (JsonNode)merge)]),
            },
        };
        var tokenizer = Folders.LoadJson(json);
        foreach (var (text, ids) in Folders.Strings("clip"))
            Assert.Equal(ids, tokenizer.Encode(text).Ids);
        Assert.Equal("a panda", tokenizer.Decode(tokenizer.Encode("A panda").Ids));

        // The configuration's pad token is added as a special one.
        var padded = Folders.LoadJson(json, """
            {"tokenizer_class": "CLIPTokenizer", "pad_token": "!", "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
            "model_max_length": 77}
            """);
        foreach (var (text, ids) in Folders.Strings("clip-pad-exclamation"))
            Assert.Equal(ids, padded.Encode(text).Ids);
    }

    /// <summary>UMT5's layout: words at white space, pieces with bytes for what the vocabulary lacks, where the file asks for it.</summary>
    [Fact]
    public void Unigram_pieces_may_fall_back_to_bytes()
    {
        var pieces = new JsonArray();
        void Add(string piece, double score) => pieces.Add((JsonNode)new JsonArray(piece, score));
        Add("<pad>", 0);
        Add("</s>", 0);
        Add("<unk>", 0);
        for (int value = 0; value < 256; value++)
            Add($"<0x{value:X2}>", -20);
        Add("\u2581", -2);
        Add("a", -3);
        Add("\u2581a", -6);
        Add("b", -4);
        var json = new JsonObject
        {
            ["added_tokens"] = JsonNode.Parse("""[{"id": 1, "content": "</s>", "special": true}]"""),
            ["normalizer"] = null,
            ["pre_tokenizer"] = JsonNode.Parse("""
                {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581",
                "add_prefix_space": true}]}
                """),
            ["post_processor"] = JsonNode.Parse("""
                {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>",
                  "type_id": 0}}], "pair": [],
                "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}}
                """),
            ["decoder"] = JsonNode.Parse("""
                {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "\u2581"}]}
                """),
            ["model"] = new JsonObject { ["type"] = "Unigram", ["unk_id"] = 2, ["byte_fallback"] = true, ["vocab"] = pieces },
        };
        var tokenizer = Folders.LoadJson(json);

        // -2 - 3 beats -6; the snowman is E2 98 83.
        Assert.Equal([259, 260, 259, 262, 3 + 0xE2, 3 + 0x98, 3 + 0x83, 260, 1], tokenizer.Encode(" a\t\u2003b☃a\n").Ids);
        Assert.Equal("a b☃a", tokenizer.Decode(tokenizer.Encode("a b☃a").Ids));

        json["model"]!["byte_fallback"] = false;
        Assert.Equal([259, 262, 2, 260, 1], Folders.LoadJson(json).Encode("b☃☃☃a").Ids);
    }

    [Theory]
    [InlineData("always", "ab", "cd")]
    [InlineData("first", "ab", "c")]
    [InlineData("never", "b", "c")]
    public void Metaspace_prepends_as_its_scheme_says(string scheme, string start, string inside)
    {
        var pieces = new JsonArray();
        foreach (string piece in new[] { "<unk>", "\u2581", "a", "b", "\u2581b", "c", "\u2581c", "<x>" })
            pieces.Add((JsonNode)new JsonArray(piece, -1.0));
        var json = new JsonObject
        {
            ["added_tokens"] = JsonNode.Parse("""[{"id": 7, "content": "<x>", "special": true}]"""),
            ["pre_tokenizer"] = new JsonObject { ["type"] = "Metaspace", ["replacement"] = "\u2581", ["prepend_scheme"] = scheme },
            ["model"] = new JsonObject { ["type"] = "Unigram", ["unk_id"] = 0, ["vocab"] = pieces },
        };
        Assert.Equal([start == "ab" ? 4 : 3, 7, inside == "cd" ? 6 : 5, 4], Folders.LoadJson(json).Encode("b<x>c b").Ids);
    }

    public static TheoryData<string, string, string, string> Faults => new()
    {
        { "t5", "tokenizer.json", "\"type\": \"Unigram\"", "\"type\": \"WordPiece\"" },
        { "t5", "tokenizer.json", "\"type\": \"Precompiled\"", "\"type\": \"Nmt\"" },
        { "t5", "tokenizer.json", "\"unk_id\": 2", "\"unk_id\": 2000" },
        { "t5", "tokenizer.json", "\"unk_id\": 2", "\"unk_id\": null" },
        { "t5", "tokenizer.json", "\"prepend_scheme\": \"always\"", "\"prepend_scheme\": \"sometimes\"" },
        { "qwen2", "tokenizer.json", "\"type\": \"ByteLevel\"", "\"type\": \"Bytes\"" },
        { "qwen2", "tokenizer.json", "\"behavior\": \"Isolated\"", "\"behavior\": 1" },
        { "qwen2", "tokenizer.json", "\\\\s+(?!\\\\S)", "\\\\s+(?!\\\\S" },
        { "gemma", "tokenizer.json", "\"<unk>\": 3", "\"<nothing>\": 3" },
        { "gemma", "tokenizer.json", "\"<pad>\": 0", "\"<pad>\": -1" },
        { "gemma", "tokenizer_config.json", "\"padding_side\"", "" },
        { "clip", "merges.txt", "r o\n", "r o o\n" },
        { "clip", "merges.txt", "r o\n", "r \u4E00\n" },
        { "clip", "vocab.json", "\"<|endoftext|>\": 999", "\"<|nothing|>\": 999" },
        { "clip", "vocab.json", "{", "[{" },
        { "clip", "tokenizer_config.json", "CLIPTokenizer", "RobertaTokenizer" },
        { "clip", "tokenizer_config.json", "\"model_max_length\": 77", "\"model_max_length\": \"77\"" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void Faults_name_the_file(string name, string file, string text, string replacement)
    {
        Tokenizer Load() =>
            Folders.LoadCopy(name, Directory.EnumerateFiles(Folders.Golden(name)).Select(path => Path.GetFileName(path)), folder =>
        {
            string path = Path.Combine(folder, file);
            string content = File.ReadAllText(path);
            if (replacement.Length == 0)
                content = content.Replace("{\n  \"add_bos", "{\n  \"padding_side\": \"above\",\n  \"add_bos", StringComparison.Ordinal);
            else
                Assert.Contains(text, content, StringComparison.Ordinal);
            File.WriteAllText(path, replacement.Length == 0 ? content : content.Replace(text, replacement, StringComparison.Ordinal));
        });
        Assert.Contains(file, Assert.Throws<CheckpointException>(Load).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("spiece.model")]
    [InlineData("tokenizer.json")]
    [InlineData("vocab.json", "merges.txt")]
    [InlineData("tokenizer_config.json")]
    public void Empty_files_are_named(params string[] files)
    {
        var exception = Assert.Throws<CheckpointException>(() => Folders.LoadCopy("clip", [], folder =>
        {
            foreach (string file in files)
                File.WriteAllText(Path.Combine(folder, file), "");
        }));
        Assert.Contains(files[0], exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_files_are_named()
    {
        Assert.Contains(
            "spiece.model", Assert.Throws<CheckpointException>(() => Folders.LoadCopy("clip", [], _ => { })).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "no such folder", Assert.Throws<CheckpointException>(() => Tokenizer.Load("no such folder")).Message, StringComparison.Ordinal);
    }

    /// <summary>
    /// A vocabulary alone, where the model's index names the class: special tokens, frame and padding are those of the class.
    /// </summary>
    [Theory]
    [InlineData("CLIPTokenizer", null)]
    [InlineData("CLIPTokenizerFast", null)]
    [InlineData("CLIPTokenizer", "{}")]
    [InlineData(null, """{"tokenizer_class": "CLIPTokenizer"}""")]
    [InlineData("T5Tokenizer", """{"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}""")]
    public void Clip_needs_no_more_than_a_vocabulary(string? className, string? config)
    {
        var whole = Folders.Load("clip");
        using var folder = new TemporaryFolder();
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(Folders.Golden("clip"), file), folder.At(file));
        if (config != null)
            File.WriteAllText(folder.At("tokenizer_config.json"), config);
        var bare = Tokenizer.Load(folder.Path, className);
        var options = new TokenizerOptions { MaxLength = 24, Truncation = true, Padding = TokenPadding.MaxLength };
        foreach (var (text, _) in Folders.Strings("clip"))
            Assert.Equal(whole.Encode(text, options).Ids, bare.Encode(text, options).Ids);
        Assert.Equal(whole.PadId, bare.PadId);
        Assert.Equal(config?.Contains("77", StringComparison.Ordinal) == true ? 77 : int.MaxValue, bare.ModelMaxLength);
    }

    [Fact]
    public void T5_needs_no_more_than_its_pieces()
    {
        var whole = Folders.Load("t5");
        using var folder = new TemporaryFolder();
        File.Copy(Path.Combine(Folders.Golden("t5"), "spiece.model"), folder.At("spiece.model"));
        var bare = Tokenizer.Load(folder.Path, "T5TokenizerFast");
        var options = new TokenizerOptions { MaxLength = 24, Truncation = true, Padding = TokenPadding.MaxLength };
        foreach (var (text, _) in Folders.Strings("t5"))
            Assert.Equal(whole.Encode(text, options).Ids, bare.Encode(text, options).Ids);
    }

    [Fact]
    public void A_vocabulary_without_a_class_is_refused()
    {
        using var folder = new TemporaryFolder();
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(Folders.Golden("clip"), file), folder.At(file));
        Assert.Contains(
            "names the class; expected CLIPTokenizer or Qwen2Tokenizer",
            Assert.Throws<CheckpointException>(() => Tokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "a tokenizer of the class 'BertTokenizer' with vocab.json and merges.txt",
            Assert.Throws<CheckpointException>(() => Tokenizer.Load(folder.Path, "BertTokenizerFast")).Message, StringComparison.Ordinal);
    }
}
