using System.Numerics.Tensors;
using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>
/// OFT (Qiu et al., arXiv 2306.07280) and BOFT (Liu et al., arXiv 2311.06243) as LyCORIS has them: blocks of rows are rotated by
/// R = (I + Q)(I - Q)^-1 with Q = B - B^T, at strength s by s R + (1 - s) I. OFT rotates blocks of neighbours by R^T; BOFT goes through
/// several stages, each of which gathers rows that lie 2^t b / 2 apart, by R. An alpha above 0 bounds the length of all Q together by alpha
/// times the number of rows. The rows may then be scaled.
/// </summary>
internal sealed class RotationForm : AdapterForm
{
    private readonly TensorEntry _blocks;
    private readonly TensorEntry? _rescale;
    private readonly double _bound;

    private RotationForm(TensorEntry blocks, TensorEntry? rescale, double bound) => (_blocks, _rescale, _bound) = (blocks, rescale, bound);

    /// <summary>A block may reach over the border of two modules that the file has as one.</summary>
    public override bool NeedsAllRows => true;

    private bool IsButterfly => _blocks.Dimensions.Count == 4;

    private int Stages => IsButterfly ? (int)_blocks.Dimensions[0] : 1;

    private int Count => (int)_blocks.Dimensions[^3];

    private int Size => (int)_blocks.Dimensions[^1];

    public static AdapterForm? Read(LayerReader layer)
    {
        if (layer.Take("oft_blocks") is not { } blocks)
            return null;
        var extents = blocks.Dimensions;
        if (extents.Count is not (3 or 4) || blocks.Count == 0 || extents[^1] != extents[^2] || extents.Any(extent => extent > 1 << 20))
            throw layer.Wrong($"{blocks.Name} is {blocks.Extents}, expected [blocks, size, size] or [stages, blocks, size, size]");
        if (extents.Count == 4 && (extents[3] % 2 != 0 || extents[0] > 30))
            throw layer.Wrong($"{blocks.Name} is {blocks.Extents}, expected at most 30 stages and blocks of an even size");
        double alpha = layer.Alpha ?? 0;
        return double.IsFinite(alpha) ? new RotationForm(blocks, layer.Take("rescale"), Math.Max(alpha, 0))
            : throw layer.Wrong($"its alpha is {alpha}, expected a finite number");
    }

    public override string? Misfit(Shape shape, int rows)
    {
        if ((long)Count * Size != rows)
            return FormattableString.Invariant($"{_blocks.Name} {_blocks.Extents} rotates {(long)Count * Size} rows, expected {rows}");
        if (IsButterfly && rows % ((long)Size << (Stages - 1)) != 0)
            return FormattableString.Invariant(
                $"{_blocks.Name} {_blocks.Extents} has {Stages} stages, which {rows} rows cannot be divided for");
        return _rescale == null ? null : MisfitOfCount(_rescale, rows);
    }

    public override void Apply(AdapterTarget target)
    {
        var (rows, count) = (target.Rows, target.Rows.Shape[0]);
        double[][] rotations = Rotations(target.Numbers(_blocks), count, target.Strength);
        using var scope = new TensorScope();
        for (int stage = 0; stage < Stages; stage++)
        {
            int[] order = Order(stage, count);
            var source = rows.Clone();
            using var before = source.Read();
            using var after = rows.Write();
            for (int place = 0; place < count; place++)
            {
                // OFT: sum of R[i, j] W[i]; BOFT: sum of R[j, i] W[i], for row j of a block.
                var (block, j) = Math.DivRem(place, Size);
                double[] rotation = rotations[stage * Count + block];
                var sum = after.Row(order[place]);
                sum.Clear();
                for (int i = 0; i < Size; i++)
                {
                    float factor = (float)(IsButterfly ? rotation[j * Size + i] : rotation[i * Size + j]);
                    TensorPrimitives.MultiplyAdd(before.Row(order[block * Size + i]), factor, sum, sum);
                }
            }
        }
        if (_rescale == null)
            return;
        float[] scales = target.Numbers(_rescale);
        using var unscaled = rows.Read();
        using var scaled = rows.Write();
        for (int row = 0; row < count; row++)
            TensorPrimitives.Multiply(unscaled.Row(row), scales[row], scaled.Row(row));
    }

    /// <summary>The row that stands at each place of the blocks, one after the other.</summary>
    private int[] Order(int stage, int count)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        if (!IsButterfly)
            return order;
        int distance = (Size / 2) << stage;
        for (int place = 0; place < count; place++)
        {
            var (group, inside) = Math.DivRem(place, 2 * distance);
            order[place] = group * 2 * distance + inside % 2 * distance + inside / 2;
        }
        return order;
    }

    private double[][] Rotations(float[] blocks, int rows, float strength)
    {
        int area = Size * Size;
        var skews = new double[blocks.Length / area][];
        double squares = 0;
        for (int block = 0; block < skews.Length; block++)
        {
            skews[block] = new double[area];
            for (int i = 0; i < area; i++)
            {
                skews[block][i] = (double)blocks[block * area + i] - blocks[block * area + i % Size * Size + i / Size];
                squares += skews[block][i] * skews[block][i];
            }
        }
        double limit = _bound * rows;
        double factor = _bound > 0 && Math.Sqrt(squares) > limit ? limit / Math.Sqrt(squares) : 1;
        foreach (double[] skew in skews)
        {
            for (int i = 0; i < area; i++)
                skew[i] *= factor;
            Rotate(skew, strength);
        }
        return skews;
    }

    /// <summary>
    /// Q to s R + (1 - s) I, in place. I - Q is never singular, since Q is skew. R = 2 (I - Q)^-1 - I, as both factors commute.
    /// </summary>
    private void Rotate(double[] skew, float strength)
    {
        int n = Size;
        var (matrix, inverse) = (new double[n * n], new double[n * n]);
        for (int i = 0; i < n * n; i++)
        {
            inverse[i] = i % (n + 1) == 0 ? 1 : 0;
            matrix[i] = inverse[i] - skew[i];
        }
        for (int column = 0; column < n; column++)
        {
            int pivot = column;
            for (int row = column + 1; row < n; row++)
            {
                if (Math.Abs(matrix[row * n + column]) > Math.Abs(matrix[pivot * n + column]))
                    pivot = row;
            }
            foreach (double[] side in new[] { matrix, inverse })
            {
                for (int i = 0; pivot != column && i < n; i++)
                    (side[column * n + i], side[pivot * n + i]) = (side[pivot * n + i], side[column * n + i]);
            }
            double scale = 1 / matrix[column * n + column];
            TensorPrimitives.Multiply(matrix.AsSpan(column * n, n), scale, matrix.AsSpan(column * n, n));
            TensorPrimitives.Multiply(inverse.AsSpan(column * n, n), scale, inverse.AsSpan(column * n, n));
            for (int row = 0; row < n; row++)
            {
                double left = matrix[row * n + column];
                if (row == column || left == 0)
                    continue;
                foreach (double[] side in new[] { matrix, inverse })
                    TensorPrimitives.MultiplyAdd(
                        side.AsSpan(column * n, n), -left, side.AsSpan(row * n, n), side.AsSpan(row * n, n));
            }
        }
        for (int i = 0; i < n * n; i++)
        {
            double identity = i % (n + 1) == 0 ? 1 : 0;
            skew[i] = strength * (2 * inverse[i] - identity) + (1.0 - strength) * identity;
        }
    }
}
