using Attune.Generation;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Embeddings of textual inversion beyond the golden cases: forms of files, names, and what is refused.</summary>
[NoLeaks]
public class EmbeddingTests
{
    private const int Channels = 32;

    [Theory]
    [InlineData("emb_params", 2, null, "style")]
    [InlineData("string_to_param.*", 1, null, "style")]
    [InlineData("<cat>", 1, null, "<cat>")]
    [InlineData("<cat>", 3, "dog", "dog")]
    public void Files_of_one_encoder(string key, int vectors, string? token, string name)
    {
        using var folder = new TemporaryFolder();
        string file = new SafetensorsWriter()
            .Add(key, [.. Enumerable.Range(0, vectors * Channels).Select(i => i * 0.25f)], vectors, Channels)
            .Write(folder.At("style.safetensors"));
        var source = Open("sd15", new EmbeddingWeights(file, token));
        var tokenizer = Tokenizer.Load(source, "tokenizer");
        int first = Tokenizer.Load(Repository.Golden("checkpoints", "sd15", "tokenizer")).VocabularySize;
        Assert.Equal(first + vectors, tokenizer.VocabularySize);
        Assert.Equal(
            Enumerable.Range(first, vectors), tokenizer.Encode(name, new TokenizerOptions { AddSpecialTokens = false }).Ids.AsEnumerable());
        using var weights = source.Component("text_encoder").OpenWeights();
        float[] table = weights.Read("text_model.embeddings.token_embedding.weight");
        Assert.Equal(
            Enumerable.Range(0, vectors * Channels).Select(i => i * 0.25f), table[(first * Channels)..((first + vectors) * Channels)]);
    }

    [Fact]
    public void Pairs_of_pivotal_tuning_have_a_token_for_each_vector()
    {
        using var folder = new TemporaryFolder();
        string file = new SafetensorsWriter()
            .Add("text_encoders_0", new float[2 * Channels], 2, Channels)
            .Add("text_encoders_1", new float[2 * Channels], 2, Channels)
            .Write(folder.At("pair.safetensors"));
        var source = Open("sdxl", new EmbeddingWeights(file));
        foreach (string name in new[] { "tokenizer", "tokenizer_2" })
        {
            var tokenizer = Tokenizer.Load(source, name);
            int first = tokenizer.VocabularySize - 2;
            Assert.Equal([first, first + 1], tokenizer.Encode("<s0><s1>", new TokenizerOptions { AddSpecialTokens = false }).Ids);
        }
    }

    /// <summary>What comes in a file of LoRA is loaded with it, by the name that it has there.</summary>
    [Fact]
    public void Embeddings_in_lora_files()
    {
        using var folder = new TemporaryFolder();
        string file = new SafetensorsWriter()
            .Add("bundle_emb.style.string_to_param.*", new float[2 * Channels], 2, Channels)
            .Add("lora_te_text_model_final_layer_norm.w_norm", new float[Channels], Channels)
            .Write(folder.At("lora.safetensors"));
        var source = new LoadOptions { Loras = [new LoraWeights(file)] }.Open(Repository.Golden("checkpoints", "sd15"));
        var tokenizer = Tokenizer.Load(source, "tokenizer");
        Assert.Equal(
            [tokenizer.VocabularySize - 2, tokenizer.VocabularySize - 1],
            tokenizer.Encode("style", new TokenizerOptions { AddSpecialTokens = false }).Ids);
    }

    [Theory]
    [InlineData("sd15", "emb_params", 768, "768 channels, those of CLIP-L")]
    [InlineData("sd15", "t5xxl", 32, null)]
    [InlineData("sdxl", "emb_params", 32, "but none for text_encoder_2")]
    [InlineData("sdxl", "clip_l", 32, "but none for text_encoder_2")]
    [InlineData("sdxl", "clip_g", 1280, "1280 channels, those of CLIP-G")]
    public void Files_of_other_families_say_which(string checkpoint, string key, int channels, string? reason)
    {
        using var folder = new TemporaryFolder();
        string file = new SafetensorsWriter().Add(key, new float[channels], 1, channels).Write(folder.At("style.safetensors"));
        if (reason == null)
        {
            Open(checkpoint, new EmbeddingWeights(file));
            return;
        }
        string message = Assert.Throws<CheckpointException>(() => Open(checkpoint, new EmbeddingWeights(file))).Message;
        Assert.Contains(file, message, StringComparison.Ordinal);
        Assert.Contains(reason, message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_embedding_is_refused()
    {
        using var folder = new TemporaryFolder();
        string Refusal(string name, string? token, params (string Key, int[] Shape)[] tensors)
        {
            var writer = new SafetensorsWriter();
            foreach (var (key, shape) in tensors)
                writer.Add(key, new float[shape.Aggregate(1, (a, b) => a * b)], [.. shape.Select(extent => (long)extent)]);
            string file = writer.Write(folder.At(name));
            return Assert.Throws<CheckpointException>(() => Load(file, token)).Message;
        }

        static void Load(string file, string? token) => Tokenizer.Load(Open("sd15", new EmbeddingWeights(file, token)), "tokenizer");

        Assert.Contains("it holds 2 tensors (a, b)", Refusal("1.safetensors", null, ("a", [32]), ("b", [32])), StringComparison.Ordinal);
        Assert.Contains("expected [vectors, channels]", Refusal("2.safetensors", null, ("a", [2, 2, 32])), StringComparison.Ordinal);
        Assert.Contains("a token of the vocabulary", Refusal("3.safetensors", "a", ("x", [32])), StringComparison.Ordinal);
        Assert.Contains(
            "t5xxl are of no encoder", Refusal("4.safetensors", null, ("clip_l", [32]), ("t5xxl", [32])), StringComparison.Ordinal);
        Assert.Contains(
            "a pickle is a program", Assert.Throws<CheckpointException>(() => Load("/no/bad.pt", null)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "does not exist", Assert.Throws<CheckpointException>(() => Load("/no/bad.safetensors", null)).Message,
            StringComparison.Ordinal);
        string one = new SafetensorsWriter().Add("emb_params", new float[32], 32).Write(folder.At("style.safetensors"));
        Assert.Contains(
            "is that of another embedding",
            Assert.Throws<CheckpointException>(() => Open("sd15", new EmbeddingWeights(one), new EmbeddingWeights(one))).Message,
            StringComparison.Ordinal);
    }

    private static ModelSource Open(string checkpoint, params EmbeddingWeights[] embeddings) =>
        new LoadOptions { Embeddings = embeddings }.Open(Repository.Golden("checkpoints", checkpoint));
}
