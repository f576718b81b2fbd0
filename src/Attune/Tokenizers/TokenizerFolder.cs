using System.Globalization;
using System.Text.Json;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>
/// Reads a tokenizer's folder. tokenizer.json states all parts; of the older layouts, which hold a vocabulary only, the class in
/// tokenizer_config.json says how transformers converts them to the same parts.
/// </summary>
internal sealed class TokenizerFolder
{
    private const string ClipWords = @"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    private const string QwenWords =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string SpaceMark = "\u2581";
    private const int MostExtraIds = 100_000;

    /// <summary>No tokenizer has as many tokens; larger ids are mistakes, and would overflow what is added to them.</summary>
    private const int MostIds = 1 << 28;

    private static readonly string[] Roles = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
    private readonly string _folder;
    private readonly JsonPart? _config;
    private readonly JsonPart? _specialTokensMap;
    private readonly JsonPart? _addedTokens;

    /// <summary>tokenizer_class, or what the model says where that is missing, without the "Fast" at its end.</summary>
    private readonly string _class;

    private TokenizerFolder(string folder, string? className)
    {
        _folder = folder;
        _config = ReadJson("tokenizer_config.json");
        _specialTokensMap = ReadJson("special_tokens_map.json");
        _addedTokens = ReadJson("added_tokens.json");
        string name = _config?.Find("tokenizer_class")?.String() ?? className ?? "";
        _class = name.EndsWith("Fast", StringComparison.Ordinal) ? name[..^4] : name;
    }

    public static Tokenizer Load(string folder, string? className)
    {
        if (!Directory.Exists(folder))
            throw new CheckpointException($"'{folder}' is no folder; expected the folder of a tokenizer.");
        return new Tokenizer(new TokenizerFolder(folder, className).Read());
    }

    private TokenizerParts Read()
    {
        if (ReadJson("tokenizer.json") is { } json)
            return Complete(ReadTokenizerJson(json), json);
        if (PathOf("vocab.json") is { } vocabulary && PathOf("merges.txt") is { } merges)
        {
            return Complete(_class switch
            {
                "CLIPTokenizer" => ReadClip(vocabulary, merges),
                "Qwen2Tokenizer" => ReadQwen2(vocabulary, merges),
                _ => throw UnsupportedClass("vocab.json and merges.txt", "CLIPTokenizer or Qwen2Tokenizer"),
            });
        }
        if (PathOf("spiece.model") is { } pieces)
        {
            return Complete(_class switch
            {
                "T5Tokenizer" => ReadT5(pieces),
                _ => throw UnsupportedClass("spiece.model", "T5Tokenizer"),
            });
        }
        if (PathOf("vocab.txt") is { } words)
        {
            return Complete(_class switch
            {
                "BertTokenizer" => ReadBert(words),
                _ => throw UnsupportedClass("vocab.txt", "BertTokenizer"),
            });
        }
        throw new CheckpointException(
            $"'{_folder}' holds no tokenizer: expected tokenizer.json, vocab.json with merges.txt, spiece.model, or vocab.txt.");
    }

    private static TokenizerParts ReadTokenizerJson(JsonPart json)
    {
        var (before, after) = ReadFrame(json.Find("post_processor"));
        var parts = new TokenizerParts
        {
            Normalizer = Normalizers.Read(json.Find("normalizer")),
            PreTokenizer = PreTokenizers.Read(json.Find("pre_tokenizer")),
            Decoder = Decoders.Read(json.Find("decoder")),
            Model = ReadModel(json["model"], out string wordEnd),
            Before = before,
            After = after,
            AddedTokens = [
                .. json.Find("added_tokens")?.Items().Select(token => ReadAddedToken(token, special: false, IdOf(token["id"]))) ?? []],
        };

        // As transformers decodes CLIP.
        return wordEnd.Length > 0 && json.Find("decoder")?.Type == "ByteLevel" ? parts with { Decoder = Decoders.ByteLevel(wordEnd) }
            : parts;
    }

    private static ITokenModel ReadModel(JsonPart model, out string wordEnd)
    {
        wordEnd = "";
        var vocabulary = model["vocab"];
        string type = model.Find("type")?.String()
            ?? (vocabulary.Element.ValueKind == JsonValueKind.Array ? "Unigram" : model.Has("merges") ? "BPE" : "");
        if (type == "Unigram")
        {
            if (vocabulary.Element.ValueKind != JsonValueKind.Array)
                throw vocabulary.Wrong("a list of pieces and their scores");
            var pieces = new List<(string, double)>(vocabulary.Element.GetArrayLength());
            foreach (var entry in vocabulary.Element.EnumerateArray())
            {
                if (entry.ValueKind != JsonValueKind.Array || entry.GetArrayLength() != 2 || JsonPart.TryString(entry[0]) is not { } piece
                    || entry[1].ValueKind != JsonValueKind.Number || !entry[1].TryGetDouble(out double score))
                    throw new CheckpointException(
                        $"'{model.File}': entry {pieces.Count} of model.vocab is {JsonPart.Shorten(entry)}, expected a piece and its "
                            + $"score.");
                pieces.Add((piece, score));
            }
            return new UnigramModel(model.File, pieces, model["unk_id"].Id(), model.Find("byte_fallback")?.Bool() ?? false);
        }
        if (type == "BPE")
        {
            wordEnd = model.Find("end_of_word_suffix")?.String() ?? "";
            return new BytePairModel(model.File, CheckIds(model.File, vocabulary.Ids()), Merges(model["merges"]), new BytePairOptions
            {
                UnknownToken = model.Find("unk_token")?.String(),
                ContinuingSubwordPrefix = model.Find("continuing_subword_prefix")?.String() ?? "",
                EndOfWordSuffix = wordEnd,
                FuseUnknown = model.Find("fuse_unk")?.Bool() ?? false,
                ByteFallback = model.Find("byte_fallback")?.Bool() ?? false,
                IgnoreMerges = model.Find("ignore_merges")?.Bool() ?? false,
            });
        }
        if (type == "WordPiece")
        {
            return new WordPieceModel(
                model.File, CheckIds(model.File, vocabulary.Ids()), model.Find("unk_token")?.String() ?? "[UNK]",
                model.Find("continuing_subword_prefix")?.String() ?? "##", model.Find("max_input_chars_per_word")?.Id() ?? 100);
        }
        throw new CheckpointException($"'{model.File}': a model of type '{type}' is not supported; expected BPE, Unigram or WordPiece.");
    }

    /// <summary>Merges as pairs, or in older files as strings with a space in between.</summary>
    private static IEnumerable<(string Left, string Right)> Merges(JsonPart merges)
    {
        if (merges.Element.ValueKind != JsonValueKind.Array)
            throw merges.Wrong("a list of merges");
        int index = 0;
        foreach (var entry in merges.Element.EnumerateArray())
        {
            if (entry.ValueKind == JsonValueKind.Array
                && entry.GetArrayLength() == 2 && JsonPart.TryString(entry[0]) is { } left && JsonPart.TryString(entry[1]) is { } right)
                yield return (left, right);
            else if (JsonPart.TryString(entry) is { } text && Divide(text) is { } pair)
                yield return pair;
            else
                throw new CheckpointException(
                    $"'{merges.File}': entry {index} of model.merges is {JsonPart.Shorten(entry)}, expected two tokens.");
            index++;
        }
    }

    private static IEnumerable<(string Left, string Right)> ReadMerges(string file)
    {
        int number = 0;
        foreach (string line in File.ReadLines(file))
        {
            number++;
            if (line.Length == 0 || line.StartsWith("#version", StringComparison.Ordinal))
                continue;
            yield return Divide(line)
                ?? throw new CheckpointException($"'{file}': line {number} is '{line}', expected two tokens with a space in between.");
        }
    }

    private static (string Left, string Right)? Divide(string merge)
    {
        int space = merge.IndexOf(' ', StringComparison.Ordinal);
        return space > 0 && space < merge.Length - 1 && merge.IndexOf(' ', space + 1) < 0 ? (merge[..space], merge[(space + 1)..]) : null;
    }

    /// <summary>The special tokens around a text.</summary>
    private static (int[] Before, int[] After) ReadFrame(JsonPart? entry)
    {
        if (entry is not { } part)
            return ([], []);
        switch (part.Type)
        {
            case "ByteLevel":
                return ([], []);
            case "BertProcessing" or "RobertaProcessing":
                return ([TokenAndId(part["cls"])], [TokenAndId(part["sep"])]);
            case "Sequence":
                var frames = part["processors"].Items().Select(inner => ReadFrame(inner)).ToList();
                return (
                    [.. frames.AsEnumerable().Reverse().SelectMany(frame => frame.Before)], [.. frames.SelectMany(frame => frame.After)]);
            case "TemplateProcessing":
                var ids = new List<int>();
                int? text = null;
                foreach (var item in part["single"].Items())
                {
                    if (item.Find("SpecialToken") is { } special)
                        ids.AddRange(part["special_tokens"][special["id"].String()]["ids"].Items().Select(IdOf));
                    else if (item["Sequence"] is var sequence && text == null)
                        text = ids.Count;
                    else
                        throw sequence.Wrong("no second sequence");
                }
                return text is { } at ? ([.. ids[..at]], [.. ids[at..]]) : throw part["single"].Wrong("a list with a sequence");
            default:
                throw part.Unsupported("ByteLevel, BertProcessing, RobertaProcessing, Sequence or TemplateProcessing");
        }
    }

    private static int TokenAndId(JsonPart pair)
    {
        var items = pair.Items().ToList();
        return items.Count == 2 ? IdOf(items[1]) : throw pair.Wrong("a token and its id");
    }

    private TokenizerParts ReadClip(string vocabulary, string merges)
    {
        const string WordEnd = "</w>";
        var model = ReadBytePair(
            vocabulary, merges, new BytePairOptions { EndOfWordSuffix = WordEnd, UnknownToken = SpecialToken("unk_token") });
        return new TokenizerParts
        {
            Model = model,
            Normalizer = Normalizers.Sequence(
                Normalizers.Nfc, Normalizers.Replace(TextPattern.Regex(vocabulary, @"\s+"), " "), Normalizers.Lowercase),
            PreTokenizer = PreTokenizers.Sequence(
                PreTokenizers.Split(TextPattern.Regex(vocabulary, ClipWords), SplitBehavior.Removed, invert: true),
                PreTokenizers.ByteLevel(addPrefixSpace: false, split: true)),
            Decoder = Decoders.ByteLevel(WordEnd),
            Before = [IdIn(model, vocabulary, "bos_token")],
            After = [IdIn(model, vocabulary, "eos_token")],
        };
    }

    private TokenizerParts ReadQwen2(string vocabulary, string merges) => new()
    {
        Model = ReadBytePair(vocabulary, merges, new BytePairOptions()),
        Normalizer = Normalizers.Nfc,
        PreTokenizer = PreTokenizers.Sequence(
            PreTokenizers.Split(TextPattern.Regex(vocabulary, QwenWords), SplitBehavior.Isolated, invert: false),
            PreTokenizers.ByteLevel(_config?.Find("add_prefix_space")?.Bool() ?? false, split: false)),
        Decoder = Decoders.ByteLevel,
    };

    private BytePairModel ReadBytePair(string vocabulary, string merges, BytePairOptions options)
    {
        var ids = CheckIds(vocabulary, ReadJson("vocab.json")!.Ids());
        if (options.UnknownToken is { } unknown && !ids.ContainsKey(unknown))
            throw new CheckpointException($"'{vocabulary}': the unknown token '{unknown}' is not in the vocabulary.");
        return new BytePairModel(merges, ids, ReadMerges(merges), options);
    }

    /// <summary>T5 from its SentencePiece model: behind the pieces follow the extra ids, the last one first.</summary>
    private TokenizerParts ReadT5(string file)
    {
        var source = SentencePieceFile.Read(file);
        if (!source.IsUnigram)
            throw new CheckpointException(
                $"'{file}' is no unigram model; a SentencePiece model of another type is not supported without tokenizer.json.");
        int extraIds = _config?.Find("extra_ids")?.Id() ?? 100;
        if (extraIds > MostExtraIds)
            throw _config!["extra_ids"].Wrong($"at most {MostExtraIds}");
        var pieces = source.Pieces.Select(piece => (piece.Piece, piece.Score)).ToList();
        for (int extra = extraIds - 1; extra >= 0; extra--)
            pieces.Add((ExtraId(extra), 0));
        var model = new UnigramModel(file, pieces, source.UnknownId, byteFallback: false);

        var normalizer = Normalizers.Sequence(
            Normalizers.Strip(left: false, right: true), Normalizers.Replace(TextPattern.Regex(file, " {2,}"), SpaceMark));
        bool prepend = _config?.Find("add_prefix_space")?.Bool() ?? true;
        bool legacy = _config?.Find("legacy")?.Bool() ?? true;
        return new TokenizerParts
        {
            Model = model,
            Normalizer = source.CharacterMap.Length == 0 ? normalizer
                : Normalizers.Sequence(Normalizers.Precompiled(new CharacterMap(file, source.CharacterMap)), normalizer),
            PreTokenizer = PreTokenizers.Metaspace(SpaceMark, prepend, onlyAtStart: !legacy, split: true),
            Decoder = Decoders.Metaspace(SpaceMark, prepend),
            After = [IdIn(model, file, "eos_token")],
            AddedTokens =
            [
                .. source.Pieces.Where(piece => piece.Type is PieceType.Control or PieceType.UserDefined && piece.Piece.Length > 0)
                    .DistinctBy(piece => piece.Piece)
                    .Select(piece => new AddedToken(piece.Piece) { Special = piece.Type == PieceType.Control }),
                .. Enumerable.Range(0, extraIds)
                    .Select(extra => new AddedToken(ExtraId(extra)) { Special = true, StripsLeft = true, StripsRight = true }),
            ],
        };
    }

    /// <summary>BERT from its list of words, one a line.</summary>
    private TokenizerParts ReadBert(string file)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (string line in File.ReadLines(file))
        {
            if (!ids.TryAdd(line.TrimEnd(), ids.Count))
                throw new CheckpointException($"'{file}': line {ids.Count + 1} repeats the token '{line}'.");
        }
        var model = new WordPieceModel(file, ids, SpecialToken("unk_token") ?? "[UNK]", "##", 100);
        bool lower = _config?.Find("do_lower_case")?.Bool() ?? true;
        return new TokenizerParts
        {
            Model = model,
            Normalizer = Normalizers.Bert(
                clean: true, _config?.Find("tokenize_chinese_chars")?.Bool() ?? true,
                _config?.Find("strip_accents")?.Bool() ?? lower, lower),
            PreTokenizer = PreTokenizers.Bert,
            Decoder = Decoders.WordPiece("##", cleanup: true),
            Before = [IdIn(model, file, "cls_token")],
            After = [IdIn(model, file, "sep_token")],
        };
    }

    private static string ExtraId(int number) => string.Create(CultureInfo.InvariantCulture, $"<extra_id_{number}>");

    /// <summary>Adds what the files beside the vocabulary say: added tokens, special tokens, lengths and sides.</summary>
    private TokenizerParts Complete(TokenizerParts parts, JsonPart? json = null)
    {
        var added = new List<AddedToken>();
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        int nextId = parts.Model.Count;
        void Add(AddedToken token, bool replace)
        {
            if (token.Content.Length == 0)
                return;
            bool known = places.TryGetValue(token.Content, out int place);
            if (known && !replace)
                return;
            int id = parts.Model.Find(token.Content) ?? (token.Id >= 0 ? token.Id : known ? added[place].Id : nextId);
            nextId = Math.Max(nextId, id + 1);
            if (known)
                added[place] = token with { Id = id };
            else
                (places[token.Content], token) = (added.Count, token with { Id = id });
            if (!known)
                added.Add(token);
        }

        foreach (var token in parts.AddedTokens)
            Add(token, replace: true);
        var special = SpecialTokens().ToList();
        var specialNames = special.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        if (_config?.Find("added_tokens_decoder") is { } decoder)
        {
            foreach (var (key, token) in decoder.Members())
            {
                if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int id) || id >= MostIds)
                    throw new CheckpointException($"'{decoder.File}': the key '{key}' of added_tokens_decoder is no token id.");
                Add(ReadAddedToken(token, special: false, id), replace: true);
            }
        }
        else if (_addedTokens is { } tokens && json == null)
        {
            foreach (var (content, id) in tokens.Members())
                Add(new AddedToken(content, IdOf(id)) { Special = specialNames.Contains(content) }, replace: false);
        }
        foreach (var token in special)
            Add(token, replace: false);

        var (before, after) = (parts.Before, parts.After);
        var roles = Roles.Select(role => (Role: role, Token: SpecialToken(role))).Where(pair => !string.IsNullOrEmpty(pair.Token))
            .ToDictionary(pair => pair.Role, pair => pair.Token!);
        if (_class is "GemmaTokenizer" or "LlamaTokenizer")
        {
            // transformers sets these frames by the configuration, whatever tokenizer.json says.
            int[] Frame(string key, bool missing, string role) =>
                (_config?.Find(key)?.Bool() ?? missing) && roles.TryGetValue(role, out string? token) ? [added[places[token]].Id] : [];
            (before, after) = (Frame("add_bos_token", true, "bos_token"), Frame("add_eos_token", false, "eos_token"));
        }
        return parts with
        {
            AddedTokens = added,
            SpecialTokens = roles,
            Before = before,
            After = after,
            ModelMaxLength = _config?.Find("model_max_length") is { } length ? (int)Math.Clamp(length.Double(), 0, int.MaxValue)
                : int.MaxValue,
            PaddingSide = Side("padding_side") ?? (json?.Find("padding") is { } padding ? Side(padding.Find("direction"))
                : _class is "GemmaTokenizer" or "LlamaTokenizer" ? TokenSide.Left : null) ?? TokenSide.Right,
            TruncationSide = Side("truncation_side")
                ?? (json?.Find("truncation") is { } truncation ? Side(truncation.Find("direction")) : null) ?? TokenSide.Right,
        };
    }

    private TokenSide? Side(string key) => Side(_config?.Find(key));

    private static TokenSide? Side(JsonPart? part) => part?.OneOf("left", "right", "Left", "Right") switch
    {
        null => null,
        "left" or "Left" => TokenSide.Left,
        _ => TokenSide.Right,
    };

    /// <summary>The tokens of all roles, and the additional ones.</summary>
    private IEnumerable<AddedToken> SpecialTokens()
    {
        foreach (string role in Roles)
        {
            if (Special(role) is { } part)
                yield return ReadAddedToken(part, special: true);
            else if (SpecialToken(role) is { } token)
                yield return new AddedToken(token) { Special = true };
        }
        if (Special("additional_special_tokens") is { } additional)
        {
            foreach (var part in additional.Items())
                yield return ReadAddedToken(part, special: true);
        }
    }

    /// <summary>The token of a role, by default that of the class.</summary>
    private string? SpecialToken(string role)
    {
        if (Special(role) is { } part)
            return part.IsString ? part.String() : part["content"].String();
        if (_config?.Has(role) == true || _specialTokensMap?.Has(role) == true)
            return null;
        return (_class, role) switch
        {
            ("CLIPTokenizer", "bos_token") => "<|startoftext|>",
            ("CLIPTokenizer", "eos_token" or "unk_token" or "pad_token") => "<|endoftext|>",
            ("Qwen2Tokenizer", "eos_token" or "unk_token" or "pad_token") => "<|endoftext|>",
            ("BertTokenizer", "unk_token") => "[UNK]",
            ("BertTokenizer", "sep_token") => "[SEP]",
            ("BertTokenizer", "pad_token") => "[PAD]",
            ("BertTokenizer", "cls_token") => "[CLS]",
            ("BertTokenizer", "mask_token") => "[MASK]",
            ("T5Tokenizer", "eos_token") => "</s>",
            ("T5Tokenizer" or "GemmaTokenizer", "pad_token") => "<pad>",
            ("T5Tokenizer" or "GemmaTokenizer" or "LlamaTokenizer", "unk_token") => "<unk>",
            ("GemmaTokenizer", "bos_token") => "<bos>",
            ("GemmaTokenizer", "eos_token") => "<eos>",
            ("LlamaTokenizer", "bos_token") => "<s>",
            ("LlamaTokenizer", "eos_token") => "</s>",
            _ => null,
        };
    }

    /// <summary>The entry of a role. special_tokens_map.json counts before the configuration unless that is of the newer kind.</summary>
    private JsonPart? Special(string role) => _config?.Find("added_tokens_decoder") != null
        ? _config?.Find(role) ?? _specialTokensMap?.Find(role) : _specialTokensMap?.Find(role) ?? _config?.Find(role);

    /// <summary>
    /// A token as a string or as an object with flags. A special one is looked for in the raw text unless it says otherwise.
    /// </summary>
    private static AddedToken ReadAddedToken(JsonPart part, bool special, int id = -1)
    {
        if (part.IsString)
            return new AddedToken(part.String(), id) { Special = special, Normalized = !special };
        special |= part.Find("special")?.Bool() ?? false;
        return new AddedToken(part["content"].String(), id)
        {
            Special = special,
            Normalized = part.Find("normalized")?.Bool() ?? !special,
            SingleWord = part.Find("single_word")?.Bool() ?? false,
            StripsLeft = part.Find("lstrip")?.Bool() ?? false,
            StripsRight = part.Find("rstrip")?.Bool() ?? false,
        };
    }

    private int IdIn(ITokenModel model, string file, string role)
    {
        string token = SpecialToken(role)
            ?? throw new CheckpointException($"'{_folder}': tokenizer_config.json names no {role}, which a {_class} needs.");
        return model.Find(token) ?? throw new CheckpointException($"'{file}': the {role} '{token}' is not in the vocabulary.");
    }

    private static int IdOf(JsonPart part)
    {
        int id = part.Id();
        return id < MostIds ? id : throw part.Wrong($"an id below {MostIds}");
    }

    private static Dictionary<string, int> CheckIds(string file, Dictionary<string, int> vocabulary)
    {
        foreach (var (token, id) in vocabulary)
        {
            if (id >= MostIds)
                throw new CheckpointException($"'{file}': the id of token '{token}' is {id}, expected one below {MostIds}.");
        }
        return vocabulary;
    }

    private CheckpointException UnsupportedClass(string files, string expected)
    {
        string found = _class.Length == 0
            ? $"{files} and no tokenizer.json, and neither tokenizer_config.json nor the model's index names the class"
            : $"a tokenizer of the class '{_class}' with {files} and no tokenizer.json, which is not supported";
        string place = _config?.Has("tokenizer_class") == true ? Path.Combine(_folder, "tokenizer_config.json") : _folder;
        return new CheckpointException($"'{place}': {found}; expected {expected}.");
    }

    private JsonPart? ReadJson(string name) => PathOf(name) is { } file ? JsonPart.Read(file).Object() : null;

    private string? PathOf(string name)
    {
        string path = Path.Combine(_folder, name);
        return File.Exists(path) ? path : null;
    }
}
