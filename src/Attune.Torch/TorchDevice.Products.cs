using Attune.Tensors;

namespace Attune.Torch;

public sealed unsafe partial class TorchDevice
{
    /// <inheritdoc/>
    protected override PreparedWeight PrepareElements(StoredWeight weight, WeightRole role) => new TorchWeight(this, weight, role);

    /// <inheritdoc/>
    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output) =>
        Run("a linear layer", o => o.Store(output, o.Activate(Product(o, x, weight, bias), activation)));

    /// <inheritdoc/>
    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output) =>
        Run("a linear layer", o => o.Store(output, o.Add(o.Wide(residual), Product(o, x, weight, bias))));

    /// <inheritdoc/>
    public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output) =>
        Run("a convolution", o => o.Store(output, Convolution(o, x, weight, bias, geometry)));

    /// <inheritdoc/>
    public override void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output) =>
        Run("a convolution", o => o.Store(output, o.Add(o.Wide(residual), Convolution(o, x, weight, bias, geometry))));

    /// <inheritdoc/>
    public override void DepthwiseConv2d(Tensor x, Tensor kernel, Tensor? bias, Tensor output) => Run("a depthwise convolution", o =>
    {
        int channels = x.Shape[3];
        nint weight = o.Permute(o.Narrow(kernel), [2, 0, 1]);
        var (height, width) = (kernel.Shape[0], kernel.Shape[1]);
        weight = o.Reshape(weight, [channels, 1, height, width]);
        nint result = o.Call(
            "aten::conv2d"u8, ""u8, o.Pass(o.As(o.View(x, [0, 3, 1, 2]), o.Computed)), o.Pass(weight),
            o.PassOrNone(bias == null ? 0 : o.Narrow(bias)), o.List(1, 1), o.List(height / 2, width / 2), o.List(1, 1),
            TorchOperation.Of(channels));
        o.Store(output, o.Permute(result, [0, 2, 3, 1]));
    });

    /// <inheritdoc/>
    public override void Embed(PreparedWeight table, ReadOnlySpan<int> ids, Tensor output)
    {
        ArgumentNullException.ThrowIfNull(output);
        var weight = TorchWeight.Of(table, this);
        int columns = weight.Shape[1];
        foreach (int id in ids)
        {
            if ((uint)id >= (uint)weight.Shape[0])
                throw new ArgumentOutOfRangeException(nameof(ids), $"{weight.Name}: row {id} of a table with {weight.Shape[0]} rows.");
        }

        // Tables are large and few of their rows are read: they stay on the host.
        using var view = Map(output, HostAccess.Write);
        for (int i = 0; i < ids.Length; i++)
            weight.Stored.Widen((long)ids[i] * columns, view.Row(i));
    }

    private nint Product(TorchOperation o, Tensor x, PreparedWeight weight, PreparedWeight? bias) =>
        o.Call(
            "aten::linear"u8, ""u8, o.Pass(o.Narrow(x)), o.Pass(Weight(o, weight, o.Computed)),
            o.PassOrNone(bias == null ? 0 : Weight(o, bias, o.Computed)));

    private nint Weight(TorchOperation o, PreparedWeight weight, int type) => TorchWeight.Of(weight, this).In(o, type);

    /// <summary>[batch, height, width, out], of any strides.</summary>
    private nint Convolution(TorchOperation o, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry)
    {
        bool even = geometry.Top == geometry.Bottom && geometry.Left == geometry.Right;
        nint images = even ? o.As(o.View(x, [0, 3, 1, 2]), o.Computed) : Padded(o, x, geometry);
        nint result = o.Call(
            "aten::conv2d"u8, ""u8, o.Pass(images), o.Pass(Weight(o, weight, o.Computed)),
            o.PassOrNone(bias == null ? 0 : Weight(o, bias, o.Computed)), o.List(geometry.Stride, geometry.Stride),
            even ? o.List(geometry.Top, geometry.Left) : o.List(0, 0), o.List(1, 1), TorchOperation.Of(1));
        return o.Permute(result, [0, 2, 3, 1]);
    }

    /// <summary>[batch, channels, height, width] with zeros around, channels last in memory.</summary>
    private static nint Padded(TorchOperation o, Tensor x, Conv2dGeometry g)
    {
        var (batch, height, width, channels) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]);
        long rows = height + g.Top + g.Bottom, columns = width + g.Left + g.Right;
        nint room = o.Empty([batch, rows, columns, channels], o.Computed);
        o.Check(o.Torch.Zero(room), "zero_");
        long[] strides = [rows * columns * channels, columns * channels, channels, 1];
        o.Copy(o.Reinterpret(room, [batch, height, width, channels], strides, (g.Top * columns + g.Left) * channels), o.View(x));
        return o.Permute(room, [0, 3, 1, 2]);
    }
}
