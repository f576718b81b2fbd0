using Attune.Attention;
using Attune.Guidance;
using Attune.Latents;
using Attune.Models;
using Attune.Models.ErnieImage;
using Attune.Models.Krea2;
using Attune.Models.QwenImage21;
using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Tests.Denoisers;

/// <summary>
/// Where latents take what the negative text gives them and nothing else, in all layers, the prediction is that of the negative prompt
/// alone: with prompts of any length, and with pictures that the model looks at.
/// </summary>
[NoLeaks]
public class NegativeAloneTests
{
    private static readonly LatentGrid Grid = new(1, 4, 6);
    private static readonly LatentGrid ReferenceGrid = new(1, 2, 4);

    public static TheoryData<string, int, int, bool> Cases => new()
    {
        { "ernie-image", 5, 5, false },
        { "ernie-image", 5, 3, false },
        { "ernie-image", 3, 7, false },
        { "krea2-turbo", 5, 5, false },
        { "krea2-turbo", 3, 7, false },
        { "qwen-image-2.1", 5, 5, false },
        { "qwen-image-2.1", 5, 3, false },
        { "qwen-image-2.1", 3, 7, false },
        { "qwen-image-2.1", 5, 5, true },
        { "qwen-image-2.1", 4, 7, true },
    };

    private Device _device = Host;

    private Tensor Noise(int seed, params ReadOnlySpan<int> shape)
    {
        var values = new float[Shape.Create(shape).Count];
        new TorchRandom((ulong)seed).Normal(values);
        return Tensor.From(_device, values, Shape.Create(shape));
    }

    private Denoiser Open(string model)
    {
        string folder = Repository.Golden("checkpoints", model, "transformer");
        return model switch
        {
            "ernie-image" => ErnieImageTransformer.Load(folder, _device),
            "krea2-turbo" => Krea2Transformer.Load(folder, _device),
            _ => QwenImage21Transformer.Load(folder, _device),
        };
    }

    private Conditioning Prompt(Denoiser model, int seed, int length, bool reference)
    {
        if (model is ErnieImageTransformer ernie)
            return new ErnieImageConditioning(Noise(seed, 1, length, ernie.Config.TextInDim));
        if (model is Krea2Transformer krea)
            return new Krea2Conditioning(Noise(seed, 1, length, krea.Config.NumTextLayers, krea.Config.TextHiddenDim));
        int channels = ((QwenImage21Transformer)model).Config.ContextInDim;
        int slots = reference ? ReferenceGrid.Count / 4 : 0;

        // What stands before pictures is the template's: the same for all prompts, and so are the pictures' keys and values.
        return new QwenImage21Conditioning(
            TensorOperations.Concatenate(1, Noise(8, 1, 2 + slots, channels), Noise(seed, 1, length, channels)),
            [.. Enumerable.Range(0, 2 + slots + length).Select(row => row >= 2 && row < 2 + slots)]);
    }

    private DenoiserInput Input(Denoiser model, Conditioning positive, Conditioning? negative, bool reference)
    {
        var latents = model is ErnieImageTransformer ernie ? Noise(1, 1, Grid.Height, Grid.Width, ernie.Config.InChannels)
            : Noise(1, 1, Grid.Count, model is Krea2Transformer krea ? krea.Config.InChannels
                : ((QwenImage21Transformer)model).Config.InChannels);
        return new DenoiserInput(latents, Grid, [700], positive, negative)
        {
            References = reference ? [new ReferenceLatents(Noise(9, 1, ReferenceGrid.Count, latents.Shape[2]), ReferenceGrid)] : [],
        };
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_the_negative_text_gives_is_what_it_would_give_alone(string name, int length, int negativeLength, bool reference)
    {
        using var model = Open(name);
        using var scope = new TensorScope();
        using var positive = Prompt(model, 2, length, reference);
        using var negative = Prompt(model, 3, negativeLength, reference);
        var effect = new AttentionEffect(_ => true, null, new NegativeAlone(), NeedsNegativeText: true);
        var steered = model.Predict(Input(model, positive, negative, reference), new Steering(new GuidedAttention(effect))).ToArray();
        var alone = model.Predict(Input(model, negative, null, reference), Steering.Plain).ToArray();
        var plain = model.Predict(Input(model, positive, null, reference), Steering.Plain).ToArray();
        float largest = alone.Max(Math.Abs);
        Assert.InRange(steered.Zip(alone, (a, b) => Math.Abs(a - b)).Max(), 0, 2e-5f * largest);
        Assert.True(plain.Zip(alone, (a, b) => Math.Abs(a - b)).Max() > 1e-2f * largest);
    }

    /// <summary>
    /// A step with NAG multiplies no more than it must. Where texts are made before (Qwen-Image-2.1), all linear layers cost what they do
    /// without it; elsewhere they cost what they would for a prompt longer by the negative text. Attention over the negative text is added,
    /// and once more that of the latents to what stands elsewhere beside it.
    /// </summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void A_steered_step_multiplies_what_it_must(string name, int length, int negativeLength, bool reference)
    {
        var device = new Guidance.CountingDevice(Host);
        _device = device;
        using var model = Open(name);
        using var scope = new TensorScope();
        using var positive = Prompt(model, 2, length, reference);
        using var negative = Prompt(model, 3, negativeLength, reference);
        using var longer = Prompt(model, 4, length + negativeLength, reference);
        using var memo = new Memo();
        var nag = new GuidanceSchedule(new NormalizedAttentionGuidance()).At(0, 1).Steering;
        var (plain, plainAttention) = Products(positive, null, Steering.Plain);
        var (linear, attention) = Products(positive, negative, nag);
        var (more, _) = Products(longer, null, Steering.Plain);
        bool isPrefix = model is QwenImage21Transformer;
        Assert.Equal(isPrefix ? plain : more, linear);

        var (latents, other, blocks) = ((long)Grid.Count, (long)negativeLength, model.Blocks.Count);
        int channels = model switch
        {
            ErnieImageTransformer ernie => ernie.Config.HiddenSize,
            Krea2Transformer krea => krea.Config.Width,
            _ => ((QwenImage21Transformer)model).Config.Width,
        };
        long moved = length == negativeLength ? 0 : reference ? ReferenceGrid.Count : model is ErnieImageTransformer ? latents : 0;
        long pairs = isPrefix ? latents * (other + 2 + moved) * blocks      // 2 rows stand before the words
            : latents * (other + moved) * blocks + other * (latents + other) * (blocks - 1);        // in the last block only latents ask
        Assert.Equal(plainAttention + 2 * channels * pairs, attention);

        (long Linear, long Attention) Products(Conditioning prompt, Conditioning? against, Steering steering)
        {
            // What is made once is made in the first pass.
            var input = Input(model, prompt, against, reference) with { Memo = memo };
            model.Predict(input, steering);
            var (linear, attention) = (device.LinearProducts, device.AttentionProducts);
            model.Predict(input, steering);
            return (device.LinearProducts - linear, device.AttentionProducts - attention);
        }
    }

    /// <summary>Keys and values of a prompt of Qwen-Image-2.1 are made in its first pass, whatever the timestep.</summary>
    [Fact]
    public void A_prefix_is_made_once()
    {
        using var model = Open("qwen-image-2.1");
        using var scope = new TensorScope();
        using var positive = Prompt(model, 2, 5, reference: false);
        var made = new List<float>();
        float at = 0;
        var first = Pass(900);
        Pass(300);
        Pass(100);
        Assert.Equal([900], made);
        using var again = Prompt(model, 2, 5, reference: false);
        Assert.Equal(first, model.Predict(Input(model, again, null, false) with { Timesteps = [900] }, Steering.Plain).ToArray());

        float[] Pass(float timestep)
        {
            at = timestep;
            var input = Input(model, positive, null, reference: false) with
            {
                Timesteps = [timestep],
                Watch = (name, _) =>
                {
                    if (name == "time_text_embed.zero")
                        made.Add(at);
                },
            };
            return model.Predict(input, Steering.Plain).ToArray();
        }
    }

    /// <summary>What is said to be kept of a row is what a pass leaves behind.</summary>
    [Fact]
    public void Kept_rows_take_what_is_said()
    {
        using var model = Open("qwen-image-2.1");
        using var scope = new TensorScope();
        using var positive = Prompt(model, 2, 50, reference: false);
        var input = Input(model, positive, null, reference: false);
        long before = TensorMemory.LiveBytes;
        using (new TensorScope())
            model.Predict(input, Steering.Plain);
        double ratio = (double)(TensorMemory.LiveBytes - before) / (52 * model.KeptBytesPerTextRow);
        Assert.InRange(ratio, 1, 1.1);
    }

    /// <summary>Z- in the place of Z+.</summary>
    private sealed class NegativeAlone : IAttentionCorrection
    {
        public void AddTo(Tensor output, AttentionFacts facts)
        {
            using var scope = new TensorScope();
            output.Add(facts.NegativeLatents.Subtract(facts.Latents), into: output);
        }
    }
}
