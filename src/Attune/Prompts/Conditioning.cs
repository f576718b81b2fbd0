using Attune.Tensors;

namespace Attune.Prompts;

/// <summary>
/// What a prompt becomes for a family of models: the inputs of its denoiser that do not change from step to step, and what layers derive
/// from them. It owns its tensors. References are counted, so that requests may share one: each holder disposes it once.
/// </summary>
public abstract class Conditioning : IDisposable
{
    private readonly Memo _memo = new();
    private int _references = 1;

    /// <summary>Takes tensors out of their scope: they belong to the conditioning from here on.</summary>
    /// <param name="text">Text embeddings, [1, tokens, channels].</param>
    /// <param name="others">What else the prompt becomes, by name, as <c>pooled</c>; null where a model has it not.</param>
    protected Conditioning(Tensor text, params ReadOnlySpan<(string Name, Tensor? Tensor)> others)
    {
        Text = TensorScope.Detach(text);
        var parts = new Dictionary<string, Tensor>(StringComparer.Ordinal) { ["text"] = text };
        foreach (var (name, tensor) in others)
        {
            if (tensor != null)
                parts.Add(name, TensorScope.Detach(tensor));
        }
        Parts = parts;
    }

    /// <summary>Text embeddings, [1, tokens, channels].</summary>
    public Tensor Text { get; }

    /// <summary>How many rows of the text count; those behind them are pads. All, for most families.</summary>
    public virtual int CountedRows => Text.Shape[1];

    /// <summary>Which rows of the text stand for reference images; empty where none does.</summary>
    public virtual IReadOnlyList<bool> Slots => [];

    /// <summary>All that the prompt has become, by name: <c>text</c>, <c>pooled</c>, <c>time_ids</c>.</summary>
    public IReadOnlyDictionary<string, Tensor> Parts { get; }

    /// <summary>
    /// A tensor that depends on this conditioning alone, such as the keys of a cross-attention layer: made when it is first asked for and
    /// kept as long as the conditioning. Thread-safe.
    /// </summary>
    /// <inheritdoc cref="Memo.Once"/>
    public Tensor Once(object key, Func<Tensor> make) => _memo.Once(key, make);

    /// <summary>Another holder: the tensors live until each one has disposed it.</summary>
    /// <exception cref="ObjectDisposedException">All holders have disposed it.</exception>
    public Conditioning Share()
    {
        int references;
        do
        {
            references = Volatile.Read(ref _references);
            ObjectDisposedException.ThrowIf(references == 0, this);
        }
        while (Interlocked.CompareExchange(ref _references, references + 1, references) != references);
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _references) != 0)
            return;
        foreach (var part in Parts.Values)
            part.Dispose();
        _memo.Dispose();
        GC.SuppressFinalize(this);
    }
}
