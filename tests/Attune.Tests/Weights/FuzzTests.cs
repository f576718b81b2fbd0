using Attune.Tensors;
using Attune.Tokenizers;
using Attune.Weights;
using Attune.Weights.Lora;
using Attune.Weights.SingleFile;

namespace Attune.Tests.Weights;

/// <summary>
/// Thousands of damaged files: loaders answer with the documented exception or with something that can be used, in bounded memory and
/// time. The environment variable ATTUNE_FUZZ is how many times as many files of weights there are: 100 for a run over night.
/// </summary>
public class FuzzTests
{
    private const long MemoryBound = 256 << 20;
    private const string Variable = "ATTUNE_FUZZ";
    private static readonly TimeSpan TimeBound = TimeSpan.FromSeconds(10);

    private static readonly int Factor =
        int.TryParse(Environment.GetEnvironmentVariable(Variable), out int factor) ? Math.Max(factor, 1) : 1;

    /// <summary>Numbers as binary formats have them: lengths and counts that overflow, types that are not there.</summary>
    private static readonly byte[][] Numbers =
    [
        [255, 255, 255, 255, 255, 255, 255, 255], [0, 0, 0, 0, 0, 0, 0, 128], [255, 255, 255, 255, 255, 255, 255, 127],
        [0, 0, 0, 0, 1, 0, 0, 0], [255, 255, 255, 127], [0, 0, 0, 0, 0, 0, 0, 0], [9, 0, 0, 0], [12, 0, 0, 0], [39, 0, 0, 0], [1, 0, 0, 0],
        [.. "general.alignment"u8], [.. "comfy.gguf.orig_shape."u8],
    ];

    private static readonly string[] Texts = [
        "{", "}", "[", "]", "\"", ",", ":", "-1", "0", "1e999", "null", "true", "9223372036854775807", "18446744073709551616", "\\ud800",
        "\u0000", "\"dtype\"", "\"F32\"", "\"data_offsets\"", "NaN", "-Infinity"];

    [Fact]
    public void Damaged_safetensors_files()
    {
        byte[] valid = File.ReadAllBytes(Repository.Golden("checkpoints", "text-encoders", "clip-quick-gelu", "model.safetensors"));
        Fuzz(valid, headerLength: 8 + (int)BitConverter.ToInt64(valid), 2000 * Factor, "model.safetensors", folder =>
        {
            using var source = WeightSource.Open(folder.At("model.safetensors"));
            foreach (var tensor in source.Entries.ToArray())
            {
                if (tensor.Type is not ("F32" or "F16" or "BF16") || tensor.Dimensions.Count > Shape.MaxRank)
                    continue;
                source.Read(tensor.Name);
            }
        });
    }

    [Theory]
    [InlineData("container", 700)]
    [InlineData("container-aligned", 700)]
    [InlineData("q4_k", 300)]
    [InlineData("five-d", 300)]
    public void Damaged_gguf_files(string name, int rounds)
    {
        string path = Path.Combine(Repository.Golden(), "cases", "gguf", name + ".gguf");
        int header;
        using (var file = GgufFile.Open(path))
            header = (int)file.Tensors.Values.Min(tensor => tensor.Offset);
        Fuzz(File.ReadAllBytes(path), header, rounds * Factor, "model.gguf", folder =>
        {
            using (var file = GgufFile.Open(folder.At("model.gguf")))
            {
                foreach (string key in file.Keys)
                    Assert.NotNull(file.Find(key));
            }
            ReadAll(folder.At("model.gguf"));
        }, Numbers);
    }

    [Theory]
    [InlineData("nf4")]
    [InlineData("fp4")]
    [InlineData("bnb-int8")]
    [InlineData("comfy-quant")]
    [InlineData("comfy-quant-header")]
    [InlineData("scaled-fp8-e4m3fn")]
    public void Damaged_quantised_files(string name)
    {
        byte[] valid = File.ReadAllBytes(Path.Combine(Repository.Golden(), "cases", "gguf", name + ".weights.safetensors"));
        // Tensors that hold JSON are damaged, too.
        Fuzz(valid, valid.Length, 100 * Factor, "model.safetensors", folder => ReadAll(folder.At("model.safetensors")));
        Fuzz(
            valid, 8 + (int)BitConverter.ToInt64(valid), 150 * Factor, "model.safetensors",
            folder => ReadAll(folder.At("model.safetensors")));
    }

    [Fact]
    public void Damaged_shard_indices()
    {
        string source = Repository.Golden("checkpoints", "flux-schnell", "text_encoder_2");
        using var shards = new TemporaryFolder();
        byte[] valid = File.ReadAllBytes(Path.Combine(source, "model.safetensors.index.json"));
        Fuzz(valid, valid.Length, 700, "model.safetensors.index.json", folder =>
        {
            foreach (string shard in Directory.GetFiles(source, "*.safetensors"))
                File.Copy(shard, folder.At(Path.GetFileName(shard)), overwrite: true);
            WeightSource.Open(folder.Path).Dispose();
        });
    }

    [Fact]
    public void Damaged_configurations()
    {
        byte[] valid = File.ReadAllBytes(Repository.Golden("checkpoints", "flux-schnell", "transformer", "config.json"));
        Fuzz(valid, valid.Length, 3000, "config.json", folder => Models.Flux.FluxConfig.Read(ModelConfig.Read(folder.At("config.json"))));
    }

    [Fact]
    public void Damaged_scheduler_configurations()
    {
        byte[] valid = File.ReadAllBytes(Repository.Golden("checkpoints", "flux-dev", "scheduler", "scheduler_config.json"));
        Fuzz(valid, valid.Length, 2000, "scheduler_config.json", folder => Attune.Schedulers.Scheduler.Load(folder.Path));
    }

    [Theory]
    [InlineData("clip", "vocab.json", 250)]
    [InlineData("clip", "merges.txt", 250)]
    [InlineData("clip", "tokenizer_config.json", 400)]
    [InlineData("clip", "special_tokens_map.json", 400)]
    [InlineData("t5", "tokenizer.json", 120)]
    [InlineData("t5", "spiece.model", 150)]
    public void Damaged_tokenizers(string name, string damaged, int rounds)
    {
        string source = Repository.Golden("tokenizers", name);
        byte[] valid = File.ReadAllBytes(Path.Combine(source, damaged));
        Fuzz(valid, valid.Length, rounds, damaged, folder =>
        {
            foreach (
                string file in Directory.GetFiles(source)
                    .Where(
                        file => Path.GetFileName(file) != damaged
                            && !(damaged == "spiece.model" && file.EndsWith("tokenizer.json", StringComparison.Ordinal))))
            {
                if (!File.Exists(folder.At(Path.GetFileName(file))))
                    File.Copy(file, folder.At(Path.GetFileName(file)));
            }
            Tokenizer.Load(folder.Path).Encode("a panda wearing sunglasses, 日本 <extra_id_3>");
        });
    }

    [Theory]
    [InlineData("flux-comfy", "flux")]
    [InlineData("flux-dora", "flux")]
    [InlineData("flux-peft-metadata", "flux")]
    [InlineData("sd-kohya-conv", "sd")]
    [InlineData("wan-diff-b", "wan")]
    [InlineData("lycoris-boft", "sd")]
    [InlineData("lycoris-dora", "sd")]
    [InlineData("lycoris-full", "sd")]
    [InlineData("lycoris-glora", "sd")]
    [InlineData("lycoris-ia3", "sd")]
    [InlineData("lycoris-loha", "sd")]
    [InlineData("lycoris-lokr", "sd")]
    [InlineData("lycoris-oft", "sd")]
    public void Damaged_lora_files(string name, string model)
    {
        var source = TestSource.Folders(Repository.Golden("checkpoints", "lora", "base", model));
        byte[] valid = File.ReadAllBytes(Repository.Golden("checkpoints", "lora", name + ".safetensors"));
        Fuzz(valid, 8 + (int)BitConverter.ToInt64(valid), 200 * Factor, "lora.safetensors", folder =>
        {
            Assert.NotEmpty(FileReport.Of(folder.At("lora.safetensors")).Name);
            var lora = new LoraSource(
                source, [(folder.At("lora.safetensors"), 1)], new LoraSettings(Merge: true, Lenient: true, Warn: null));
            foreach (string component in new[] { "unet", "transformer", "text_encoder" }.Where(source.Has))
            {
                using var weights = lora.Component(component).OpenWeights();
                foreach (string tensor in weights.Names.ToArray())
                    weights.Find(tensor)!.Dispose();
            }
        });
    }

    [Theory]
    [InlineData("sd15")]
    [InlineData("sd21")]
    [InlineData("sdxl")]
    public void Damaged_single_files(string name)
    {
        using var original = new TemporaryFolder();
        byte[] valid = File.ReadAllBytes(LdmFile.Write(Repository.Golden("checkpoints", name), original.At("model.safetensors")));
        Fuzz(valid, 8 + (int)BitConverter.ToInt64(valid), 120, "model.safetensors", folder =>
        {
            var source = new SingleFileSource(folder.At("model.safetensors"), Host, new SingleFileSettings());
            foreach (string component in new[] { "unet", "vae", "text_encoder", "text_encoder_2" }.Where(source.Has))
            {
                using var weights = source.Component(component).OpenWeights();
                foreach (var tensor in weights.Entries.ToArray())
                {
                    if (tensor.Type is "F32" or "F16" or "BF16" && tensor.Dimensions.Count <= Shape.MaxRank)
                        weights.Find(tensor.Name)!.Dispose();
                }
            }
        });
    }

    /// <summary>What a file is must be told of any file, and what it needs.</summary>
    [Theory]
    [InlineData("chroma/transformer", "chroma")]
    [InlineData("ernie-image/transformer", null)]
    [InlineData("flux-dev/transformer", "flux-dev")]
    [InlineData("flux-dev/vae", "flux-vae")]
    [InlineData("flux2-klein/transformer", "flux2-klein")]
    [InlineData("krea2-turbo/transformer", null)]
    [InlineData("pixart-sigma/transformer", "pixart-sigma")]
    [InlineData("qwen-image/vae", "qwen-image-vae")]
    [InlineData("qwen-image-2.1/transformer", null)]
    [InlineData("sana/transformer", "sana")]
    [InlineData("sd35-medium/transformer", "sd35-medium")]
    [InlineData("sdxl/text_encoder_2", "clip-g")]
    [InlineData("wan-2.2/transformer", null)]
    [InlineData("wan-2.2/text_encoder", null)]
    [InlineData("z-image/transformer", "z-image")]
    public void Damaged_files_of_every_kind(string component, string? names)
    {
        using var original = new TemporaryFolder();
        byte[] valid = File.ReadAllBytes(
            OriginalFile.Write(Repository.Golden("checkpoints", component), names, original.At("model.safetensors")));
        Fuzz(valid, 8 + (int)BitConverter.ToInt64(valid), 40 * Factor, "model.safetensors", folder =>
        {
            var report = FileReport.Of(folder.At("model.safetensors"));
            Assert.NotEmpty(report.Name);
        });
    }

    /// <summary>Every weight of a file.</summary>
    private static void ReadAll(string path)
    {
        using var source = WeightSource.Open(path);
        foreach (var entry in source.Entries.ToArray())
        {
            if (entry.IsWeight && entry.Dimensions.Count <= Shape.MaxRank && entry.Dimensions.All(extent => extent <= int.MaxValue))
                source.Read(entry.Name);
        }
    }

    private static void Fuzz(
        byte[] valid, int headerLength, int rounds, string name, Action<TemporaryFolder> load, byte[][]? fragments = null)
    {
        fragments ??= [.. Texts.Select(System.Text.Encoding.UTF8.GetBytes)];
        var random = new Random(20260824);
        int refused = 0;
        using var folder = new TemporaryFolder();
        for (int round = 0; round < rounds; round++)
        {
            byte[] damaged = Damage(valid, headerLength, fragments, random);
            File.WriteAllBytes(folder.At(name), damaged);
            long before = GC.GetAllocatedBytesForCurrentThread();
            long start = System.Diagnostics.Stopwatch.GetTimestamp();
            try
            {
                load(folder);
            }
            catch (CheckpointException)
            {
                refused++;
            }
            catch (Exception exception)
            {
                string copy = Path.Combine(Path.GetTempPath(), "attune-fuzz-" + name);
                File.WriteAllBytes(copy, damaged);
                Assert.Fail($"Round {round} of {name} ({copy}): {exception}");
            }
            Assert.True(System.Diagnostics.Stopwatch.GetElapsedTime(start) < TimeBound, $"round {round} of {name} took long");
            Assert.True(
                GC.GetAllocatedBytesForCurrentThread() - before < MemoryBound,
                $"round {round} of {name} allocated {GC.GetAllocatedBytesForCurrentThread() - before} bytes");
        }
        Assert.InRange(refused, 1, rounds);
    }

    private static byte[] Damage(byte[] valid, int headerLength, byte[][] fragments, Random random)
    {
        var bytes = valid.ToList();
        for (int change = random.Next(1, 4); change > 0; change--)
        {
            int at = random.Next(Math.Min(headerLength, bytes.Count));
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 40), bytes.Count - at));
                    break;
                case 3:
                    byte[] fragment = fragments[random.Next(fragments.Length)];
                    if (fragments == Numbers && random.Next(2) == 0)
                        bytes.RemoveRange(at, Math.Min(fragment.Length, bytes.Count - at));
                    bytes.InsertRange(at, fragment);
                    break;
                case 4:
                    bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(1, 60), bytes.Count - at)));
                    break;
                default:
                    bytes.RemoveRange(random.Next(bytes.Count), 0);
                    if (random.Next(4) == 0)
                        bytes.RemoveRange(at, bytes.Count - at);
                    break;
            }
            if (bytes.Count == 0)
                return [];
        }
        return [.. bytes];
    }
}
