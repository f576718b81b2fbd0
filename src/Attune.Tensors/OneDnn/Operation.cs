using System.Runtime.InteropServices;

namespace Attune.Tensors.OneDnn;

/// <summary>
/// A primitive of oneDNN, compiled for its shapes: a product, a convolution or a reordering of elements. Working memory is the caller's, so
/// that one operation may run on any thread.
/// </summary>
internal sealed unsafe class Operation : IDisposable
{
    private readonly OneDnnLibrary _library;
    private readonly nint _description;
    private readonly nint _primitive;

    private Operation(OneDnnLibrary library, nint description)
    {
        (_library, _description) = (library, description);
        nint primitive;
        OneDnnLibrary.Check(Native.PrimitiveCreate(&primitive, description), "a primitive");
        _primitive = primitive;
        Source = Native.QueryMemory(description, Native.QuerySource, 0);
        Weights = Native.QueryMemory(description, Native.QueryWeights, 0);
        Bias = Native.QueryMemory(description, Native.QueryWeights, 1);
        Destination = Native.QueryMemory(description, Native.QueryDestination, 0);
        Scratchpad = Native.QueryMemory(description, Native.QueryScratchpad, 0);
        ScratchpadBytes = Scratchpad == null ? 0 : Native.SizeOf(Scratchpad);
    }

    /// <summary>How the weights must lie in memory.</summary>
    public byte* Weights { get; }

    /// <summary>When it was last used, for a bounded cache.</summary>
    public long Stamp { get; set; }

    /// <summary>The name of the implementation that the library has chosen.</summary>
    public string Implementation
    {
        get
        {
            byte* text;
            return Native.Query(_description, Native.QueryImplementation, 0, &text) == 0 ? Marshal.PtrToStringUTF8((nint)text) ?? "" : "";
        }
    }

    private byte* Source { get; }

    private byte* Bias { get; }

    private byte* Destination { get; }

    private byte* Scratchpad { get; }

    private nuint ScratchpadBytes { get; }

    /// <summary>destination = activation(source weights^T + bias), float32, from a source and weights of a type.</summary>
    /// <param name="library">The library.</param>
    /// <param name="rows">Rows of source and destination.</param>
    /// <param name="inputs">Columns of the source.</param>
    /// <param name="outputs">Columns of the destination.</param>
    /// <param name="type">The type of source and weights.</param>
    /// <param name="sourceStride">Elements between rows of the source.</param>
    /// <param name="destinationStride">Elements between rows of the destination.</param>
    /// <param name="blocked">Whether the library may choose how the weights lie; else they are [outputs, inputs], row-major.</param>
    /// <param name="bias">Whether there is a bias, float32.</param>
    /// <param name="activation">Applied to each element of the result.</param>
    /// <param name="add">Whether the result is added to what the destination holds, instead of replacing it.</param>
    /// <returns>Null when the library has no implementation.</returns>
    public static Operation? Product(
        OneDnnLibrary library, long rows, int inputs, int outputs, int type, long sourceStride, long destinationStride, bool blocked,
        bool bias, Activation activation, bool add = false)
    {
        byte* room = stackalloc byte[4 * Native.MemoryDescriptorBytes];
        byte* source = room;
        byte* weights = room + Native.MemoryDescriptorBytes;
        byte* offsets = room + 2 * Native.MemoryDescriptorBytes;
        byte* destination = room + 3 * Native.MemoryDescriptorBytes;
        Describe(source, type, [rows, inputs], [sourceStride, 1]);
        Describe(destination, Native.Float32, [rows, outputs], [destinationStride, 1]);
        Describe(weights, type, [inputs, outputs], blocked ? [] : [1, inputs]);
        if (bias)
            Describe(offsets, Native.Float32, [1, outputs], [outputs, 1]);
        byte* operation = stackalloc byte[Native.OperationDescriptorBytes];
        OneDnnLibrary.Check(
            Native.DescribeProduct(operation, source, weights, bias ? offsets : null, destination), "the description of a product");
        return Create(library, operation, activation, add);
    }

    /// <summary>
    /// A convolution of images with channels last; the library chooses how the weights lie. Direct, unless its Winograd algorithm is asked
    /// for as a peer in benchmarks: that wants images in blocks of 16 channels, of which the channels must then be multiples.
    /// </summary>
    /// <returns>Null where the library does not do it.</returns>
    public static Operation? Convolution(
        OneDnnLibrary library, Shape input, Shape weight, Shape output, Conv2dGeometry geometry, int type, bool bias, bool add = false,
        bool winograd = false)
    {
        byte* room = stackalloc byte[4 * Native.MemoryDescriptorBytes];
        byte* source = room;
        byte* weights = room + Native.MemoryDescriptorBytes;
        byte* offsets = room + 2 * Native.MemoryDescriptorBytes;
        byte* destination = room + 3 * Native.MemoryDescriptorBytes;
        DescribeImages(source, type, input, winograd);
        DescribeImages(destination, Native.Float32, output, winograd);
        Describe(weights, type, [weight[0], weight[1], weight[2], weight[3]], []);
        if (bias)
            Describe(offsets, Native.Float32, [weight[0]], [1]);
        byte* operation = stackalloc byte[Native.OperationDescriptorBytes];
        long* strides = stackalloc long[] { geometry.Stride, geometry.Stride };
        long* before = stackalloc long[] { geometry.Top, geometry.Left };
        // What the windows really reach: the last of them may end before the padding does.
        long* after = stackalloc long[]
        {
            (output[1] - 1) * geometry.Stride + weight[2] - input[1] - geometry.Top,
            (output[2] - 1) * geometry.Stride + weight[3] - input[2] - geometry.Left,
        };
        // The library refuses geometries that it finds strange, as windows that do not reach the image's end by more than a stride.
        if (
            Native.DescribeConvolution(
                operation, Native.ForwardInference, winograd ? Native.ConvolutionWinograd : Native.ConvolutionDirect, source, weights,
                bias ? offsets : null, destination, strides, before, after) != 0)
            return null;
        return Create(library, operation, Activation.None, add);
    }

    /// <summary>Copies elements into another type or order.</summary>
    public static Operation Reorder(OneDnnLibrary library, byte* from, byte* to)
    {
        nint attributes = Attributes(Activation.None, add: false);
        nint description;
        int status = Native.ReorderDescriptionCreate(&description, from, library.Engine, to, library.Engine, attributes);
        _ = Native.AttributesDestroy(attributes);
        OneDnnLibrary.Check(status, "a reordering");
        return new Operation(library, description);
    }

    /// <summary>Describes a tensor by its strides; without any, the library chooses them.</summary>
    public static void Describe(byte* descriptor, int type, ReadOnlySpan<long> extents, ReadOnlySpan<long> strides)
    {
        fixed (long* e = extents, s = strides)
        {
            int status = strides.IsEmpty
                ? Native.DescribeByTag(descriptor, extents.Length, e, type, Native.TagAny)
                : Native.DescribeByStrides(descriptor, extents.Length, e, type, s);
            OneDnnLibrary.Check(status, "a description of memory");
        }
    }

    /// <summary>Memory for <see cref="Run"/>; to be destroyed.</summary>
    public static nint Memory(OneDnnLibrary library, byte* descriptor, void* pointer)
    {
        nint memory;
        OneDnnLibrary.Check(Native.MemoryCreate(&memory, descriptor, library.Engine, pointer), "a view of memory");
        return memory;
    }

    /// <summary>Runs on the calling thread and those of the library, to the end.</summary>
    /// <param name="source">Elements as described.</param>
    /// <param name="weights">From <see cref="Memory"/>; 0 for a reordering.</param>
    /// <param name="bias">Float32, or null.</param>
    /// <param name="destination">Elements as described.</param>
    public void Run(void* source, nint weights, float* bias, void* destination)
    {
        var arguments = stackalloc Native.Argument[5];
        int count = 0;
        nuint rented = 0;
        void* scratchpad = ScratchpadBytes == 0 ? null : TensorMemory.Rent(ScratchpadBytes, out rented);
        try
        {
            arguments[count++] = new(Native.ArgumentSource, Memory(_library, Source, source));
            arguments[count++] = new(Native.ArgumentDestination, Memory(_library, Destination, destination));
            if (bias != null)
                arguments[count++] = new(Native.ArgumentBias, Memory(_library, Bias, bias));
            if (scratchpad != null)
                arguments[count++] = new(Native.ArgumentScratchpad, Memory(_library, Scratchpad, scratchpad));
            // The last, since it is not destroyed here.
            arguments[count] = new(Native.ArgumentWeights, weights);
            OneDnnLibrary.Check(Native.Execute(_primitive, _library.Stream, weights == 0 ? count : count + 1, arguments), "a primitive");
            OneDnnLibrary.Check(Native.StreamWait(_library.Stream), "a primitive");
        }
        finally
        {
            for (int i = 0; i < count; i++)
                _ = Native.MemoryDestroy(arguments[i].Memory);
            if (scratchpad != null)
                TensorMemory.Return(scratchpad, rented);
        }
    }

    public void Dispose()
    {
        _ = Native.PrimitiveDestroy(_primitive);
        _ = Native.PrimitiveDescriptionDestroy(_description);
    }

    private static void DescribeImages(byte* descriptor, int type, Shape shape, bool anyOrder)
    {
        long line = (long)shape[2] * shape[3];
        Describe(descriptor, type, [shape[0], shape[3], shape[1], shape[2]], anyOrder ? [] : [shape[1] * line, 1, line, shape[3]]);
    }

    private static Operation? Create(OneDnnLibrary library, byte* operation, Activation activation, bool add)
    {
        nint attributes = Attributes(activation, add);
        nint description;
        int status = Native.PrimitiveDescriptionCreate(&description, operation, attributes, library.Engine, 0);
        _ = Native.AttributesDestroy(attributes);
        return status == 0 ? new Operation(library, description) : null;
    }

    private static nint Attributes(Activation activation, bool add)
    {
        nint attributes;
        OneDnnLibrary.Check(Native.AttributesCreate(&attributes), "attributes");
        OneDnnLibrary.Check(Native.SetScratchpadMode(attributes, Native.ScratchpadUser), "attributes");
        if (activation == Activation.None && !add)
            return attributes;
        nint operations;
        OneDnnLibrary.Check(Native.PostOperationsCreate(&operations), "attributes");
        if (add)
            OneDnnLibrary.Check(Native.AppendSum(operations, 1), "attributes");
        if (activation != Activation.None)
        {
            var (algorithm, alpha) = activation switch
            {
                Activation.Silu => (Native.Swish, 1f),
                Activation.Gelu => (Native.GeluErf, 0f),
                Activation.GeluTanh => (Native.GeluTanh, 0f),
                Activation.QuickGelu => (Native.Swish, 1.702f),
                Activation.Relu => (Native.Relu, 0f),
                Activation.Tanh => (Native.Tanh, 0f),
                Activation.Sigmoid => (Native.Logistic, 0f),
                Activation.Exp => (Native.Exp, 0f),
                Activation.Log => (Native.Log, 0f),
                _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, "An unknown activation."),
            };
            OneDnnLibrary.Check(Native.AppendElementwise(operations, 1, algorithm, alpha, 0), "attributes");
        }
        OneDnnLibrary.Check(Native.SetPostOperations(attributes, operations), "attributes");
        _ = Native.PostOperationsDestroy(operations);
        return attributes;
    }
}
