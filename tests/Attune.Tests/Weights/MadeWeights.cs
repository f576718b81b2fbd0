using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Weights that are made when a model asks for them, without a file.</summary>
internal sealed class MadeWeights(Func<string, Shape, StoredWeight> make) : WeightSource
{
    public override string Path => "made";

    public override IReadOnlyCollection<string> Names => [];

    public override TensorEntry? Describe(string name) => null;

    public override StoredWeight? Find(string name, Shape? expected = null) => make(name, expected!.Value);

    protected override void Dispose(bool disposing)
    {
    }
}

internal static class WeightReading
{
    /// <summary>The elements of a weight, with low-rank addends that are kept apart.</summary>
    public static float[] Read(this WeightSource source, string name)
    {
        using var weight = Attune.Weights.Lora.LowRankProduct.Merge(source.Find(name)!);
        var values = new float[weight.Shape.Count];
        weight.Widen(0, values);
        return values;
    }
}
