using Attune.Tensors;

namespace Attune.Torch;

public sealed unsafe partial class TorchDevice
{
    /// <summary>The smallest normal float32.</summary>
    private const float Tiny = 1.17549435e-38f;

    /// <inheritdoc/>
    public override void RowNorms(Tensor x, float push, Tensor? y, int p, Tensor output) => Run("norms of rows", o =>
    {
        if (output.Count == 0 || x.Count == 0)
        {
            o.Store(output, Zeros(o, output));
            return;
        }
        nint rows = o.View(x);
        if (y != null)
        {
            nint wide = o.Wide(x);
            rows = o.Add(wide, o.Add(wide, o.View(y), -1), push);
        }
        nint magnitudes = o.Unary("aten::abs"u8, rows);
        if (p == 1)
        {
            o.Store(output, o.Sum(magnitudes, -1));
            return;
        }

        // Relative to the largest of each row, so that float32 holds squares.
        magnitudes = o.As(magnitudes, o.Torch.Float32);
        var (relative, largest) = Relative(o, magnitudes, magnitudes);
        o.Store(output, o.Multiply(o.Unary("aten::sqrt"u8, o.Sum(o.MultiplyHere(relative, relative), -1)), largest));
    });

    /// <inheritdoc/>
    public override void RowDots(Tensor x, Tensor y, Tensor? over, Tensor output) => Run("products of rows", o =>
    {
        if (output.Count == 0 || x.Count == 0)
        {
            o.Store(output, Zeros(o, output));
            return;
        }
        nint a = o.Wide(x);
        if (over == null)
        {
            o.Store(output, o.Sum(o.Multiply(a, o.View(y)), -1));
            return;
        }
        nint b = o.Wide(y);
        var (first, largest1) = Relative(o, a, o.Unary("aten::abs"u8, a));
        var (second, largest2) = Relative(o, b, o.Unary("aten::abs"u8, b));
        nint divisor = o.Wide(over);
        nint sum = o.Sum(o.MultiplyHere(first, second), -1);

        // The larger of the two is divided: neither the quotient nor the product leaves the range where the result does not.
        nint larger = o.Maximum(largest1, largest2), smaller = o.Minimum(largest1, largest2);
        nint quotient = o.Multiply(o.Divide(larger, divisor), o.Multiply(sum, smaller));
        o.Store(output, o.Replace(quotient, o.Equal(divisor, 0), 0));
    });

    /// <inheritdoc/>
    public override void AddRows(Tensor into, Tensor? a, Tensor x, Tensor? b, Tensor? y) => Run("a sum of rows", o =>
    {
        nint own = a == null ? 0 : o.Multiply(o.View(x), o.Wide(a));
        nint pushed = b == null || y == null ? 0 : o.MultiplyHere(o.Add(o.Wide(x), o.View(y), -1), o.Wide(b));
        nint addend = own == 0 ? pushed : pushed == 0 ? own : o.Add(own, pushed);
        if (addend != 0)
            o.Store(into, o.Add(o.Wide(into), addend));
    });

    /// <inheritdoc/>
    public override void Ratio(Tensor numerator, Tensor denominator, float otherwise, Tensor output) => Run("a ratio", o =>
    {
        nint divisor = o.Wide(denominator);
        nint quotient = o.Clamp(o.Divide(o.Wide(numerator), divisor), float.MinValue, float.MaxValue);
        o.Store(output, o.Replace(quotient, o.Equal(divisor, 0), otherwise));
    });

    /// <summary>Rows over their largest magnitudes, and these, which are no less than the smallest normal number.</summary>
    private static (nint Rows, nint Largest) Relative(TorchOperation o, nint rows, nint magnitudes)
    {
        nint largest = o.Maximum(o.Largest(magnitudes, -1), o.Number(Tiny));
        return (o.Divide(rows, largest), largest);
    }

    private static nint Zeros(TorchOperation o, Tensor like)
    {
        nint zeros = o.Empty(Extents(like.Shape), o.Torch.Float32);
        o.Check(o.Torch.Zero(zeros), "zero_");
        return zeros;
    }
}
