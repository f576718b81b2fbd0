using System.Runtime.InteropServices;

namespace Attune.Torch;

/// <summary>
/// What libtorch's C interface does not tell of NVIDIA's cards, asked of the driver: how many there are, their names, their free memory;
/// and events, by which a stream waits for another.
/// </summary>
internal static unsafe class CudaDriver
{
    private const uint NoTiming = 2;

    private static readonly Lazy<nint> Driver = new(() =>
        NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint handle)
            && ((delegate* unmanaged[Cdecl]<uint, int>)Find(handle, "cuInit"))(0) == 0 ? handle : 0);

    /// <summary>How many cards there are; 0 without a driver.</summary>
    public static int Count
    {
        get
        {
            int count = 0;
            return Driver.Value != 0 && ((delegate* unmanaged[Cdecl]<int*, int>)Find("cuDeviceGetCount"))(&count) == 0 ? count : 0;
        }
    }

    /// <summary>What a card is called.</summary>
    public static string NameOf(int index)
    {
        if (Driver.Value == 0)
            return "CUDA";
        byte* name = stackalloc byte[256];
        return ((delegate* unmanaged[Cdecl]<byte*, int, int, int>)Find("cuDeviceGetName"))(name, 255, index) == 0
            ? Marshal.PtrToStringUTF8((nint)name) ?? "CUDA" : "CUDA";
    }

    /// <summary>Free and total memory of the card of the calling thread, in bytes; zeros where that cannot be known.</summary>
    public static (long Free, long Total) Memory()
    {
        nuint free = 0, total = 0;
        return Driver.Value != 0 && ((delegate* unmanaged[Cdecl]<nuint*, nuint*, int>)Find("cuMemGetInfo_v2"))(&free, &total) == 0
            ? ((long)free, (long)total) : (0, 0);
    }

    /// <summary>A new event, or 0.</summary>
    public static nint NewEvent()
    {
        nint made = 0;
        return ((delegate* unmanaged[Cdecl]<nint*, uint, int>)Find("cuEventCreate"))(&made, NoTiming) == 0 ? made : 0;
    }

    /// <summary>The event happens when a stream has done what was asked of it so far.</summary>
    public static void Record(nint happening, nint stream) =>
        Check(((delegate* unmanaged[Cdecl]<nint, nint, int>)Find("cuEventRecord"))(happening, stream), "cuEventRecord");

    /// <summary>What is asked of a stream from here on waits for the event.</summary>
    public static void Wait(nint stream, nint happening) =>
        Check(((delegate* unmanaged[Cdecl]<nint, nint, uint, int>)Find("cuStreamWaitEvent"))(stream, happening, 0), "cuStreamWaitEvent");

    /// <summary>Waits, on the host, until an event has happened.</summary>
    public static void Wait(nint happening) =>
        Check(((delegate* unmanaged[Cdecl]<nint, int>)Find("cuEventSynchronize"))(happening), "cuEventSynchronize");

    /// <summary>Frees an event.</summary>
    public static void Delete(nint happening) => _ = ((delegate* unmanaged[Cdecl]<nint, int>)Find("cuEventDestroy_v2"))(happening);

    private static void Check(int status, string function)
    {
        if (status != 0)
            throw new TorchException(FormattableString.Invariant($"CUDA's driver: {function} gave {status}."));
    }

    private static nint Find(string name) => Find(Driver.Value, name);

    private static nint Find(nint handle, string name) => NativeLibrary.GetExport(handle, name);
}
