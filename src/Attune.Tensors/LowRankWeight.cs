namespace Attune.Tensors;

/// <summary>
/// A weight with low-rank addends that are computed beside it, on whatever device: x W^T + scale (x Down^T) Up^T. Before an activation and
/// before a residual, in the order of the addends.
/// </summary>
internal sealed class LowRankWeight : PreparedWeight
{
    private readonly PreparedWeight _weight;
    private readonly (PreparedWeight Down, PreparedWeight Up, float Scale)[] _addends;
    private readonly bool _owned;

    public LowRankWeight(PreparedWeight weight, (PreparedWeight Down, PreparedWeight Up, float Scale)[] addends, bool owned = true)
        : base(weight.Name, weight.Shape, weight.StoredBytes + addends.Sum(addend => addend.Down.StoredBytes + addend.Up.StoredBytes)) =>
        (_weight, _addends, _owned) = (weight, addends, owned);

    public void Linear(Tensor x, PreparedWeight? bias, Activation activation, Tensor output)
    {
        using var scope = new TensorScope();
        x.Linear(_weight, bias, Activation.None, output);
        foreach (var (down, up, scale) in _addends)
            TensorOperations.Combine(1, output, scale, x.Linear(down).Linear(up), into: output);
        if (activation != Activation.None)
            output.Activate(activation, into: output);
    }

    public void Conv2d(Tensor x, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
        // A convolution to few channels, then a linear layer.
        using var scope = new TensorScope();
        x.Conv2d(_weight, bias, geometry, output);
        foreach (var (down, up, scale) in _addends)
            TensorOperations.Combine(1, output, scale, x.Conv2d(down, null, geometry).Linear(up), into: output);
    }

    protected override PreparedWeight Select(int start, int length) =>
        new LowRankWeight(
            _weight.Rows(start, length), [.. _addends.Select(addend => addend with { Up = addend.Up.Rows(start, length) })], owned: false);

    protected override void Dispose(bool disposing)
    {
        if (!_owned)
            return;
        _weight.Dispose();
        foreach (var (down, up, _) in _addends)
        {
            down.Dispose();
            up.Dispose();
        }
    }
}
