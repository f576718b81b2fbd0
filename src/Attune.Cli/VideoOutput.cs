using System.Globalization;
using System.Text.RegularExpressions;
using Attune.Generation;
using Attune.Imaging;

namespace Attune.Cli;

/// <summary>
/// Where videos go: an animated picture, a video that ffmpeg encodes, or a picture for each frame; the file that --output names, numbered
/// files, free names, or standard output.
/// </summary>
internal sealed partial class VideoOutput
{
    private const string Option = "--output";
    private readonly string? _path;
    private readonly int _count;
    private readonly Func<int, string> _free;

    private VideoOutput(string? path, int count, Func<int, string> free) => (_path, _count, _free) = (path, count, free);

    /// <summary>The extensions of files that hold videos.</summary>
    public static IEnumerable<string> Extensions =>
        FrameFormats.Writers.SelectMany(writer => writer.Extensions).Concat(Ffmpeg.Extensions);

    /// <summary>Whether a path can hold nothing but a video, or its frames: a folder, names with a number, or a format of videos.</summary>
    public static bool IsForVideosAlone(string? path) => path is { Length: > 0 } && path != "-"
        && (IsSequence(path) || Extensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase)
            && !ImageFormats.Writers.Any(writer => writer.Extensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase)));

    /// <summary>Checks that videos can be written, before anything is computed.</summary>
    /// <param name="path">What --output says; null for the first free names attune-SEED-N.png in the working directory.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="count">How many videos.</param>
    /// <exception cref="ArgumentException">They cannot be written in this way; the message names the option.</exception>
    /// <exception cref="IOException">A file cannot be written; the message names the option.</exception>
    /// <exception cref="NotSupportedException">What encodes them is not there.</exception>
    public static VideoOutput Open(string? path, ulong seed, int count)
    {
        var output = new VideoOutput(path, count, number => OutputNames.Free(seed, number));
        if (path == "-")
        {
            return count == 1 ? output
                : throw new ArgumentException($"{Option} is -, standard output, which takes one video; --count is {count}.");
        }
        if (path == null)
        {
            OutputFile.Check(OutputNames.FirstFree(seed), Option);
            return output;
        }
        if (IsSequence(path))
        {
            if (IsFolder(path))
                MakeFolder(path);
            for (int video = 0; video < count; video++)
            {
                string first = output.FrameFile(video, 1);
                ImageFormats.WriterOf(first, Option);
                OutputFile.Check(first, Option);
            }
            return output;
        }
        if (Ffmpeg.Writes(path))
            Ffmpeg.Check(path, Option);
        else if (FrameFormats.WriterOf(path) == null)
        {
            throw new ArgumentException(
                $"{Option}: '{path}' ends in {(Path.GetExtension(path) is { Length: > 0 } extension ? extension : "no extension")}; videos "
                    + $"are written as {ImageFormats.InWords(Extensions)}, or as pictures by number, as frames/%04d.png.");
        }
        for (int video = 0; video < count; video++)
            OutputFile.Check(output.Numbered(video), Option);
        return output;
    }

    /// <summary>Checks that the format holds so many frames a second.</summary>
    /// <exception cref="ArgumentException">It does not.</exception>
    public void CheckRate(double rate)
    {
        if (_path is { Length: > 0 } path && path != "-" && !IsSequence(path) && FrameFormats.WriterOf(path) is { } writer
            && rate > writer.MostFramesPerSecond)
        {
            throw new ArgumentException(string.Create(
                CultureInfo.InvariantCulture,
                $"{Option}: '{path}' is a {writer.Name}, which holds at most {writer.MostFramesPerSecond} frames a second; --fps is "
                    + $"{rate}."));
        }
    }

    /// <summary>Writes videos.</summary>
    /// <param name="videos">As many as were said; each has a rate.</param>
    /// <param name="texts">What each carries, by its index.</param>
    /// <returns>The files, or of pictures by number their pattern; empty for standard output.</returns>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public IReadOnlyList<string> Save(IReadOnlyList<Frames> videos, Func<int, KeyValuePair<string, string>[]> texts)
    {
        if (_path == "-")
        {
            using var stream = Console.OpenStandardOutput();
            Png.WriteAnimation(videos[0], videos[0].Rate!.Value, stream, texts(0));
            return [];
        }
        return [.. videos.Select((video, index) => Save(video, index, texts(index)))];
    }

    private string Save(Frames video, int index, KeyValuePair<string, string>[] texts)
    {
        double rate = video.Rate!.Value;
        if (_path == null)
            return OutputFile.WriteNew(_free, stream => Png.WriteAnimation(video, rate, stream, texts), Option);
        if (IsSequence(_path))
        {
            for (int i = 0; i < video.Count; i++)
            {
                string frame = FrameFile(index, i + 1);
                var picture = video[i];
                OutputFile.Write(frame, stream => ImageFormats.WriterOf(frame, Option).Write(picture, stream, texts), Option);
            }
            return Pattern(index);
        }
        string file = Numbered(index);
        if (Ffmpeg.Writes(file))
            Ffmpeg.Write(video, rate, file, texts.FirstOrDefault(text => text.Key == PictureTexts.CommonKeyword).Value, Option);
        else
            OutputFile.Write(file, stream => FrameFormats.WriterOf(file)!.Write(video, rate, stream, texts), Option);
        return file;
    }

    private static bool IsFolder(string path) => Path.EndsInDirectorySeparator(path) || Directory.Exists(path);

    private static bool IsSequence(string path) => IsFolder(path) || Number().IsMatch(Path.GetFileName(path));

    private static void MakeFolder(string path)
    {
        string folder = Path.TrimEndingDirectorySeparator(path);
        if (Directory.Exists(folder))
            return;
        string? above = Path.GetDirectoryName(Path.GetFullPath(folder));
        if (above != null && !Directory.Exists(above))
            throw new IOException($"{Option}: the folder '{Path.GetDirectoryName(folder)}' does not exist.");
        Directory.CreateDirectory(folder);
    }

    /// <summary>The file of a frame, counted from 1.</summary>
    private string FrameFile(int video, int frame)
    {
        string pattern = Pattern(video);
        string name = Number().Replace(
            Path.GetFileName(pattern),
            match => frame.ToString("D" + (match.Groups[1].Length > 0 ? match.Groups[1].Value : "1"), CultureInfo.InvariantCulture), 1);
        return Path.Combine(Path.GetDirectoryName(pattern) ?? "", name);
    }

    /// <summary>The names of a video's frames, with %04d for the number.</summary>
    private string Pattern(int video) =>
        OutputNames.Numbered(IsFolder(_path!) ? Path.Combine(_path!, "%04d.png") : _path!, video, _count);

    private string Numbered(int video) => OutputNames.Numbered(_path!, video, _count);

    /// <summary>%d, %4d or %04d, as C and ffmpeg write it.</summary>
    [GeneratedRegex("%0?([1-9]?)d")]
    private static partial Regex Number();
}
