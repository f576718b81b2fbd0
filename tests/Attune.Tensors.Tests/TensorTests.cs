namespace Attune.Tensors.Tests;

[NoLeaks]
public class TensorTests
{
    [Fact]
    public void Reshaping_a_slice_keeps_the_order_of_elements()
    {
        using var scope = new TensorScope();
        var x = Tensor.From(Host, [.. Enumerable.Range(0, 2 * 3 * 4 * 5).Select(i => (float)i)], [2, 3, 4, 5]);
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
            dropped = Tensor.Zeros(Host, [2, 2]);
            kept = inner.Keep(dropped.Affine(1, 1));
        }
        Assert.True(dropped.IsDisposed);
        Assert.Equal(4f, kept.ToArray().Sum());
        Assert.Throws<ObjectDisposedException>(() => dropped.ToArray());
    }

    [Fact]
    public void The_host_sees_rows_of_views_and_all_of_a_contiguous_tensor()
    {
        using var scope = new TensorScope();
        var x = Tensor.From(Host, [.. Enumerable.Range(0, 24).Select(i => (float)i)], [2, 3, 4]);
        var part = x.Slice(1, 1, 1);
        using (var view = part.Write())
            view.Row(1, 0).Fill(-1);
        using (var view = x.Read())
        {
            Assert.Equal(24, view.Span.Length);
            Assert.Equal([-1f, -1, -1, -1], view.Row(1, 1).ToArray());
            Assert.Equal([12f, 13, 14, 15], view.Row(1, 0).ToArray());
        }
        Assert.Throws<InvalidOperationException>(() => part.Read().Span.Length);
        Assert.Throws<ArgumentException>(() => x.Read().Row(1).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Read().Row(1, 3).Length);
        Assert.Same(x.Device, x.Like([5]).Device);
        Assert.Equal(x.Precision, x.Like([5]).Precision);
        x.Dispose();
        Assert.Throws<ObjectDisposedException>(() => x.Read().Span.Length);
    }

    [Fact]
    public void A_bag_owns_tensors_beyond_their_scope()
    {
        using var bag = new TensorBag();
        Tensor first, second;
        Tensor? slot = null;
        using (new TensorScope())
        {
            first = bag.Own(Tensor.Zeros(Host, [2]));
            bag.Set(ref slot, second = Tensor.Zeros(Host, [3]));
        }
        Assert.False(first.IsDisposed);
        Assert.Same(second, slot);
        bag.Set(ref slot, second);
        Assert.False(second.IsDisposed);
        bag.Set(ref slot, Tensor.Zeros(Host, [4]));
        Assert.True(second.IsDisposed);
        bag.Set(ref slot, null);
        Assert.Null(slot);
        var foreign = Tensor.Zeros(Host, [1]);
        using (foreign)
        {
            Tensor? other = foreign;
            Assert.Throws<ArgumentException>(() => bag.Set(ref other, null));
        }
        bag.Dispose();
        Assert.True(first.IsDisposed);
        Assert.Throws<ObjectDisposedException>(() => bag.Set(ref slot, null));
    }

    [Fact]
    public void Rows_of_an_expanded_inner_axis_are_found_beside_other_axes()
    {
        using var scope = new TensorScope();
        var x = Tensor.From(Devices.Managed, [1, 2, 3, 4, 5, 6], [2, 1, 3]).Expand(1, 2);
        Assert.Equal([1f, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6], x.Clone().ToArray());
        Assert.Equal([2f, 3, 4, 2, 3, 4, 5, 6, 7, 5, 6, 7], x.Affine(1, 1).ToArray());
        var target = Tensor.Zeros(Devices.Managed, [2, 2, 4]);
        x.CopyTo(target.Slice(2, 1, 3));
        Assert.Equal([0f, 1, 2, 3, 0, 1, 2, 3, 0, 4, 5, 6, 0, 4, 5, 6], target.ToArray());
    }
}
