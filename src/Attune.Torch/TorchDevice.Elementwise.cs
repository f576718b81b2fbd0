using Attune.Tensors;

namespace Attune.Torch;

public sealed unsafe partial class TorchDevice
{
    /// <inheritdoc/>
    public override void Activate(Tensor x, Activation activation, Tensor output) =>
        Run(activation.ToString(), o => o.Store(output, o.Activate(o.View(x), activation)));

    /// <inheritdoc/>
    public override void Binary(BinaryOperation operation, Tensor a, Tensor b, Tensor output) => Run(operation.ToString(), o =>
    {
        // Sums are those of the residual stream.
        bool sum = operation is BinaryOperation.Add or BinaryOperation.Subtract;
        nint x = sum ? o.Wide(a) : o.View(a);
        nint y = o.View(b);
        if (!sum && o.TypeOf(x) != o.TypeOf(y))
            (x, y) = (o.As(x, o.Torch.Float32), o.As(y, o.Torch.Float32));
        o.Store(output, operation switch
        {
            BinaryOperation.Add => o.Add(x, y),
            BinaryOperation.Subtract => o.Add(x, y, -1),
            BinaryOperation.Multiply => o.Multiply(x, y),
            BinaryOperation.Divide => o.Divide(x, y),
            BinaryOperation.Minimum => o.Minimum(x, y),
            BinaryOperation.Maximum => o.Maximum(x, y),
            _ => throw new ArgumentOutOfRangeException(nameof(operation), operation, null),
        });
    });

    /// <inheritdoc/>
    public override void Combine(float a, Tensor x, float b, Tensor y, Tensor output) =>
        Run("a combination", o => o.Store(output, o.Add(o.Multiply(o.Wide(x), a), o.View(y), b)));

    /// <inheritdoc/>
    public override void Affine(Tensor x, float multiplier, float addend, Tensor output) => Run("an affine map", o =>
    {
        nint result = o.Multiply(o.View(x), multiplier);
        o.Store(output, addend == 0 ? result : o.Add(result, o.Number(addend)));
    });

    /// <inheritdoc/>
    public override void Clamp(Tensor x, float minimum, float maximum, Tensor output) =>
        Run("a clamp", o => o.Store(output, o.Clamp(o.View(x), minimum, maximum)));

    /// <inheritdoc/>
    public override void Fill(Tensor tensor, float value) => Run("a fill", o =>
    {
        var storage = Of(tensor, out _);
        if (tensor.Count == 0)
            return;
        if (storage.Handle == 0)
            o.Fresh(storage, o.Torch.Float32);
        o.Check(o.Torch.Fill(o.View(tensor), value), "fill_");
    });

    /// <inheritdoc/>
    public override void Copy(Tensor source, Tensor destination) =>
        Run("a copy", o => o.Store(destination, o.View(source)));

    /// <inheritdoc/>
    public override void Permute(Tensor x, ReadOnlySpan<int> axes, Tensor output)
    {
        int[] order = axes.ToArray();
        Run("a permutation", o => o.Store(output, o.View(x, order)));
    }

    /// <inheritdoc/>
    public override void Modulate(Tensor x, Tensor scale, Tensor shift, Tensor output) =>
        Run("a modulation", o => o.Store(output, Modulated(o, o.Wide(x), scale, shift)));

    /// <inheritdoc/>
    public override void AddGated(Tensor residual, Tensor gate, Tensor update, Tensor output) => Run("a gated sum", o =>
        o.Store(output, o.Add(o.Wide(residual), o.Multiply(o.View(update), PerItem(o, gate)))));

    /// <inheritdoc/>
    public override void ResizeNearest(Tensor x, Tensor output) => Run("an enlargement", o =>
    {
        nint rows = Picked(o, o.View(x), 1, x.Shape[1], output.Shape[1]);
        o.Store(output, Picked(o, rows, 2, x.Shape[2], output.Shape[2]));
    });

    /// <inheritdoc/>
    public override void Rotate(Tensor x, RotaryEmbedding rotary, Tensor output) => Run("a rotation", o =>
    {
        if (x.Count == 0)
            return;
        var (batch, tokens, heads, channels) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]);
        int half = channels / 2;
        bool adjacent = rotary.Pairing == RotaryPairing.Adjacent;
        bool byNeighbours = rotary.Pairing != RotaryPairing.Halves;

        if (adjacent)
        {
            o.Store(output, o.As(Turned(o, o.Wide(x), o.Wide(rotary.Cosine), o.Wide(rotary.Sine)), o.Computed));
            return;
        }

        // [tokens, 1, channels]: what each channel is multiplied with, and what the other of its pair is.
        nint Table(Tensor table)
        {
            nint source = o.Wide(table);
            long row = o.StridesOf(source)[0];
            nint twice = byNeighbours ? o.Reinterpret(source, [tokens, half, 2], [row, 1, 0])
                : o.Reinterpret(source, [tokens, 2, half], [row, 0, 1]);
            return o.Reshape(twice, [tokens, 1, channels]);
        }

        Span<float> signs = channels <= 1024 ? stackalloc float[channels] : new float[channels];
        signs[..half].Fill(-1);
        signs[half..].Fill(1);
        nint sine = o.Multiply(Table(rotary.Sine), o.Constant(signs));
        nint own = o.Wide(x);
        var strides = o.StridesOf(own);
        nint pairs = o.Reinterpret(own, [batch, tokens, heads, 2, half], [strides[0], strides[1], strides[2], half, 1]);
        nint other = o.Call("aten::flip"u8, ""u8, o.Pass(pairs), o.List(3));
        other = o.Reshape(other, [batch, tokens, heads, channels]);
        nint turned = o.Add(o.Multiply(own, Table(rotary.Cosine)), o.Multiply(other, sine));
        o.Store(output, o.As(turned, o.Computed));
    });

    /// <summary>Neighbours as the parts of complex numbers, times those of the angles: one pass over the rows.</summary>
    private static nint Turned(TorchOperation o, nint x, nint cosine, nint sine)
    {
        var sizes = o.SizesOf(x);
        var (batch, tokens, heads, channels) = (sizes[0], sizes[1], sizes[2], sizes[3]);
        if (!o.ArePairs(x))
            x = o.Clone(x);
        var s = o.StridesOf(x);
        nint pairs = o.Reinterpret(x, [batch, tokens, heads, channels / 2, 2], [s[0], s[1], s[2], 2, 1]);
        nint angles = o.Reshape(o.Call("aten::complex"u8, ""u8, o.Pass(cosine), o.Pass(sine)), [tokens, 1, channels / 2]);
        nint turned = o.Unary("aten::view_as_real"u8, o.Multiply(o.Unary("aten::view_as_complex"u8, pairs), angles));
        return o.Reshape(turned, [batch, tokens, heads, channels]);
    }

    private static nint Modulated(TorchOperation o, nint x, Tensor scale, Tensor shift) =>
        o.Add(o.Multiply(x, o.Add(PerItem(o, scale), o.Number(1))), PerItem(o, shift));

    /// <summary>[batch or 1, channels] as what is broadcast over tokens, in float32.</summary>
    private static nint PerItem(TorchOperation o, Tensor vectors)
    {
        nint view = o.View(
            vectors, [vectors.Shape[0], 1, vectors.Shape[1]], [vectors.Stride(0), 0, vectors.Stride(1)]);
        return o.As(view, o.Torch.Float32);
    }

    /// <summary>Each place of an axis as often as a larger one has it: floor(target * in / out).</summary>
    private static nint Picked(TorchOperation o, nint x, int axis, int from, int to)
    {
        if (from == to)
            return x;
        long[] places = new long[to];
        for (int i = 0; i < to; i++)
            places[i] = (long)i * from / to;
        return o.Call("aten::index_select"u8, ""u8, o.Pass(x), TorchOperation.Of(axis), o.Pass(o.Constant(places)));
    }
}
