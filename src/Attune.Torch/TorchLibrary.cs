using System.Runtime.InteropServices;
using System.Text;

namespace Attune.Torch;

/// <summary>
/// libtorch, once it is loaded. It is the user's: a folder that holds it, a package of NuGet, or a Python's PyTorch. A process loads one.
/// </summary>
public sealed unsafe partial class TorchLibrary
{
    /// <summary>The environment variable that names the folder of the library.</summary>
    public const string Variable = "ATTUNE_LIBTORCH";

    /// <summary>The oldest version that has the functions.</summary>
    public static Version OldestVersion { get; } = new(2, 10);

    /// <summary>Says of NVIDIA's libraries whether they may round the factors of float32 products.</summary>
    private const string Tf32Variable = "NVIDIA_TF32_OVERRIDE";

    private static readonly Lock Gate = new();
    private static TorchLibrary? _loaded;

    private TorchLibrary(string folder, string foundAs, nint handle, nint cuda, string? cudaProblem)
    {
        (Folder, FoundAs, HasCuda, CudaProblem) = (folder, foundAs, cuda != 0, cudaProblem);
        string path = Path.Combine(folder, FileName("torch_cpu"));
        Functions = new TorchFunctions(handle, path);
        ulong version = Functions.AbiVersion();
        Version = new Version((int)(version >> 56), (int)(version >> 48 & 0xFF), (int)(version >> 40 & 0xFF));
        if (Version < OldestVersion)
            throw new NotSupportedException($"'{path}' is libtorch {Version}, expected {OldestVersion} or newer.");

        if (cuda != 0)
            Functions.AddCuda(cuda);

        // No option says how many threads it uses: the function is one of C++.
        if (NativeLibrary.TryGetExport(handle, "_ZN2at15set_num_threadsEi", out nint setThreads))
            SetThreads = (delegate* unmanaged[Cdecl]<int, void>)setThreads;
    }

    /// <summary>Where it lies.</summary>
    public string Folder { get; }

    /// <summary>How it was found, in a few words.</summary>
    public string FoundAs { get; }

    /// <summary>Its version.</summary>
    public Version Version { get; }

    /// <summary>Whether it computes on NVIDIA's cards.</summary>
    public bool HasCuda { get; }

    /// <summary>Why its library for NVIDIA's cards could not be loaded, where there is one.</summary>
    public string? CudaProblem { get; }

    internal TorchFunctions Functions { get; }

    internal delegate* unmanaged[Cdecl]<int, void> SetThreads { get; }

    /// <summary>Names of the devices that can be opened.</summary>
    public IReadOnlyList<string> Devices
    {
        get
        {
            var names = new List<string> { "torch:cpu" };
            for (int i = 0; HasCuda && i < CudaDriver.Count; i++)
                names.Add(FormattableString.Invariant($"torch:cuda:{i}"));
            if (OperatingSystem.IsMacOS())
                names.Add("torch:mps");
            return names;
        }
    }

    /// <summary>
    /// Loads the library: from the folder if one is given, else from that of <see cref="Variable"/>, else from beside the program, from
    /// NuGet's folder of packages or from the PyTorch of the active Python environment. Once it is loaded it stays.
    /// </summary>
    /// <param name="folder">A folder with the library, or one of PyTorch (<c>python -c "import torch; print(torch.__path__)"</c>).</param>
    /// <exception cref="NotSupportedException">It is not found, too old, or something it needs is missing: the message says what to
    /// do.</exception>
    public static TorchLibrary Load(string? folder = null)
    {
        lock (Gate)
        {
            string? asked = folder ?? (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } value ? value : null);
            if (_loaded != null && asked == null)
                return _loaded;
            var found = Find(asked, folder != null ? "the folder that was named" : Variable);
            if (_loaded == null)
                return _loaded = LoadFrom(found);
            return _loaded.Folder == found.Folder ? _loaded
                : throw new NotSupportedException(
                    $"libtorch is loaded already, from '{_loaded.Folder}': that in '{found.Folder}' cannot be as well.");
        }
    }

    /// <summary>The library, or null and why it cannot be used.</summary>
    public static TorchLibrary? TryLoad(out string problem, string? folder = null)
    {
        try
        {
            problem = "";
            return Load(folder);
        }
        catch (NotSupportedException exception)
        {
            problem = exception.Message;
            return null;
        }
    }

    /// <summary>What it is, where it was found and what it computes on, in a line.</summary>
    public override string ToString()
    {
        string text = $"libtorch {Version} ({FoundAs}: {Folder}), devices: {string.Join(", ", Devices)}";
        return CudaProblem == null ? text : $"{text}; no CUDA: {CudaProblem}";
    }

    /// <summary>What must be there for it to be found, in a sentence.</summary>
    internal static string Advice =>
        $"Install the NuGet package libtorch-cpu-{Platform} (or, for NVIDIA's cards, libtorch-cuda-12.8-{Platform}) {OldestVersion}.0 or "
            + $"newer, or name the folder of a PyTorch {OldestVersion} or newer (python -c \"import torch; print(torch.__path__[0])\") by "
            + $"--libtorch or {Variable}.";

    private static string Platform =>
        OperatingSystem.IsWindows() ? "win-x64" : OperatingSystem.IsMacOS() ? "osx-arm64" : "linux-x64";

    private static string FileName(string name) =>
        OperatingSystem.IsWindows() ? $"{name}.dll" : OperatingSystem.IsMacOS() ? $"lib{name}.dylib" : $"lib{name}.so";

    /// <summary>Where the library can lie in a folder that somebody names: there, in a lib of it, in a torch/lib of it.</summary>
    private static IEnumerable<string> Within(string folder) =>
        new[] { folder, Path.Combine(folder, "lib"), Path.Combine(folder, "torch", "lib") }
            .Select(Path.GetFullPath)
            .Where(place => File.Exists(Path.Combine(place, FileName("torch_cpu"))));

    private static (string Folder, string How) Find(string? asked, string source)
    {
        if (asked != null)
        {
            if (Within(asked).FirstOrDefault() is { } there)
                return (there, source);
            string what = Directory.Exists(asked) ? $"holds no {FileName("torch_cpu")}, nor do its lib and torch/lib" : "does not exist";
            throw new NotSupportedException($"libtorch was not found: '{asked}' ({source}) {what}. {Advice}");
        }
        foreach (var (folder, how) in Places())
        {
            if (Within(folder).FirstOrDefault() is { } there)
                return (there, how);
        }
        throw new NotSupportedException($"libtorch was not found. {Advice}");
    }

    private static IEnumerable<(string Folder, string How)> Places()
    {
        yield return (AppContext.BaseDirectory, "beside the program");
        yield return (Path.Combine(AppContext.BaseDirectory, "runtimes", Platform, "native"), "beside the program");
        string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } set ? set
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        string package = Path.Combine(packages, $"libtorch-cpu-{Platform}");
        if (Directory.Exists(package))
        {
            var versions = Directory.GetDirectories(package)
                .Select(folder => (Folder: folder, Version: Version.TryParse(Path.GetFileName(folder), out var version) ? version : null))
                .Where(found => found.Version >= OldestVersion)
                .OrderByDescending(found => found.Version);
            foreach (var (folder, _) in versions)
                yield return (Path.Combine(folder, "runtimes", Platform, "native"), "NuGet package");
        }
        foreach (string variable in new[] { "VIRTUAL_ENV", "CONDA_PREFIX" })
        {
            if (Environment.GetEnvironmentVariable(variable) is not { Length: > 0 } environment)
                continue;
            yield return (Path.Combine(environment, "Lib", "site-packages"), "PyTorch");
            string lib = Path.Combine(environment, "lib");
            foreach (string python in Directory.Exists(lib) ? Directory.GetDirectories(lib, "python3*") : [])
                yield return (Path.Combine(python, "site-packages"), "PyTorch");
        }
    }

    private static TorchLibrary LoadFrom((string Folder, string How) found)
    {
        // OpenMP reads these when it is loaded; what the user has set stays. The runtime's own variables do not reach native code on
        // Linux. Its threads would else wait awake for the next product for milliseconds.
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") == null)
            _ = SetEnvironment("GOMP_SPINCOUNT", "10000", 0);

        // Convolutions of float32 would be made in TF32, with 11 bits, which libtorch allows cuDNN unless told.
        if (OperatingSystem.IsLinux())
            _ = SetEnvironment(Tf32Variable, "0", 0);
        else if (OperatingSystem.IsWindows() && Environment.GetEnvironmentVariable(Tf32Variable) == null)
            _ = SetWindowsEnvironment(Tf32Variable, "0");
        nint handle = LoadFile(found.Folder, "torch_cpu", out string? problem);
        if (handle == 0)
            throw new NotSupportedException($"libtorch cannot be loaded: {problem} {Advice}");
        string? cudaProblem = null;
        nint cuda = File.Exists(Path.Combine(found.Folder, FileName("torch_cuda"))) ? LoadFile(found.Folder, "torch_cuda", out cudaProblem)
            : 0;
        if (cuda != 0 && CudaDriver.Count == 0)
            cudaProblem = "no card or no driver of NVIDIA is there.";
        return new TorchLibrary(found.Folder, found.How, handle, cuda, cudaProblem);
    }

    /// <summary>Loads one file by its path, with what it needs; 0 and why where that fails.</summary>
    private static nint LoadFile(string folder, string name, out string? problem)
    {
        string path = Path.Combine(folder, FileName(name));
        problem = null;
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException)
        {
            // The loader's own words name the file that is missing; the runtime lists all that it tried.
            var words = new StringBuilder();
            foreach (string line in exception.Message.Split('\n'))
            {
                if (line.Contains("cannot open", StringComparison.Ordinal) || line.Contains("not found", StringComparison.Ordinal))
                    words.Append(words.Length > 0 ? "; " : "").Append(line.Trim());
            }
            problem = $"'{path}': {(words.Length > 0 ? words.ToString() : exception.Message.Split('\n')[0].Trim())}.";
            return 0;
        }
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);

    [LibraryImport("ucrtbase", EntryPoint = "_putenv_s", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetWindowsEnvironment(string name, string value);
}
