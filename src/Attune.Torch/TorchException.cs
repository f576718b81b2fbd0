namespace Attune.Torch;

/// <summary>libtorch refused an operation: the message names it, the tensors' shapes and, where the library tells, why.</summary>
public sealed class TorchException : InvalidOperationException
{
    /// <summary>An operation that failed.</summary>
    public TorchException(string message)
        : base(message)
    {
    }

    /// <summary>An operation that failed, and what happened inside of it.</summary>
    public TorchException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>An operation that failed.</summary>
    public TorchException()
    {
    }
}
