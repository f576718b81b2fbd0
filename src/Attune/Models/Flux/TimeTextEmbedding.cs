using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Flux;

/// <summary>time_text_embed: the sum of the embeddings of timestep, guidance scale and pooled text.</summary>
internal sealed class TimeTextEmbedding(WeightCursor at, FluxConfig config)
{
    private const int TimestepChannels = 256;
    private readonly EmbeddingMlp _timestepEmbedder = new(at.At("timestep_embedder"), TimestepChannels, config.Width);
    private readonly EmbeddingMlp? _guidanceEmbedder =
        config.GuidanceEmbeds ? new(at.At("guidance_embedder"), TimestepChannels, config.Width) : null;
    private readonly EmbeddingMlp _textEmbedder = new(at.At("text_embedder"), config.PooledProjectionDim, config.Width);

    /// <summary>
    /// SiLU of the embedding, [batch, width]: every modulation of the model begins with that SiLU.
    /// Timesteps and guidance are scaled by 1000, as in training.
    /// </summary>
    public Tensor Apply(float[] timesteps, float? guidanceScale, Tensor pooled)
    {
        using var scope = new TensorScope();
        var embedding = _timestepEmbedder.Apply(Sinusoid.Of(pooled.Device, [.. timesteps.Select(t => t * 1000)], TimestepChannels));
        if (_guidanceEmbedder != null)
            embedding = embedding.Add(_guidanceEmbedder.Apply(Sinusoid.Of(pooled.Device, [guidanceScale!.Value * 1000], TimestepChannels)));
        return scope.Keep(embedding.Add(_textEmbedder.Apply(pooled)).Activate(Activation.Silu));
    }
}
