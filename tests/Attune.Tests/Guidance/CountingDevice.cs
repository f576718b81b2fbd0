using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>
/// Hands everything on to another device and counts the products of attention, and the rows that go through linear layers.
/// </summary>
internal sealed class CountingDevice(Device inner) : DelegatingDevice(inner)
{
    public int Attentions { get; set; }

    public long LinearRows { get; private set; }

    public override string Name => $"counting {Inner.Name}";

    public override void Attention(in AttentionArguments arguments)
    {
        Attentions++;
        base.Attention(in arguments);
    }

    public override void Linear(Tensor x, PreparedWeight weight, PreparedWeight? bias, Activation activation, Tensor output)
    {
        LinearRows += x.Count / x.Shape[^1];
        base.Linear(x, weight, bias, activation, output);
    }

    public override void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        Attentions++;
        base.EntmaxAttention(in arguments, alpha, dense, support);
    }
}
