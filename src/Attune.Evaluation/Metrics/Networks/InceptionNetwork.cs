using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Evaluation.Metrics.Networks;

/// <summary>What Inception v3 says of a picture.</summary>
/// <param name="First">64: the mean of the first max pool.</param>
/// <param name="Second">192: the mean of the second max pool.</param>
/// <param name="Third">768: the mean before the auxiliary head.</param>
/// <param name="Last">2048: the features of FID and KID.</param>
internal sealed record InceptionFeatures(float[] First, float[] Second, float[] Third, float[] Last);

/// <summary>
/// Inception v3 as it was trained in TensorFlow, which FID is defined by (names of pytorch-fid and torch-fidelity). It is not
/// torchvision's: average pools leave the padding out of the count, and the last block's pool takes the maximum.
/// </summary>
internal sealed class InceptionNetwork : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly List<FoldedConvolution> _convolutions = [];
    private readonly FoldedConvolution[] _stem;
    private readonly Func<Tensor, Tensor>[] _middle;
    private readonly Func<Tensor, Tensor>[] _last;
    private readonly Linear? _classes;

    public InceptionNetwork(Checkpoint checkpoint)
    {
        _checkpoint = checkpoint;
        try
        {
            var root = checkpoint.Root;
            FoldedConvolution Stem(string name, int inputs, int outputs, int kernel, int stride = 1, bool same = false) =>
                Convolution(root.At(name), inputs, outputs, kernel, kernel, stride, same);
            _stem =
            [
                Stem("Conv2d_1a_3x3", 3, 32, 3, 2), Stem("Conv2d_2a_3x3", 32, 32, 3), Stem("Conv2d_2b_3x3", 32, 64, 3, same: true),
                Stem("Conv2d_3b_1x1", 64, 80, 1), Stem("Conv2d_4a_3x3", 80, 192, 3),
            ];
            _middle =
            [
                BlockA(root.At("Mixed_5b"), 192, 32), BlockA(root.At("Mixed_5c"), 256, 64), BlockA(root.At("Mixed_5d"), 288, 64),
                BlockB(root.At("Mixed_6a")), BlockC(root.At("Mixed_6b"), 128), BlockC(root.At("Mixed_6c"), 160),
                BlockC(root.At("Mixed_6d"), 160), BlockC(root.At("Mixed_6e"), 192),
            ];
            _last =
            [
                BlockD(root.At("Mixed_7a")), BlockE(root.At("Mixed_7b"), 1280, max: false), BlockE(root.At("Mixed_7c"), 2048, max: true),
            ];
            if (root.Contains("fc.weight"))
            {
                Classes = root.ShapeOf("fc.weight") is { Rank: 2 } shape ? shape[0] : 1008;
                _classes = new Linear(root.At("fc"), 2048, Classes, bias: false);
                using var bias = root.Read("fc.bias", [Classes]);
                ClassBias = new float[Classes];
                bias.Widen(0, ClassBias);
            }
            checkpoint.RequireAllUsed("AuxLogits.*");
        }
        catch
        {
            _convolutions.ForEach(one => one.Dispose());
            throw;
        }
    }

    /// <summary>The number of classes, 0 without a head.</summary>
    public int Classes { get; }

    /// <summary>What is added to the logits of classes.</summary>
    public float[] ClassBias { get; } = [];

    /// <summary>The features of a picture [1, height, width, 3] of values from -1 to 1.</summary>
    public InceptionFeatures Apply(Tensor x)
    {
        using var scope = new TensorScope();
        x = _stem[2].Apply(_stem[1].Apply(_stem[0].Apply(x)));
        x = Pooling.Max(x, 3, 2);
        float[] first = Pooling.Whole(x);
        x = Pooling.Max(_stem[4].Apply(_stem[3].Apply(x)), 3, 2);
        float[] second = Pooling.Whole(x);
        x = _middle.Aggregate(x, Next);
        float[] third = Pooling.Whole(x);
        return new InceptionFeatures(first, second, third, Pooling.Whole(_last.Aggregate(x, Next)));

        static Tensor Next(Tensor current, Func<Tensor, Tensor> block)
        {
            using var inner = new TensorScope();
            return inner.Keep(block(current));
        }
    }

    /// <summary>The logits of the classes of features, without the bias.</summary>
    public float[] Logits(float[] features)
    {
        using var scope = new TensorScope();
        var head = _classes ?? throw new CheckpointException($"'{_checkpoint.Path}' has no classes (fc.weight).");
        return head.Apply(Tensor.From(_checkpoint.Device, features, [1, features.Length])).ToArray();
    }

    public void Dispose()
    {
        _convolutions.ForEach(one => one.Dispose());
        _checkpoint.Dispose();
    }

    private FoldedConvolution Convolution(WeightCursor at, int inputs, int outputs, int height, int width, int stride = 1, bool same = true)
    {
        var made = new FoldedConvolution(at, inputs, outputs, height, width, stride, same);
        _convolutions.Add(made);
        return made;
    }

    /// <summary>A chain of convolutions, each by the extents of its kernel and its outputs.</summary>
    private Func<Tensor, Tensor> Branch(
        WeightCursor at, int inputs, params (string Name, int Height, int Width, int Outputs, bool Halves)[] steps)
    {
        var chain = new List<FoldedConvolution>();
        foreach (var (name, height, width, outputs, halves) in steps)
        {
            chain.Add(Convolution(at.At(name), inputs, outputs, height, width, halves ? 2 : 1, same: !halves));
            inputs = outputs;
        }
        return x => chain.Aggregate(x, (current, one) => one.Apply(current));
    }

    private static Func<Tensor, Tensor> Join(params Func<Tensor, Tensor>[] branches) =>
        x => TensorOperations.Concatenate(3, [.. branches.Select(branch => branch(x))]);

    private Func<Tensor, Tensor> BlockA(WeightCursor at, int inputs, int pool)
    {
        var last = Branch(at, inputs, ("branch_pool", 1, 1, pool, false));
        return Join(
            Branch(at, inputs, ("branch1x1", 1, 1, 64, false)),
            Branch(at, inputs, ("branch5x5_1", 1, 1, 48, false), ("branch5x5_2", 5, 5, 64, false)),
            Branch(
                at, inputs, ("branch3x3dbl_1", 1, 1, 64, false), ("branch3x3dbl_2", 3, 3, 96, false), ("branch3x3dbl_3", 3, 3, 96, false)),
            x => last(Pooling.Mean(x, 3, 1, 1)));
    }

    private Func<Tensor, Tensor> BlockB(WeightCursor at) => Join(
        Branch(at, 288, ("branch3x3", 3, 3, 384, true)),
        Branch(at, 288, ("branch3x3dbl_1", 1, 1, 64, false), ("branch3x3dbl_2", 3, 3, 96, false), ("branch3x3dbl_3", 3, 3, 96, true)),
        x => Pooling.Max(x, 3, 2));

    private Func<Tensor, Tensor> BlockC(WeightCursor at, int width)
    {
        var last = Branch(at, 768, ("branch_pool", 1, 1, 192, false));
        return Join(
            Branch(at, 768, ("branch1x1", 1, 1, 192, false)),
            Branch(at, 768, ("branch7x7_1", 1, 1, width, false), ("branch7x7_2", 1, 7, width, false), ("branch7x7_3", 7, 1, 192, false)),
            Branch(
                at, 768, ("branch7x7dbl_1", 1, 1, width, false), ("branch7x7dbl_2", 7, 1, width, false),
                ("branch7x7dbl_3", 1, 7, width, false), ("branch7x7dbl_4", 7, 1, width, false), ("branch7x7dbl_5", 1, 7, 192, false)),
            x => last(Pooling.Mean(x, 3, 1, 1)));
    }

    private Func<Tensor, Tensor> BlockD(WeightCursor at) => Join(
        Branch(at, 768, ("branch3x3_1", 1, 1, 192, false), ("branch3x3_2", 3, 3, 320, true)),
        Branch(
            at, 768, ("branch7x7x3_1", 1, 1, 192, false), ("branch7x7x3_2", 1, 7, 192, false), ("branch7x7x3_3", 7, 1, 192, false),
            ("branch7x7x3_4", 3, 3, 192, true)),
        x => Pooling.Max(x, 3, 2));

    private Func<Tensor, Tensor> BlockE(WeightCursor at, int inputs, bool max)
    {
        var first = Branch(at, inputs, ("branch3x3_1", 1, 1, 384, false));
        var second = Branch(at, inputs, ("branch3x3dbl_1", 1, 1, 448, false), ("branch3x3dbl_2", 3, 3, 384, false));
        var last = Branch(at, inputs, ("branch_pool", 1, 1, 192, false));
        var ends = Join(Branch(at, 384, ("branch3x3_2a", 1, 3, 384, false)), Branch(at, 384, ("branch3x3_2b", 3, 1, 384, false)));
        var doubleEnds = Join(
            Branch(at, 384, ("branch3x3dbl_3a", 1, 3, 384, false)), Branch(at, 384, ("branch3x3dbl_3b", 3, 1, 384, false)));
        return Join(
            Branch(at, inputs, ("branch1x1", 1, 1, 320, false)), x => ends(first(x)), x => doubleEnds(second(x)),
            x => last(max ? Pooling.Max(x, 3, 1, 1) : Pooling.Mean(x, 3, 1, 1)));
    }
}
