using System.Runtime.InteropServices;

namespace Attune.Torch;

/// <summary>
/// The functions of libtorch's stable C interface that are used, by their addresses. Handles of tensors are pointers; each function but
/// those that return a number by themselves returns 0 for success.
/// </summary>
internal sealed unsafe class TorchFunctions
{
    private readonly nint _library;
    private readonly string _path;

    /// <exception cref="NotSupportedException">A function is missing: the library is too old, or another one.</exception>
    public TorchFunctions(nint library, string path)
    {
        (_library, _path) = (library, path);
        AbiVersion = (delegate* unmanaged[Cdecl]<ulong>)Find("aoti_torch_abi_version");
        EmptyStrided = (delegate* unmanaged[Cdecl]<long, long*, long*, int, int, int, nint*, int>)Find("aoti_torch_empty_strided");
        EmptyPinned =
            (delegate* unmanaged[Cdecl]<long, long*, long*, int, int, int, nint*, int>)Find("aoti_torch_empty_strided_pinned");
        FromBlob = (delegate* unmanaged[Cdecl]<void*, long, long*, long*, long, int, int, int, nint*, int>)Find(
            "aoti_torch_create_tensor_from_blob");
        Reinterpret = (delegate* unmanaged[Cdecl]<nint, long, long*, long*, long, nint*, int>)Find("aoti_torch__reinterpret_tensor");
        Delete = (delegate* unmanaged[Cdecl]<nint, int>)Find("aoti_torch_delete_tensor_object");
        NewHandle = (delegate* unmanaged[Cdecl]<nint, nint*, int>)Find("aoti_torch_new_tensor_handle");
        Copy = (delegate* unmanaged[Cdecl]<nint, nint, int, int>)Find("aoti_torch_copy_");
        Zero = (delegate* unmanaged[Cdecl]<nint, int>)Find("aoti_torch_zero_");
        Fill = (delegate* unmanaged[Cdecl]<nint, double, int>)Find("aoti_torch_aten_fill__Scalar");
        Subtract = (delegate* unmanaged[Cdecl]<nint, nint, double, nint*, int>)Find("aoti_torch_aten_subtract_Tensor");
        ViewAs = (delegate* unmanaged[Cdecl]<nint, int, nint*, int>)Find("aoti_torch_view_dtype");
        Number = (delegate* unmanaged[Cdecl]<float, nint*, int>)Find("aoti_torch_scalar_to_tensor_float32");
        ByteNumber = (delegate* unmanaged[Cdecl]<byte, nint*, int>)Find("aoti_torch_scalar_to_tensor_uint8");
        DataPointer = (delegate* unmanaged[Cdecl]<nint, void**, int>)Find("aoti_torch_get_data_ptr");
        StorageBytes = (delegate* unmanaged[Cdecl]<nint, long*, int>)Find("aoti_torch_get_storage_size");
        StorageOffset = (delegate* unmanaged[Cdecl]<nint, long*, int>)Find("aoti_torch_get_storage_offset");
        Rank = (delegate* unmanaged[Cdecl]<nint, long*, int>)Find("aoti_torch_get_dim");
        Sizes = (delegate* unmanaged[Cdecl]<nint, long**, int>)Find("aoti_torch_get_sizes");
        Strides = (delegate* unmanaged[Cdecl]<nint, long**, int>)Find("aoti_torch_get_strides");
        TypeOf = (delegate* unmanaged[Cdecl]<nint, int*, int>)Find("aoti_torch_get_dtype");
        CallDispatcher = (delegate* unmanaged[Cdecl]<byte*, byte*, ulong*, ulong, int>)Find("torch_call_dispatcher");
        NewList = (delegate* unmanaged[Cdecl]<nuint, nint*, int>)Find("torch_new_list_reserve_size");
        PushBack = (delegate* unmanaged[Cdecl]<nint, ulong, int>)Find("torch_list_push_back");
        NewString = (delegate* unmanaged[Cdecl]<byte*, nuint, nint*, int>)Find("torch_new_string_handle");
        Float32 = Constant("aoti_torch_dtype_float32");
        Float64 = Constant("aoti_torch_dtype_float64");
        BFloat16 = Constant("aoti_torch_dtype_bfloat16");
        Float16 = Constant("aoti_torch_dtype_float16");
        Int64 = Constant("aoti_torch_dtype_int64");
        Byte = Constant("aoti_torch_dtype_uint8");
        SignedByte = Constant("aoti_torch_dtype_int8");
        Float8E4M3 = Constant("aoti_torch_dtype_float8_e4m3fn");
        Float8E5M2 = Constant("aoti_torch_dtype_float8_e5m2");
        Cpu = Constant("aoti_torch_device_type_cpu");
        Cuda = Constant("aoti_torch_device_type_cuda");
        Mps = Constant("aoti_torch_device_type_mps");

        // From 2.13 on: why a function failed.
        What = NativeLibrary.TryGetExport(library, "torch_exception_get_what_without_backtrace", out nint what)
            ? (delegate* unmanaged[Cdecl]<byte*>)what : null;
        DeviceGuard = Optional(library, "aoti_torch_create_device_guard");
    }

    /// <summary>Finds what the library for NVIDIA's cards has beside that for the processor, which does not lead to it.</summary>
    public void AddCuda(nint library)
    {
        StreamFromPool = Optional(library, "torch_get_cuda_stream_from_pool");
        SetStream = Optional(library, "torch_set_current_cuda_stream");
        CurrentStream = Optional(library, "aoti_torch_get_current_cuda_stream");
    }

    public delegate* unmanaged[Cdecl]<ulong> AbiVersion { get; }

    public delegate* unmanaged[Cdecl]<long, long*, long*, int, int, int, nint*, int> EmptyStrided { get; }

    public delegate* unmanaged[Cdecl]<long, long*, long*, int, int, int, nint*, int> EmptyPinned { get; }

    public delegate* unmanaged[Cdecl]<void*, long, long*, long*, long, int, int, int, nint*, int> FromBlob { get; }

    public delegate* unmanaged[Cdecl]<nint, long, long*, long*, long, nint*, int> Reinterpret { get; }

    public delegate* unmanaged[Cdecl]<nint, int> Delete { get; }

    public delegate* unmanaged[Cdecl]<nint, nint*, int> NewHandle { get; }

    public delegate* unmanaged[Cdecl]<nint, nint, int, int> Copy { get; }

    public delegate* unmanaged[Cdecl]<nint, int> Zero { get; }

    public delegate* unmanaged[Cdecl]<nint, double, int> Fill { get; }

    public delegate* unmanaged[Cdecl]<nint, nint, double, nint*, int> Subtract { get; }

    public delegate* unmanaged[Cdecl]<nint, int, nint*, int> ViewAs { get; }

    public delegate* unmanaged[Cdecl]<float, nint*, int> Number { get; }

    public delegate* unmanaged[Cdecl]<byte, nint*, int> ByteNumber { get; }

    public delegate* unmanaged[Cdecl]<nint, void**, int> DataPointer { get; }

    public delegate* unmanaged[Cdecl]<nint, long*, int> StorageBytes { get; }

    public delegate* unmanaged[Cdecl]<nint, long*, int> StorageOffset { get; }

    public delegate* unmanaged[Cdecl]<nint, long*, int> Rank { get; }

    public delegate* unmanaged[Cdecl]<nint, long**, int> Sizes { get; }

    public delegate* unmanaged[Cdecl]<nint, long**, int> Strides { get; }

    public delegate* unmanaged[Cdecl]<nint, int*, int> TypeOf { get; }

    public delegate* unmanaged[Cdecl]<byte*, byte*, ulong*, ulong, int> CallDispatcher { get; }

    public delegate* unmanaged[Cdecl]<nuint, nint*, int> NewList { get; }

    public delegate* unmanaged[Cdecl]<nint, ulong, int> PushBack { get; }

    public delegate* unmanaged[Cdecl]<byte*, nuint, nint*, int> NewString { get; }

    public delegate* unmanaged[Cdecl]<byte*> What { get; }

    /// <summary>Makes a device the current one of the thread; 0 where the library does not have it.</summary>
    public nint DeviceGuard { get; }

    /// <summary>Functions for streams, which a library without CUDA does not have: 0 there.</summary>
    public nint StreamFromPool { get; private set; }

    public nint SetStream { get; private set; }

    public nint CurrentStream { get; private set; }

    public int Float32 { get; }

    public int Float64 { get; }

    public int BFloat16 { get; }

    public int Float16 { get; }

    public int Int64 { get; }

    public int Byte { get; }

    public int SignedByte { get; }

    public int Float8E4M3 { get; }

    public int Float8E5M2 { get; }

    public int Cpu { get; }

    public int Cuda { get; }

    public int Mps { get; }

    private nint Find(string name) =>
        NativeLibrary.TryGetExport(_library, name, out nint address) ? address
            : throw new NotSupportedException(
                $"'{_path}' has no function {name}: libtorch {TorchLibrary.OldestVersion} or newer is needed.");

    private static nint Optional(nint library, string name) => NativeLibrary.TryGetExport(library, name, out nint address) ? address : 0;

    private int Constant(string name) => ((delegate* unmanaged[Cdecl]<int>)Find(name))();
}
