using System.Runtime.InteropServices;
using Attune.Tensors;

namespace Attune.Bench;

/// <summary>
/// ggml as a yardstick: its product of float32 rows with weights of blocks, as llama.cpp and stable-diffusion.cpp call it, from the
/// libraries <c>ggml-base</c> and <c>ggml-cpu</c> in a folder, such as the package LLamaSharp.Backend.Cpu has.
/// </summary>
internal sealed unsafe class Ggml : IDisposable
{
    private const int Float32 = 0;

    /// <summary>ggml's numbers of types.</summary>
    private static readonly Dictionary<string, int> Types = new()
    {
        ["F32"] = Float32, ["F16"] = 1, ["Q4_0"] = 2, ["Q4_1"] = 3, ["Q5_0"] = 6, ["Q5_1"] = 7, ["Q8_0"] = 8, ["Q2_K"] = 10, ["Q3_K"] = 11,
        ["Q4_K"] = 12, ["Q5_K"] = 13, ["Q6_K"] = 14, ["IQ4_NL"] = 20, ["IQ4_XS"] = 23, ["BF16"] = 30,
    };

    private readonly nint _base;
    private readonly nint _cpu;
    private readonly nint _backend;

    /// <param name="folder">Where the libraries are.</param>
    /// <param name="threads">How many threads compute.</param>
    /// <exception cref="ArgumentException">They are not there, or have not these functions.</exception>
    public Ggml(string folder, int threads)
    {
        _base = Load(folder, "ggml-base");
        _cpu = Load(folder, "ggml-cpu");
        _backend = ((delegate* unmanaged<nint>)Find(_cpu, "ggml_backend_cpu_init"))();
        ((delegate* unmanaged<nint, int, void>)Find(_cpu, "ggml_backend_cpu_set_n_threads"))(_backend, threads);
    }

    /// <summary>Whether ggml has a format, under the same name.</summary>
    public static bool Has(WeightFormat format) => Types.ContainsKey(format.Name);

    /// <summary>A product that can be computed again and again.</summary>
    /// <param name="format">The format of the weights.</param>
    /// <param name="weights">Their bytes, [outputs, inputs].</param>
    /// <param name="x">[rows, inputs].</param>
    /// <param name="rows">Rows of x.</param>
    /// <param name="outputs">Rows of the weights.</param>
    /// <param name="inputs">Columns of both.</param>
    public GgmlProduct Product(WeightFormat format, ReadOnlySpan<byte> weights, ReadOnlySpan<float> x, int rows, int outputs, int inputs)
    {
        nint context = ((delegate* unmanaged<Parameters, nint>)Find(_base, "ggml_init"))(new Parameters(1 << 20));
        var matrix = (delegate* unmanaged<nint, int, long, long, nint>)Find(_base, "ggml_new_tensor_2d");
        nint a = matrix(context, Types[format.Name], inputs, outputs), b = matrix(context, Float32, inputs, rows);
        nint c = ((delegate* unmanaged<nint, nint, nint, nint>)Find(_base, "ggml_mul_mat"))(context, a, b);
        nint graph = ((delegate* unmanaged<nint, nint>)Find(_base, "ggml_new_graph"))(context);
        ((delegate* unmanaged<nint, nint, void>)Find(_base, "ggml_build_forward_expand"))(graph, c);
        nint buffer = ((delegate* unmanaged<nint, nint, nint>)Find(_base, "ggml_backend_alloc_ctx_tensors"))(context, _backend);
        var set = (delegate* unmanaged<nint, void*, nuint, nuint, void>)Find(_base, "ggml_backend_tensor_set");
        fixed (byte* bytes = weights)
            set(a, bytes, 0, (nuint)weights.Length);
        fixed (float* values = x)
            set(b, values, 0, (nuint)(sizeof(float) * x.Length));
        nint compute = Find(_base, "ggml_backend_graph_compute"), get = Find(_base, "ggml_backend_tensor_get");
        return new GgmlProduct(
            () =>
            {
                if (((delegate* unmanaged<nint, nint, int>)compute)(_backend, graph) != 0)
                    throw new InvalidOperationException("ggml failed to compute.");
            },
            result =>
            {
                fixed (float* values = result)
                    ((delegate* unmanaged<nint, void*, nuint, nuint, void>)get)(c, values, 0, (nuint)(sizeof(float) * result.Length));
            },
            () =>
            {
                ((delegate* unmanaged<nint, void>)Find(_base, "ggml_backend_buffer_free"))(buffer);
                ((delegate* unmanaged<nint, void>)Find(_base, "ggml_free"))(context);
            });
    }

    /// <inheritdoc/>
    public void Dispose() => ((delegate* unmanaged<nint, void>)Find(_base, "ggml_backend_free"))(_backend);

    private static nint Load(string folder, string name)
    {
        string file = OperatingSystem.IsWindows() ? name + ".dll" : OperatingSystem.IsMacOS() ? $"lib{name}.dylib" : $"lib{name}.so";
        return NativeLibrary.TryLoad(Path.GetFullPath(Path.Combine(folder, file)), out nint library) ? library
            : throw new ArgumentException($"--ggml is '{folder}', expected a folder with {file} that this machine can load.");
    }

    private static nint Find(nint library, string name) => NativeLibrary.TryGetExport(library, name, out nint function) ? function
        : throw new ArgumentException($"--ggml: the libraries have no function {name}.");

    /// <summary>ggml_init_params: tensors are described there, and lie elsewhere.</summary>
    private readonly struct Parameters(nuint size)
    {
        public readonly nuint Size = size;
        public readonly nint Memory = 0;
        public readonly byte NoAlloc = 1;
    }
}

/// <summary>A product of ggml.</summary>
/// <param name="compute">Computes it.</param>
/// <param name="read">Copies the result, [rows, outputs].</param>
/// <param name="free">Frees what it holds.</param>
internal sealed class GgmlProduct(Action compute, Action<float[]> read, Action free) : IDisposable
{
    public void Compute() => compute();

    public void Read(float[] result) => read(result);

    /// <inheritdoc/>
    public void Dispose() => free();
}
