namespace Attune.Tensors.Tests;

public class WorkersTests
{
    [Fact]
    public void Every_piece_is_done_once()
    {
        for (int count = 0; count < 300; count++)
        {
            var done = new int[count];
            Workers.For(count, i => Interlocked.Increment(ref done[i]));
            Assert.All(done, n => Assert.Equal(1, n));
        }
    }

    [Fact]
    public void Helpers_that_sleep_are_woken()
    {
        for (int round = 0; round < 20; round++)
        {
            Thread.Sleep(round % 4);
            int sum = 0;
            Workers.For(50, i => Interlocked.Add(ref sum, i));
            Assert.Equal(49 * 50 / 2, sum);
        }
    }

    [Fact]
    public void A_piece_that_throws_is_reported_and_the_next_call_works()
    {
        for (int round = 0; round < 50; round++)
        {
            var exception = Assert.Throws<InvalidOperationException>(() => Workers.For(20, i =>
            {
                if (i == round % 20)
                    throw new InvalidOperationException($"piece {i}");
            }));
            Assert.Equal($"piece {round % 20}", exception.Message);
            int done = 0;
            Workers.For(20, _ => Interlocked.Increment(ref done));
            Assert.Equal(20, done);
        }
    }

    [Fact]
    public void A_call_from_a_piece_does_all_its_pieces()
    {
        int done = 0;
        Workers.For(10, _ => Workers.For(10, _ => Interlocked.Increment(ref done)));
        Assert.Equal(100, done);
    }

    [Fact]
    public void Calls_from_several_threads_do_not_disturb_each_other()
    {
        var threads = Enumerable.Range(0, 4).Select(_ =>
        {
            int[] missing = new int[1];
            var thread = new Thread(() =>
            {
                for (int round = 0; round < 500; round++)
                {
                    int sum = 0;
                    Workers.For(17, i => Interlocked.Add(ref sum, i));
                    missing[0] += 136 - sum;
                }
            });
            thread.Start();
            return (thread, missing);
        }).ToList();
        foreach (var (thread, missing) in threads)
        {
            thread.Join();
            Assert.Equal(0, missing[0]);
        }
    }

    [Fact]
    public void One_thread_means_the_caller()
    {
        int before = Workers.MaxThreads;
        try
        {
            Workers.MaxThreads = 1;
            int caller = Environment.CurrentManagedThreadId;
            Workers.For(30, _ => Assert.Equal(caller, Environment.CurrentManagedThreadId));
            Assert.Throws<ArgumentOutOfRangeException>(() => Workers.MaxThreads = 0);
            Workers.MaxThreads = int.MaxValue;
            Assert.InRange(Workers.MaxThreads, 1, Environment.ProcessorCount);
        }
        finally
        {
            Workers.MaxThreads = before;
        }
    }
}
