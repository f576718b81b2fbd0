using System.Text.Json;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;

namespace Attune.Tests.TextEncoders;

/// <summary>What a template makes in a language model is kept for the next prompt.</summary>
[NoLeaks]
public class KeptBeginningTests
{
    public static TheoryData<string> Models => ["text-encoders/gemma2", "qwen-image/text_encoder", "flux2-klein/text_encoder"];

    private static int[] Tokens(int seed, int count, int vocabulary) =>
        [.. Enumerable.Range(0, count).Select(i => (seed + 1) * (i * i + 31) % Math.Min(vocabulary, 300))];

    private static float[][] Encode(DecoderTextModel model, int[] ids, int[]? beginning = null)
    {
        using var scope = new TensorScope();
        return [.. model.EncodeHiddenStates([ids], [0, 1, -2, -1], beginning: beginning).Select(state => state.ToArray())];
    }

    /// <summary>To the bit, whether nothing was kept, the template's part is made now, or it is known.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void A_kept_beginning_changes_no_bit(string model)
    {
        string folder = Repository.Golden(["checkpoints", .. model.Split('/')]);
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        var text = config.RootElement.TryGetProperty("text_config", out var part) ? part : config.RootElement;
        int vocabulary = text.GetProperty("vocab_size").GetInt32();
        int[] beginning = Tokens(1, 17, vocabulary);
        int[] first = [.. beginning, .. Tokens(2, 9, vocabulary)];
        int[] second = [.. beginning, .. Tokens(3, 24, vocabulary)];
        using var plain = DecoderTextModel.Load(folder, Host);
        using var keeping = DecoderTextModel.Load(folder, Host);
        Assert.Equal(Encode(plain, first), Encode(keeping, first, beginning));
        Assert.Equal(Encode(plain, second), Encode(keeping, second, beginning));
        Assert.Equal(Encode(plain, first), Encode(keeping, first, beginning));

        // What begins otherwise, or is hardly longer, is as if there were no beginning; and no more than a few are kept.
        foreach (int[] other in new[] { second[1..], [.. beginning, 5, 6], beginning })
            Assert.Equal(Encode(plain, other), Encode(keeping, other, beginning));
        for (int seed = 4; seed < 8; seed++)
        {
            int[] another = Tokens(seed, 11, vocabulary);
            Assert.Equal(Encode(plain, [.. another, .. first]), Encode(keeping, [.. another, .. first], another));
        }
    }

    /// <summary>The layers run over the rest alone.</summary>
    [Fact]
    public void The_second_prompt_runs_over_its_own_tokens()
    {
        string folder = Repository.Golden("checkpoints", "qwen-image", "text_encoder");
        var device = new Guidance.CountingDevice(Host);
        using var model = DecoderTextModel.Load(folder, device);
        int[] beginning = Tokens(1, 40, 300);
        long Rows(int[] ids)
        {
            long before = device.LinearRows;
            Encode(model, ids, beginning);
            return device.LinearRows - before;
        }

        long first = Rows([.. beginning, .. Tokens(2, 10, 300)]);
        long second = Rows([.. beginning, .. Tokens(3, 10, 300)]);
        Assert.Equal(5 * second, first);
    }
}
