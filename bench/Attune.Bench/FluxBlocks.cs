using Attune.Attention;
using Attune.Models.Flux;
using Attune.Tensors;

namespace Attune.Bench;

/// <summary>
/// One double-stream and two single-stream FLUX.1 blocks of real size (24 heads of 128 channels) with random weights. No block is
/// the last: all rows are computed. Tensors belong to the scope in which it is made.
/// </summary>
internal sealed class FluxBlocks
{
    private readonly DoubleStreamBlock _double;
    private readonly SingleStreamBlock[] _singles;
    private readonly TimeEmbeddings _time;
    private readonly Tensor _hidden;
    private readonly TokenIds _ids;

    /// <summary>Makes blocks and their input.</summary>
    /// <param name="device">What computes.</param>
    /// <param name="latents">Latent tokens.</param>
    /// <param name="text">Text tokens of the prompt.</param>
    /// <param name="negativeText">Text tokens of the negative prompt, for passes that read it.</param>
    /// <param name="noise">Draws inputs.</param>
    /// <param name="weights">The format of matrices, or null for bfloat16.</param>
    public FluxBlocks(Device device, int latents, int text, int negativeText, Func<Shape, Tensor> noise,
        WeightFormat? weights = null)
    {
        (Latents, Text, NegativeText) = (latents, text, negativeText);
        var root = RandomWeights.Checkpoint(device, seed: 1, weights).Root;
        _double = new DoubleStreamBlock(root.At("transformer_blocks.0"), Config);
        _singles = [.. Enumerable.Range(0, 2).Select(i => new SingleStreamBlock(root.At("single_transformer_blocks", i), Config))];
        _time = new TimeEmbeddings(noise([1, Config.Width]), noise([1, Config.Width]));
        _hidden = noise([1, negativeText + text + latents, Config.Width]);
        int side = (int)Math.Sqrt(latents);
        if (side * side != latents)
            throw new ArgumentException($"--latents is {latents}, expected the square of a whole number.");
        _ids = TokenIds.Of(new LatentGrid(1, side, side));
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
        TokenPart[] parts =
        [
            new(TokenKind.NegativeText, _hidden.Slice(1, 0, NegativeText), TokenIds.Same(NegativeText, 0, 0, 0)),
            new(TokenKind.Text, _hidden.Slice(1, NegativeText, Text), TokenIds.Same(Text, 0, 0, 0)),
            new(TokenKind.Latent, _hidden.Slice(1, NegativeText + Text, Latents), _ids),
        ];
        using var stream = new TokenStream(
            attention, Config.AttentionHeadDim, FluxConfig.Epsilon, Config.Rotary, negative ? parts : parts.AsSpan(1));
        _double.Apply(stream, _time);
        foreach (var block in _singles)
            block.Apply(stream, _time);
    }
}
