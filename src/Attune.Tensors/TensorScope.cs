namespace Attune.Tensors;

/// <summary>
/// Owns the tensors that are created on this thread while it is the innermost scope, and disposes them at its end:
/// <code>
/// using var scope = new TensorScope();
/// var hidden = x.Linear(up).Activate(Activation.Silu);      // temporaries
/// return scope.Keep(hidden.Linear(down));                   // lives on in the enclosing scope
/// </code>
/// Scopes nest, and end in reverse order on the thread that began them. A tensor that is created outside of any scope belongs to whoever
/// created it and must be disposed by hand.
/// </summary>
public sealed class TensorScope : IDisposable
{
    [ThreadStatic]
    private static TensorScope? _current;

    private readonly TensorScope? _parent;
    private readonly List<Tensor?> _tensors = [];
    private bool _disposed;

    /// <summary>Begins a scope on this thread.</summary>
    public TensorScope()
    {
        _parent = _current;
        _current = this;
    }

    /// <summary>Hands a tensor of this scope to the enclosing scope, or to the caller when there is none.</summary>
    /// <exception cref="InvalidOperationException">The tensor does not belong to this scope.</exception>
    public Tensor Keep(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.Scope != this)
        {
            // A tensor of an outer scope already outlives this one: `Keep` of an argument that is passed through is no error.
            for (var outer = _parent; outer != null; outer = outer._parent)
            {
                if (tensor.Scope == outer)
                    return tensor;
            }
            if (tensor.Scope == null && !tensor.IsDisposed)
                return tensor;
            throw new InvalidOperationException("The tensor does not belong to this scope.");
        }
        Remove(tensor);
        _parent?.Add(tensor);
        return tensor;
    }

    /// <summary>Takes a tensor out of all scopes: from here on the caller disposes it.</summary>
    public static Tensor Detach(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        tensor.Scope?.Remove(tensor);
        return tensor;
    }

    /// <summary>Disposes the tensors that are still in the scope.</summary>
    /// <exception cref="InvalidOperationException">The scope is not the innermost of this thread.</exception>
    public void Dispose()
    {
        if (_disposed)
            return;
        if (_current != this)
            throw new InvalidOperationException("Scopes of tensors end in reverse order, on the thread that began them.");
        _disposed = true;
        _current = _parent;
        for (int i = _tensors.Count - 1; i >= 0; i--)
            _tensors[i]?.Dispose();
    }

    internal static void Register(Tensor tensor) => _current?.Add(tensor);

    private void Add(Tensor tensor)
    {
        tensor.Scope = this;
        tensor.ScopeIndex = _tensors.Count;
        _tensors.Add(tensor);
    }

    internal void Remove(Tensor tensor)
    {
        _tensors[tensor.ScopeIndex] = null;
        tensor.Scope = null;
    }
}
