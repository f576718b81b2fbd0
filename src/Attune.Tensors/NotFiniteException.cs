namespace Attune.Tensors;

/// <summary>
/// Values that should be numbers are NaN or infinite, so that whatever is computed from them is nonsense. The message says where they were
/// found, since when, and what such values usually come from.
/// </summary>
public sealed class NotFiniteException : ArithmeticException
{
    /// <summary>An error without a message.</summary>
    public NotFiniteException()
    {
    }

    /// <summary>An error with a message that says where the values are.</summary>
    public NotFiniteException(string message)
        : base(message)
    {
    }

    /// <summary>An error with its cause.</summary>
    public NotFiniteException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}
