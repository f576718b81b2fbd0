using Attune.Tensors;

namespace Attune.Torch;

public sealed unsafe partial class TorchDevice
{
    /// <summary>Heads wider than this have no fused kernel.</summary>
    private const int WidestFusedHead = 256;

    /// <summary>The channels of a head are a multiple of this in the fused kernels of a card.</summary>
    private const int HeadStep = 8;

    /// <summary>How often the interval of a threshold is halved: float32 has 24 bits.</summary>
    private const int Halvings = 32;

    /// <inheritdoc/>
    public override void Attention(in AttentionArguments arguments)
    {
        var a = arguments;
        Run("attention", o => Attend(o, a));
    }

    /// <inheritdoc/>
    public override void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        var a = arguments;
        Run("entmax attention", o =>
        {
            if (a.Query.Count == 0 || a.Key.Shape[1] == 0)
            {
                WithoutKeys(o, a);
                foreach (var result in new[] { dense, support })
                {
                    if (result != null)
                        o.Store(result, Zeros(o, result));
                }
                return;
            }
            nint logits = Logits(o, a);
            nint softmax = Softmax(o, logits);
            nint weights = alpha == 1 ? softmax : Entmax(o, logits, alpha);
            nint values = Heads(o, a.Value, a.Query, o.Torch.Float32);
            o.Store(a.Output, Output(o, weights, values));
            if (dense != null)
                o.Store(dense, Output(o, softmax, values));
            if (a.LogSumExp != null)
                o.Store(a.LogSumExp, ByToken(o, LogSumExp(o, logits)));
            if (support != null)
            {
                nint counts = o.Sum(o.As(o.Call("aten::gt"u8, "Tensor"u8, o.Pass(weights), o.Pass(o.Number(0))), o.Torch.Float32), -1);
                o.Store(support, ByToken(o, o.Reshape(counts, [a.Query.Shape[0], a.Query.Shape[2], a.Query.Shape[1]])));
            }
        });
    }

    /// <inheritdoc/>
    public override void Entmax(Tensor x, float alpha, Tensor output) => Run("entmax", o =>
    {
        if (x.Count > 0)
            o.Store(output, alpha == 1 ? Softmax(o, o.Wide(x)) : Entmax(o, o.Wide(x), alpha));
    });

    /// <inheritdoc/>
    public override void MergeAttention(
        Tensor output1, Tensor logSumExp1, Tensor output2, Tensor logSumExp2, Tensor output, Tensor? logSumExp) => Run("a merge", o =>
    {
        if (output.Count == 0)
            return;
        nint l1 = o.Wide(logSumExp1), l2 = o.Wide(logSumExp2);

        // Finite even where no key counts, so that nothing is infinity less infinity.
        nint centre = o.Clamp(o.Maximum(l1, l2), float.MinValue, float.MaxValue);
        nint first = o.Unary("aten::exp"u8, o.Add(l1, centre, -1)), second = o.Unary("aten::exp"u8, o.Add(l2, centre, -1));
        nint sum = o.Add(first, second);

        // One pass over both outputs. Where no key counts in either they are zeros, and so is what is between them.
        nint share = PerRow(o, o.Divide(second, o.Maximum(sum, o.Number(Tiny))));
        o.Store(output, o.As(o.Between(o.Wide(output1), o.Wide(output2), share), o.Computed));
        if (logSumExp != null)
            o.Store(logSumExp, o.Add(centre, o.Unary("aten::log"u8, sum)));
    });

    /// <inheritdoc/>
    public override void LinearAttention(Tensor query, Tensor key, Tensor value, float epsilon, Tensor output) =>
        Run("linear attention", o =>
        {
            if (query.Count == 0)
                return;

            // In float32: sums over all tokens.
            int[] byHead = [0, 2, 1, 3];
            nint q = o.As(o.View(query, byHead), o.Torch.Float32);
            nint v = o.As(o.View(value, byHead), o.Torch.Float32);
            nint k = o.As(o.View(key, [0, 2, 3, 1]), o.Torch.Float32);
            nint found = o.MatrixProduct(q, o.MatrixProduct(k, v));
            nint sums = o.Sum(k, -1);                                   // [batch, heads, channels, 1]
            nint divisor = o.Add(o.MatrixProduct(q, sums), o.Number(epsilon));
            o.Store(output, o.Permute(o.As(o.Divide(found, divisor), o.Computed), byHead));
        });

    private void Attend(TorchOperation o, in AttentionArguments a)
    {
        var (query, key) = (a.Query, a.Key);
        if (query.Count == 0 || key.Shape[1] == 0)
        {
            WithoutKeys(o, a);
            return;
        }
        if (a.Mask?.SoftCap > 0 || query.Shape[3] > WidestFusedHead || Type == o.Torch.Mps
            || (Type == o.Torch.Cuda && query.Shape[3] % HeadStep != 0))
        {
            nint logits = Logits(o, a);
            o.Store(a.Output, Output(o, Softmax(o, logits), Heads(o, a.Value, query, o.Torch.Float32)));
            if (a.LogSumExp != null)
                o.Store(a.LogSumExp, ByToken(o, LogSumExp(o, logits)));
            return;
        }
        nint bias = Bias(o, a);
        nint q = o.Factor(o.View(query, [0, 2, 1, 3]));
        nint k = o.Factor(Heads(o, key, query, o.Computed)), v = o.Factor(Heads(o, a.Value, query, o.Computed));
        ulong scale = TorchOperation.Some(TorchOperation.Of((double)a.Scale));
        nint output, logSumExp;
        if (Type == o.Torch.Cpu)
        {
            (output, logSumExp) = o.CallSeveral(
                "aten::_scaled_dot_product_flash_attention_for_cpu"u8, "tt", o.Pass(q), o.Pass(k), o.Pass(v), TorchOperation.Of(0.0),
                TorchOperation.Of(false), o.PassOrNone(bias == 0 ? 0 : o.As(bias, o.Factors)), scale);
        }
        else if (bias == 0 && o.Computed != o.Torch.Float32)
        {
            (output, logSumExp) = o.CallSeveral(
                "aten::_scaled_dot_product_flash_attention"u8, "ttdd--ddd", o.Pass(q), o.Pass(k), o.Pass(v), TorchOperation.Of(0.0),
                TorchOperation.Of(false), TorchOperation.Of(false), scale);
        }
        else
        {
            (output, logSumExp) = o.CallSeveral(
                "aten::_scaled_dot_product_efficient_attention"u8, "ttdd", o.Pass(q), o.Pass(k), o.Pass(v),
                o.PassOrNone(bias == 0 ? 0 : Aligned(o, bias, query, key)), TorchOperation.Of(true), TorchOperation.Of(0.0),
                TorchOperation.Of(false), scale);

            logSumExp = Unpadded(o, logSumExp, query.Shape[1]);
        }
        logSumExp = o.As(logSumExp, o.Torch.Float32);
        if (bias != 0)
        {
            // A fused kernel says 0 where no key counts.
            long[] rows = [.. o.SizesOf(bias)];
            nint none = o.Equal(o.Largest(bias, -1), float.NegativeInfinity);
            output = o.Replace(output, none, 0);
            logSumExp = o.Replace(logSumExp, o.Reshape(none, rows.AsSpan(0, 3)), float.NegativeInfinity);
        }
        o.Store(a.Output, o.As(o.Permute(output, [0, 2, 1, 3]), o.Computed));
        if (a.LogSumExp != null)
            o.Store(a.LogSumExp, ByToken(o, logSumExp));
    }

    /// <summary>
    /// [batch, heads, queries] of a log-sum-exp whose rows the efficient kernel has filled up to a multiple of 32 queries.
    /// </summary>
    internal static nint Unpadded(TorchOperation o, nint logSumExp, long queries)
    {
        var sizes = o.SizesOf(logSumExp);
        return o.Reinterpret(logSumExp, [sizes[0], sizes[1], queries], o.StridesOf(logSumExp));
    }

    private static void WithoutKeys(TorchOperation o, in AttentionArguments a)
    {
        o.Store(a.Output, Zeros(o, a.Output));
        if (a.LogSumExp != null && a.LogSumExp.Count > 0)
            o.Store(a.LogSumExp, o.Add(Zeros(o, a.LogSumExp), o.Number(float.NegativeInfinity)));
    }

    /// <summary>[batch, heads, keys, channels] of keys or values, each batch item and head of the queries with its own.</summary>
    private static nint Heads(TorchOperation o, Tensor x, Tensor query, int type)
    {
        var (batch, heads) = (query.Shape[0], query.Shape[2]);
        var (keys, own, channels) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        long item = x.Shape[0] == 1 ? 0 : x.Stride(0);
        if (own == heads)
            return o.As(o.View(x, [batch, heads, keys, channels], [item, x.Stride(2), x.Stride(1), x.Stride(3)]), type);
        int shared = heads / own;
        nint view = o.View(
            x, [batch, own, shared, keys, channels], [item, x.Stride(2), 0, x.Stride(1), x.Stride(3)]);
        return o.Reshape(o.As(view, type), [batch, heads, keys, channels]);
    }

    /// <summary>[batch or 1, heads or 1, queries, keys] in float32: what is added to logits; 0 where nothing is.</summary>
    private static nint Bias(TorchOperation o, in AttentionArguments a)
    {
        if (a.Mask is not { } mask)
            return 0;
        var (queries, keys) = (a.Query.Shape[1], a.Key.Shape[1]);
        nint bias = 0;
        if (mask.Bias != null)
            bias = o.Wide(mask.Bias);
        if (mask.Keys is { } counted)
        {
            nint view = o.View(
                counted, [counted.Shape[0], 1, 1, keys], [counted.Stride(0), 0, 0, counted.Stride(1)]);
            nint left = o.Equal(view, 0);
            nint zeros = o.Empty([counted.Shape[0], 1, queries, keys], o.Torch.Float32);
            o.Check(o.Torch.Zero(zeros), "zero_");
            nint own = o.Replace(zeros, left, float.NegativeInfinity);
            bias = bias == 0 ? own : o.Add(bias, own);
        }
        if (mask.Causal)
        {
            float[] seen = new float[(long)queries * keys];
            for (int i = 0; i < queries; i++)
            {
                int last = i + keys - queries;
                int first = mask.Window > 0 ? last - mask.Window + 1 : 0;
                for (int k = 0; k < keys; k++)
                    seen[(long)i * keys + k] = k > last || k < first ? float.NegativeInfinity : 0;
            }
            nint own = o.Upload(seen, [1, 1, queries, keys]);
            bias = bias == 0 ? own : o.Add(bias, own);
        }
        return bias;
    }

    /// <summary>A bias for each batch item and head, whose rows begin where the efficient kernel can read them.</summary>
    internal static nint Aligned(TorchOperation o, nint bias, Tensor query, Tensor key)
    {
        const int Alignment = 16;
        long queries = query.Shape[1], keys = key.Shape[1], padded = (keys + Alignment - 1) / Alignment * Alignment;
        var sizes = o.SizesOf(bias);
        var (items, heads) = (sizes[0], sizes[1]);
        nint room = o.Empty([items, heads, queries, padded], o.Computed);
        long[] strides = [heads * queries * padded, queries * padded, padded, 1];
        o.Copy(o.Reinterpret(room, [items, heads, queries, keys], strides), bias);
        if (items == 1)
            strides[0] = 0;
        if (heads == 1)
            strides[1] = 0;
        return o.Reinterpret(room, [query.Shape[0], query.Shape[2], queries, keys], strides);
    }

    /// <summary>[batch, heads, queries, keys] in float32: scaled products with cap and mask.</summary>
    private static nint Logits(TorchOperation o, in AttentionArguments a)
    {
        nint q = o.Multiply(o.As(o.View(a.Query, [0, 2, 1, 3]), o.Torch.Float32), a.Scale);
        nint k = Heads(o, a.Key, a.Query, o.Torch.Float32);
        nint logits = o.MatrixProduct(q, o.Permute(k, [0, 1, 3, 2]));
        if (a.Mask?.SoftCap is > 0 and float cap)
            logits = o.Multiply(o.Unary("aten::tanh"u8, o.Multiply(logits, 1 / cap)), cap);
        nint bias = Bias(o, a);
        return bias == 0 ? logits : o.Add(logits, bias);
    }

    /// <summary>[batch, queries, heads, channels] of any strides.</summary>
    private static nint Output(TorchOperation o, nint weights, nint values) =>
        o.Permute(o.As(o.MatrixProduct(weights, values), o.Computed), [0, 2, 1, 3]);

    /// <summary>[batch, heads, queries].</summary>
    private static nint LogSumExp(TorchOperation o, nint logits) =>
        o.Call("aten::logsumexp"u8, ""u8, o.Pass(logits), o.List(-1), TorchOperation.Of(false));

    /// <summary>[batch, heads, queries] as [batch, queries, heads].</summary>
    private static nint ByToken(TorchOperation o, nint numbers) => o.Permute(numbers, [0, 2, 1]);

    /// <summary>[batch, rows, heads] as one number for each row of channels.</summary>
    private static nint PerRow(TorchOperation o, nint numbers)
    {
        var sizes = o.SizesOf(numbers);
        var strides = o.StridesOf(numbers);
        return o.Reinterpret(numbers, [sizes[0], sizes[1], sizes[2], 1], [strides[0], strides[1], strides[2], 1]);
    }

    /// <summary>alpha-entmax over the innermost axis, the threshold by bisection; see <see cref="Device.Entmax"/>.</summary>
    private static nint Entmax(TorchOperation o, nint x, float alpha)
    {
        float exponent = 1 / (alpha - 1);
        nint largest = o.Clamp(o.Largest(x, -1), float.MinValue, float.MaxValue);
        nint logits = o.Multiply(o.Add(x, largest, -1), alpha - 1);
        long count = o.SizesOf(x)[^1];

        // At the lower end the largest weight is 1 or more; at the upper end, where it is 1/count, they add up to 1 or less.
        nint threshold = o.Add(o.Multiply(largest, 0f), o.Number(-1));
        float width = 1 - MathF.Pow(count, 1 - alpha);
        for (int i = 0; i < Halvings; i++)
        {
            width /= 2;
            int mark = o.Mark;
            nint middle = o.Add(threshold, o.Number(width));
            nint isBelow = o.Call("aten::ge"u8, "Tensor"u8, o.Pass(o.Sum(Weights(middle), -1)), o.Pass(o.Number(1)));
            threshold = o.FreeSince(mark, o.Call("aten::where"u8, "self"u8, o.Pass(isBelow), o.Pass(middle), o.Pass(threshold)));
        }
        nint weights = Weights(threshold);
        return o.Divide(weights, o.Maximum(o.Sum(weights, -1), o.Number(Tiny)));

        nint Weights(nint below)
        {
            nint powers = o.Unary("aten::relu"u8, o.Add(logits, below, -1));
            return exponent == 1 ? powers
                : exponent == 2 ? o.Multiply(powers, powers)
                : o.Unary("aten::exp"u8, o.Multiply(o.Unary("aten::log"u8, powers), exponent));
        }
    }
}
