namespace Attune.Tensors;

/// <summary>
/// A device that hands every primitive to another one: the base of devices that take over some of them, or watch. All of them work on the
/// same memory, so that tensors of one can be given to another. A causal convolution alone is not handed on: it is made of this device's
/// own convolutions, so that a device which takes those over, or watches them, does so for videos too.
/// </summary>
/// <param name="inner">The device that computes.</param>
internal abstract class DelegatingDevice(Device inner) : Device
{
    public override string Name => inner.Name;

    public override string Description => inner.Description;

    public override long LiveBytes => inner.LiveBytes;

    public override long PeakBytes => inner.PeakBytes;

    public override void ResetPeak() => inner.ResetPeak();

    public override IDisposable? Passing() => inner.Passing();

    /// <summary>The device that computes.</summary>
    protected Device Inner => inner;

    protected internal override PreparedWeight PrepareElements(StoredWeight weight, WeightRole role) => inner.PrepareElements(weight, role);

    protected internal override Storage Allocate(long elements, Precision precision) => inner.Allocate(elements, precision);

    protected internal override HostView Map(Tensor tensor, HostAccess access) => inner.Map(tensor, access);

    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output) =>
        inner.Linear(x, weight, bias, activation, output);

    public override void Conv2d(Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output) =>
        inner.Conv2d(x, weight, bias, geometry, output);

    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output) =>
        inner.AddLinear(residual, x, weight, bias, output);

    public override void AddConv2d(
        Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Conv2dGeometry geometry, Tensor output) =>
        inner.AddConv2d(residual, x, weight, bias, geometry, output);

    public override void Attention(in AttentionArguments arguments) => inner.Attention(in arguments);

    public override void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support) =>
        inner.EntmaxAttention(in arguments, alpha, dense, support);

    public override void MergeAttention(
        Tensor output1, Tensor logSumExp1, Tensor output2, Tensor logSumExp2, Tensor output, Tensor? logSumExp) =>
        inner.MergeAttention(output1, logSumExp1, output2, logSumExp2, output, logSumExp);

    public override void DepthwiseConv2d(Tensor x, Tensor kernel, Tensor? bias, Tensor output) =>
        inner.DepthwiseConv2d(x, kernel, bias, output);

    public override void LinearAttention(Tensor query, Tensor key, Tensor value, float epsilon, Tensor output) =>
        inner.LinearAttention(query, key, value, epsilon, output);

    public override void GroupNorm(
        Tensor x, int groups, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Activation activation, Tensor output) =>
        inner.GroupNorm(x, groups, weight, bias, epsilon, activation, output);

    public override GroupMoments? BeginGroupNorm(long pixels, int channels, int groups) => inner.BeginGroupNorm(pixels, channels, groups);

    public override void LayerNorm(Tensor x, PreparedWeight? weight, PreparedWeight? bias, float epsilon, Tensor output) =>
        inner.LayerNorm(x, weight, bias, epsilon, output);

    public override void ModulatedLayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon, Tensor output) =>
        inner.ModulatedLayerNorm(x, scale, shift, epsilon, output);

    public override void RmsNorm(Tensor x, PreparedWeight? weight, float epsilon, Tensor output) =>
        inner.RmsNorm(x, weight, epsilon, output);

    public override void Activate(Tensor x, Activation activation, Tensor output) => inner.Activate(x, activation, output);

    public override void Softmax(Tensor x, Tensor output) => inner.Softmax(x, output);

    public override void Entmax(Tensor x, float alpha, Tensor output) => inner.Entmax(x, alpha, output);

    public override void Rotate(Tensor x, RotaryEmbedding rotary, Tensor output) => inner.Rotate(x, rotary, output);

    public override void ResizeNearest(Tensor x, Tensor output) => inner.ResizeNearest(x, output);

    public override void Embed(PreparedWeight table, ReadOnlySpan<int> ids, Tensor output) => inner.Embed(table, ids, output);

    public override void Binary(BinaryOperation operation, Tensor a, Tensor b, Tensor output) => inner.Binary(operation, a, b, output);

    public override void Affine(Tensor x, float multiplier, float addend, Tensor output) => inner.Affine(x, multiplier, addend, output);

    public override void RowNorms(Tensor x, float push, Tensor? y, int p, Tensor output) => inner.RowNorms(x, push, y, p, output);

    public override void RowDots(Tensor x, Tensor y, Tensor? over, Tensor output) => inner.RowDots(x, y, over, output);

    public override void AddRows(Tensor into, Tensor? a, Tensor x, Tensor? b, Tensor? y) => inner.AddRows(into, a, x, b, y);

    public override void Ratio(Tensor numerator, Tensor denominator, float otherwise, Tensor output) =>
        inner.Ratio(numerator, denominator, otherwise, output);

    public override void Fill(Tensor tensor, float value) => inner.Fill(tensor, value);

    public override void Clamp(Tensor x, float minimum, float maximum, Tensor output) => inner.Clamp(x, minimum, maximum, output);

    public override void Combine(float a, Tensor x, float b, Tensor y, Tensor output) => inner.Combine(a, x, b, y, output);

    public override void Modulate(Tensor x, Tensor scale, Tensor shift, Tensor output) => inner.Modulate(x, scale, shift, output);

    public override void AddGated(Tensor residual, Tensor gate, Tensor update, Tensor output) =>
        inner.AddGated(residual, gate, update, output);

    public override void Copy(Tensor source, Tensor destination) => inner.Copy(source, destination);

    public override void Permute(Tensor x, ReadOnlySpan<int> axes, Tensor output) => inner.Permute(x, axes, output);
}
