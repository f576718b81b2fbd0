using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Attune.Bench;

/// <summary>
/// The time that measurements are taken by: of the wall, or with DOTNET_PROCESSOR_COUNT=1 on Linux the time that the calling thread had the
/// processor, which other processes disturb less.
/// </summary>
internal static partial class Clock
{
    private const int ThreadTime = 3;
    private static readonly bool Alone = Environment.ProcessorCount == 1 && OperatingSystem.IsLinux();

    public static double Seconds
    {
        get
        {
            if (Alone && Get(ThreadTime, out var time) == 0)
                return time.Seconds + time.Nanoseconds * 1e-9;
            return (double)Stopwatch.GetTimestamp() / Stopwatch.Frequency;
        }
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int Get(int clock, out TimeSpec time);

    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
