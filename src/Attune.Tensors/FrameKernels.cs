using System.Runtime.CompilerServices;

namespace Attune.Tensors;

/// <summary>
/// The weight of a <see cref="Device.CausalConv3d"/> as one of an image's convolution for each of the kernel's frames. In PyTorch's order
/// these lie scattered: each is gathered, in the stored format, when it is first needed. That costs as much memory as the weight.
/// </summary>
internal sealed unsafe class FrameKernels : PreparedWeight
{
    private readonly Device _device;
    private readonly StoredWeight _weight;
    private readonly Lazy<PreparedWeight>[] _frames;

    public FrameKernels(Device device, StoredWeight weight)
        : base(weight.Name, weight.Shape, weight.Bytes.Length)
    {
        (_device, _weight) = (device, weight);
        _frames = new Lazy<PreparedWeight>[weight.Shape[2]];
        for (int i = 0; i < _frames.Length; i++)
        {
            int frame = i;
            _frames[i] = new Lazy<PreparedWeight>(() => _device.Prepare(Gather(frame), WeightRole.Convolution));
        }
    }

    /// <summary>weight[:, :, frame]: [out, in, kernel height, kernel width].</summary>
    public PreparedWeight At(int frame) => _frames[frame].Value;

    protected override PreparedWeight Select(int start, int length) => new FrameKernels(_device, _weight.Rows(start, length));

    protected override void Dispose(bool disposing)
    {
        foreach (var frame in _frames)
        {
            if (frame.IsValueCreated)
                frame.Value.Dispose();
        }
        _weight.Dispose();
    }

    /// <summary>A run of the kernel's height and width for each pair of an output and an input.</summary>
    private StoredWeight Gather(int frame)
    {
        var s = _weight.Shape;
        Shape shape = [s[0], s[1], s[3], s[4]];
        if (s[2] == 1)
            return _weight.Reshape(shape);
        bool wide = _weight.Format.BlockLength != 1 || _weight.Companions.Count > 0;
        using var widened = wide ? TensorScope.Detach(_weight.ToTensor(Devices.Managed)) : null;
        var source = widened == null ? _weight : StoredWeight.Of(_weight.Name, widened);
        _ = source.Bytes.Pointer;        // throws before anything is allocated
        var result = new StoredWeight(
            _weight.Name, shape, source.Format, WeightBytes.Allocate(source.Format.BytesOf(shape.Count)));
        long run = source.Format.BytesOf((long)s[3] * s[4]);
        byte* first = source.Bytes.Pointer + frame * run;
        byte* target = result.Bytes.Pointer;
        Workers.For(s[0], output =>
        {
            byte* from = first + output * s[1] * s[2] * run;
            byte* to = target + output * s[1] * run;
            for (int i = 0; i < s[1]; i++, from += s[2] * run, to += run)
                Unsafe.CopyBlockUnaligned(to, from, (uint)run);
        });
        return result;
    }
}
