using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Chroma;

/// <summary>
/// The network that makes the modulations of all blocks from the time (distilled_guidance_layer): a table of three vectors for each
/// single-stream block, six for each double-stream block for images, six for text, and two for the last norm.
/// </summary>
internal sealed class ChromaModulations
{
    /// <summary>The smallest float32 that changes 1, PyTorch's default.</summary>
    private const float Epsilon = 1.1920929e-7f;

    private readonly ChromaConfig _config;
    private readonly Linear _inProj;
    private readonly (RmsNorm Norm, EmbeddingMlp Layer)[] _layers;
    private readonly Linear _outProj;

    public ChromaModulations(WeightCursor at, ChromaConfig config)
    {
        int hidden = config.ApproximatorHiddenDim;
        _config = config;
        _inProj = new Linear(at.At("in_proj"), config.ApproximatorNumChannels, hidden);
        _layers = [.. Enumerable.Range(0, config.ApproximatorLayers).Select(
            i => (new RmsNorm(at.At("norms", i), hidden, Epsilon), new EmbeddingMlp(at.At("layers", i), hidden, hidden)))];
        _outProj = new Linear(at.At("out_proj"), hidden, config.Width);
    }

    private int Rows => 3 * _config.NumSingleLayers + 12 * _config.NumLayers + 2;

    /// <summary>The table, [batch, vectors, width]; a tensor of the current scope.</summary>
    /// <param name="device">Where it lives.</param>
    /// <param name="timesteps">From 0 to 1000, one for each item.</param>
    public Tensor Apply(Device device, ReadOnlySpan<float> timesteps)
    {
        using var scope = new TensorScope();
        int channels = _config.ApproximatorNumChannels / 4;
        var (batch, rows) = (timesteps.Length, Rows);

        // Time and a guidance of 0, the same in all rows, and the number of the row.
        var input = Tensor.Empty(device, [batch, rows, 4 * channels]);
        var time = Sinusoid.Of(device, timesteps, channels).Reshape(batch, 1, channels).Expand(1, rows);
        var guidance = Sinusoid.Of(device, new float[batch], channels).Reshape(batch, 1, channels).Expand(1, rows);
        float[] numbers = [.. Enumerable.Range(0, rows).Select(i => 1000f * i)];
        var number = Sinusoid.Of(device, numbers, 2 * channels).Reshape(1, rows, 2 * channels).Expand(0, batch);
        time.CopyTo(input.Slice(2, 0, channels));
        guidance.CopyTo(input.Slice(2, channels, channels));
        number.CopyTo(input.Slice(2, 2 * channels, 2 * channels));

        var x = _inProj.Apply(input);
        foreach (var (norm, layer) in _layers)
            x.Add(layer.Apply(norm.Apply(x)), into: x);
        return scope.Keep(_outProj.Apply(x));
    }
}

/// <summary>The vectors of a pass.</summary>
/// <param name="table">[batch, vectors, width].</param>
/// <param name="config">The configuration.</param>
internal sealed class ChromaTime(Tensor table, ChromaConfig config)
{
    private int Images => 3 * config.NumSingleLayers;

    private int Texts => Images + 6 * config.NumLayers;

    /// <summary>Those of a double-stream block.</summary>
    public Modulation Double(int block) =>
        new TableModulation(table, ModulationForm.ShiftScaleGate(branches: 2), Texts + 6 * block, Images + 6 * block);

    /// <summary>Those of a single-stream block.</summary>
    public Modulation Single(int block) =>
        new TableModulation(table, ModulationForm.ShiftScaleGate(branches: 1), 3 * block, 3 * block);

    /// <summary>Those of the last norm: shift, scale.</summary>
    public Modulation Out { get; } = new TableModulation(
        table, new ModulationForm(2, [new BranchVectors(0, 1, -1)]), table.Shape[1] - 2, table.Shape[1] - 2);
}
