using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Matrix products with a stored weight: output = activation(rows weight^T + bias), the core of linear layers and convolutions.
/// <para>
/// The output is cut into pieces, a block of rows by a strip of columns each. A piece walks down the inner dimension in blocks; for each it
/// packs the strip's part of the weight so that it stays in the second-level cache, and multiplies all its rows with it. Each element is a
/// sum over blocks of sums in order, whatever the pieces are, so threads and cuts do not change a bit.
/// </para>
/// </summary>
internal static unsafe class Gemm
{
    /// <summary>
    /// The inner dimension of a block: deep enough to hide the cost of adding a block to the output, and for a convolution to read long
    /// runs.
    /// </summary>
    private const int BlockDepth = 1152;

    /// <summary>Floats of packed weight that a piece keeps in the second-level cache.</summary>
    private const int StripFloats = 128 << 10;

    private const int RowsPerPiece = 512;
    private const int PointersPerPiece = 1 << 13;
    private const int RoomPerPiece = 1 << 17;

    /// <summary>Pieces to aim for, as long as each stays large enough.</summary>
    private const int TargetPieces = 16;
    private const long MinimumPiece = 1 << 20;

    /// <summary>Makes products use the kernels for processors without 512-bit vectors. For tests.</summary>
    internal static bool ForceNarrow { get; set; }

    internal static bool Wide => Vector512.IsHardwareAccelerated && Avx512F.IsSupported && !ForceNarrow;

    /// <summary>output = activation(rows weight^T + bias).</summary>
    /// <param name="rows">[rows, runs x length].</param>
    /// <param name="weight">[out, length x runs]: the runs are innermost, as in a convolution's weight.</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="activation">Applied to each element of the result.</param>
    /// <param name="output">[rows, out].</param>
    /// <param name="residual">Added to the result, [rows, out], or null; it may be the output. Only where <see cref="Adds"/> says so and
    /// without an activation.</param>
    public static void Multiply(
        RowSource rows, CpuWeight weight, CpuWeight? bias, Activation activation, Rows output, Rows? residual = null)
    {
        if (rows.Count == 0 || weight.Shape[0] == 0)
            return;
        if (!Adds(rows))
            Skinny.Multiply(rows, weight, bias, activation, output);
        else if (activation == Activation.None && FewOutputs.Suits(rows, weight.Shape[0]))
            FewOutputs.Multiply(rows, weight, bias, output, residual);
        else if (Wide)
            Multiply<WideKernel>(rows, weight, bias, activation, output, residual);
        else
            Multiply<NarrowKernel>(rows, weight, bias, activation, output, residual);
    }

    /// <summary>
    /// Whether a product with these rows can be added to a residual on the way: few rows are multiplied in another manner.
    /// </summary>
    public static bool Adds(RowSource rows) => rows.Runs > 1 || rows.RoomPerRow > 0 || !Skinny.Suits(rows.Count, rows.Length);

    private static void Multiply<TKernel>(
        RowSource rows, CpuWeight weight, CpuWeight? bias, Activation activation, Rows output, Rows? residual)
        where TKernel : IMicroKernel
    {
        var plan = Plan.For<TKernel>(rows, weight.Shape[0], weight.Format.BlockLength);
        _ = weight.Pointer;        // throws before anything is computed
        Workers.For(plan.Pieces, piece => Compute<TKernel>(plan, piece, rows, weight, bias, activation, output, residual));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Compute<TKernel>(
        Plan plan, int piece, RowSource rows, CpuWeight weight, CpuWeight? bias, Activation activation, Rows output, Rows? residual)
        where TKernel : IMicroKernel
    {
        int panelWidth = 3 * TKernel.Lanes;
        var (firstRow, rowCount) = plan.RowsOf(piece);
        var (firstColumn, columnCount) = plan.ColumnsOf(piece);
        int height = TKernel.Rows;
        int tiles = (rowCount + height - 1) / height;
        int panels = (columnCount + panelWidth - 1) / panelWidth;
        int depth = rows.Runs * plan.BlockLength;

        using var scratch = new Scratch(
            (
                (nuint)depth
                    * (nuint)(plan.PanelsPerStrip * panelWidth) + (nuint)(height * panelWidth) + (nuint)depth + PanelPacking.Room
                    + (nuint)columnCount + (nuint)rowCount * (nuint)rows.RoomPerRow + 64) * sizeof(float)
            + (nuint)(tiles * height) * (nuint)(rows.Runs + 2) * (nuint)sizeof(float*));
        float* packed = scratch.Take<float>((long)depth * plan.PanelsPerStrip * panelWidth);
        float* tile = scratch.Take<float>(height * panelWidth);
        float** pointers = (float**)scratch.Take<nint>((long)tiles * height * rows.Runs);
        float** targets = (float**)scratch.Take<nint>((long)tiles * height);
        float** residuals = (float**)scratch.Take<nint>((long)tiles * height);
        int* order = scratch.Take<int>(depth);
        float* packing = scratch.Take<float>(PanelPacking.Room);
        float* offsets = null;
        float* room = scratch.Take<float>((long)rowCount * rows.RoomPerRow);
        if (bias != null)
        {
            offsets = scratch.Take<float>(columnCount);
            bias.Widen(firstColumn, offsets, columnCount);
        }

        rows.Locate(firstRow, rowCount, height, pointers, room);
        for (int i = rowCount; i < tiles * height; i++)
        {
            for (int run = 0; run < rows.Runs; run++)
                pointers[((i / height * rows.Runs) + run) * height + i % height] = pointers[
                    ((i / height * rows.Runs) + run) * height + (rowCount - 1) % height];
        }
        for (int i = 0; i < rowCount; i++)
        {
            targets[i] = output.At(firstRow + i) + firstColumn;
            residuals[i] = residual is { } added ? added.At(firstRow + i) + firstColumn : null;
        }

        long stride = (long)rows.Runs * rows.Length;
        int blocks = Math.Max(1, (rows.Length + plan.BlockLength - 1) / plan.BlockLength);
        for (int block = 0; block < blocks; block++)
        {
            int start = block * plan.BlockLength;
            int length = Math.Min(rows.Length - start, plan.BlockLength);
            bool first = block == 0;
            bool last = block == blocks - 1;
            for (int k = 0; k < length; k++)
            {
                for (int run = 0; run < rows.Runs; run++)
                    order[k * rows.Runs + run] = run * length + k;
            }
            for (int p = 0; p < panels; p++)
            {
                int columns = Math.Min(columnCount - p * panelWidth, panelWidth);
                int width = (columns + TKernel.Lanes - 1) / TKernel.Lanes * TKernel.Lanes;
                PanelPacking.Pack(
                    weight, stride, firstColumn + p * panelWidth, columns, (long)start * rows.Runs, order, length * rows.Runs,
                    packed + (long)p * depth * panelWidth, width, TKernel.Lanes, packing);
            }
            for (int t = 0; t < tiles; t++)
            {
                int valid = Math.Min(rowCount - t * height, height);
                float** to = targets + t * height;
                float** addends = (first ? residuals : targets) + t * height;
                for (int p = 0; p < panels; p++)
                {
                    int column = p * panelWidth;
                    int columns = Math.Min(columnCount - column, panelWidth);
                    float* panel = packed + (long)p * depth * panelWidth;
                    float** from = pointers + (long)t * height * rows.Runs;
                    for (int i = 0; i < valid; i++)
                        Prefetch((addends[i] != null ? addends[i] : to[i]) + column, columns);
                    if (columns > 2 * TKernel.Lanes)
                        TKernel.Multiply<ThreeVectors>(from, rows.Runs, start, length, panel, tile);
                    else if (columns > TKernel.Lanes)
                        TKernel.Multiply<TwoVectors>(from, rows.Runs, start, length, panel, tile);
                    else
                        TKernel.Multiply<OneVector>(from, rows.Runs, start, length, panel, tile);
                    for (int i = 0; i < valid; i++)
                        Finish(
                            tile + i * panelWidth, to[i] + column, columns, addends[i] != null ? addends[i] + column : null,
                            last && offsets != null ? offsets + column : null);
                }
                if (last && activation != Activation.None)
                {
                    for (int i = 0; i < valid; i++)
                        Activations.Apply(activation, new ReadOnlySpan<float>(to[i], columnCount), new Span<float>(to[i], columnCount));
                }
            }
        }
    }

    /// <summary>target = tile (+ addends) (+ offsets).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(float* tile, float* target, int columns, float* addends, float* offsets)
    {
        int j = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; j <= columns - 16; j += 16)
            {
                var sum = Vector512.Load(tile + j);
                if (addends != null)
                    sum += Vector512.Load(addends + j);
                if (offsets != null)
                    sum += Vector512.Load(offsets + j);
                sum.Store(target + j);
            }
        }
        for (; j <= columns - 8; j += 8)
        {
            var sum = Vector256.Load(tile + j);
            if (addends != null)
                sum += Vector256.Load(addends + j);
            if (offsets != null)
                sum += Vector256.Load(offsets + j);
            sum.Store(target + j);
        }
        for (; j < columns; j++)
        {
            float sum = tile[j];
            if (addends != null)
                sum += addends[j];
            if (offsets != null)
                sum += offsets[j];
            target[j] = sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Prefetch(float* at, int count)
    {
        if (!Sse.IsSupported)
            return;
        for (int j = 0; j < count; j += 16)
            Sse.Prefetch0(at + j);
    }

    /// <summary>How a product is cut. It depends on the shapes alone.</summary>
    private readonly struct Plan
    {
        private readonly long _rows;
        private readonly int _columns;
        private readonly int _columnsPerStrip;
        private readonly int _rowsPerBlock;
        private readonly int _strips;

        private Plan(long rows, int columns, int panelWidth, int panelsPerStrip, int rowsPerBlock, int blockLength)
        {
            (_rows, _columns, _rowsPerBlock) = (rows, columns, rowsPerBlock);
            PanelsPerStrip = panelsPerStrip;
            _columnsPerStrip = panelsPerStrip * panelWidth;
            BlockLength = blockLength;
            _strips = (columns + _columnsPerStrip - 1) / _columnsPerStrip;
            Pieces = checked((int)(_strips * ((rows + rowsPerBlock - 1) / rowsPerBlock)));
        }

        public int Pieces { get; }

        public int PanelsPerStrip { get; }

        /// <summary>Elements of each run in a block of the inner dimension.</summary>
        public int BlockLength { get; }

        /// <param name="rows">The left factor.</param>
        /// <param name="columns">Outputs.</param>
        /// <param name="unit">Elements of a block of the weight's format: none should be widened for two parts of the inner
        /// dimension.</param>
        public static Plan For<TKernel>(RowSource rows, int columns, int unit)
            where TKernel : IMicroKernel
        {
            int panelWidth = 3 * TKernel.Lanes;
            int blockLength = Even(
                rows.Length, Math.Max(8, BlockDepth / rows.Runs), rows.Runs == 1 && unit <= BlockDepth ? Math.Max(unit, 16) : 16);
            int panels = (columns + panelWidth - 1) / panelWidth;
            int panelsPerStrip = Even(panels, Math.Max(1, StripFloats / (Math.Max(blockLength, 1) * rows.Runs * panelWidth)), 1);
            int limit = Math.Min(RowsPerPiece, PointersPerPiece / rows.Runs);
            if (rows.RoomPerRow > 0)
                limit = Math.Min(limit, RoomPerPiece / rows.RoomPerRow);
            int rowsPerBlock = Even(rows.Count, Math.Max(limit, TKernel.Rows), TKernel.Rows);
            long depth = (long)rows.Length * rows.Runs;
            while ((rows.Count + rowsPerBlock - 1) / rowsPerBlock * ((panels + panelsPerStrip - 1) / panelsPerStrip) < TargetPieces
                && depth * rowsPerBlock * panelsPerStrip * panelWidth > 2 * MinimumPiece)
            {
                if (rowsPerBlock > 2 * panelsPerStrip * panelWidth || panelsPerStrip == 1)
                {
                    if (rowsPerBlock <= 4 * TKernel.Rows)
                        break;
                    rowsPerBlock = Even(rowsPerBlock, (rowsPerBlock + 1) / 2 + TKernel.Rows - 1, TKernel.Rows);
                }
                else
                {
                    panelsPerStrip = (panelsPerStrip + 1) / 2;
                }
            }
            return new Plan(rows.Count, columns, panelWidth, panelsPerStrip, rowsPerBlock, blockLength);
        }

        public (long First, int Count) RowsOf(int piece)
        {
            long first = (long)(piece / _strips) * _rowsPerBlock;
            return (first, (int)Math.Min(_rowsPerBlock, _rows - first));
        }

        public (int First, int Count) ColumnsOf(int piece)
        {
            int first = piece % _strips * _columnsPerStrip;
            return (first, Math.Min(_columnsPerStrip, _columns - first));
        }

        /// <summary>
        /// The size of parts of at most <paramref name="limit"/> that are nearly equal, each but the last a multiple of a unit.
        /// </summary>
        private static int Even(long total, int limit, int unit)
        {
            limit = Math.Max(limit / unit * unit, unit);
            long parts = Math.Max(1, (total + limit - 1) / limit);
            return (int)(((total + parts - 1) / parts + unit - 1) / unit * unit);
        }
    }
}
