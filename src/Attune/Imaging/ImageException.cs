namespace Attune.Imaging;

/// <summary>
/// An image file is malformed, incomplete, too large, or of a kind that is not read. The message names the file and what is wrong in it.
/// </summary>
public sealed class ImageException : IOException
{
    /// <summary>An error without a message.</summary>
    public ImageException()
    {
    }

    /// <summary>An error with a message that names the file and what is wrong in it.</summary>
    public ImageException(string message)
        : base(message)
    {
    }

    /// <summary>An error with its cause.</summary>
    public ImageException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}
