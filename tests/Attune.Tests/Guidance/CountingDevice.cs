using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>
/// Hands everything on to another device and counts the products of attention, the rows that go through linear layers, and the
/// multiplications with an addition of both.
/// </summary>
internal sealed class CountingDevice(Device inner) : DelegatingDevice(inner)
{
    public int Attentions { get; set; }

    public long LinearRows { get; private set; }

    public long LinearProducts { get; private set; }

    public long AttentionProducts { get; private set; }

    public override string Name => $"counting {Inner.Name}";

    public override void Attention(in AttentionArguments arguments)
    {
        Attentions++;
        AttentionProducts += 2 * arguments.Query.Count * arguments.Key.Shape[1];
        base.Attention(in arguments);
    }

    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output)
    {
        LinearRows += x.Count / x.Shape[^1];
        LinearProducts += x.Count * weight.Shape[0];
        base.Linear(x, weight, bias, activation, output);
    }

    public override void AddLinear(Tensor residual, Tensor x, PreparedWeight weight, PreparedWeight? bias, Tensor output)
    {
        LinearRows += x.Count / x.Shape[^1];
        LinearProducts += x.Count * weight.Shape[0];
        base.AddLinear(residual, x, weight, bias, output);
    }

    public override void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        Attentions++;
        base.EntmaxAttention(in arguments, alpha, dense, support);
    }
}
