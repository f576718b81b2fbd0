using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Krea2;

/// <summary>
/// Makes one row of the hidden states of several layers (Krea2TextFusion): blocks over the layers of each token alone, a sum of the layers,
/// and blocks over the tokens. Nothing here is guided.
/// </summary>
internal sealed class Krea2TextFusion
{
    private readonly Krea2Config _config;
    private readonly Krea2FusionBlock[] _layerwise;
    private readonly Linear _projector;
    private readonly Krea2FusionBlock[] _refiner;

    public Krea2TextFusion(WeightCursor at, Krea2Config config)
    {
        Krea2FusionBlock[] Blocks(string name, int count) =>
            [.. Enumerable.Range(0, count).Select(i => new Krea2FusionBlock(at.At(name, i), config))];
        _config = config;
        _layerwise = Blocks("layerwise_blocks", config.NumLayerwiseTextBlocks);
        _projector = new Linear(at.At("projector"), config.NumTextLayers, 1, bias: false);
        _refiner = Blocks("refiner_blocks", config.NumRefinerTextBlocks);
    }

    /// <summary>[batch, tokens, layers, channels] to [batch, tokens, channels].</summary>
    public Tensor Apply(Tensor states, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var (batch, tokens) = (states.Shape[0], states.Shape[1]);
        var x = states.Reshape(batch * tokens, _config.NumTextLayers, _config.TextHiddenDim).Clone();
        foreach (var block in _layerwise)
            block.AddTo(x, cancellation);
        x = _projector.Apply(x.Permute(0, 2, 1)).Reshape(batch, tokens, _config.TextHiddenDim);
        foreach (var block in _refiner)
            block.AddTo(x, cancellation);
        return scope.Keep(x);
    }
}

/// <summary>Attention, then feed-forward, each behind a norm, without modulation and positions (Krea2TextFusionBlock).</summary>
internal sealed class Krea2FusionBlock(WeightCursor at, Krea2Config config)
{
    private readonly RmsNorm _norm1 = config.Norm(at.At("norm1"), config.TextHiddenDim);
    private readonly RmsNorm _norm2 = config.Norm(at.At("norm2"), config.TextHiddenDim);

    private readonly Krea2Attention _attention =
        new(at.At("attn"), config, config.TextHiddenDim, config.TextHeads, config.TextKeyValueHeads);

    private readonly GatedFeedForward _feedForward = Krea2Block.FeedForward(at.At("ff"), config.TextHiddenDim, config.TextIntermediateSize);

    /// <summary>Updates [batch, rows, channels] in place.</summary>
    public void AddTo(Tensor x, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        using var scope = new TensorScope();
        x.Add(_attention.Apply(_norm1.Apply(x)), into: x);
        x.Add(_feedForward.Apply(_norm2.Apply(x)), into: x);
    }
}
