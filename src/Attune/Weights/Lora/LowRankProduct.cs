using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>Sums of weights and low-rank addends, in float32.</summary>
internal static class LowRankProduct
{
    /// <summary>About how many elements of a product exist at a time.</summary>
    private const long BlockElements = 4 << 20;

    /// <summary>The weight with its addends in it: as it is where there are none, else made.</summary>
    public static StoredWeight Merge(StoredWeight weight)
    {
        if (weight.LowRank.Count == 0)
            return weight;
        using var scope = new TensorScope();
        using (weight)
        {
            var result = weight.ToTensor(Devices.Managed);
            var rows = result.Reshape(weight.Shape[0], -1);
            foreach (var (down, up, scale) in weight.LowRank)
                AddTo(rows, Matrix(down).ToTensor(Devices.Managed), Matrix(up).ToTensor(Devices.Managed), scale);
            return StoredWeight.Owning(weight.Name, result);
        }
    }

    /// <summary>rows += scale up down.</summary>
    /// <param name="rows">[out, in].</param>
    /// <param name="down">[rank, in].</param>
    /// <param name="up">[out, rank].</param>
    /// <param name="scale">The factor.</param>
    public static void AddTo(Tensor rows, Tensor down, Tensor up, float scale)
    {
        using var scope = new TensorScope();
        using var transposed = Prepare(down.Permute(1, 0));
        int block = (int)Math.Clamp(BlockElements / rows.Shape[1], 1, rows.Shape[0]);
        for (int start = 0; start < rows.Shape[0]; start += block)
        {
            using var inner = new TensorScope();
            int count = Math.Min(block, rows.Shape[0] - start);
            var target = rows.Slice(0, start, count);
            TensorOperations.Combine(1, target, scale, up.Slice(0, start, count).Linear(transposed), into: target);
        }
    }

    /// <summary>
    /// A factor [rank, in] behind a core [rank', rank, kernel, kernel], as [rank', in kernel kernel]: the sum over b of
    /// core[a, b, kernel] down[b, in].
    /// </summary>
    public static Tensor WithCore(StoredWeight core, Tensor down)
    {
        var (outer, rank) = (core.Shape[0], core.Shape[1]);
        int kernel = (int)(core.Shape.Count / outer / rank);
        int inputs = down.Shape[1];

        // For each row of the core, [kernel, rank] x [rank, in]; the kernel is the innermost axis of a convolution's weight.
        var positions = core.Reshape([outer, rank, kernel]).ToTensor(Devices.Managed).Permute(0, 2, 1);
        using var transposed = Prepare(down.Permute(1, 0));
        var product = positions.Linear(transposed);
        return product.Permute(0, 2, 1).Reshape(outer, inputs * kernel);
    }

    /// <summary>A matrix that is computed with here, a view on the tensor.</summary>
    public static PreparedWeight Prepare(Tensor matrix) => Devices.Managed.Prepare(StoredWeight.Of("", matrix), WeightRole.Matrix);

    /// <summary>All axes behind the first as one.</summary>
    public static StoredWeight Matrix(StoredWeight weight) =>
        weight.Reshape([weight.Shape[0], (int)(weight.Shape.Count / weight.Shape[0])]);
}
