using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace Attune.Torch;

/// <summary>
/// The thread that owns a device: all of libtorch's functions are called on it. Threads that call operators get a team of OpenMP threads
/// each, and the current device and stream are those of a thread.
/// </summary>
internal sealed class TorchThread : IDisposable
{
    [ThreadStatic]
    private static Work? _own;

    private readonly BlockingCollection<Work> _queue = [];
    private readonly Thread _thread;

    public TorchThread(string name)
    {
        _thread = new Thread(Loop) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <summary>Runs something on the thread and waits for it; what it throws is thrown here.</summary>
    /// <exception cref="ObjectDisposedException">The thread has ended.</exception>
    public void Run(Action action)
    {
        if (Thread.CurrentThread == _thread)
        {
            action();
            return;
        }
        var work = _own ??= new Work();
        work.Action = action;
        work.Problem = null;
        work.Done.Reset();
        Add(work);
        work.Done.Wait();
        work.Action = null;
        work.Problem?.Throw();
    }

    /// <summary>Runs something on the thread sometime; it must not throw. Nothing happens once the thread has ended.</summary>
    public void Post(Action action)
    {
        try
        {
            _queue.Add(new Work { Action = action });
        }
        catch (InvalidOperationException)
        {
        }
    }

    /// <summary>Ends the thread after what was asked of it.</summary>
    public void Dispose()
    {
        _queue.CompleteAdding();
        if (Thread.CurrentThread != _thread)
            _thread.Join();
    }

    private void Add(Work work)
    {
        try
        {
            _queue.Add(work);
        }
        catch (InvalidOperationException)
        {
            throw new ObjectDisposedException(_thread.Name);
        }
    }

    private void Loop()
    {
        foreach (var work in _queue.GetConsumingEnumerable())
        {
            try
            {
                work.Action!();
            }
            catch (Exception exception)
            {
                work.Problem = ExceptionDispatchInfo.Capture(exception);
            }
            work.Done.Set();
        }
    }

    private sealed class Work
    {
        public Action? Action { get; set; }

        public ManualResetEventSlim Done { get; } = new(false, 20);

        public ExceptionDispatchInfo? Problem { get; set; }
    }
}
