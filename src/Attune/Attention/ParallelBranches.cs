using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Attention;

/// <summary>
/// The inside of a single-stream block of FLUX.1 and Chroma: attention and feed-forward run side by side, from the same rows to one
/// projection.
/// </summary>
/// <param name="at">The block.</param>
/// <param name="width">Channels of a row.</param>
/// <param name="headChannels">Channels of a head.</param>
/// <param name="epsilon">Of the norms of queries and keys.</param>
internal sealed class ParallelBranches(WeightCursor at, int width, int headChannels, float epsilon)
{
    private readonly HeadProjection _q = new(
        new Linear(at.At("attn.to_q"), width, width), headChannels, new RmsNorm(at.At("attn.norm_q"), headChannels, epsilon));

    private readonly HeadProjection _k = new(
        new Linear(at.At("attn.to_k"), width, width), headChannels, new RmsNorm(at.At("attn.norm_k"), headChannels, epsilon));

    private readonly Linear _v = new(at.At("attn.to_v"), width, width);
    private readonly Linear _projMlp = new(at.At("proj_mlp"), width, 4 * width);
    private readonly Linear _projOut = new(at.At("proj_out"), 5 * width, width);

    /// <summary>The layer that rules know.</summary>
    public AttentionSite Site { get; } = new(at.Path + ".attn", AttentionKind.Joint);

    /// <summary>Adds both to the rows of the stream.</summary>
    public void AddTo(TokenStream x, Branch by)
    {
        using var scope = new TensorScope();
        var rows = x.Norm(by);
        var attended = x.Output(Site, () => x.Attend(Site, _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows)));
        x.AddGated(by, Out(attended, rows.Live));
    }

    /// <summary>One projection of what attention gave and of the hidden channels of the feed-forward network, side by side.</summary>
    private StreamRows Out(StreamRows attended, StreamRows rows)
    {
        using var scope = new TensorScope();
        var attention = attended.Tensor;
        var both = attention.Like([attention.Shape[0], attention.Shape[1], 5 * width]);
        attention.CopyTo(both.Slice(2, 0, width));
        _projMlp.Apply(rows.Tensor, Activation.GeluTanh, into: both.Slice(2, width, 4 * width));
        return attended.With(scope.Keep(_projOut.Apply(both)));
    }
}
