using Attune.Tensors;
using Attune.Weights;

namespace Attune.Tests.Autoencoders;

/// <summary>Weights of any name and shape whose numbers nobody reads.</summary>
internal sealed class EmptyWeights : WeightSource
{
    public override string Path => "empty weights";

    public override IReadOnlyCollection<string> Names => [];

    public override TensorEntry? Describe(string name) => null;

    public override StoredWeight? Find(string name, Shape? expected = null)
    {
        var shape = expected ?? throw new ArgumentNullException(nameof(expected));
        return new StoredWeight(name, shape, WeightFormat.BFloat16, WeightBytes.Allocate(2 * shape.Count));
    }

    protected override void Dispose(bool disposing)
    {
    }
}

/// <summary>Takes memory and does nothing with it.</summary>
internal sealed class IdleDevice() : DelegatingDevice(Host)
{
    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output)
    {
    }

    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output)
    {
    }

    public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
    }

    public override void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output)
    {
    }

    public override void Attention(in AttentionArguments arguments)
    {
    }

    public override void RmsNorm(Tensor x, PreparedWeight? weight, float epsilon, Tensor output)
    {
    }

    public override void Activate(Tensor x, Activation activation, Tensor output)
    {
    }

    public override void ResizeNearest(Tensor x, Tensor output)
    {
    }

    public override void Binary(BinaryOperation operation, Tensor a, Tensor b, Tensor output)
    {
    }

    public override void Clamp(Tensor x, float minimum, float maximum, Tensor output)
    {
    }

    public override void Copy(Tensor source, Tensor destination)
    {
    }

    public override void Permute(Tensor x, ReadOnlySpan<int> axes, Tensor output)
    {
    }

    public override void GroupNorm(
        Tensor x, int groups, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Activation activation, Tensor output)
    {
    }

    public override GroupMoments BeginGroupNorm(long pixels, int channels, int groups) => new IdleMoments();

    private sealed class IdleMoments : GroupMoments
    {
        public override void Add(Tensor pixels)
        {
        }

        public override void Finish(PreparedWeight? weight, PreparedWeight? bias, float epsilon)
        {
        }

        public override void Apply(Tensor pixels, Activation activation, Tensor output)
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
