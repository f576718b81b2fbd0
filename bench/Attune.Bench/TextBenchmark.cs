using System.Diagnostics;
using System.Globalization;
using System.Text;
using Attune.Tensors;
using Attune.TextEncoders.Decoder;
using Attune.Weights;

namespace Attune.Bench;

/// <summary>
/// What a template costs in a language model of real widths with two layers and random bfloat16 weights: the first prompt, for which the
/// template's part is made, and the second, for which it is known.
/// </summary>
public static class TextBenchmark
{
    /// <summary>The models, and the tokens of the template that their family puts before prompts.</summary>
    private static readonly Dictionary<string, (string Config, int Template)> Models = new()
    {
        ["gemma2"] = (
            """
            { "model_type": "gemma2", "vocab_size": 8192, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 2,
              "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256 }
            """, 300),
        ["qwen2.5-vl"] = (
            """
            { "model_type": "qwen2_5_vl_text", "vocab_size": 8192, "hidden_size": 3584, "intermediate_size": 18944,
              "num_hidden_layers": 2, "num_attention_heads": 28, "num_key_value_heads": 4, "rope_theta": 1000000 }
            """, 34),
        ["qwen3-vl-4b"] = (
            """
            { "model_type": "qwen3_vl_text", "vocab_size": 8192, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 2,
              "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 5000000 }
            """, 34),
    };

    /// <summary>The models that there are.</summary>
    public static IReadOnlyCollection<string> Shapes => Models.Keys;

    /// <summary>Measures and prints a line.</summary>
    /// <param name="device">What computes.</param>
    /// <param name="shape">One of <see cref="Shapes"/>.</param>
    /// <param name="template">Tokens of the template; null is the family's own number.</param>
    /// <param name="prompt">Tokens of a prompt.</param>
    /// <param name="rounds">Rounds, of which medians are taken.</param>
    /// <param name="output">Where the line goes.</param>
    /// <exception cref="ArgumentException">There is no such model.</exception>
    public static int Run(Device device, string shape, int? template, int prompt, int rounds, TextWriter output)
    {
        if (!Models.TryGetValue(shape, out var model))
            throw new ArgumentException($"--shape is '{shape}', expected {string.Join(", ", Shapes)}.");
        int count = template ?? model.Template;
        var config = ModelConfig.Parse(shape, Encoding.UTF8.GetBytes(model.Config));
        var source = new ComponentSource(config, device, () => new RandomWeights(1));
        int[] beginning = Tokens(1, count);
        var (first, second) = (new List<double>(), new List<double>());
        for (int round = 0; round <= rounds; round++)
        {
            using var encoder = DecoderTextModel.Load(source);
            double once = Seconds(encoder, [.. beginning, .. Tokens(2, prompt)], beginning);
            double again = Seconds(encoder, [.. beginning, .. Tokens(3, prompt)], beginning);
            if (round == 0)
                continue;           // warm-up
            first.Add(once);
            second.Add(again);
        }
        var (a, b) = (Timing.Median([.. first.Order()]), Timing.Median([.. second.Order()]));
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{shape}, 2 layers, {count} tokens of template, {prompt} of prompt: first {a:0.0000} s, second {b:0.0000} s, ratio "
                + $"{a / b:0.00}"));
        return 0;
    }

    private static double Seconds(DecoderTextModel encoder, int[] ids, int[] beginning)
    {
        using var scope = new TensorScope();
        long start = Stopwatch.GetTimestamp();
        encoder.EncodeHiddenStates([ids], [-1], beginning: beginning);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static int[] Tokens(int seed, int count) => [.. Enumerable.Range(0, count).Select(i => (seed * 7919 + i * 31) % 8192)];
}
