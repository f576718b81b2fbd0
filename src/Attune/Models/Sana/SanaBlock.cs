using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Sana;

/// <summary>
/// A block of Sana: linear attention of the latents to each other, attention to the text, which is neither normed nor gated, and a gated
/// convolution over the grid.
/// </summary>
internal sealed class SanaBlock : IStreamBlock<SanaPass>
{
    /// <summary>Added to the divisor of linear attention.</summary>
    private const float LinearEpsilon = 1e-15f;

    private readonly int _headChannels;
    private readonly ModulationTable _table;
    private readonly HeadProjection _q;
    private readonly HeadProjection _k;
    private readonly Linear _v;
    private readonly Linear _out;
    private readonly CrossAttention _attn2;
    private readonly GatedConvolution _ff;

    public SanaBlock(WeightCursor at, SanaConfig config)
    {
        var attn1 = at.At("attn1");
        _headChannels = config.AttentionHeadDim;
        _table = new ModulationTable(at, config.Width, ModulationForm.ShiftScaleGate(branches: 2));
        _q = config.Heads(attn1.At("to_q"), attn1.At("norm_q"));
        _k = config.Heads(attn1.At("to_k"), attn1.At("norm_k"));
        _v = new Linear(attn1.At("to_v"), config.Width, config.Width, config.AttentionBias);
        _out = new Linear(attn1.At("to_out.0"), config.Width, config.Width);
        _attn2 = new CrossAttention(
            at.At("attn2"), config.Width, config.CrossAttentionHeadDim, bias: true, config.QkNorm ? SanaConfig.HeadEpsilon : null);
        _ff = new GatedConvolution(at.At("ff"), config.Width, config.Hidden);
        Path = at.Path;
        Sites = [new(attn1.Path, AttentionKind.Linear), _attn2.Site];
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, SanaPass pass)
    {
        using var scope = new TensorScope();
        var m = _table.Over(pass.Modulation);
        x.AddGated(m.Attention, x.Output(Sites[0], () => Attend(x.Norm(m.Attention))));
        x.Add(null, _attn2.Apply(x, x.All, pass.Texts));
        x.AddGated(m.FeedForward, Mix(x.Norm(m.FeedForward), pass.Grid));
    }

    private StreamRows Attend(StreamRows rows)
    {
        using var scope = new TensorScope();
        Tensor Heads(Tensor tensor) => tensor.Reshape(tensor.Shape[0], tensor.Shape[1], -1, _headChannels);
        Tensor Features(HeadProjection layer)
        {
            var features = layer.Apply(rows.Tensor);
            return Heads(features.Activate(Activation.Relu, into: features));
        }

        var attended = Features(_q).LinearAttention(Features(_k), Heads(_v.Apply(rows.Tensor)), LinearEpsilon);
        return rows.With(scope.Keep(_out.Apply(attended.Reshape(rows.Tensor.Shape))));
    }

    private StreamRows Mix(StreamRows rows, LatentGrid grid)
    {
        using var scope = new TensorScope();
        var shape = rows.Tensor.Shape;
        return rows.With(scope.Keep(_ff.Apply(rows.Tensor.Reshape(shape[0], grid.Height, grid.Width, shape[2])).Reshape(shape)));
    }
}

/// <summary>What all blocks of one forward pass share.</summary>
/// <param name="Modulation">The six vectors of the timestep, [batch, 6, width].</param>
/// <param name="Texts">The prompts' texts.</param>
/// <param name="Grid">How the latents lie.</param>
internal sealed record SanaPass(Tensor Modulation, PromptTexts Texts, LatentGrid Grid);
