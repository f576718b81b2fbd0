namespace Attune.Tensors;

/// <summary>
/// The threads that kernels run on: one for each processor that the runtime reports (<c>DOTNET_PROCESSOR_COUNT</c> sets the number), the
/// calling thread among them. Work is cut into numbered pieces that are taken in any order, so a kernel whose pieces do not depend on
/// each other gives the same bits for any number of threads. A call from inside a piece, or while another thread's call is running,
/// does all its pieces itself.
/// </summary>
public static unsafe class Workers
{
    private const int SpinRounds = 2000;
    private static readonly Lock Gate = new();
    private static readonly Thread[] Threads = Start(Environment.ProcessorCount - 1);
    private static readonly SemaphoreSlim[] Wake = [.. Threads.Select(_ => new SemaphoreSlim(0))];
    private static Batch? _batch;
    private static int _limit = Environment.ProcessorCount;

    [ThreadStatic]
    private static bool _inside;

    /// <summary>The largest number of threads that work together, the caller included; at most the number of processors.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not positive.</exception>
    public static int MaxThreads
    {
        get => _limit;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
            _limit = Math.Min(value, Threads.Length + 1);
        }
    }

    /// <summary>Calls <paramref name="body"/> once for each number from 0 to <paramref name="count"/> - 1, on several threads.</summary>
    /// <exception cref="AggregateException">A piece threw; the others may or may not have run.</exception>
    public static void For(int count, Action<int> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        int helpers = Math.Min(Math.Min(_limit, count) - 1, Threads.Length);
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
            for (int i = 0; i < helpers; i++)
                Wake[i].Release();
            _inside = true;
            try
            {
                batch.Work();
            }
            finally
            {
                _inside = false;
                batch.Wait();
                Volatile.Write(ref _batch, null);
            }
            if (batch.Failure is { } failure)
                throw new AggregateException(failure);
        }
        finally
        {
            Gate.Exit();
        }
    }

    private static Thread[] Start(int count)
    {
        var threads = new Thread[Math.Max(count, 0)];
        for (int i = 0; i < threads.Length; i++)
        {
            int index = i;
            threads[i] = new Thread(() => Serve(index)) { IsBackground = true, Name = $"Attune worker {i + 1}" };
            threads[i].Start();
        }
        return threads;
    }

    private static void Serve(int index)
    {
        _inside = true;
        var wake = Wake[index];
        while (true)
        {
            // Kernels follow one another within microseconds: spin a little before sleeping.
            for (int i = 0; i < SpinRounds && wake.CurrentCount == 0; i++)
                Thread.SpinWait(8);
            wake.Wait();
            var batch = Volatile.Read(ref _batch);
            if (batch == null)
                continue;
            batch.Work();
            batch.Leave();
        }
    }

    private sealed class Batch(Action<int> body, int count, int helpers)
    {
        private int _next;
        private int _working = helpers;
        private Exception? _failure;

        public Exception? Failure => _failure;

        public void Work()
        {
            try
            {
                int i;
                while ((i = Interlocked.Increment(ref _next) - 1) < count)
                    body(i);
            }
            catch (Exception exception)
            {
                Interlocked.CompareExchange(ref _failure, exception, null);
                Interlocked.Exchange(ref _next, count);
            }
        }

        public void Leave() => Interlocked.Decrement(ref _working);

        public void Wait()
        {
            var spinner = new SpinWait();
            while (Volatile.Read(ref _working) != 0)
                spinner.SpinOnce(sleep1Threshold: -1);
        }
    }
}
