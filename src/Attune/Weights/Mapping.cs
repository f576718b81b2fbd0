using Attune.Tensors;

namespace Attune.Weights;

/// <summary>Opens files that readers keep mapped.</summary>
internal static class Mapping
{
    /// <summary>Maps a file and reads what it says of itself; the reader owns the mapping from then on.</summary>
    /// <param name="path">The file.</param>
    /// <param name="read">Makes the reader; where it fails, the file is closed.</param>
    /// <exception cref="CheckpointException">The file is missing or may not be read.</exception>
    public static T Open<T>(string path, Func<MappedFile, T> read)
    {
        MappedFile file;
        try
        {
            file = new MappedFile(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"'{path}' cannot be opened: {exception.Message}", exception);
        }
        try
        {
            return read(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
