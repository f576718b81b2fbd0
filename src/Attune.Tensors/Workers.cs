using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Attune.Tensors;

/// <summary>
/// The threads that kernels run on: one for each processor that the runtime reports (<c>DOTNET_PROCESSOR_COUNT</c> sets the number), the
/// calling thread among them. Work is cut into numbered pieces that are taken in any order, so a kernel whose pieces do not depend on
/// each other gives the same bits for any number of threads. A call from inside a piece, or while another thread's call is running,
/// does all its pieces itself.
/// </summary>
public static class Workers
{
    /// <summary>Kernels follow one another within microseconds: a thread without work waits awake for so long before it sleeps.</summary>
    private const double SpinMicroseconds = 60;

    private static readonly long SpinTicks = (long)(SpinMicroseconds * 1e-6 * Stopwatch.Frequency);
    private static readonly Lock Gate = new();
    private static readonly Helper[] Helpers = [
        .. Enumerable.Range(0, Math.Max(Environment.ProcessorCount - 1, 0)).Select(i => new Helper(i))];
    private static Batch? _batch;
    private static int _begun;
    private static int _limit = Environment.ProcessorCount;

    [ThreadStatic]
    private static bool _inside;

    /// <summary>The largest number of threads that work together, the caller included; at most the number of processors.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not positive.</exception>
    public static int MaxThreads
    {
        get => Volatile.Read(ref _limit);
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
            Volatile.Write(ref _limit, Math.Min(value, Helpers.Length + 1));
        }
    }

    /// <summary>
    /// Calls <paramref name="body"/> once for each number from 0 to <paramref name="count"/> - 1, on several threads. When a piece throws,
    /// the others may or may not run, and the exception, the first if there are several, is thrown here.
    /// </summary>
    public static void For(int count, Action<int> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        int helpers = Math.Min(MaxThreads, count) - 1;
        if (helpers <= 0 || _inside || !Gate.TryEnter())
        {
            for (int i = 0; i < count; i++)
                body(i);
            return;
        }
        try
        {
            var batch = new Batch(body, count, helpers);
            Volatile.Write(ref _batch, batch);
            // A full fence: a helper that is about to sleep sees the new number, or is seen sleeping here.
            Interlocked.Increment(ref _begun);
            for (int i = 0; i < helpers; i++)
                Helpers[i].Wake();
            _inside = true;
            try
            {
                batch.Work();
                batch.Wait();
            }
            finally
            {
                _inside = false;
                Volatile.Write(ref _batch, null);
            }
            batch.Failure?.Throw();
        }
        finally
        {
            Gate.Exit();
        }
    }

    /// <summary>A thread that joins batches.</summary>
    private sealed class Helper
    {
        private readonly int _index;
        private readonly object _sleep = new();
        private bool _asleep;

        public Helper(int index)
        {
            _index = index;
            new Thread(Serve) { IsBackground = true, Name = $"Attune worker {index + 1}" }.Start();
        }

        public void Wake()
        {
            if (!Volatile.Read(ref _asleep))
                return;
            lock (_sleep)
            {
                _asleep = false;
                Monitor.Pulse(_sleep);
            }
        }

        private void Serve()
        {
            _inside = true;
            int seen = 0;
            while (true)
            {
                Await(ref seen);
                // Null when the batch is already over; a later one than was awaited is as good.
                if (Volatile.Read(ref _batch) is { } batch && _index < batch.Helpers)
                    batch.Work();
            }
        }

        /// <summary>Waits for a batch after the one that was seen last.</summary>
        private void Await(ref int seen)
        {
            int last = seen;
            long begin = Stopwatch.GetTimestamp();
            while ((seen = Volatile.Read(ref _begun)) == last)
            {
                if (Stopwatch.GetTimestamp() - begin < SpinTicks)
                {
                    Thread.SpinWait(4);
                    continue;
                }
                lock (_sleep)
                {
                    Volatile.Write(ref _asleep, true);
                    Interlocked.MemoryBarrier();
                    while (_asleep && Volatile.Read(ref _begun) == last)
                        Monitor.Wait(_sleep);
                    _asleep = false;
                }
                begin = Stopwatch.GetTimestamp();
            }
        }
    }

    private sealed class Batch(Action<int> body, int count, int helpers)
    {
        private int _next;
        private int _finished;
        private ExceptionDispatchInfo? _failure;

        public int Helpers => helpers;

        public ExceptionDispatchInfo? Failure => Volatile.Read(ref _failure);

        /// <summary>Does pieces until none is left to take.</summary>
        public void Work()
        {
            int done = 0;
            while (Volatile.Read(ref _next) < count && Interlocked.Increment(ref _next) - 1 is var piece && piece < count)
            {
                try
                {
                    if (Volatile.Read(ref _failure) == null)
                        body(piece);
                }
                catch (Exception exception)
                {
                    Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(exception), null);
                }
                done++;
            }
            if (done > 0)
                Interlocked.Add(ref _finished, done);
        }

        /// <summary>Waits for the pieces that helpers have taken; a helper that came too late for one is not waited for.</summary>
        public void Wait()
        {
            var spinner = new SpinWait();
            while (Volatile.Read(ref _finished) < count)
                spinner.SpinOnce(sleep1Threshold: -1);
        }
    }
}
