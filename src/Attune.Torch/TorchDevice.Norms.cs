using Attune.Tensors;

namespace Attune.Torch;

public sealed unsafe partial class TorchDevice
{
    /// <inheritdoc/>
    public override void GroupNorm(
        Tensor x, int groups, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Activation activation, Tensor output) =>
        Run("a group norm", o =>
        {
            if (x.Count == 0)
                return;

            // Channels come second, and groups lie together: the kernel for channels last takes variances as differences of squares,
            // which loses what a mean far from 0 leaves.
            int rank = x.Shape.Rank;
            Span<int> axes = stackalloc int[rank], back = stackalloc int[rank];
            (axes[0], axes[1], back[0], back[rank - 1]) = (0, rank - 1, 0, 1);
            for (int i = 2; i < rank; i++)
                (axes[i], back[i - 1]) = (i - 1, i);
            nint view = o.Contiguous(o.View(x, axes));
            int type = o.TypeOf(view);
            nint result = o.Call(
                "aten::group_norm"u8, ""u8, o.Pass(view), TorchOperation.Of(groups), o.PassOrNone(Parameter(o, weight, type)),
                o.PassOrNone(Parameter(o, bias, type)), TorchOperation.Of((double)epsilon), TorchOperation.Of(true));
            o.Store(output, o.Permute(o.As(o.Activate(result, activation), o.Computed), back));
        });

    /// <inheritdoc/>
    public override void LayerNorm(Tensor x, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Tensor output) =>
        Run("a layer norm", o =>
        {
            if (x.Count == 0)
                return;
            nint view = o.View(x);
            int type = o.TypeOf(view);
            o.Store(output, o.As(Normalised(o, view, Parameter(o, weight, type), Parameter(o, bias, type), epsilon), o.Computed));
        });

    /// <inheritdoc/>
    public override void ModulatedLayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor output) =>
        Run("a modulated layer norm", o =>
        {
            if (x.Count > 0)
                o.Store(output, o.As(Modulated(o, Normalised(o, o.Wide(x), 0, 0, epsilon), scale, shift), o.Computed));
        });

    /// <inheritdoc/>
    public override void RmsNorm(Tensor x, PreparedWeight? weight, float epsilon, Tensor output) => Run("an RMS norm", o =>
    {
        if (x.Count == 0)
            return;

        // float16 cannot hold the squares that bfloat16 and float32 can.
        nint view = o.View(x);
        if (o.TypeOf(view) == o.Torch.Float16)
            view = o.As(view, o.Torch.Float32);
        nint result = o.Call(
            "aten::rms_norm"u8, ""u8, o.Pass(view), o.List(x.Shape[^1]), o.PassOrNone(Parameter(o, weight, o.TypeOf(view))),
            TorchOperation.Some(TorchOperation.Of((double)epsilon)));
        o.Store(output, o.As(result, o.Computed));
    });

    /// <inheritdoc/>
    public override void Softmax(Tensor x, Tensor output) => Run("a softmax", o => o.Store(output, Softmax(o, o.Wide(x))));

    /// <summary>Softmax over the innermost axis; zeros where all are minus infinity.</summary>
    private static nint Softmax(TorchOperation o, nint x) =>
        o.Call("aten::_safe_softmax"u8, ""u8, o.Pass(x), TorchOperation.Of(-1), 0);

    private static nint Normalised(TorchOperation o, nint x, nint weight, nint bias, float epsilon) =>
        o.Call(
            "aten::layer_norm"u8, ""u8, o.Pass(x), o.List(o.SizesOf(x)[^1]), o.PassOrNone(weight), o.PassOrNone(bias),
            TorchOperation.Of((double)epsilon), TorchOperation.Of(true));

    private nint Parameter(TorchOperation o, PreparedWeight? weight, int type) => weight == null ? 0 : Weight(o, weight, type);
}
