using System.Runtime.CompilerServices;

namespace Attune.Tensors.Cpu;

/// <summary>
/// The left factor of a matrix product, read where it lies: each row is made of <see cref="Runs"/> runs of <see cref="Length"/> contiguous
/// floats. A plain matrix has one run; a convolution has one for each position of its kernel.
/// </summary>
internal abstract unsafe class RowSource(long count, int runs, int length)
{
    public long Count { get; } = count;

    public int Runs { get; } = runs;

    public int Length { get; } = length;

    /// <summary>Floats of room for each row that <see cref="Locate"/> may use for rows it has to make.</summary>
    public virtual int RoomPerRow => 0;

    /// <summary>
    /// Tells where the runs of rows [first, first + count) begin: pointers[(i / height * Runs + run) * height + i % height].
    /// </summary>
    public abstract void Locate(long first, int count, int height, float** pointers, float* room);
}

/// <summary>The rows of a tensor's innermost axis.</summary>
internal sealed unsafe class PlainRows(Rows rows) : RowSource(rows.Count, 1, rows.Columns)
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Locate(long first, int count, int height, float** pointers, float* room)
    {
        for (int i = 0; i < count; i++)
            pointers[i] = rows.At(first + i);
    }
}
