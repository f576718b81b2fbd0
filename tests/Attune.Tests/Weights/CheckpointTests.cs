using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>Checkpoints over any source: devices, roles and what is freed.</summary>
[NoLeaks]
public class CheckpointTests
{
    [Fact]
    public void Weights_are_prepared_for_the_checkpoints_device_and_go_with_it()
    {
        var device = new Recording();
        Tensor? memory = null;
        var source = new MadeWeights((name, shape) => StoredWeight.Owning(name, memory = Tensor.Full(shape, 1)));
        PreparedWeight weight;
        using (var checkpoint = new Checkpoint(source, device))
        {
            Assert.Same(device, checkpoint.Root.At("block").Device);
            weight = checkpoint.Root.At("block").Get("w", [3, 2], WeightRole.Matrix);
            Assert.Equal([("block.w", WeightRole.Matrix)], device.Prepared);
            Assert.Same(device, weight.Device);
            Assert.Equal("block.w", weight.Name);
            Assert.False(memory!.IsDisposed);
        }
        Assert.True(memory.IsDisposed);
    }

    /// <summary>A convolution with a 1 x 1 kernel is a matrix where a layer asks for one.</summary>
    [Fact]
    public void A_matrix_may_be_stored_as_a_convolution()
    {
        using var checkpoint = new Checkpoint(new MadeWeights((name, shape) => StoredWeight.Owning(name, Tensor.Full(shape, 1))));
        Assert.Equal([3, 2], checkpoint.Root.Get("w", [3, 2, 1, 1], WeightRole.Matrix).Shape);
    }

    [Fact]
    public void A_made_weight_of_the_wrong_shape_is_freed()
    {
        Tensor? memory = null;
        using var checkpoint = new Checkpoint(new MadeWeights((name, _) => StoredWeight.Owning(name, memory = Tensor.Full([4, 2], 1))));
        Assert.Contains(
            "'made': the tensor w is [4, 2], expected [3, 2]",
            Assert.Throws<CheckpointException>(() => checkpoint.Root.Get("w", [3, 2], WeightRole.Matrix)).Message,
            StringComparison.Ordinal);
        Assert.True(memory!.IsDisposed);
    }

    private sealed class Recording() : DelegatingDevice(Managed)
    {
        public List<(string Name, WeightRole Role)> Prepared { get; } = [];

        protected internal override PreparedWeight PrepareElements(StoredWeight weight, WeightRole role)
        {
            Prepared.Add((weight.Name, role));
            return base.PrepareElements(weight, role);
        }
    }
}
