using Attune.Imaging;

namespace Attune.Cli;

/// <summary>Where pictures go: the file that --output names, numbered files, free names, or standard output.</summary>
internal sealed class PictureOutput
{
    private const string Option = "--output";
    private readonly string? _path;
    private readonly IImageWriter _writer;
    private readonly Func<int, string> _free;

    private PictureOutput(string? path, IImageWriter writer, Func<int, string> free) => (_path, _writer, _free) = (path, writer, free);

    /// <summary>Whether a PNG goes to standard output.</summary>
    public bool IsStandardOutput => _path == "-";

    /// <summary>Checks that pictures can be written, before anything is computed.</summary>
    /// <param name="path">What --output says; null for the first free names attune-SEED-N.png in the working directory.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="count">How many pictures.</param>
    /// <exception cref="ArgumentException">They cannot be written in this way; the message names the option.</exception>
    /// <exception cref="IOException">A file cannot be written; the message names the option.</exception>
    public static PictureOutput Open(string? path, ulong seed, int count)
    {
        string Free(int number) => OutputNames.Free(seed, number);
        if (path == "-")
        {
            return count == 1 ? new PictureOutput(path, ImageFormats.WriterOf(".png"), Free)
                : throw new ArgumentException($"{Option} is -, standard output, which takes one picture; --count is {count}.");
        }
        var output = new PictureOutput(path, ImageFormats.WriterOf(path is null or "" ? Free(1) : path, Option), Free);
        var files = path == null ? [OutputNames.FirstFree(seed)]
            : Enumerable.Range(0, count).Select(index => OutputNames.Numbered(path, index, count));
        foreach (string file in files)
            OutputFile.Check(file, Option);
        return output;
    }

    /// <summary>Writes pictures.</summary>
    /// <param name="images">The pictures.</param>
    /// <param name="texts">What each carries, by its index.</param>
    /// <returns>The files; empty for standard output.</returns>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public IReadOnlyList<string> Save(IReadOnlyList<Image> images, Func<int, KeyValuePair<string, string>[]> texts)
    {
        if (IsStandardOutput)
        {
            using var stream = Console.OpenStandardOutput();
            _writer.Write(images[0], stream, texts(0));
            return [];
        }
        var files = new List<string>();
        for (int i = 0; i < images.Count; i++)
        {
            int index = i;
            void Write(Stream stream) => _writer.Write(images[index], stream, texts(index));
            string file = _path == null ? OutputFile.WriteNew(_free, Write, Option)
                : OutputNames.Numbered(_path, i, images.Count);
            if (_path != null)
                OutputFile.Write(file, Write, Option);
            files.Add(file);
        }
        return files;
    }
}
