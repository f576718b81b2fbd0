using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>Hands everything on to another device and counts the products of attention.</summary>
internal sealed class CountingDevice(Device inner) : DelegatingDevice(inner)
{
    public int Attentions { get; set; }

    public override string Name => $"counting {Inner.Name}";

    public override void Attention(in AttentionArguments arguments)
    {
        Attentions++;
        base.Attention(in arguments);
    }

    public override void EntmaxAttention(in AttentionArguments arguments, float alpha, Tensor? dense, Tensor? support)
    {
        Attentions++;
        base.EntmaxAttention(in arguments, alpha, dense, support);
    }
}
