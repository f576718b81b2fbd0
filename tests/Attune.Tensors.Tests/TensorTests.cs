namespace Attune.Tensors.Tests;

[NoLeaks]
public class TensorTests
{
    [Fact]
    public void Reshaping_a_slice_keeps_the_order_of_elements()
    {
        using var scope = new TensorScope();
        var x = Tensor.From([.. Enumerable.Range(0, 2 * 3 * 4 * 5).Select(i => (float)i)], [2, 3, 4, 5]);
        var part = x.Slice(1, 1, 2);
        Assert.Equal([2, 2, 4, 5], part.Shape);
        Assert.Equal(20f, part.Row(0, 0, 0)[0]);
        Assert.Equal(part.ToArray(), part.Reshape(2, 2, 20).ToArray());
        Assert.Equal(part.ToArray(), part.Reshape(2, 8, 5).ToArray());
        Assert.Equal(part.ToArray(), part.Reshape(2, 40).ToArray());
        Assert.Equal(part.ToArray(), part.Reshape(1, 2, 1, 8, 5, 1).ToArray());
        Assert.Throws<ArgumentException>(() => part.Reshape(4 * 20));
        Assert.Throws<ArgumentException>(() => part.Reshape(4, 4, 5).Dispose());
        Assert.Equal(x.ToArray()[..60], x.Slice(0, 0, 1).Reshape(60).ToArray());
    }

    [Fact]
    public void A_scope_disposes_what_is_not_kept()
    {
        using var outer = new TensorScope();
        Tensor kept, dropped;
        using (var inner = new TensorScope())
        {
            dropped = Tensor.Zeros([2, 2]);
            kept = inner.Keep(dropped.Affine(1, 1));
        }
        Assert.True(dropped.IsDisposed);
        Assert.Equal(4f, kept.ToArray().Sum());
        Assert.Throws<ObjectDisposedException>(() => dropped.ToArray());
    }
}
