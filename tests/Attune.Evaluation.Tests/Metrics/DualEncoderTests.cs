using System.Text.Json;
using Attune.Evaluation.Metrics;
using Attune.Imaging;
using Attune.Weights;

namespace Attune.Evaluation.Tests.Metrics;

[NoLeaks]
public class DualEncoderTests
{
    private const double Tolerance = 1e-5;
    private static readonly string[] Texts = JsonSerializer.Deserialize<string[]>(File.ReadAllText(Fixture.At("dual-encoder.texts.json")))!;

    [Fact]
    public void Embeddings_and_scores_are_those_of_the_reference()
    {
        var fixture = new Fixture("dual-encoder.safetensors");
        using var encoder = DualEncoder.Load(Fixture.At("dual-encoder"), Host);
        Assert.Equal((10, 22), (encoder.EmbeddingSize, encoder.SampleSize));
        float[][] images = encoder.EmbedImages(fixture.Pictures());
        float[][] texts = encoder.EmbedTexts(Texts);
        Assert.Equal((2, 4), (images.Length, texts.Length));
        for (int i = 0; i < images.Length; i++)
        {
            fixture.Check("image_embeds", i, images[i], Tolerance);
            fixture.Check("scores", i, [.. texts.Select(text => DualEncoder.Score(images[i], text))], Tolerance);
        }
        for (int i = 0; i < texts.Length; i++)
            fixture.Check("text_embeds", i, texts[i], Tolerance);
        Assert.All(images.Concat(texts), embedding => Assert.Equal(1, embedding.Sum(value => (double)value * value), 1e-6));
    }

    [Fact]
    public void Embeddings_do_not_depend_on_their_neighbours()
    {
        var pictures = new Fixture("dual-encoder.safetensors").Pictures();
        using var encoder = DualEncoder.Load(Fixture.At("dual-encoder"), Host);
        Assert.Equal(encoder.EmbedImages([pictures[1]])[0], encoder.EmbedImages(pictures)[1]);
        Assert.Equal(encoder.EmbedTexts([Texts[1]])[0], encoder.EmbedTexts(Texts)[1]);
    }

    [Fact]
    public void What_stands_behind_the_longest_text_does_not_count()
    {
        using var encoder = DualEncoder.Load(Fixture.At("dual-encoder"), Host);
        float[][] embeddings = encoder.EmbedTexts([Texts[3], Texts[3] + " fox", "fox " + Texts[3]]);
        Assert.Equal(embeddings[0], embeddings[1]);
        Assert.NotEqual(embeddings[0], embeddings[2]);
    }

    [Fact]
    public void A_score_is_a_cosine()
    {
        Assert.Equal(0.6f, DualEncoder.Score([3, 4], [1, 0]), 1e-6f);
        Assert.Equal(-1f, DualEncoder.Score([3, 4], [-6, -8]), 1e-6f);
        Assert.Throws<ArgumentException>(() => DualEncoder.Score([1, 2], [1]));
    }

    [Fact]
    public void Pictures_of_another_size_are_refused()
    {
        using var encoder = DualEncoder.Load(Fixture.At("dual-encoder"), Host);
        var error = Assert.Throws<ArgumentException>(() => encoder.EmbedImages([new Image(1, 1, new byte[3])]));
        Assert.StartsWith(
            $"Picture 0 is 1 x 1, but '{Fixture.At("dual-encoder", "image_encoder")}' reads pictures of 22 x 22.", error.Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [
        InlineData(
            "image_encoder/config.json", "\"projection_dim\"", "\"other\"", "projection_dim is missing; a ScenesImageEncoder states it.")]
    [InlineData("image_encoder/config.json", "\"projection_dim\": 10", "\"projection_dim\": 0", "projection_dim is 0, expected 1 or more.")]
    [
        InlineData(
            "image_encoder/config.json", "\"projection_dim\": 10", "\"projection_dim\": 11",
            "the tensor projection.weight is [10, 12], expected [11, 12]")]
    [
        InlineData(
            "image_encoder/config.json", "ScenesImageEncoder", "ScenesJudge",
            "_class_name is 'ScenesJudge', expected 'ScenesImageEncoder'.")]
    [
        InlineData(
            "text_encoder/config.json", "\"projection_dim\": 10", "\"projection_dim\": 9",
            "the tensor text_projection.weight is [10, 16], expected [9, 16]")]
    public void Parts_that_do_not_fit_are_named(string file, string before, string after, string message)
    {
        using var copy = new DamagedCopy("dual-encoder");
        copy.Replace(file, before, after);
        var error = Assert.Throws<CheckpointException>(() => DualEncoder.Load(copy.Path, Host));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Projections_of_two_sizes_are_refused()
    {
        using var copy = new DamagedCopy("dual-encoder");
        copy.Replace("image_encoder/config.json", "\"projection_dim\": 10", "\"projection_dim\": 5");
        copy.ReplaceInHeader(
            "image_encoder/model.safetensors", "\"dtype\":\"F16\",\"shape\":[10,12]", "\"dtype\":\"F32\",\"shape\":[5,12]");
        var error = Assert.Throws<CheckpointException>(() => DualEncoder.Load(copy.Path, Host));
        Assert.Equal(
            $"'{copy.At("text_encoder")}' has 10 for projection_dim and '{copy.At("image_encoder")}' 5, expected the same.", error.Message);
    }

    [Fact]
    public void A_text_encoder_without_projection_is_refused()
    {
        using var copy = new DamagedCopy("dual-encoder");
        copy.Replace("text_encoder/config.json", "CLIPTextModelWithProjection", "CLIPTextModel");
        copy.ReplaceInHeader("text_encoder/model.safetensors", "text_projection.weight", "text_model.embeddings.position_ids");
        var error = Assert.Throws<CheckpointException>(() => DualEncoder.Load(copy.Path, Host));
        Assert.Equal($"'{copy.At("text_encoder")}' has no projection, expected a CLIPTextModelWithProjection.", error.Message);
    }
}
