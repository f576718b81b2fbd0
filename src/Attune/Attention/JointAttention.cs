using Attune.Layers;
using Attune.Weights;

namespace Attune.Attention;

/// <summary>
/// The attention of a double-stream block: text and images have projections of their own (<c>add_q_proj</c> beside <c>to_q</c>), queries
/// and keys are normalised per head, and all attend together. FLUX.1, FLUX.2, Chroma and Qwen-Image have it.
/// </summary>
/// <param name="at">The block's <c>attn</c>.</param>
/// <param name="width">Channels of a row.</param>
/// <param name="headChannels">Channels of a head.</param>
/// <param name="epsilon">Of the norms.</param>
/// <param name="bias">Whether the projections have biases.</param>
internal sealed class JointAttention(WeightCursor at, int width, int headChannels, float epsilon, bool bias = true)
{
    private readonly Dual<HeadProjection> _q = new(
        Heads(at, "add_q_proj", "norm_added_q", width, headChannels, epsilon, bias),
        Heads(at, "to_q", "norm_q", width, headChannels, epsilon, bias));

    private readonly Dual<HeadProjection> _k = new(
        Heads(at, "add_k_proj", "norm_added_k", width, headChannels, epsilon, bias),
        Heads(at, "to_k", "norm_k", width, headChannels, epsilon, bias));

    private readonly Dual<Linear> _v = new(new(at.At("add_v_proj"), width, width, bias), new(at.At("to_v"), width, width, bias));
    private readonly Dual<Linear> _out = new(new(at.At("to_add_out"), width, width, bias), new(at.At("to_out.0"), width, width, bias));

    /// <summary>The layer that rules know.</summary>
    public AttentionSite Site { get; } = new(at.Path, AttentionKind.Joint);

    /// <summary>Adds what the rows of the stream find in each other. Temporaries belong to the current scope, as the vectors do.</summary>
    public void AddTo(TokenStream x, Branch by)
    {
        x.AddGated(by, x.Output(Site, () =>
        {
            var rows = x.Norm(by);
            return _out.Apply(x.Attend(Site, _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows)));
        }));
    }

    private static HeadProjection Heads(
        WeightCursor at, string linear, string norm, int width, int headChannels, float epsilon, bool bias) =>
        new(new Linear(at.At(linear), width, width, bias), headChannels, new RmsNorm(at.At(norm), headChannels, epsilon));
}
