using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Wan;

/// <summary>
/// A block of Wan: attention of the latents to each other over frames, rows and columns, attention to the text, which has a norm with
/// weights and no gate, and a feed-forward network.
/// </summary>
internal sealed class WanBlock : IStreamBlock<WanPass>
{
    private readonly ModulationTable _table;
    private readonly HeadProjection _q;
    private readonly HeadProjection _k;
    private readonly Linear _v;
    private readonly Linear _out;
    private readonly LayerNorm? _norm2;
    private readonly CrossAttention _attn2;
    private readonly WanPictureAttention? _picture;
    private readonly FeedForward _ffn;

    public WanBlock(WeightCursor at, WanConfig config)
    {
        var attn1 = at.At("attn1");
        int width = config.Width;
        HeadProjection Normed(string name) => new(
            new Linear(attn1.At("to_" + name), width, width), width, new RmsNorm(attn1.At("norm_" + name), width, config.Epsilon));
        _table = new ModulationTable(at, width, ModulationForm.ShiftScaleGate(branches: 2));
        (_q, _k) = (Normed("q"), Normed("k"));
        (_v, _out) = (new Linear(attn1.At("to_v"), width, width), new Linear(attn1.At("to_out.0"), width, width));
        if (config.CrossAttnNorm)
            _norm2 = new LayerNorm(at.At("norm2"), width, config.Epsilon);
        _attn2 = new CrossAttention(at.At("attn2"), width, config.AttentionHeadDim, bias: true, config.Epsilon);
        if (config.ImageDim != null)
            _picture = new WanPictureAttention(at.At("attn2"), config);
        _ffn = new FeedForward(at.At("ffn"), width, config.FfnDim, Activation.GeluTanh);
        Path = at.Path;
        Sites = [new(attn1.Path, AttentionKind.Self), _attn2.Site];
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, WanPass pass)
    {
        using var scope = new TensorScope();
        var m = _table.Over(pass.Modulation, pass.CleanModulation);
        Attend(x, m, pass);
        Read(x, pass);
        x.AddGated(m.FeedForward, _ffn.Apply(x.Norm(m.FeedForward)));
        pass.Watch?.Invoke(Path, x.All.Tensor);
    }

    private void Attend(TokenStream x, Modulation m, WanPass pass)
    {
        using var scope = new TensorScope();
        var attended = x.Output(Sites[0], () =>
        {
            var rows = x.Norm(m.Attention);
            return _out.Apply(x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows)));
        });
        pass.Watch?.Invoke(Sites[0].Path, attended.Tensor);
        x.AddGated(m.Attention, attended);
    }

    private void Read(TokenStream x, WanPass pass)
    {
        using var scope = new TensorScope();
        var all = x.All;
        var asking = _norm2 == null ? all : all.With(_norm2.Apply(all.Tensor));
        var read = _attn2.Apply(
            x, asking, pass.Texts, _picture == null ? null : queries => _picture.Apply(queries, pass.Picture!));
        pass.Watch?.Invoke(_attn2.Site.Path, read.Tensor);
        x.Add(null, read);
    }
}

/// <summary>What all blocks of one forward pass share.</summary>
/// <param name="Modulation">The six vectors of the timestep, [batch, 6, width].</param>
/// <param name="CleanModulation">Those of time 0, [1, 6, width], for frames that are given; null where none are.</param>
/// <param name="Texts">The prompts' texts.</param>
/// <param name="Picture">The picture that the model reads, or null.</param>
/// <param name="Watch">Receives what a block gives, or null.</param>
internal sealed record WanPass(
    Tensor Modulation, Tensor? CleanModulation, PromptTexts Texts, WanPicture? Picture, Action<string, Tensor>? Watch);
