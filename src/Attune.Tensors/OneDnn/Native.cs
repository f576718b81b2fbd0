using System.Runtime.InteropServices;

namespace Attune.Tensors.OneDnn;

/// <summary>
/// The part of oneDNN's C API (version 2, <c>libdnnl.so.2</c>) that is used. Descriptions of memory and operations are plain structures
/// whose insides belong to the library: they are passed as blocks of bytes with room to spare.
/// </summary>
internal static unsafe partial class Native
{
    /// <summary>Resolved by <see cref="OneDnnLibrary"/>, which knows where the library is.</summary>
    public const string Library = "dnnl";

    /// <summary>More than dnnl_memory_desc_t takes in any version 2 (696 bytes in 2.6).</summary>
    public const int MemoryDescriptorBytes = 1024;

    /// <summary>More than any operation's description takes (5976 bytes for a convolution in 2.6).</summary>
    public const int OperationDescriptorBytes = 16384;

    public const int EngineCpu = 1;
    public const uint StreamDefault = 1;
    public const int ScratchpadUser = 1;
    public const int ForwardInference = 96;
    public const int ConvolutionDirect = 1;
    public const int ConvolutionWinograd = 2;

    public const int TagAny = 1;
    public const int TagVector = 2;

    public const int BFloat16 = 2;
    public const int Float32 = 3;

    public const int QueryImplementation = 8;
    public const int QuerySource = 129;
    public const int QueryWeights = 131;
    public const int QueryDestination = 133;
    public const int QueryScratchpad = 136;

    public const int ArgumentSource = 1;
    public const int ArgumentDestination = 17;
    public const int ArgumentWeights = 33;
    public const int ArgumentBias = 41;
    public const int ArgumentScratchpad = 80;

    public const int Relu = 31;
    public const int Tanh = 47;
    public const int GeluErf = 48;
    public const int Logistic = 175;

    public const int Exp = 191;

    public const int Log = 239;
    public const int GeluTanh = 207;
    public const int Swish = 223;

    /// <summary>An argument of a primitive's execution.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Argument(int kind, nint memory)
    {
        public int Kind = kind;
        public nint Memory = memory;
    }

    /// <summary>What the library says of itself.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct VersionInfo
    {
        public int Major;
        public int Minor;
        public int Patch;
        public byte* Hash;
        public uint CpuRuntime;
        public uint GpuRuntime;
    }

    [LibraryImport(Library, EntryPoint = "dnnl_version")]
    public static partial VersionInfo* Version();

    [LibraryImport(Library, EntryPoint = "dnnl_get_effective_cpu_isa")]
    public static partial int EffectiveIsa();

    [LibraryImport(Library, EntryPoint = "dnnl_engine_create")]
    public static partial int EngineCreate(nint* engine, int kind, nuint index);

    [LibraryImport(Library, EntryPoint = "dnnl_stream_create")]
    public static partial int StreamCreate(nint* stream, nint engine, uint flags);

    [LibraryImport(Library, EntryPoint = "dnnl_stream_wait")]
    public static partial int StreamWait(nint stream);

    [LibraryImport(Library, EntryPoint = "dnnl_memory_desc_init_by_strides")]
    public static partial int DescribeByStrides(byte* descriptor, int rank, long* extents, int type, long* strides);

    [LibraryImport(Library, EntryPoint = "dnnl_memory_desc_init_by_tag")]
    public static partial int DescribeByTag(byte* descriptor, int rank, long* extents, int type, int tag);

    [LibraryImport(Library, EntryPoint = "dnnl_memory_desc_get_size")]
    public static partial nuint SizeOf(byte* descriptor);

    [LibraryImport(Library, EntryPoint = "dnnl_memory_desc_equal")]
    public static partial int AreEqual(byte* first, byte* second);

    [LibraryImport(Library, EntryPoint = "dnnl_memory_create")]
    public static partial int MemoryCreate(nint* memory, byte* descriptor, nint engine, void* handle);

    [LibraryImport(Library, EntryPoint = "dnnl_memory_get_memory_desc")]
    public static partial int DescriptorOf(nint memory, byte** descriptor);

    [LibraryImport(Library, EntryPoint = "dnnl_memory_destroy")]
    public static partial int MemoryDestroy(nint memory);

    [LibraryImport(Library, EntryPoint = "dnnl_matmul_desc_init")]
    public static partial int DescribeProduct(byte* operation, byte* source, byte* weights, byte* bias, byte* destination);

    [LibraryImport(Library, EntryPoint = "dnnl_convolution_forward_desc_init")]
    public static partial int DescribeConvolution(
        byte* operation, int propagation, int algorithm, byte* source, byte* weights, byte* bias, byte* destination, long* strides,
        long* paddingBefore, long* paddingAfter);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_attr_create")]
    public static partial int AttributesCreate(nint* attributes);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_attr_destroy")]
    public static partial int AttributesDestroy(nint attributes);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_attr_set_scratchpad_mode")]
    public static partial int SetScratchpadMode(nint attributes, int mode);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_attr_set_post_ops")]
    public static partial int SetPostOperations(nint attributes, nint operations);

    [LibraryImport(Library, EntryPoint = "dnnl_post_ops_create")]
    public static partial int PostOperationsCreate(nint* operations);

    [LibraryImport(Library, EntryPoint = "dnnl_post_ops_destroy")]
    public static partial int PostOperationsDestroy(nint operations);

    [LibraryImport(Library, EntryPoint = "dnnl_post_ops_append_sum")]
    public static partial int AppendSum(nint operations, float scale);

    [LibraryImport(Library, EntryPoint = "dnnl_post_ops_append_eltwise")]
    public static partial int AppendElementwise(nint operations, float scale, int algorithm, float alpha, float beta);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_desc_create")]
    public static partial int PrimitiveDescriptionCreate(nint* description, byte* operation, nint attributes, nint engine, nint hint);

    [LibraryImport(Library, EntryPoint = "dnnl_reorder_primitive_desc_create")]
    public static partial int ReorderDescriptionCreate(
        nint* description, byte* source, nint sourceEngine, byte* destination, nint destinationEngine, nint attributes);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_desc_destroy")]
    public static partial int PrimitiveDescriptionDestroy(nint description);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_desc_query_md")]
    public static partial byte* QueryMemory(nint description, int what, int index);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_desc_query")]
    public static partial int Query(nint description, int what, int index, void* result);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_create")]
    public static partial int PrimitiveCreate(nint* primitive, nint description);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_destroy")]
    public static partial int PrimitiveDestroy(nint primitive);

    [LibraryImport(Library, EntryPoint = "dnnl_primitive_execute")]
    public static partial int Execute(nint primitive, nint stream, int count, Argument* arguments);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetEnvironment(string name, string value, int overwrite);
}
