namespace Attune.Weights;

/// <summary>
/// A checkpoint file is malformed, incomplete, or does not fit the model that reads it. The message names the file and the tensor, key or
/// value.
/// </summary>
public sealed class CheckpointException : IOException
{
    /// <summary>An error without a message.</summary>
    public CheckpointException()
    {
    }

    /// <summary>An error with a message that names the file and what is wrong in it.</summary>
    public CheckpointException(string message)
        : base(message)
    {
    }

    /// <summary>An error with its cause.</summary>
    public CheckpointException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}
