using System.Text.Json.Nodes;
using Attune.Attention;
using Attune.Autoencoders;
using Attune.Generation;
using Attune.Imaging;
using Attune.Models;
using Attune.Models.Wan;
using Attune.Tensors;
using Attune.Tests.Weights;
using Attune.TextEncoders.Clip;
using Attune.Weights;

namespace Attune.Tests.Pipelines;

/// <summary>
/// Videos that begin with a picture, of models for which no values of a reference exist: Wan 2.2 5B, whose first frame is given and stands
/// at time 0, and Wan 2.1, which reads what CLIP sees. Both are held against models that are checked, where they must agree.
/// </summary>
[NoLeaks]
public class FirstFrameTests
{
    private static readonly string Text = Repository.Golden("checkpoints", "wan-2.2");
    private static readonly LatentGrid Grid = new(3, 2, 3);
    private static readonly int[] Latents = [1, 3, 4, 6, 16];

    private static readonly GenerationRequest Small = new()
    {
        Prompt = "a panda", Width = 48, Height = 32, Frames = 9, Steps = 3, Seed = 3, MaxSequenceLength = 8, Guidance = GuidanceChoice.None,
    };

    private static Image Picture(int seed)
    {
        byte[] pixels = new byte[3 * 48 * 32];
        new Random(seed).NextBytes(pixels);
        return new Image(48, 32, pixels);
    }

    private static Tensor Noise(int seed, params int[] shape)
    {
        var values = new float[shape.Aggregate(1, (product, extent) => product * extent)];
        new TorchRandom((ulong)seed).Normal(values);
        return Tensor.From(Host, values, [.. shape]);
    }

    private static void Change(string file, Action<JsonObject> change)
    {
        var json = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        change(json);
        File.WriteAllText(file, json.ToJsonString());
    }

    /// <summary>Writes the transformer of the golden cases again with other weights, and others beside them.</summary>
    private static void Rewrite(string folder, Func<string, float?> fill, params (string Name, long[] Shape)[] more)
    {
        var writer = new SafetensorsWriter();
        using (var source = WeightSource.Open(folder))
        {
            foreach (string name in source.Names)
            {
                var entry = source.Describe(name)!;
                if (fill(name) is { } value)
                    writer.Add(name, [.. Enumerable.Repeat(value, (int)entry.Count)], [.. entry.Dimensions]);
                else
                    writer.Copy(entry, name);
            }
        }
        foreach (var (name, shape) in more)
        {
            int count = (int)shape.Aggregate(1L, (product, extent) => product * extent);
            var random = new Random(count);
            bool norm = shape.Length == 1 && name.EndsWith("weight", StringComparison.Ordinal);
            float Value() => fill(name) ?? (norm ? 1 : random.NextSingle() - 0.5f);
            writer.Add(name, [.. Enumerable.Range(0, count).Select(_ => Value())], shape);
        }
        writer.Write(Path.Combine(folder, "diffusion_pytorch_model.safetensors"));
    }

    private static float[] Predict(WanTransformer model, float time, int clean = 0, Tensor? seen = null)
    {
        using var scope = new TensorScope();
        using var prompt = new WanConditioning(Noise(2, 1, 5, 32));
        var input = new DenoiserInput(Noise(1, Latents), Grid, [time], prompt) { CleanFrames = clean, Picture = seen };
        return model.Predict(input, Steering.Plain).ToArray();
    }

    private static float Distance(IEnumerable<float> a, IEnumerable<float> b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max();

    /// <summary>Rows that do not attend to each other are what they are in models that stand at one time.</summary>
    [Fact]
    public void A_given_frame_stands_at_time_0_and_the_others_where_they_are()
    {
        using var folder = new TemporaryFolder();
        string transformer = folder.At("transformer");
        Repository.Copy(Path.Combine(Text, "transformer"), transformer);
        Rewrite(transformer, name => name.Contains("attn1.to_out", StringComparison.Ordinal) ? 0 : null);
        using var apart = WanTransformer.Load(transformer, Host);
        const int Frame = 4 * 6 * 16;
        float[] mixed = Predict(apart, 700, clean: 1);
        Assert.True(Distance(Predict(apart, 0), Predict(apart, 700)) > 1e-2);
        Assert.Equal(0, Distance(Predict(apart, 0).Take(Frame), mixed.Take(Frame)), 1e-6);
        Assert.Equal(0, Distance(Predict(apart, 700).Skip(Frame), mixed.Skip(Frame)), 1e-6);
    }

    /// <summary>With attention: where all stand at time 0, it makes no difference which of them are given.</summary>
    [Fact]
    public void A_given_frame_attends_as_the_others_do()
    {
        using var model = WanTransformer.Load(Path.Combine(Text, "transformer"), Host);
        Assert.Equal(0, Distance(Predict(model, 0), Predict(model, 0, clean: 1)), 1e-5);
        Assert.Equal(0, Distance(Predict(model, 0), Predict(model, 0, clean: 2)), 1e-5);
        Assert.True(Distance(Predict(model, 700), Predict(model, 700, clean: 1)) > 1e-3);
        Assert.Contains(
            "3 of 3 latent frames",
            Assert.Throws<ArgumentException>(() => Predict(model, 700, clean: 3)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_picture_is_the_first_frame_that_stays_and_without_one_it_is_text_to_video()
    {
        using var folder = new TemporaryFolder();
        Repository.Copy(Text, folder.Path);
        Change(folder.At("model_index.json"), json =>
        {
            json["transformer_2"] = new JsonArray(null, null);
            json["boundary_ratio"] = null;
        });
        async Task<(float[] Start, float[] End)> Run(DiffusionPipeline pipeline, GenerationRequest request)
        {
            float[] start = [], end = [];
            var watch = new Watching
            {
                Started = run => start = run.Latents.ToArray(), Stepped = step => end = step.Latents.ToArray(),
            };
            await pipeline.GenerateAsync(request, watch);
            return (start, end);
        }

        var plain = Small with { };
        (float[] Start, float[] End) text;
        using (var pipeline = DiffusionPipeline.Load(folder.Path))
        {
            text = await Run(pipeline, plain);
            var given = Small with { Images = new InputImages { Initial = Picture(1) } };
            Assert.Contains(
                "Images.Initial", Assert.Throws<ArgumentException>(() => pipeline.Resolve(given)).Message, StringComparison.Ordinal);
        }
        Change(folder.At("model_index.json"), json => json["expand_timesteps"] = true);
        using var keeping = DiffusionPipeline.Load(folder.Path);
        Assert.Equal(text.End, (await Run(keeping, plain)).End);

        float[] first = Encoded(Picture(1));
        var one = await Run(keeping, Small with { Images = new InputImages { Initial = Picture(1) }, Count = 2 });
        var other = await Run(keeping, Small with { Images = new InputImages { Initial = Picture(2) } });
        int video = one.End.Length / 2;
        foreach (int item in new[] { 0, 1 })
        {
            Assert.Equal(first, one.Start.Skip(item * video).Take(first.Length));
            Assert.Equal(first, one.End.Skip(item * video).Take(first.Length));
        }
        Assert.NotEqual(other.End.Skip(first.Length), one.End.Skip(first.Length).Take(video - first.Length));
        string Message(GenerationRequest request) => Assert.Throws<ArgumentException>(() => keeping.Resolve(request)).Message;
        var asked = Small with { Images = new InputImages { Initial = Picture(1) } };
        Assert.Contains("Frames is 1", Message(asked with { Frames = 1 }), StringComparison.Ordinal);
        Assert.Contains(
            "the picture is the video's first frame",
            Message(asked with { Images = asked.Images with { Strength = 0.5f } }), StringComparison.Ordinal);
    }

    private static float[] Encoded(Image picture)
    {
        using var scope = new TensorScope();
        using var vae = AutoencoderKlCausal.Load(Path.Combine(Text, "vae"), Host);
        var (mean, _) = vae.Encode(picture.ToTensor(Host).Affine(2, -1).Reshape(1, 1, 32, 48, 3));
        return vae.Normalize(mean).ToArray();
    }

    /// <summary>The folder of Wan 2.1's image to video, over the transformer of the golden cases.</summary>
    private static TemporaryFolder Seeing(bool blind)
    {
        var folder = new TemporaryFolder();
        Repository.Copy(Text, folder.Path);
        Change(folder.At("model_index.json"), json =>
        {
            json["_class_name"] = "WanImageToVideoPipeline";
            json["transformer_2"] = new JsonArray(null, null);
            json["boundary_ratio"] = null;
            json["image_encoder"] = new JsonArray("transformers", "CLIPVisionModel");
        });
        string transformer = folder.At("transformer");
        Change(Path.Combine(transformer, "config.json"), json =>
        {
            json["image_dim"] = 16;
            json["added_kv_proj_dim"] = 48;
            json["in_channels"] = 36;
        });
        File.Delete(Path.Combine(transformer, "diffusion_pytorch_model.safetensors"));
        string embedder = "condition_embedder.image_embedder";
        (string, long[])[] more =
        [
            ("patch_embedding.weight", [48, 36, 1, 2, 2]),
            ($"{embedder}.norm1.weight", [16]), ($"{embedder}.norm1.bias", [16]), ($"{embedder}.ff.net.0.proj.weight", [16, 16]),
            ($"{embedder}.ff.net.0.proj.bias", [16]), ($"{embedder}.ff.net.2.weight", [48, 16]), ($"{embedder}.ff.net.2.bias", [48]),
            ($"{embedder}.norm2.weight", [48]), ($"{embedder}.norm2.bias", [48]),
            .. Enumerable.Range(0, 2).Select(i => $"blocks.{i}.attn2").SelectMany(at => new (string, long[])[]
            {
                ($"{at}.add_k_proj.weight", [48, 48]), ($"{at}.add_k_proj.bias", [48]), ($"{at}.add_v_proj.weight", [48, 48]),
                ($"{at}.add_v_proj.bias", [48]), ($"{at}.norm_added_k.weight", [48]),
            }),
        ];
        string golden = folder.At("golden");
        Repository.Copy(Path.Combine(Text, "transformer"), golden);
        Rewrite(golden, name => blind && name.Contains("add_v_proj", StringComparison.Ordinal) ? 0 : null, [.. more[1..]]);
        var writer = new SafetensorsWriter();
        using (var source = WeightSource.Open(golden))
        {
            foreach (string name in source.Names)
            {
                if (name != "patch_embedding.weight")
                    writer.Copy(source.Describe(name)!, name);
            }
        }
        var random = new Random(5);
        writer.Add(
            "patch_embedding.weight", [.. Enumerable.Range(0, 48 * 36 * 4).Select(_ => 0.2f * (random.NextSingle() - 0.5f))],
            48, 36, 1, 2, 2);
        writer.Write(Path.Combine(transformer, "diffusion_pytorch_model.safetensors"));
        Directory.Delete(golden, recursive: true);
        TinyPipelines.Make(
            folder.At("image_encoder"),
            """
            { "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2,
              "num_hidden_layers": 3, "image_size": 24, "patch_size": 8, "hidden_act": "gelu" }
            """,
            source => source.Build((checkpoint, config) => new ClipVisionTower(checkpoint, ClipVisionConfig.ReadTower(config), false)));
        return folder;
    }

    /// <summary>A model that finds nothing in the picture is the one that reads none; else the picture counts.</summary>
    [Fact]
    public async Task What_clip_sees_of_the_picture_is_added_to_what_the_text_says()
    {
        static async Task<byte[]> Pixels(string folder, int picture)
        {
            using var pipeline = DiffusionPipeline.Load(folder);
            var request = Small with { Images = new InputImages { Initial = Picture(picture) } };
            return [.. (await pipeline.GenerateAsync(request)).SelectMany(image => image.Rgb.ToArray())];
        }

        byte[] blind, without;
        using (var folder = Seeing(blind: true))
        {
            blind = await Pixels(folder.Path, 1);
            Change(folder.At("transformer/config.json"), json => json["image_dim"] = null);
            Assert.Contains(
                "added_kv_proj_dim is 48 with image_dim missing",
                Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(folder.Path)).Message, StringComparison.Ordinal);
            Change(folder.At("transformer/config.json"), json => json["added_kv_proj_dim"] = null);
            Strip(folder.At("transformer"));
            without = await Pixels(folder.Path, 1);
        }
        Assert.Equal(without, blind);
        using var seeing = Seeing(blind: false);
        Assert.NotEqual(blind, await Pixels(seeing.Path, 1));
        Change(seeing.At("model_index.json"), json => json["image_encoder"] = new JsonArray(null, null));
        Assert.Contains(
            "has no image_encoder", Assert.Throws<CheckpointException>(() => DiffusionPipeline.Load(seeing.Path)).Message,
            StringComparison.Ordinal);

        static void Strip(string transformer)
        {
            var writer = new SafetensorsWriter();
            using (var source = WeightSource.Open(transformer))
            {
                foreach (string name in source.Names.Where(name => !name.Contains("add", StringComparison.Ordinal)
                    && !name.Contains("image_embedder", StringComparison.Ordinal)))
                    writer.Copy(source.Describe(name)!, name);
            }
            writer.Write(Path.Combine(transformer, "diffusion_pytorch_model.safetensors"));
        }
    }

    /// <summary>Attention to the picture by its formula, number by number.</summary>
    [Fact]
    public void Attention_to_the_picture_is_that_of_the_formula()
    {
        using var scope = new TensorScope();
        using var folder = Seeing(blind: false);
        using var checkpoint = Checkpoint.Open(folder.At("transformer"), Host);
        var config = WanConfig.Read(ModelConfig.Read(folder.At("transformer/config.json")));
        var (queries, rows) = (Noise(7, 1, 4, 48), Noise(8, 1, 5, 48));
        float[] found = new WanPictureAttention(checkpoint.Root.At("blocks.0.attn2"), config).Apply(queries, new WanPicture(rows, null))
            .ToArray();
        float[] Linear(string name, int row)
        {
            using var weight = checkpoint.Root.Read($"blocks.0.attn2.{name}.weight", [48, 48]);
            using var bias = checkpoint.Root.Read($"blocks.0.attn2.{name}.bias", [48]);
            var (w, b, x) = (weight.ToTensor(Host).ToArray(), bias.ToTensor(Host).ToArray(), rows.ToArray());
            return [.. Enumerable.Range(0, 48).Select(o => b[o] + Enumerable.Range(0, 48).Sum(i => w[48 * o + i] * x[48 * row + i]))];
        }

        float[][] keys = [.. Enumerable.Range(0, 5).Select(row => Linear("add_k_proj", row))];
        float[][] values = [.. Enumerable.Range(0, 5).Select(row => Linear("add_v_proj", row))];
        foreach (float[] key in keys)
        {
            float size = MathF.Sqrt(key.Sum(value => value * value) / 48 + 1e-6f);
            for (int i = 0; i < 48; i++)
                key[i] /= size;
        }
        float[] q = queries.ToArray();
        for (int row = 0; row < 4; row++)
        {
            for (int head = 0; head < 2; head++)
            {
                float[] weights = [.. keys.Select(key => MathF.Exp(
                    Enumerable.Range(24 * head, 24).Sum(i => q[48 * row + i] * key[i]) / MathF.Sqrt(24)))];
                for (int i = 24 * head; i < 24 * (head + 1); i++)
                    Assert.Equal(weights.Zip(values, (w, v) => w * v[i]).Sum() / weights.Sum(), found[48 * row + i], 1e-4f);
            }
        }
    }
}
