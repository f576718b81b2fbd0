using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Clip;

/// <summary>What a layer is made by; CLIP's towers for texts and pictures have the same.</summary>
internal readonly record struct ClipLayerConfig(
    int HiddenSize, int IntermediateSize, int NumAttentionHeads, Activation HiddenAct, float LayerNormEps, bool Causal);

/// <summary>One layer: self-attention and a feed-forward network, each added to the residual stream.</summary>
internal sealed class ClipEncoderLayer(WeightCursor at, ClipLayerConfig config)
{
    private readonly LayerNorm _layerNorm1 = new(at.At("layer_norm1"), config.HiddenSize, config.LayerNormEps);
    private readonly ClipAttention _selfAttn = new(at.At("self_attn"), config);
    private readonly LayerNorm _layerNorm2 = new(at.At("layer_norm2"), config.HiddenSize, config.LayerNormEps);
    private readonly Linear _fc1 = new(at.At("mlp.fc1"), config.HiddenSize, config.IntermediateSize);
    private readonly Linear _fc2 = new(at.At("mlp.fc2"), config.IntermediateSize, config.HiddenSize);

    /// <summary>Updates [batch, tokens, channels] in place.</summary>
    public void AddTo(Tensor hidden)
    {
        using var scope = new TensorScope();
        hidden.Add(_selfAttn.Apply(_layerNorm1.Apply(hidden)), into: hidden);
        hidden.Add(_fc2.Apply(_fc1.Apply(_layerNorm2.Apply(hidden), config.HiddenAct)), into: hidden);
    }
}

/// <summary>Multi-head self-attention; in text a token sees itself and what stands before it.</summary>
internal sealed class ClipAttention(WeightCursor at, ClipLayerConfig config)
{
    private static readonly AttentionMask Causal = new() { Causal = true };

    private readonly Linear _qProj = new(at.At("q_proj"), config.HiddenSize, config.HiddenSize);
    private readonly Linear _kProj = new(at.At("k_proj"), config.HiddenSize, config.HiddenSize);
    private readonly Linear _vProj = new(at.At("v_proj"), config.HiddenSize, config.HiddenSize);
    private readonly Linear _outProj = new(at.At("out_proj"), config.HiddenSize, config.HiddenSize);

    public Tensor Apply(Tensor x)
    {
        float scale = 1 / MathF.Sqrt(config.HiddenSize / config.NumAttentionHeads);
        var mask = config.Causal ? Causal : null;
        var attended = Heads(_qProj.Apply(x)).Attention(Heads(_kProj.Apply(x)), Heads(_vProj.Apply(x)), scale, mask);
        return _outProj.Apply(attended.Reshape(x.Shape));
    }

    private Tensor Heads(Tensor x) => x.Reshape(x.Shape[0], x.Shape[1], config.NumAttentionHeads, -1);
}
