using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// Smoothed Energy Guidance (Hong, arXiv 2408.00760): away from a pass for the prompt in which the queries of some self-attention layers
/// are blurred over the grid of latents, which smooths the energy landscape of attention: + scale (c - c_blurred). Queries are blurred as
/// the layer hands them over, after QK-norm where a model has one and before the rotary embedding (diffusers blurs before the norm). Costs
/// a second pass.
/// </summary>
public sealed record SmoothedEnergyGuidance : PerturbingRule, IAttentionBase
{
    private static readonly RuleForm TextForm = new RuleForm<SmoothedEnergyGuidance>("seg")
        .Number("scale", rule => rule.Scale, (rule, x) => rule with { Scale = x }, "[0, inf)", neutral: 0, also: ["seg_scale"])
        .Number("sigma", rule => rule.Sigma, (rule, x) => rule with { Sigma = x }, "(0, inf]", also: ["seg_blur_sigma"]);

    /// <inheritdoc/>
    public override RuleForm Form => TextForm;

    /// <summary>The scale: 0 or more; 0 is off. Default 3 (the paper).</summary>
    public float Scale { get; init; } = 3;

    /// <summary>
    /// The standard deviation of the blur in tokens, above 0; infinite (the paper's choice, default) takes the mean of all queries. The
    /// kernel is ceil(6 sigma) wide, made odd, and no wider than the smaller side of the grid, plus one if that is even; borders are
    /// reflected.
    /// </summary>
    public float Sigma { get; init; } = float.PositiveInfinity;

    /// <inheritdoc/>
    protected override float Weight => Scale;

    /// <inheritdoc/>
    public override bool ActsAt(AttentionKind kind) => kind is AttentionKind.Self or AttentionKind.Joint;

    /// <inheritdoc/>
    public Tensor Evaluate(AttentionFacts facts)
    {
        ArgumentNullException.ThrowIfNull(facts);
        using var scope = new TensorScope();
        using var blurred = new AttentionFacts(facts.Call with { Query = Blur(facts.Call) });
        return scope.Keep(blurred.Latents.Clone());
    }

    /// <summary>
    /// The queries of a call with those of every span of latents or references blurred over its grid; owned by the current scope. The host
    /// blurs: a device that has no memory of its own in common with it copies the queries twice.
    /// </summary>
    /// <exception cref="InvalidOperationException">Such a span has no grid.</exception>
    public Tensor Blur(AttentionCall call)
    {
        var shape = call.Query.Shape;
        float[] query = call.Query.ToArray();
        int width = shape[2] * shape[3];
        foreach (var span in call.Queries.Spans.Where(span => span.Kind is TokenKind.Latent or TokenKind.Reference))
        {
            var (rows, columns) = (1, span.Grid?.Count ?? span.Length);      // behind the grid there may be pads
            if (!float.IsPositiveInfinity(Sigma))
            {
                var grid = span.Grid
                    ?? throw new InvalidOperationException(
                        $"seg: {call.Site.Path} does not say how its {span.Length} latents lie on a grid; only sigma=infinite goes "
                            + $"without.");
                (rows, columns) = (grid.Height, grid.Width);
            }
            for (int item = 0; item < shape[0]; item++)
                BlurGrid(query.AsMemory((item * shape[1] + span.Start) * width, rows * columns * width), width, rows, columns);
        }
        return Tensor.From(call.Query.Device, query, shape);
    }

    /// <summary>
    /// Blurs tokens, [rows columns, width], in place. The Gaussian is separable: first along the columns of every row, then along
    /// the rows.
    /// </summary>
    private void BlurGrid(Memory<float> tokens, int width, int rows, int columns)
    {
        if (float.IsPositiveInfinity(Sigma))
        {
            int count = tokens.Length / width;
            var mean = new double[width];
            var values = tokens.Span;
            for (int i = 0; i < values.Length; i++)
                mean[i % width] += values[i];
            for (int i = 0; i < values.Length; i++)
                values[i] = (float)(mean[i % width] / count);
            return;
        }
        float[] kernel = Kernel(Math.Min(rows, columns));
        Memory<float> turned = new float[tokens.Length];
        Convolve(tokens, turned, width, columns, rows, 1, columns, kernel);
        Convolve(turned, tokens, width, rows, columns, columns, 1, kernel);
    }

    /// <summary>
    /// Convolves every line of <paramref name="length"/> tokens that lie <paramref name="stride"/> apart; lines begin
    /// <paramref name="lineStride"/> apart.
    /// </summary>
    private static void Convolve(
        Memory<float> from, Memory<float> to, int width, int length, int lines, int stride, int lineStride, float[] kernel)
    {
        int reach = kernel.Length / 2;
        Workers.For(lines, line =>
        {
            for (int at = 0; at < length; at++)
            {
                var sum = Row(to, line * lineStride + at * stride);
                sum.Clear();
                for (int k = -reach; k <= reach; k++)
                    System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(
                        Row(from, line * lineStride + Reflect(at + k, length) * stride), kernel[k + reach], sum, sum);
            }
        });

        Span<float> Row(Memory<float> tokens, int token) => tokens.Span.Slice(token * width, width);
    }

    /// <summary>The position inside of the line that a position beyond its ends mirrors; the border itself is not repeated.</summary>
    private static int Reflect(int at, int length)
    {
        if (length == 1)
            return 0;
        int period = 2 * (length - 1);
        int folded = ((at % period) + period) % period;
        return folded < length ? folded : period - folded;
    }

    private float[] Kernel(int smallerSide)
    {
        int wide = (int)Math.Min(Math.Ceiling(6.0 * Sigma), int.MaxValue - 1);
        int size = Math.Min(wide + 1 - wide % 2, smallerSide % 2 == 0 ? smallerSide + 1 : smallerSide);
        var weights = new double[size];
        double sum = 0;
        for (int i = 0; i < size; i++)
        {
            double x = (i - (size - 1) / 2) / (double)Sigma;
            sum += weights[i] = Math.Exp(-0.5 * x * x);
        }
        return [.. weights.Select(weight => (float)(weight / sum))];
    }
}
