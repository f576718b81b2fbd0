using Attune.Generation;
using Attune.Imaging;
using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Tests.Prompts;

/// <summary>Prompts that come again are not encoded again, and nothing else changes.</summary>
[NoLeaks]
public class KeptPromptsTests
{
    private static readonly PromptSettings Settings = new();

    /// <summary>Counts what it encodes; warns of long prompts.</summary>
    private sealed class Counting : PromptEncoder
    {
        public int Encoded { get; private set; }

        public bool Disposed { get; private set; }

        public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
        {
            Encoded++;
            if (input.Text!.Length > 3)
                input.Warn?.Invoke($"'{input.Text}' is long");
            using var scope = new TensorScope();
            return new Plain(Tensor.From(Host, new float[16], [1, 4, 4]));
        }

        public override void Dispose() => Disposed = true;
    }

    private sealed class Plain(Tensor text) : Conditioning(text);

    private static PromptInput Input(string text, PromptRole role = PromptRole.Prompt, PromptSettings? settings = null) =>
        new(text, role, new PixelSize(64, 64), settings ?? Settings);

    [Fact]
    public void A_prompt_is_encoded_once_for_each_role_and_setting()
    {
        var encoder = new Counting();
        using (var kept = new KeptPrompts(encoder, 1 << 20, 0))
        {
            using var first = kept.Encode(Input("cat"));
            using var second = kept.Encode(Input("cat", settings: new PromptSettings()));
            Assert.Same(first, second);
            Assert.Equal(1, encoder.Encoded);
            kept.Encode(Input("cat", PromptRole.NegativePass)).Dispose();
            kept.Encode(Input("cat", settings: Settings with { ClipSkip = 1 })).Dispose();
            kept.Encode(Input("cat") with { Size = new PixelSize(64, 128) }).Dispose();
            kept.Encode(Input("dog")).Dispose();
            Assert.Equal(5, encoder.Encoded);
        }
        Assert.True(encoder.Disposed);
    }

    [Fact]
    public void Those_that_were_not_used_for_longest_go_first_and_their_holders_keep_them()
    {
        var encoder = new Counting();
        using var kept = new KeptPrompts(encoder, 2 * 64, 0);       // 16 floats each
        using var a = kept.Encode(Input("a"));
        kept.Encode(Input("b")).Dispose();
        kept.Encode(Input("a")).Dispose();
        kept.Encode(Input("c")).Dispose();                          // instead of b
        Assert.Equal((3, 2), (encoder.Encoded, kept.Count));
        kept.Encode(Input("a")).Dispose();
        kept.Encode(Input("c")).Dispose();
        Assert.Equal(3, encoder.Encoded);
        kept.Encode(Input("b")).Dispose();
        kept.Encode(Input("d")).Dispose();                          // a is gone, but not for its holder
        Assert.Equal(16, a.Text.ToArray().Length);
        using var small = new KeptPrompts(new Counting(), 63, 0);
        small.Encode(Input("a")).Dispose();
        Assert.Equal(0, small.Count);
        using var derived = new KeptPrompts(new Counting(), 200, 100);
        derived.Encode(Input("a")).Dispose();                       // 64 bytes, and 400 of what layers derive
        Assert.Equal(0, derived.Count);
    }

    [Fact]
    public void Warnings_are_repeated()
    {
        using var kept = new KeptPrompts(new Counting(), 1 << 20, 0);
        var warnings = new List<string>();
        for (int i = 0; i < 2; i++)
            kept.Encode(Input("long one") with { Warn = warnings.Add }).Dispose();
        Assert.Equal(["'long one' is long", "'long one' is long"], warnings);
    }

    [Fact]
    public async Task Pictures_are_the_same_bits()
    {
        string model = Path.Combine(Repository.Root, "models", "flux-tiny-random");
        var request = new GenerationRequest
        {
            Prompt = "a cat", NegativePrompt = "a hat", Guidance = GuidanceChoice.Parse("nag"), Width = 32, Height = 32, Steps = 1,
            Seed = 3, MaxSequenceLength = 16,
        };
        var options = new LoadOptions { Device = Host };
        using var plain = DiffusionPipeline.Load(model, options);
        using var keeping = DiffusionPipeline.Load(model, options with { KeptPromptBytes = 1 << 24 });
        var expected = (await plain.GenerateAsync(request))[0].Rgb.ToArray();
        for (int i = 0; i < 2; i++)
            Assert.Equal(expected, (await keeping.GenerateAsync(request))[0].Rgb.ToArray());
    }
}
