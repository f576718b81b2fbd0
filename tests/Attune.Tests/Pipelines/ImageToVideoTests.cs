using System.Text.Json.Nodes;
using Attune.Autoencoders;
using Attune.Generation;
using Attune.Imaging;
using Attune.Tensors;
using Attune.Tests.Weights;
using Attune.Weights;

namespace Attune.Tests.Pipelines;

/// <summary>
/// Image to video: the text to video model of the golden cases with weights for a mask and a picture's latents beside the latents.
/// </summary>
[NoLeaks]
public class ImageToVideoTests
{
    private static readonly string Text = Repository.Golden("checkpoints", "wan-2.2");

    private static readonly GenerationRequest Small = new()
    {
        Prompt = "a panda", Width = 48, Height = 32, Frames = 9, Steps = 4, Seed = 3, MaxSequenceLength = 8,
        Guidance = GuidanceChoice.None,
    };

    private static Image Picture(int seed, int width = 48, int height = 32)
    {
        byte[] pixels = new byte[3 * width * height];
        new Random(seed).NextBytes(pixels);
        return new Image(width, height, pixels);
    }

    /// <summary>The folder of a model that reads 20 channels beside the 16 of the latents, through weights times a factor.</summary>
    private static TemporaryFolder Folder(float factor)
    {
        var folder = new TemporaryFolder();
        Repository.Copy(Text, folder.Path);
        Change(folder.At("model_index.json"), json => json["_class_name"] = "WanImageToVideoPipeline");
        foreach (string name in new[] { "transformer", "transformer_2" })
        {
            Change(folder.At($"{name}/config.json"), json => json["in_channels"] = 36);
            string weights = folder.At($"{name}/diffusion_pytorch_model.safetensors");
            var writer = new SafetensorsWriter();
            using (var source = WeightSource.Open(folder.At(name)))
            {
                foreach (string tensor in source.Names)
                {
                    if (tensor != "patch_embedding.weight")
                    {
                        writer.Copy(source.Describe(tensor)!, tensor);
                        continue;
                    }
                    using var stored = source.Find(tensor)!;
                    using var plain = stored.ToTensor(Host);
                    float[] values = plain.ToArray();
                    int outputs = plain.Shape[0];
                    var random = new Random(outputs);
                    writer.Add(
                        tensor,
                        [.. Enumerable.Range(0, outputs).SelectMany(o => values.Skip(o * 64).Take(64).Concat(
                            Enumerable.Range(0, 80).Select(_ => factor * (random.NextSingle() - 0.5f))))],
                        outputs, 36, 1, 2, 2);
                }
            }
            writer.Write(weights);
        }
        return folder;
    }

    private static void Change(string file, Action<JsonObject> change)
    {
        var json = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        change(json);
        File.WriteAllText(file, json.ToJsonString());
    }

    private static async Task<byte[]> Pixels(DiffusionPipeline pipeline, GenerationRequest request) =>
        [.. (await pipeline.GenerateAsync(request)).SelectMany(image => image.Rgb.ToArray())];

    [Fact]
    public async Task Without_weights_for_the_picture_it_is_text_to_video_and_with_them_the_picture_counts()
    {
        byte[] expected;
        using (var text = DiffusionPipeline.Load(Text))
            expected = await Pixels(text, Small);
        var first = Small with { Images = new InputImages { Initial = Picture(1) } };
        var second = Small with { Images = new InputImages { Initial = Picture(2) } };
        using (var folder = Folder(0))
        using (var blind = DiffusionPipeline.Load(folder.Path))
            Assert.Equal(expected, await Pixels(blind, first));
        using (var folder = Folder(1))
        using (var seeing = DiffusionPipeline.Load(folder.Path))
        {
            byte[] one = await Pixels(seeing, first);
            Assert.NotEqual(expected, one);
            Assert.NotEqual(one, await Pixels(seeing, second));
            Assert.Equal(one, await Pixels(seeing, first));

            // Two videos of one picture: one draw of noise, the same picture beside both.
            Assert.Equal(one.Length * 2, (await Pixels(seeing, first with { Count = 2 })).Length);
        }
    }

    [Fact]
    public void Beside_the_latents_stand_a_mask_of_the_first_frame_and_the_latents_of_a_video_that_is_gray_behind_it()
    {
        using var scope = new TensorScope();
        var vae = AutoencoderKlCausal.Load(Path.Combine(Text, "vae"), Host);
        using var latents = new Attune.Latents.CausalVideoLatents(vae, Host, 2);
        var pixels = Picture(3).ToTensor(Host).Affine(2, -1);
        var beside = latents.EncodeBeside(pixels, latents.GridOf(new PixelSize(32, 48), 9));
        Assert.Equal([1, 3, 4, 6, 20], beside.Shape);
        float[] mask = beside.Slice(4, 0, 4).Clone().ToArray();
        Assert.All(mask.Take(4 * 24), value => Assert.Equal(1, value));
        Assert.All(mask.Skip(4 * 24), value => Assert.Equal(0, value));
        var video = Tensor.Zeros(Host, [1, 9, 32, 48, 3]);
        pixels.Reshape(1, 1, 32, 48, 3).CopyTo(video.Slice(1, 0, 1));
        var (mean, logVariance) = vae.Encode(video);
        Assert.Equal(vae.Normalize(mean).ToArray(), beside.Slice(4, 4, 16).Clone().ToArray());
        logVariance.Dispose();
    }

    [Fact]
    public void A_request_without_a_picture_or_with_a_strength_is_an_error_and_the_size_is_of_the_pictures_form()
    {
        using var folder = Folder(1);
        using var pipeline = DiffusionPipeline.Load(folder.Path);
        string Message(GenerationRequest request) => Assert.Throws<ArgumentException>(() => pipeline.Resolve(request)).Message;
        Assert.Contains("makes a video of a picture", Message(Small), StringComparison.Ordinal);
        Assert.Contains(
            "the picture is the video's first frame", Message(Small with
            {
                Images = new InputImages { Initial = Picture(1), Strength = 0.5f },
            }),
            StringComparison.Ordinal);
        var tall = pipeline.Resolve(new GenerationRequest
        {
            Prompt = "", Images = new InputImages { Initial = Picture(1, 300, 600) },
        });
        Assert.Equal((432, 880, 81), (tall.Request.Width, tall.Request.Height, tall.Request.Frames));
    }

    [Fact]
    public void Networks_that_read_nothing_beside_the_latents_are_refused()
    {
        using var folder = Folder(1);
        Change(folder.At("model_index.json"), json => json["_class_name"] = "WanPipeline");
        Assert.Contains(
            "in_channels 36 and out_channels 16, expected 16 and 16",
            Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(folder.Path)).Message, StringComparison.Ordinal);
    }
}
