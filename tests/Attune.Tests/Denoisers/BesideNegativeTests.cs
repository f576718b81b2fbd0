using Attune.Attention;
using Attune.Tensors;

namespace Attune.Tests.Denoisers;

/// <summary>Latents whose positions depend on the text beside them, with a table that is no rotation (ERNIE-Image).</summary>
[NoLeaks]
public class BesideNegativeTests
{
    private const int HeadChannels = 8;
    private const int Width = 2 * HeadChannels;
    private static readonly LatentGrid Grid = new(1, 2, 3);
    private static readonly RotaryAxes Axes = new([4, 2, 2], 256, RotaryPairing.HalvesByNeighbours);

    private static Tensor Noise(int seed, int rows)
    {
        var values = new float[rows * Width];
        new TorchRandom((ulong)seed).Normal(values);
        return Tensor.From(Host, values, [1, rows, Width]);
    }

    /// <summary>The facts of one attention over the rows of a stream, which are queries, keys and values at once.</summary>
    private static void Facts(Action<AttentionFacts> watch, params TokenPart[] parts)
    {
        using var stream = new TokenStream(new Watching(watch), HeadChannels, 1e-6f, Axes, parts);
        stream.Attend(new AttentionSite("attn", AttentionKind.Joint), stream.All, stream.All, stream.All);
    }

    private static float Distance(float[] a, float[] b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max();

    /// <summary>
    /// The latents over the negative text, and the negative text itself, are what they would be if the negative text were the only one.
    /// </summary>
    [Fact]
    public void The_negative_text_sees_latents_where_they_stand_beside_it()
    {
        using var scope = new TensorScope();
        var (latents, text, other) = (Noise(1, Grid.Count), Noise(2, 5), Noise(3, 2));
        TokenPart Latents(int length) => new(TokenKind.Latent, latents, TokenIds.Of(Grid, length), Grid);
        TokenPart Text(TokenKind kind, Tensor rows) => new(kind, rows, TokenIds.Along(rows.Shape[1], 3, 0));
        float[] positive = [], negative = [], shared = [], negativeRows = [];
        Facts(facts =>
        {
            (positive, negative) = (facts.Latents.ToArray(), facts.NegativeLatents.ToArray());
            negativeRows = Plain(facts.Call).Slice(1, 0, 2).ToArray();
        }, Text(TokenKind.NegativeText, other), Latents(5) with { BesideNegative = TokenIds.Of(Grid, 2) }, Text(TokenKind.Text, text));
        Facts(
            facts => shared = facts.NegativeLatents.ToArray(), Text(TokenKind.NegativeText, other), Latents(5), Text(TokenKind.Text, text));
        Facts(facts => Assert.Equal(0, Distance(positive, facts.Latents.ToArray()), 1e-6), Latents(5), Text(TokenKind.Text, text));
        Facts(facts =>
        {
            Assert.Equal(0, Distance(negative, facts.Latents.ToArray()), 1e-6);
            Assert.Equal(0, Distance(negativeRows, Plain(facts.Call).Slice(1, Grid.Count, 2).ToArray()), 1e-6);
        }, Latents(2), Text(TokenKind.Text, other));

        // Where they stand beside the prompt is another place.
        Assert.True(Distance(negative, shared) > 1e-2);
    }

    private static Tensor Plain(AttentionCall call) => PlainAttention.Instance.Attend(call);

    private sealed class Watching(Action<AttentionFacts> watch) : IAttention
    {
        public Tensor Attend(AttentionCall call)
        {
            using var facts = new AttentionFacts(call);
            watch(facts);
            return call.Query;
        }

        public bool ReadsNegativeText(AttentionSite site) => true;
    }
}
