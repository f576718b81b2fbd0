using Attune.Attention;
using Attune.Models.Flux;
using Attune.Tensors;

namespace Attune.Bench;

/// <summary>
/// One double-stream and two single-stream FLUX.1 blocks of real size (24 heads of 128 channels) with random bfloat16 weights. No block is
/// the last: all rows are computed. Tensors belong to the scope in which it is made.
/// </summary>
internal sealed class FluxBlocks
{
    private readonly DoubleStreamBlock _double;
    private readonly SingleStreamBlock[] _singles;
    private readonly Tensor _positive;
    private readonly Tensor _negative;
    private readonly Tensor _hidden;
    private readonly Tensor _ids;

    /// <summary>Makes blocks and their input.</summary>
    /// <param name="latents">Latent tokens.</param>
    /// <param name="text">Text tokens of the prompt.</param>
    /// <param name="negativeText">Text tokens of the negative prompt, for passes that read it.</param>
    /// <param name="noise">Draws inputs.</param>
    public FluxBlocks(int latents, int text, int negativeText, Func<Shape, Tensor> noise)
    {
        (Latents, Text, NegativeText) = (latents, text, negativeText);
        var weights = RandomWeights.Checkpoint(seed: 1);
        _double = new DoubleStreamBlock(weights.Root.At("transformer_blocks.0"), Config);
        _singles = [.. Enumerable.Range(0, 2).Select(i => new SingleStreamBlock(weights.Root.At("single_transformer_blocks", i), Config))];
        (_positive, _negative) = (noise([1, Config.Width]), noise([1, Config.Width]));
        _hidden = noise([1, negativeText + text + latents, Config.Width]);
        _ids = Tensor.Zeros([latents, 3]);
        for (int i = 0, columns = (int)Math.Sqrt(latents); i < latents; i++)
            (_ids.Row(i)[1], _ids.Row(i)[2]) = (i / columns, i % columns);
    }

    public static FluxConfig Config => FluxConfig.Real;

    public int Latents { get; }

    public int Text { get; }

    public int NegativeText { get; }

    public static string Description => "FLUX.1 blocks (1 double, 2 single)";

    /// <summary>One forward pass, with or without the negative text.</summary>
    public void Pass(IAttention attention, bool negative)
    {
        using var inner = new TensorScope();
        int first = negative ? 0 : NegativeText;
        var rows = _hidden.Slice(1, first, _hidden.Shape[1] - first).Clone();
        var sequence = new FluxTransformer.Sequence(rows, NegativeText - first, Text, Latents, Config, _ids);
        _double.Apply(sequence, _positive, _negative, attention, keepNegative: true);
        foreach (var block in _singles)
            block.Apply(sequence, _positive, _negative, attention, keepNegative: true, keepText: true);
    }
}
