using Attune.Generation;
using Attune.Server.Engine;
using Attune.Tests;
using Attune.Weights;
using Microsoft.Extensions.Logging.Abstractions;

namespace Attune.Server.Tests;

/// <summary>Which models are in memory.</summary>
public class ModelPoolTests
{
    private static readonly ModelVariant Flux = new(ModelInfo.Of(TestServer.Model(TestServer.Flux)), []);
    private static readonly ModelVariant Sd = new(ModelInfo.Of(TestServer.Model(TestServer.Sd)), []);

    private static ModelPool Pool(long budget) => new(budget, 1 << 20, NullLogger<ModelPool>.Instance);

    [Fact]
    public async Task Models_stay_as_far_as_the_budget_goes()
    {
        await using var pool = Pool(Flux.Model.Bytes + Sd.Model.Bytes);
        (await pool.AcquireAsync(Flux, default)).Dispose();
        (await pool.AcquireAsync(Sd, default)).Dispose();
        Assert.Equal(2, pool.Names.Count);
        using var first = await pool.AcquireAsync(Flux, default);
        using var second = pool.TryAcquire(Flux);
        Assert.Same(first.Pipeline, second!.Pipeline);
    }

    [Fact]
    public async Task The_model_that_was_not_used_for_longest_goes_and_one_in_use_is_waited_for()
    {
        await using var pool = Pool(Math.Max(Flux.Model.Bytes, Sd.Model.Bytes));
        var held = await pool.AcquireAsync(Flux, default);
        var other = pool.AcquireAsync(Sd, default);
        Assert.False(other.IsCompleted);
        Assert.Equal([TestServer.Flux], pool.Names);
        held.Dispose();
        (await other).Dispose();
        Assert.Equal([TestServer.Sd], pool.Names);
        Assert.Null(pool.TryAcquire(Flux));
    }

    /// <summary>One model of many that is damaged does not keep the others from being served.</summary>
    [Fact]
    public async Task A_model_that_cannot_be_opened_is_left_out()
    {
        var broken = new ServedModel("broken", Path.Combine(Repository.Root, "models", "scenes-judge"), new LoadOptions());
        await using var server = await TestServer.StartAsync(
            settings => settings with { Models = [TestServer.Model(TestServer.Flux), broken] });
        Assert.Equal([TestServer.Flux], server.Service<ModelCatalog>().All.Select(model => model.Name));
        await Assert.ThrowsAsync<CheckpointException>(
            () => TestServer.StartAsync(settings => settings with { Models = [broken, TestServer.Model(TestServer.Flux)] }));
    }

    [Fact]
    public async Task A_model_beyond_the_budget_is_alone()
    {
        await using var pool = Pool(1);
        (await pool.AcquireAsync(Flux, default)).Dispose();
        (await pool.AcquireAsync(Sd, default)).Dispose();
        Assert.Equal([TestServer.Sd], pool.Names);
        using var stop = new CancellationTokenSource();
        using var held = await pool.AcquireAsync(Sd, default);
        var given = pool.AcquireAsync(Flux, stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given);
    }
}
