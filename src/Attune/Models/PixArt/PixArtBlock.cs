using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.PixArt;

/// <summary>
/// A block of PixArt: attention of the latents to each other, attention to the text, which is neither normed nor gated, and a feed-forward
/// network.
/// </summary>
internal sealed class PixArtBlock : IStreamBlock<PixArtPass>
{
    private readonly ModulationTable _table;
    private readonly Linear _q;
    private readonly Linear _k;
    private readonly Linear _v;
    private readonly Linear _out;
    private readonly CrossAttention _attn2;
    private readonly FeedForward _ff;

    public PixArtBlock(WeightCursor at, PixArtConfig config)
    {
        Linear Square(string name, bool bias) => new(at.At("attn1").At(name), config.Width, config.Width, bias);
        _table = new ModulationTable(at, config.Width, ModulationForm.ShiftScaleGate(branches: 2));
        (_q, _k) = (Square("to_q", config.AttentionBias), Square("to_k", config.AttentionBias));
        (_v, _out) = (Square("to_v", config.AttentionBias), Square("to_out.0", true));
        _attn2 = new CrossAttention(at.At("attn2"), config.Width, config.AttentionHeadDim, config.AttentionBias);
        _ff = new FeedForward(at.At("ff"), config.Width, 4 * config.Width, Activation.GeluTanh);
        Path = at.Path;
        Sites = [new(at.Path + ".attn1", AttentionKind.Self), _attn2.Site];
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, PixArtPass pass)
    {
        using var scope = new TensorScope();
        var m = _table.Over(pass.Modulation);
        x.AddGated(m.Attention, x.Output(Sites[0], () =>
        {
            var rows = x.Norm(m.Attention);
            return _out.Apply(x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows)));
        }));
        x.Add(null, _attn2.Apply(x, x.All, pass.Texts));
        x.AddGated(m.FeedForward, _ff.Apply(x.Norm(m.FeedForward)));
    }
}

/// <summary>What all blocks of one forward pass share.</summary>
/// <param name="Modulation">The six vectors of the timestep, [batch, 6, width].</param>
/// <param name="Texts">The prompts' texts.</param>
internal sealed record PixArtPass(Tensor Modulation, PromptTexts Texts);
