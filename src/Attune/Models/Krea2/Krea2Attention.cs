using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Krea2;

/// <summary>
/// The layers of an attention with fewer heads for keys than for queries (Krea2Attention), whose output is multiplied by a gate of each row
/// before it is projected. Rules act on the output: the gate belongs to the way out.
/// </summary>
/// <param name="at">Where it is.</param>
/// <param name="config">Of the transformer.</param>
/// <param name="width">Channels of a row.</param>
/// <param name="heads">Heads of queries.</param>
/// <param name="keyHeads">Heads of keys and values.</param>
internal sealed class Krea2Attention(WeightCursor at, Krea2Config config, int width, int heads, int keyHeads)
{
    private readonly int _channels = width / heads;
    private readonly HeadProjection _q = new(
        new Linear(at.At("to_q"), width, width, bias: false), width / heads, config.Norm(at.At("norm_q"), width / heads));

    private readonly HeadProjection _k = new(
        new Linear(at.At("to_k"), width, keyHeads * (width / heads), bias: false), width / heads,
        config.Norm(at.At("norm_k"), width / heads));

    private readonly Linear _v = new(at.At("to_v"), width, keyHeads * (width / heads), bias: false);
    private readonly Linear _gate = new(at.At("to_gate"), width, width, bias: false);
    private readonly Linear _out = new(at.At("to_out.0"), width, width, bias: false);

    /// <summary>The layer that rules know.</summary>
    public AttentionSite Site { get; } = new(at.Path, AttentionKind.Joint);

    /// <summary>What rows of a stream find in each other.</summary>
    public StreamRows Apply(TokenStream x, StreamRows rows)
    {
        // Taken now: the attention ends rows.
        var live = rows.Live;
        return x.Output(Site, () =>
        {
            var attended = x.Attend(Site, _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows));
            return attended.With(Out(attended.Tensor, live.Tensor));
        });
    }

    /// <summary>What rows [batch, rows, width] find in each other, plainly and without positions.</summary>
    public Tensor Apply(Tensor x)
    {
        using var scope = new TensorScope();
        Tensor Heads(Tensor rows) => rows.Reshape(x.Shape[0], x.Shape[1], -1, _channels);
        var attended = Heads(_q.Apply(x)).Attention(Heads(_k.Apply(x)), Heads(_v.Apply(x)), 1 / MathF.Sqrt(_channels));
        return scope.Keep(Out(attended.Reshape(x.Shape), x));
    }

    private Tensor Out(Tensor attended, Tensor rows)
    {
        using var scope = new TensorScope();
        var gate = _gate.Apply(rows, Activation.Sigmoid);
        return scope.Keep(_out.Apply(gate.Multiply(attended, into: gate)));
    }
}
