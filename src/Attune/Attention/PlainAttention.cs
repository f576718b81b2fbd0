using Attune.Tensors;

namespace Attune.Attention;

/// <summary>Attention as the model was trained with: every kind of token sees the kinds that <see cref="TokenLayout"/> names.</summary>
public sealed class PlainAttention : IAttention
{
    private PlainAttention()
    {
    }

    /// <summary>The only instance; it has no state.</summary>
    public static PlainAttention Instance { get; } = new();

    /// <inheritdoc/>
    public Tensor Attend(AttentionCall call)
    {
        ArgumentNullException.ThrowIfNull(call);
        using var scope = new TensorScope();
        var output = call.Query.Like(call.Query.Shape);
        using var facts = new AttentionFacts(call);
        AttendRows(facts, output, _ => true);
        return scope.Keep(output);
    }

    /// <summary>
    /// Writes the plain rows of the query spans whose kind is asked for; neighbours that see the same keys go in one product.
    /// </summary>
    internal static void AttendRows(AttentionFacts facts, Tensor output, Func<TokenKind, bool> wanted)
    {
        var call = facts.Call;
        var spans = call.Queries.Spans;
        for (int i = 0; i < spans.Count; i++)
        {
            if (!wanted(spans[i].Kind))
                continue;
            var seen = call.Keys.SeenBy(spans[i].Kind);
            int start = spans[i].Start;
            while (i + 1 < spans.Count && wanted(spans[i + 1].Kind) && call.Keys.SeenBy(spans[i + 1].Kind).AsSpan().SequenceEqual(seen))
                i++;
            using var rows = output.Slice(1, start, spans[i].End - start);
            bool besideNegative = spans[i].Kind is TokenKind.NegativeText or TokenKind.NegativeLatent;
            facts.Attend(start, spans[i].End - start, seen, rows, besideNegative).Dispose();
        }
    }
}
