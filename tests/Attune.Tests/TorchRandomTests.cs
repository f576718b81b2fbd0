namespace Attune.Tests;

/// <summary>What the golden cases (random/*) leave open: the integer stream, seeds, and how draws follow each other.</summary>
public class TorchRandomTests
{
    /// <summary>The value that the C++ standard requires of mt19937.</summary>
    [Fact]
    public void The_10000th_integer_of_the_default_seed_is_that_of_the_standard()
    {
        var random = new TorchRandom(5489);
        for (int i = 1; i < 10_000; i++)
            random.NextUInt32();
        Assert.Equal(4123659995u, random.NextUInt32());
    }

    [Theory]
    [InlineData(5, 5 + (1UL << 32))]
    [InlineData(ulong.MaxValue, 0xFFFFFFFFL)]
    [InlineData(1UL << 63, 0)]
    public void Seeds_count_modulo_2_to_the_32(ulong seed, ulong same) =>
        Assert.Equal(Draw(new TorchRandom(seed), 40), Draw(new TorchRandom(same), 40));

    [Fact]
    public void Few_values_come_in_pairs_whatever_the_draws()
    {
        var one = new TorchRandom(7);
        var many = new TorchRandom(7);
        Assert.Equal(Draw(many, 15), Enumerable.Range(0, 15).SelectMany(_ => Draw(one, 1)));
    }

    /// <summary>The second value of a pair waits for the next small draw, and does not touch a large one.</summary>
    [Fact]
    public void A_kept_value_outlives_a_large_draw()
    {
        var pair = new TorchRandom(7);
        float[] both = Draw(pair, 2);
        float[] next = Draw(pair, 16);
        var interrupted = new TorchRandom(7);
        Assert.Equal(both[..1], Draw(interrupted, 1));
        Assert.Equal(next, Draw(interrupted, 16));
        Assert.Equal(both[1..], Draw(interrupted, 1));
    }

    [Fact]
    public void The_tail_is_drawn_anew()
    {
        float[] whole = Draw(new TorchRandom(3), 48);
        float[] cut = Draw(new TorchRandom(3), 40);
        Assert.Equal(whole[..24], cut[..24]);
        Assert.NotEqual(whole[24..32], cut[24..32]);
    }

    /// <summary>The last, partial group of 16 is drawn again, from 16 numbers of its own: 100 values share 84 with 200.</summary>
    [Theory]
    [InlineData(100, 84)]
    [InlineData(300, 284)]
    [InlineData(33, 17)]
    [InlineData(17, 1)]
    public void A_partial_group_is_drawn_again(int count, int kept)
    {
        float[] many = Draw(new TorchRandom(8), 4 * 64 * 64), some = Draw(new TorchRandom(8), count);
        Assert.Equal(many[..kept], some[..kept]);
        Assert.All(Enumerable.Range(kept, 16), i => Assert.NotEqual(many[i], some[i]));
    }

    [Fact]
    public void No_draw_changes_nothing()
    {
        var random = new TorchRandom(3);
        random.Normal([]);
        Assert.Equal(Draw(new TorchRandom(3), 16), Draw(random, 16));
    }

    [Fact]
    public void Values_are_normal()
    {
        float[] values = Draw(new TorchRandom(1), 1 << 18);
        Assert.Equal(0, values.Average(), 0.01);
        Assert.Equal(1, values.Average(value => (double)value * value), 0.01);
        Assert.Equal(3, values.Average(value => Math.Pow(value, 4)), 0.1);
        Assert.All(values, value => Assert.True(float.IsFinite(value)));
    }

    private static float[] Draw(TorchRandom random, int count)
    {
        var values = new float[count];
        random.Normal(values);
        return values;
    }
}
