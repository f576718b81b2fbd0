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
        var source = new MadeWeights((name, shape) => StoredWeight.Owning(name, memory = Tensor.Full(Host, shape, 1)));
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
        using var checkpoint = new Checkpoint(
            new MadeWeights((name, shape) => StoredWeight.Owning(name, Tensor.Full(Host, shape, 1))), Host);
        Assert.Equal([3, 2], checkpoint.Root.Get("w", [3, 2, 1, 1], WeightRole.Matrix).Shape);
    }

    [Fact]
    public void A_made_weight_of_the_wrong_shape_is_freed()
    {
        Tensor? memory = null;
        using var checkpoint = new Checkpoint(
            new MadeWeights((name, _) => StoredWeight.Owning(name, memory = Tensor.Full(Host, [4, 2], 1))), Host);
        Assert.Contains(
            "'made': the tensor w is [4, 2], expected [3, 2]",
            Assert.Throws<CheckpointException>(() => checkpoint.Root.Get("w", [3, 2], WeightRole.Matrix)).Message,
            StringComparison.Ordinal);
        Assert.True(memory!.IsDisposed);
    }

    /// <summary>Files with eight bits a weight, without scales: a code is its value.</summary>
    [Fact]
    public void Plain_fp8_is_read()
    {
        using var folder = new TemporaryFolder();
        string path = new SafetensorsWriter().Add("w", "F8_E4M3", [0x38, 0xC0, 0x01, 0x7E], 2, 2).Write(folder.At("model.safetensors"));
        using var checkpoint = Checkpoint.Open(path, Host);
        using var scope = new TensorScope();
        var y = Tensor.From(Host, [2f, 1], [1, 2]).Linear(checkpoint.Root.Get("w", [2, 2], WeightRole.Matrix));
        Assert.Equal([2f * 1 - 2, 2 * 0.001953125f + 448], y.ToArray());
        checkpoint.RequireAllUsed();
    }

    [Fact]
    public void A_made_weight_that_cannot_be_prepared_is_freed()
    {
        Tensor? memory = null;
        using var checkpoint = new Checkpoint(
            new MadeWeights((name, shape) => StoredWeight.Owning(name, memory = Tensor.Full(Host, shape, 1))), Host);
        Assert.Throws<ArgumentException>(() => checkpoint.Root.Get("w", [3, 2], WeightRole.Convolution));
        Assert.True(memory!.IsDisposed);
    }

    private sealed class Recording() : DelegatingDevice(Host)
    {
        public List<(string Name, WeightRole Role)> Prepared { get; } = [];

        protected internal override PreparedWeight PrepareElements(StoredWeight weight, WeightRole role)
        {
            Prepared.Add((weight.Name, role));
            return base.PrepareElements(weight, role);
        }
    }
}
