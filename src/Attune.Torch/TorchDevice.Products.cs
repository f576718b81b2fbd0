using System.Runtime.InteropServices;
using Attune.Tensors;

namespace Attune.Torch;

public sealed unsafe partial class TorchDevice
{
    /// <summary>Products with no more rows are bound by memory.</summary>
    private const int FewRows = 16;

    /// <summary>How many elements of a weight are widened at a time for few rows.</summary>
    private const long PartOfWeight = 1 << 19;

    /// <inheritdoc/>
    protected override PreparedWeight PrepareElements(StoredWeight weight, WeightRole role) => new TorchWeight(this, weight, role);

    /// <inheritdoc/>
    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output) =>
        Run("a linear layer", o => o.Store(output, o.As(o.Activate(Product(o, x, weight, bias), activation), o.Computed)));

    /// <inheritdoc/>
    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output) =>
        Run("a linear layer", o => o.Store(output, o.Add(o.Wide(residual), Product(o, x, weight, bias))));

    /// <inheritdoc/>
    public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output) =>
        Run("a convolution", o => o.Store(output, o.As(Convolution(o, x, weight, bias, geometry), o.Computed)));

    /// <inheritdoc/>
    public override void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output) =>
        Run("a convolution", o => o.Store(output, o.Add(o.Wide(residual), Convolution(o, x, weight, bias, geometry))));

    /// <inheritdoc/>
    public override void DepthwiseConv2d(Tensor x, Tensor kernel, Tensor? bias, Tensor output) => Run("a depthwise convolution", o =>
    {
        int channels = x.Shape[3];
        nint weight = o.Permute(o.Factor(kernel), [2, 0, 1]);
        var (height, width) = (kernel.Shape[0], kernel.Shape[1]);
        weight = o.Reshape(weight, [channels, 1, height, width]);
        nint result = o.Call(
            "aten::conv2d"u8, ""u8, o.Pass(Images(o, x)), o.Pass(weight), o.PassOrNone(bias == null ? 0 : o.Factor(bias)), o.List(1, 1),
            o.List(height / 2, width / 2), o.List(1, 1), TorchOperation.Of(channels));
        o.Store(output, o.As(o.Permute(result, [0, 2, 3, 1]), o.Computed));
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

    /// <summary>[..., out], of <see cref="TorchOperation.Factors"/>.</summary>
    private nint Product(TorchOperation o, Tensor x, PreparedWeight weight, PreparedWeight? bias)
    {
        nint rows = o.Factor(x), addend = bias == null ? 0 : Factor(o, bias);
        var own = TorchWeight.Of(weight, this);
        if (Type == o.Torch.Cpu && x.Count <= (long)FewRows * x.Shape[^1] && own.Plain(o) is not 0 and var stored
            && o.TypeOf(stored) != o.Factors && (o.Computed == o.Torch.Float32 || o.TypeOf(stored) == o.Computed))
            return ProductInParts(o, rows, stored, addend);
        return Linear(o, rows, Factor(o, weight), addend);
    }

    /// <summary>
    /// A product with few rows takes as long as reading its weight. One that must be widened is so in parts that stay in the processor's
    /// cache: all of it at once would be written to memory and read again.
    /// </summary>
    private static nint ProductInParts(TorchOperation o, nint rows, nint weight, nint bias)
    {
        var sizes = o.SizesOf(weight);
        var (outputs, inputs) = (sizes[0], sizes[1]);
        long most = Math.Clamp(PartOfWeight / Math.Max(inputs, 1), 1, outputs);
        nint room = o.Empty([most, inputs], o.Factors);
        var results = new List<nint>();
        for (long start = 0; start < outputs; start += most)
        {
            int mark = o.Mark;
            long count = Math.Min(most, outputs - start);
            nint part = o.Reinterpret(room, [count, inputs], [inputs, 1]);
            o.Copy(part, o.Reinterpret(weight, [count, inputs], [inputs, 1], start * inputs));
            results.Add(o.FreeSince(mark, Linear(o, rows, part, bias == 0 ? 0 : o.Reinterpret(bias, [count], [1], start))));
        }
        return results.Count == 1 ? results[0] : o.Concatenate(CollectionsMarshal.AsSpan(results), -1);
    }

    private static nint Linear(TorchOperation o, nint rows, nint weight, nint bias) =>
        o.Call("aten::linear"u8, ""u8, o.Pass(rows), o.Pass(weight), o.PassOrNone(bias));

    private nint Weight(TorchOperation o, PreparedWeight weight, int type) => TorchWeight.Of(weight, this).In(o, type);

    /// <summary>A weight as a factor of a product.</summary>
    private nint Factor(TorchOperation o, PreparedWeight weight) => o.As(Weight(o, weight, o.Computed), o.Factors);

    /// <summary>[batch, channels, height, width] as factors, channels last in memory.</summary>
    private static nint Images(TorchOperation o, Tensor x) => o.Permute(o.Factor(x), [0, 3, 1, 2]);

    /// <summary>[batch, height, width, out], of any strides and of <see cref="TorchOperation.Factors"/>.</summary>
    private nint Convolution(TorchOperation o, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry)
    {
        bool even = geometry.Top == geometry.Bottom && geometry.Left == geometry.Right;
        nint images = even ? Images(o, x) : Padded(o, x, geometry);
        nint result = o.Call(
            "aten::conv2d"u8, ""u8, o.Pass(images), o.Pass(Factor(o, weight)), o.PassOrNone(bias == null ? 0 : Factor(o, bias)),
            o.List(geometry.Stride, geometry.Stride),
            even ? o.List(geometry.Top, geometry.Left) : o.List(0, 0), o.List(1, 1), TorchOperation.Of(1));
        return o.Permute(result, [0, 2, 3, 1]);
    }

    /// <summary>[batch, channels, height, width] with zeros around, channels last in memory.</summary>
    private static nint Padded(TorchOperation o, Tensor x, Conv2dGeometry g)
    {
        var (batch, height, width, channels) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]);
        long rows = height + g.Top + g.Bottom, columns = width + g.Left + g.Right;
        nint room = o.Empty([batch, rows, columns, channels], o.Factors);
        o.Check(o.Torch.Zero(room), "zero_");
        long[] strides = [rows * columns * channels, columns * channels, channels, 1];
        nint inner = o.Reinterpret(room, [batch, height, width, channels], strides, (g.Top * columns + g.Left) * channels);
        o.Copy(inner, o.As(o.View(x), o.Computed));
        return o.Permute(room, [0, 3, 1, 2]);
    }
}
