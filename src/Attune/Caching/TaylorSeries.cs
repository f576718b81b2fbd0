using Attune.Tensors;

namespace Attune.Caching;

/// <summary>
/// A tensor that changes from step to step, as a Taylor series: differences of values stand for its derivatives.
/// </summary>
/// <param name="order">The highest derivative, 0 or more.</param>
/// <param name="rounds">Whether what is kept is rounded to bfloat16, as diffusers keeps it unless told otherwise.</param>
internal sealed class TaylorSeries(int order, bool rounds) : IDisposable
{
    private List<Tensor> _factors = [];
    private int _at;

    /// <summary>Takes a value that was computed.</summary>
    public void Update(Tensor value, int step)
    {
        using var scope = new TensorScope();
        var factors = new List<Tensor> { value };
        for (int k = 0; k < order && k < _factors.Count; k++)
            factors.Add(factors[k].Subtract(_factors[k]).Affine(1f / (step - _at)));
        List<Tensor> kept = [.. factors.Select(factor => TensorScope.Detach(rounds ? Rounded(factor) : factor.Clone()))];
        Dispose();
        (_factors, _at) = (kept, step);
    }

    /// <summary>The value that is expected in a step, in the current scope.</summary>
    public Tensor At(int step)
    {
        using var scope = new TensorScope();
        double weight = 1;
        var sum = _factors[0].Clone();
        for (int k = 1; k < _factors.Count; k++)
        {
            weight *= (step - _at) / (double)k;
            sum.Add(_factors[k].Affine((float)weight), into: sum);
        }
        return scope.Keep(sum);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _factors.ForEach(factor => factor.Dispose());
        _factors = [];
    }

    private static Tensor Rounded(Tensor x) => Tensor.From(
        x.Device, [.. x.ToArray().Select(value => Conversion.FromBFloat16(Conversion.ToBFloat16(value)))], x.Shape);
}
