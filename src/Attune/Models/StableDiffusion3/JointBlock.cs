using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.StableDiffusion3;

/// <summary>
/// A block in which text and latents have weights of their own and meet in attention (JointTransformerBlock of diffusers; Esser et al.,
/// arXiv 2403.03206). Some blocks of 3.5 medium have a second attention, of the latents alone, side by side with the first. In the last
/// block the text gives keys and values alone.
/// </summary>
internal sealed class JointBlock : IStreamBlock<TimeEmbeddings>
{
    /// <summary>The place of the second attention's vectors: after those of attention and feed-forward network.</summary>
    private const int SecondBranch = 2;

    private readonly Dual<ModulationLayer> _norm1;
    private readonly Dual<HeadProjection> _q;
    private readonly Dual<HeadProjection> _k;
    private readonly Dual<Linear> _v;
    private readonly Dual<Linear> _out;
    private readonly Dual<FeedForward> _ff;
    private readonly SecondAttention? _attn2;

    /// <summary>Reads the weights of a block.</summary>
    /// <param name="at">The block.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="second">Whether there is a second attention.</param>
    /// <param name="last">Whether it is the last block.</param>
    public JointBlock(WeightCursor at, StableDiffusion3Config config, bool second, bool last)
    {
        Linear Square(string name) => new(at.At(name), config.Width, config.Width);
        FeedForward Network(string name) => new(at.At(name), config.Width, 4 * config.Width, Activation.GeluTanh);
        var text = last ? ModulationForm.ScaleShift : ModulationForm.ShiftScaleGate(branches: 2);
        _norm1 = new(
            new(at.At("norm1_context.linear"), config.Width, text),
            new(at.At("norm1.linear"), config.Width, ModulationForm.ShiftScaleGate(second ? 3 : 2)));
        _q = new(
            config.Heads(at.At("attn.add_q_proj"), at.At("attn.norm_added_q")), config.Heads(at.At("attn.to_q"), at.At("attn.norm_q")));
        _k = new(
            config.Heads(at.At("attn.add_k_proj"), at.At("attn.norm_added_k")), config.Heads(at.At("attn.to_k"), at.At("attn.norm_k")));
        _v = new(Square("attn.add_v_proj"), Square("attn.to_v"));

        // Behind the last attention no text is left, and no layer for it.
        var (imageOut, imageNetwork) = (Square("attn.to_out.0"), Network("ff"));
        _out = last ? new(imageOut, imageOut) : new(Square("attn.to_add_out"), imageOut);
        _ff = last ? new(imageNetwork, imageNetwork) : new(Network("ff_context"), imageNetwork);
        _attn2 = second ? new SecondAttention(at.At("attn2"), config) : null;
        Path = at.Path;
        var joint = new AttentionSite(at.Path + ".attn", AttentionKind.Joint);
        Sites = _attn2 == null ? [joint] : [joint, _attn2.Site];
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    public bool ModulatesTwins => false;

    /// <inheritdoc/>
    public void Apply(TokenStream x, TimeEmbeddings time)
    {
        using var scope = new TensorScope();
        var m = time.Through(_norm1);
        var second = new Branch(m, SecondBranch);
        var latents = _attn2 == null ? default : x.NormOf(TokenKind.Latent, second);      // before anything is added
        x.AddGated(m.Attention, x.Output(Sites[0], () =>
        {
            var rows = x.Norm(m.Attention);
            return _out.Apply(x.Attend(Sites[0], _q.Apply(rows.Queries), _k.Apply(rows), _v.Apply(rows)));
        }));
        if (_attn2 != null)
            x.AddGated(second, x.Output(_attn2.Site, () => _attn2.Apply(x, latents), latents));
        x.AddGated(m.FeedForward, _ff.Apply(x.Norm(m.FeedForward)));
    }

    /// <summary>Attention of the latents to each other.</summary>
    private sealed class SecondAttention(WeightCursor at, StableDiffusion3Config config)
    {
        private readonly HeadProjection _q = config.Heads(at.At("to_q"), at.At("norm_q"));
        private readonly HeadProjection _k = config.Heads(at.At("to_k"), at.At("norm_k"));
        private readonly Linear _v = new(at.At("to_v"), config.Width, config.Width);
        private readonly Linear _out = new(at.At("to_out.0"), config.Width, config.Width);

        public AttentionSite Site { get; } = new(at.Path, AttentionKind.Self);

        public StreamRows Apply(TokenStream x, StreamRows rows) =>
            _out.Apply(x.AttendAlone(Site, _q.Apply(rows), _k.Apply(rows), _v.Apply(rows)));
    }
}
