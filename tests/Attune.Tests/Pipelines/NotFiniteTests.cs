using Attune.Generation;
using Attune.Imaging;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.Tests.Weights;
using Attune.Weights;

namespace Attune.Tests.Pipelines;

/// <summary>Values that are no numbers end a run with a sentence: never a black picture.</summary>
[NoLeaks]
public class NotFiniteTests
{
    private static GenerationRequest Request(GuidanceChoice? guidance = null) => new()
    {
        Prompt = "a cat", NegativePrompt = "sunglasses", Width = 64, Height = 64, Steps = 2, Guidance = guidance ?? GuidanceChoice.None,
    };

    /// <summary>With as many evaluations as steps: PNDM, the scheduler of the checkpoint of SD 1.5, does one more.</summary>
    private static GenerationRequest RequestFor(string model) =>
        Request() with { Scheduler = model == "sd15" ? SchedulerChoice.Parse("ddim") : null };

    /// <summary>One number in a weight of each component: the denoiser's biases and keys, the text encoders, the autoencoder.</summary>
    public static TheoryData<string, string, string, float, string> Damages()
    {
        const string Latents = "The latents are not finite after step 1 of 2: the denoiser's prediction for the prompt";
        const string Decoded = "The decoded image is not finite";
        var data = new TheoryData<string, string, string, float, string>();
        foreach (float value in new[] { float.NaN, float.PositiveInfinity })
        {
            data.Add("sd15", "unet", "mid_block.resnets.0.conv1.bias", value, Latents);
            data.Add("sd15", "unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", value, Latents);
            data.Add("sd15", "text_encoder", "text_model.final_layer_norm.weight", value, "the embedding 'text' of the prompt");
            data.Add("sd15", "vae", "decoder.conv_in.bias", value, Decoded);
            data.Add("sd15", "vae", "decoder.conv_out.bias", value, Decoded);
            data.Add("sdxl", "text_encoder_2", "text_projection.weight", value, "the embedding 'pooled' of the prompt");
            data.Add("flux-schnell", "transformer", "transformer_blocks.0.attn.to_k.weight", value, Latents);
            data.Add("flux-schnell", "transformer", "proj_out.bias", value, Latents);
            data.Add("flux-schnell", "text_encoder_2", "encoder.final_layer_norm.weight", value, "the embedding 'text' of the prompt");
            data.Add("flux-schnell", "text_encoder", "text_model.final_layer_norm.bias", value, "the embedding 'pooled' of the prompt");
            data.Add("flux-schnell", "vae", "decoder.conv_in.bias", value, Decoded);
            data.Add("sd35-medium", "transformer", "transformer_blocks.0.attn.to_v.weight", value, Latents);
            data.Add("sd35-medium", "text_encoder_3", "encoder.final_layer_norm.weight", value, "the embedding 'text' of the prompt");
            data.Add("sd35-medium", "vae", "decoder.conv_in.bias", value, Decoded);
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task A_weight_that_is_no_number_stops_the_run(string model, string component, string weight, float value, string where)
    {
        using var folder = Copy(model);
        Damage(Path.Combine(folder.Path, component), weight, value);
        using var pipeline = DiffusionPipeline.Load(folder.Path);
        string message = (await Assert.ThrowsAsync<NotFiniteException>(() => pipeline.GenerateAsync(RequestFor(model)))).Message;
        Assert.Contains(where, message, StringComparison.Ordinal);
        Assert.Contains("ikely cause", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sd15", "unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k")]
    [InlineData("flux-schnell", "transformer", "transformer_blocks.0.attn.to_q")]
    [InlineData("sd35-medium", "transformer", "transformer_blocks.0.attn.to_q")]
    public async Task A_LoRA_that_holds_a_value_that_is_no_number_stops_the_run(string model, string component, string layer)
    {
        using var folder = new TemporaryFolder();
        string path = Repository.Golden("checkpoints", model);
        long[] shape;
        using (var source = WeightSource.Open(Path.Combine(path, component)))
            shape = [.. source.Describe(layer + ".weight")!.Dimensions];
        foreach (float value in new[] { float.NaN, float.PositiveInfinity })
        {
            float[] up = new float[shape[0]];
            up[3] = value;
            string file = new SafetensorsWriter()
                .Add($"{component}.{layer}.lora_A.weight", [.. Enumerable.Repeat(0.25f, (int)shape[1])], 1, shape[1])
                .Add($"{component}.{layer}.lora_B.weight", up, shape[0], 1)
                .Write(folder.At($"lora{value}.safetensors"));
            foreach (bool merge in new[] { true, false })
            {
                var options = new LoadOptions { Loras = [new LoraWeights(file)], MergeLora = merge };
                using var pipeline = DiffusionPipeline.Load(path, options);
                var stopped = await Assert.ThrowsAsync<NotFiniteException>(() => pipeline.GenerateAsync(Request()));
                Assert.Contains("a LoRA file that holds NaN", stopped.Message, StringComparison.Ordinal);
            }
        }
    }

    /// <summary>Clipping would turn infinity into a limit: what a pass predicts is looked at before rules and schedulers see it.</summary>
    [Fact]
    public async Task What_thresholding_would_hide_is_found()
    {
        using var folder = Copy("sd15");
        Damage(Path.Combine(folder.Path, "unet"), "conv_out.bias", float.PositiveInfinity);
        using var pipeline = DiffusionPipeline.Load(folder.Path);
        foreach (string guidance in new[] { "none", "cfg:scale=4+dynamic-thresholding", "nag+pag" })
        {
            var request = Request(GuidanceChoice.Parse(guidance)) with { Scheduler = SchedulerChoice.Parse("ddim:clip_sample=true") };
            await Assert.ThrowsAsync<NotFiniteException>(() => pipeline.GenerateAsync(request));
        }
    }

    [Fact]
    public async Task A_scale_beyond_the_range_of_numbers_is_named()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        string message = (await Assert.ThrowsAsync<NotFiniteException>(
            () => pipeline.GenerateAsync(Request(GuidanceChoice.Parse("cfg:scale=1e38")) with { Steps = 5 }))).Message;
        Assert.Contains("guidance that is far too strong", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_initial_image_an_initial_noise_and_a_preview_are_checked_too()
    {
        string model = Repository.Golden("checkpoints", "sd15");
        using (var pipeline = DiffusionPipeline.Load(model))
        {
            using var noise = Filled([1, 8, 8, 4], float.NaN);
            using var image = Filled([1, 64, 64, 3], float.PositiveInfinity);
            await Stops(Request() with { InitialNoise = noise }, "InitialNoise");
            await Stops(
                Request() with { Images = new InputImages { InitialTensor = image, Strength = 0.5f } }, "The encoded initial image");

            async Task Stops(GenerationRequest request, string words)
            {
                string message = (await Assert.ThrowsAsync<NotFiniteException>(() => pipeline.GenerateAsync(request))).Message;
                Assert.Contains(words, message, StringComparison.Ordinal);
            }
        }

        // An autoencoder for previews with rectifiers, which let no NaN through on some processors.
        using var folder = Copy(Path.Combine("autoencoders", "taesd"));
        Damage(folder.Path, "decoder.layers.0.weight", float.NaN);
        using var preview = DiffusionPipeline.Load(model, new LoadOptions { PreviewVae = folder.Path });
        await foreach (var step in preview.DenoiseAsync(Request()))
        {
            await Assert.ThrowsAsync<NotFiniteException>(() => step.DecodePreviewAsync());
            break;
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void No_colour_stands_for_a_value_that_is_no_number(float value)
    {
        using var scope = new TensorScope();
        using var pixels = Filled([1, 2, 2, 3], 0.5f);
        Assert.Single(Image.FromTensor(pixels));
        using (var view = pixels.Write())
        {
            view.Fill(0.5f);
            view.Span[7] = value;
        }
        Assert.Contains(
            "1 of 12 values", Assert.Throws<NotFiniteException>(() => Image.FromTensor(pixels)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_step_that_is_over_says_so()
    {
        using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", "sd15"));
        var steps = new List<DenoisingStep>();
        await foreach (var step in pipeline.DenoiseAsync(RequestFor("sd15")))
        {
            steps.Add(step);
            Assert.NotNull(step.Latents);
            if (step.Index == 1)
                await Over(steps[0]);
        }
        await Over(steps[1]);

        static async Task Over(DenoisingStep step)
        {
            foreach (var use in new Func<Task>[]
            {
                () => step.DecodeAsync(), () => step.DecodePreviewAsync(), () => Task.FromResult(step.Latents),
            })
            {
                string message = (await Assert.ThrowsAsync<ObjectDisposedException>(use)).Message;
                Assert.Contains($"Step {step.Index + 1} of 2 is over: a step lives until the next one", message, StringComparison.Ordinal);
            }
        }
    }

    private static Tensor Filled(Shape shape, float value)
    {
        var tensor = TensorScope.Detach(Tensor.Empty(Host, shape));
        using var view = tensor.Write();
        view.Fill(value);
        return tensor;
    }

    /// <summary>A copy of a checkpoint that may be damaged.</summary>
    private static TemporaryFolder Copy(string model)
    {
        var folder = new TemporaryFolder();
        Repository.Copy(Repository.Golden("checkpoints", model), folder.Path);
        return folder;
    }

    /// <summary>Replaces the second element of a weight, in whatever type the file has it.</summary>
    private static void Damage(string folder, string weight, float value)
    {
        TensorEntry entry;
        using (var source = WeightSource.Open(folder))
            entry = source.Describe(weight) ?? throw new ArgumentException($"{folder} has no {weight}.", nameof(weight));
        byte[] bytes = entry.Type switch
        {
            "F32" => BitConverter.GetBytes(value),
            "F16" => BitConverter.GetBytes((Half)value),
            "BF16" => BitConverter.GetBytes((ushort)(BitConverter.SingleToUInt32Bits(value) >> 16)),
            _ => throw new NotSupportedException(entry.Type),
        };
        using var file = File.OpenWrite(entry.File);
        file.Position = entry.Offset + bytes.Length;
        file.Write(bytes);
    }
}
