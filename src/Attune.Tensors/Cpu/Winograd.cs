using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Attune.Tensors.Cpu;

/// <summary>
/// Convolutions with 3 x 3 kernels and stride 1 by Winograd's filtering: tiles of the input are transformed, multiplied with transformed
/// kernels by the micro-kernels of matrix products, one product for each pair of points, and transformed back.
/// <para>
/// Tiles are taken in sweeps whose transformed input stays in the cache that all threads share. Within a sweep a piece of work is a strip
/// of outputs, as wide as a panel, for a range of tiles. It transforms the kernels of its strip itself, a block of inputs at a time: they
/// are four times as large as what they are made from, so making them anew costs less than fetching them from memory would. Each element is
/// a sum over blocks in order, whatever the ranges are.
/// </para>
/// </summary>
internal static unsafe class Winograd
{
    /// <summary>Floats of transformed input in a sweep.</summary>
    private const long SweepFloats = 3 << 20;

    /// <summary>
    /// Floats of transformed kernels of a block that stay in the second-level cache, as do the products when there are few tiles.
    /// </summary>
    private const int BlockFloats = 128 << 10;

    /// <summary>A piece has more tiles than this, or all, so that transforming the kernels does not weigh.</summary>
    private const int MinimumTiles = 96;

    private const int TargetPieces = 12;

    /// <summary>Whether a convolution can be computed so.</summary>
    public static bool Suits(PreparedWeight weight, Conv2dGeometry geometry) =>
        weight.Shape[2] == 3 && weight.Shape[3] == 3 && geometry.Stride == 1;

    /// <summary>
    /// The time a convolution takes, in vectors of 16 multiplications and additions at full speed: the products, the transformations of
    /// input and output by tile, and those of the kernels, which the weight comes with from memory. The factors were measured; only their
    /// ratios to those of direct convolution matter.
    /// </summary>
    public static double Cost(ConvolutionAlgorithm algorithm, Shape output, int inputs)
    {
        int size = algorithm == ConvolutionAlgorithm.Winograd2 ? Winograd2.Outputs : Winograd4.Outputs;
        var (input, interpolation, kernel) = algorithm == ConvolutionAlgorithm.Winograd2 ? (900, 700, 300) : (2000, 1500, 330);
        double tiles = (double)output[0] * ((output[1] + size - 1) / size) * ((output[2] + size - 1) / size);
        double columns = (output[3] + 15) / 16;
        double points = (size + 2) * (size + 2);
        double sweeps = Math.Ceiling(tiles * points * inputs / SweepFloats);
        return inputs * columns * (
            1.14
                * points * Math.Ceiling(tiles / 8) * 8 + kernel * sweeps) + tiles * (input * ((inputs + 15) / 16) + interpolation
                * columns);
    }

    /// <summary>
    /// The convolution; the arguments are those of <see cref="Device.Conv2d"/> or, with a residual, <see cref="Device.AddConv2d"/>.
    /// </summary>
    public static void Convolve(
        ConvolutionAlgorithm algorithm, Tensor x, CpuWeight weight, CpuWeight? bias, Conv2dGeometry geometry, Tensor output,
        Tensor? residual)
    {
        if (output.Count == 0)
            return;
        if (algorithm == ConvolutionAlgorithm.Winograd2 && Gemm.Wide)
            Run<Winograd2, WideKernel, Simd512, Vector512<float>>.Convolve(x, weight, bias, geometry, output, residual);
        else if (algorithm == ConvolutionAlgorithm.Winograd2)
            Run<Winograd2, NarrowKernel, Simd256, Vector256<float>>.Convolve(x, weight, bias, geometry, output, residual);
        else if (Gemm.Wide)
            Run<Winograd4, WideKernel, Simd512, Vector512<float>>.Convolve(x, weight, bias, geometry, output, residual);
        else
            Run<Winograd4, NarrowKernel, Simd256, Vector256<float>>.Convolve(x, weight, bias, geometry, output, residual);
    }

    private static class Run<TWinograd, TKernel, TSimd, TVector>
        where TWinograd : IWinograd
        where TKernel : IMicroKernel
        where TSimd : ISimd<TVector>
        where TVector : struct
    {
        private const int Depth = PackedRows.Length;

        /// <summary>
        /// Breaks the alignment of arrays that are read or written at the same place at once, which the caches do not like.
        /// </summary>
        private const int Skew = 16;

        /// <summary>
        /// Inlined into a caller, these methods would be too much for the compiler: it would call their parts, which begin slow.
        /// </summary>
        private const MethodImplOptions Compiled = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

        public static void Convolve(Tensor x, CpuWeight weight, CpuWeight? bias, Conv2dGeometry geometry, Tensor output, Tensor? residual)
        {
            var grid = new TileGrid(x, geometry, output, residual, TWinograd.Outputs);
            var layout = new Layout(grid.Tiles, x.Shape[3], weight.Shape[0]);
            using var scratch = new Scratch((nuint)(layout.Blocks * layout.BlockStride) * sizeof(float));
            float* values = scratch.Take<float>(layout.Blocks * layout.BlockStride);
            for (long first = 0; first < grid.Tiles; first += layout.TilesPerSweep)
            {
                int tiles = (int)Math.Min(grid.Tiles - first, layout.TilesPerSweep);
                int groups = (tiles + TKernel.Rows - 1) / TKernel.Rows;
                long start = first;
                // Groups of tiles by halves of the channels, or less where there are few groups.
                int parts = Math.Clamp(TargetPieces / groups, 1, layout.Blocks);
                Workers.For(
                    groups * parts,
                    piece => TransformInput(
                        grid, layout, start, tiles, piece / parts, layout.Blocks * (piece % parts) / parts,
                        layout.Blocks * (piece % parts + 1) / parts, values));
                int strips = layout.Strips;
                int ranges = Math.Clamp(tiles / MinimumTiles, 1, Math.Max(1, TargetPieces / strips));
                Workers.For(
                    strips * ranges,
                    piece => ComputeStrip(
                        grid, layout, start, tiles, groups * (piece % ranges) / ranges, groups * (piece % ranges + 1) / ranges,
                        piece / ranges, values, weight, bias));
            }
        }

        [MethodImpl(Compiled)]
        private static void TransformInput(
            TileGrid grid, Layout layout, long first, int tiles, int group, int startBlock, int endBlock, float* values)
        {
            int points = TWinograd.Points;
            float** pixels = stackalloc float*[points * points];
            float** tail = stackalloc float*[points * points];
            float* rest = stackalloc float[points * points * TSimd.Lanes];
            using var scratch = new Scratch((nuint)layout.Inputs * sizeof(float));
            float* zeros = scratch.Take<float>(layout.Inputs);
            new Span<float>(zeros, layout.Inputs).Clear();
            for (int i = group * TKernel.Rows, row = 0; row < TKernel.Rows && i < tiles; i++, row++)
            {
                grid.LocateInput(first + i, points, zeros, pixels);
                for (int block = startBlock; block < endBlock; block++)
                {
                    float* target = values + block * layout.BlockStride + ((long)group * TKernel.Rows + row) * Depth;
                    int c = block * Depth;
                    int end = Math.Min(layout.Inputs, c + Depth);
                    for (; c < end; c += TSimd.Lanes, target += TSimd.Lanes)
                    {
                        PrefetchStrided(target + 2 * TSimd.Lanes, layout.PointStride, points * points);
                        float** from = pixels;
                        nint channel = c;
                        if (c > end - TSimd.Lanes)
                        {
                            CopyTail(pixels, c, end - c, rest, tail);
                            from = tail;
                            channel = 0;
                        }
                        TWinograd.Input<TSimd, TVector>(from, channel, target, layout.PointStride);
                    }
                }
            }
        }

        /// <summary>
        /// The last channels, fewer than a vector has lanes, where a whole vector can be read; other lanes hold anything.
        /// </summary>
        private static void CopyTail(float** pixels, int first, int count, float* rest, float** tail)
        {
            for (int p = 0; p < TWinograd.Points * TWinograd.Points; p++)
            {
                tail[p] = rest + p * TSimd.Lanes;
                for (int j = 0; j < count; j++)
                    tail[p][j] = pixels[p][first + j];
            }
        }

        [MethodImpl(Compiled)]
        private static void ComputeStrip(
            TileGrid grid, Layout layout, long first, int tiles, int startGroup, int endGroup, int strip, float* values, CpuWeight weight,
            CpuWeight? bias)
        {
            int lanes = TKernel.Lanes;
            int column = strip * 3 * lanes;
            int columns = Math.Min(layout.Outputs - column, 3 * lanes);
            int width = (columns + lanes - 1) / lanes * lanes;
            int pairs = TWinograd.Points * TWinograd.Points;
            int depth = layout.BlockDepth;
            int groups = endGroup - startGroup;
            int tile = TKernel.Rows * 3 * lanes;
            long productStride = (long)groups * tile + Skew;

            using var scratch = new Scratch(
                (nuint)(
                    9L * depth * width + (long)depth * pairs * width + pairs * productStride + 9L * depth + PanelPacking.Room + width)
                * sizeof(float));
            float* taps = scratch.Take<float>(9L * depth * width);
            float* kernels = scratch.Take<float>((long)depth * pairs * width);
            float* products = scratch.Take<float>(pairs * productStride);
            int* order = scratch.Take<int>(9 * depth);
            float* packing = scratch.Take<float>(PanelPacking.Room);
            float* offsets = scratch.Take<float>(width);
            new Span<float>(offsets, width).Clear();
            if (bias != null)
                bias.Widen(column, offsets, columns);

            for (int i = 0; i < 9 * depth; i++)
                order[i] = i;

            for (int k0 = 0; k0 < layout.Inputs; k0 += depth)
            {
                int count = Math.Min(layout.Inputs - k0, depth);
                PanelPacking.Pack(
                    weight, 9L * layout.Inputs, column, columns, 9L * k0, order, 9 * count, taps, width, lanes, packing);
                for (int k = 0; k < count; k++)
                {
                    for (int j = 0; j < width; j += lanes)
                        TWinograd.Kernel<TSimd, TVector>(taps + k * 9 * width + j, width, kernels + (nint)k * pairs * width + j, width);
                }
                for (int p = 0; p < pairs; p++)
                {
                    float* rows =
                        values + k0 / Depth * layout.BlockStride + p * layout.PointStride + (long)startGroup * TKernel.Rows * Depth;
                    float* kernel = kernels + p * width;
                    float* product = products + p * productStride;
                    if (width == 3 * lanes)
                        Multiply<ThreeVectors>(rows, (nint)layout.BlockStride, count, kernel, pairs * width, product, groups, k0 > 0);
                    else if (width == 2 * lanes)
                        Multiply<TwoVectors>(rows, (nint)layout.BlockStride, count, kernel, pairs * width, product, groups, k0 > 0);
                    else
                        Multiply<OneVector>(rows, (nint)layout.BlockStride, count, kernel, pairs * width, product, groups, k0 > 0);
                }
            }
            TransformOutput(
                grid, first, startGroup * TKernel.Rows, Math.Min(tiles, endGroup * TKernel.Rows), column, columns, products, productStride,
                offsets);
        }

        [MethodImpl(Compiled)]
        private static void Multiply<TWidth>(
            float* rows, nint step, int depth, float* kernel, nint pitch, float* product, int groups, bool add)
            where TWidth : IWidth
        {
            for (int group = 0; group < groups; group++, rows += TKernel.Rows * Depth, product += TKernel.Rows * 3 * TKernel.Lanes)
            {
                // The next rows lie far away; there is time to fetch them while these are multiplied.
                float* next = rows + TKernel.Rows * Depth;
                for (int k = 0; k < depth; k += Depth, next += step)
                    Gemm.Prefetch(next, TKernel.Rows * Depth);
                if (add)
                    Gemm.Prefetch(product + TKernel.Rows * 3 * TKernel.Lanes, TKernel.Rows * 3 * TKernel.Lanes);
                TKernel.MultiplyPacked<TWidth>(rows, step, depth, kernel, pitch, product, add);
            }
        }

        [MethodImpl(Compiled)]
        private static void TransformOutput(
            TileGrid grid, long first, int start, int end, int column, int columns, float* products, long stride, float* offsets)
        {
            int outputs = TWinograd.Outputs;
            float** pixels = stackalloc float*[outputs * outputs];
            float** addends = stackalloc float*[outputs * outputs];
            float** residuals = grid.HasResidual ? addends : null;
            float** tail = stackalloc float*[outputs * outputs];
            float* rest = stackalloc float[outputs * outputs * TSimd.Lanes];
            float* sink = stackalloc float[3 * TKernel.Lanes];
            for (int p = 0; p < outputs * outputs; p++)
                tail[p] = rest + p * TSimd.Lanes;
            for (int i = start; i < end; i++, products += 3 * TKernel.Lanes)
            {
                grid.LocateOutput(first + i, column, sink, pixels, residuals);
                for (int j = 0; j < columns; j += TSimd.Lanes)
                {
                    PrefetchStrided(products + 3 * TKernel.Lanes + j, stride, TWinograd.Points * TWinograd.Points);
                    bool whole = j <= columns - TSimd.Lanes;
                    TWinograd.Output<TSimd, TVector>(
                        products + j, (nint)stride, TSimd.Load(offsets + j), whole ? pixels : tail, whole ? residuals : null,
                        whole ? j : 0);
                    if (whole)
                        continue;
                    for (int p = 0; p < outputs * outputs; p++)
                    {
                        for (int n = j; n < columns; n++)
                            pixels[p][n] = tail[p][n - j] + (residuals == null ? 0 : residuals[p][n]);
                    }
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void PrefetchStrided(float* at, long stride, int count)
        {
            if (!Sse.IsSupported)
                return;
            for (int i = 0; i < count; i++, at += stride)
                Sse.Prefetch0(at);
        }

        /// <summary>
        /// How much is done at a time, and where transformed values lie: [blocks of 64 inputs, pairs of points, tiles, 64].
        /// </summary>
        private readonly struct Layout
        {
            public Layout(long tiles, int inputs, int outputs)
            {
                (Inputs, Outputs) = (inputs, outputs);
                Blocks = (inputs + Depth - 1) / Depth;
                Strips = (outputs + 3 * TKernel.Lanes - 1) / (3 * TKernel.Lanes);
                int pairs = TWinograd.Points * TWinograd.Points;
                long limit = Math.Max(SweepFloats / ((long)pairs * Blocks * Depth) / TKernel.Rows * TKernel.Rows, 8 * TKernel.Rows);
                long sweeps = (tiles + limit - 1) / limit;
                TilesPerSweep = (int)((tiles + sweeps * TKernel.Rows - 1) / (sweeps * TKernel.Rows) * TKernel.Rows);
                PointStride = TilesPerSweep * Depth + Skew;
                BlockStride = pairs * (long)PointStride;
                BlockDepth = Math.Max(BlockFloats / (pairs * 3 * TKernel.Lanes * Depth), 1) * Depth;
                if (TilesPerSweep > 2 * MinimumTiles)
                    BlockDepth *= 2;
                BlockDepth = Math.Min(BlockDepth, Blocks * Depth);
            }

            public int Inputs { get; }

            public int Outputs { get; }

            public int Blocks { get; }

            public int Strips { get; }

            public int TilesPerSweep { get; }

            /// <summary>Inputs whose kernels are transformed at a time, a multiple of 64.</summary>
            public int BlockDepth { get; }

            public nint PointStride { get; }

            public long BlockStride { get; }
        }
    }

    /// <summary>Where the tiles of a convolution lie in its input and output.</summary>
    private readonly struct TileGrid
    {
        private readonly Rows _input;
        private readonly Rows _output;
        private readonly Rows? _residual;
        private readonly Conv2dGeometry _geometry;
        private readonly int _height;
        private readonly int _width;
        private readonly int _outputHeight;
        private readonly int _outputWidth;
        private readonly int _size;
        private readonly int _columns;
        private readonly int _rows;

        public TileGrid(Tensor x, Conv2dGeometry geometry, Tensor output, Tensor? residual, int size)
        {
            (_input, _output, _geometry, _size) = (Rows.Of(x), Rows.Of(output), geometry, size);
            _residual = residual == null ? null : Rows.Of(residual);
            (_height, _width, _outputHeight, _outputWidth) = (x.Shape[1], x.Shape[2], output.Shape[1], output.Shape[2]);
            _columns = (_outputWidth + size - 1) / size;
            _rows = (_outputHeight + size - 1) / size;
            Tiles = (long)x.Shape[0] * _rows * _columns;
        }

        public long Tiles { get; }

        public bool HasResidual => _residual != null;

        /// <summary>The pixels under a tile, or <paramref name="outside"/> where there is none.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void LocateInput(long tile, int points, float* outside, float** pixels)
        {
            var (image, top, left) = Place(tile);
            top -= _geometry.Top;
            left -= _geometry.Left;
            for (int y = top; y < top + points; y++)
            {
                for (int x = left; x < left + points; x++)
                    *pixels++ = (uint)y < (uint)_height && (uint)x < (uint)_width ? _input.At((image * _height + y) * _width + x) : outside;
            }
        }

        /// <summary>
        /// The outputs of a tile from a channel on and what is added to them, if anything; <paramref name="outside"/> where there is none.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void LocateOutput(long tile, int channel, float* outside, float** pixels, float** residuals)
        {
            var (image, top, left) = Place(tile);
            for (int y = top; y < top + _size; y++)
            {
                for (int x = left; x < left + _size; x++)
                {
                    bool inside = y < _outputHeight && x < _outputWidth;
                    long pixel = (image * _outputHeight + y) * _outputWidth + x;
                    *pixels++ = inside ? _output.At(pixel) + channel : outside;
                    if (_residual is { } residual)
                        *residuals++ = inside ? residual.At(pixel) + channel : outside;
                }
            }
        }

        private (long Image, int Top, int Left) Place(long tile)
        {
            long line = tile / _columns;
            return (line / _rows, (int)(line % _rows) * _size, (int)(tile % _columns) * _size);
        }
    }
}
