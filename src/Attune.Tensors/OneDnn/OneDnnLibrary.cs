using System.Reflection;
using System.Runtime.InteropServices;

namespace Attune.Tensors.OneDnn;

/// <summary>oneDNN, once it is loaded: its version, its engine and its threads.</summary>
public sealed unsafe class OneDnnLibrary
{
    /// <summary>The environment variable that turns the library off (<c>0</c> or <c>off</c>), or names its file.</summary>
    public const string Variable = "ATTUNE_ONEDNN";

    /// <summary>The name that Debian's package libdnnl2 and others of version 2 install.</summary>
    private const string DefaultName = "libdnnl.so.2";

    /// <summary>Version 3 has the same functions with other structures.</summary>
    private const int SupportedMajor = 2;

    private const uint RuntimeOpenMp = 2;
    private const int IsaAvx512BFloat16 = 0xE7;

    /// <summary>
    /// OpenMP's threads wait awake for the next product only for about as long as <see cref="Workers"/> do: by default they would take a
    /// processor from managed kernels for milliseconds.
    /// </summary>
    private const string SpinCount = "10000";

    private static readonly Lazy<(OneDnnLibrary? Library, string Problem)> Instance = new(Load);

    private readonly delegate* unmanaged[Cdecl]<int, void> _setThreads;

    private OneDnnLibrary(nint handle, string version)
    {
        Version = version;
        Isa = Native.EffectiveIsa();
        if (Native.Version()->CpuRuntime == RuntimeOpenMp && NativeLibrary.TryGetExport(handle, "omp_set_num_threads", out nint setThreads))
            _setThreads = (delegate* unmanaged[Cdecl]<int, void>)setThreads;
        nint engine, stream;
        Check(Native.EngineCreate(&engine, Native.EngineCpu, 0), "an engine");
        Check(Native.StreamCreate(&stream, engine, Native.StreamDefault), "a stream");
        (Engine, Stream) = (engine, stream);
    }

    /// <summary>Major, minor and patch.</summary>
    public string Version { get; }

    /// <summary>Whether bfloat16 products run on instructions made for them; else the library emulates them, slower than float32.</summary>
    public bool HasBFloat16 => (Isa & IsaAvx512BFloat16) == IsaAvx512BFloat16;

    internal nint Engine { get; }

    /// <summary>Executes in order, on the calling thread.</summary>
    public nint Stream { get; }

    private int Isa { get; }

    /// <summary>The library, or null and why it cannot be used.</summary>
    public static OneDnnLibrary? TryLoad(out string problem)
    {
        (var library, problem) = Instance.Value;
        return library;
    }

    /// <summary>How many threads the products of the calling thread use. Without OpenMP the library decides for itself.</summary>
    public void UseThreads(int count)
    {
        if (_setThreads != null)
            _setThreads(count);
    }

    /// <exception cref="InvalidOperationException">The status is not success.</exception>
    public static void Check(int status, string what)
    {
        if (status != 0)
            throw new InvalidOperationException($"oneDNN could not make or run {what}: {StatusName(status)}.");
    }

    private static (OneDnnLibrary? Library, string Problem) Load()
    {
        string name = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } given ? given : DefaultName;
        if (name is "0" || name.Equals("off", StringComparison.OrdinalIgnoreCase))
            return (null, $"oneDNN is turned off by {Variable}={name}.");
        // Read by OpenMP when it is loaded; what the user has set stays. The runtime's own Environment does not reach native code.
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") == null)
            _ = Native.SetEnvironment("GOMP_SPINCOUNT", SpinCount, 0);
        if (!NativeLibrary.TryLoad(name, out nint handle))
            return (
                null,
                $"oneDNN was not found: '{name}' cannot be loaded (Debian: apt-get install libdnnl2; {Variable} names another file).");
        if (!NativeLibrary.TryGetExport(handle, "dnnl_version", out _))
            return (null, $"'{name}' is not oneDNN: it has no function dnnl_version.");
        NativeLibrary.SetDllImportResolver(
            typeof(Native).Assembly, (string library, Assembly _, DllImportSearchPath? _) => library == Native.Library ? handle : 0);
        var version = Native.Version();
        string text = FormattableString.Invariant($"{version->Major}.{version->Minor}.{version->Patch}");
        return version->Major != SupportedMajor ? (null, $"'{name}' is oneDNN {text}, expected {SupportedMajor}.x.")
            : (new OneDnnLibrary(handle, text), "");
    }

    private static string StatusName(int status) => status switch
    {
        1 => "out of memory",
        2 => "invalid arguments",
        3 => "not implemented",
        5 => "runtime error",
        6 => "not required",
        _ => FormattableString.Invariant($"status {status}"),
    };
}
